"""Retiming: every hop on the chip takes a step, so delays are added until all that met before meets again.

Each population gets a *lag*, the steps by which it runs behind the source model; a connection that waited d steps then
waits ``d + lag(target) - lag(source)``, at least 1 (C. E. Leiserson and J. B. Saxe, Algorithmica 6, 1991,
doi:10.1007/BF01759032). A loop's delay is the same for all lags: one that is shorter than its hops cannot be had.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

from spikeport.ir.diagnostics import Diagnostic, UnsupportedError

#: (source, target, delay in the source model)
Hop = tuple[str, str, int]


def lags(hops: Iterable[Hop], sources: Iterable[str], chip: str) -> dict[str, int]:
    """Return the smallest lags on *chip*, in steps, with those of *sources* (the inputs) 0.

    Raises
    ------
    UnsupportedError
        E531 naming a loop whose delay would have to grow.
    """
    hops = list(hops)
    fixed = set(sources)
    lag = dict.fromkeys(fixed, 0)
    for source, target, _ in hops:
        lag.setdefault(source, 0)
        lag.setdefault(target, 0)
    reason: dict[str, str] = {}
    changed = ""
    for _ in range(len(lag) + 1):
        changed = ""
        for source, target, delay in hops:
            wanted = lag[source] + 1 - delay
            if wanted > lag[target]:
                lag[target], reason[target], changed = wanted, source, target
        if not changed:
            return lag
    raise _too_short(changed, reason, hops, chip)


def _too_short(start: str, reason: dict[str, str], hops: list[Hop], chip: str) -> UnsupportedError:
    for _ in reason:
        start = reason.get(start, start)
    loop, at = [start], reason[start]
    while at != start:
        loop.append(at)
        at = reason[at]
    loop = loop[::-1]
    ring = [*loop, loop[0]]
    total = sum(min(d for s, t, d in hops if (s, t) == pair) for pair in pairwise(ring))
    return UnsupportedError(
        Diagnostic(
            "E531", loop[0], f"the loop {' -> '.join(ring)} has {total} step{'s' * (total != 1)} of delay in all and "
            f"{len(loop)} hops; on {chip} every hop takes a step, so it would have to grow",
            f"give the loop a delay of {len(loop)} steps and train it so, or merge its layers",
            {"loop": ring, "delay": total, "hops": len(loop)},
        )
    )  # fmt: skip
