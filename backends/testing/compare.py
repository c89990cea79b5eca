"""How the traces of a backend and of the reference are held against each other, by the fidelity that the backend declares."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from spikeport.ir.ops import Array
from spikeport.ir.trace import Counts, Trace

_GROUPS = {"spikes": "spikes", "out": "output", "v": "membrane"}
_COUNTS = tuple(f.name for f in dataclasses.fields(Counts))


@dataclass(frozen=True, slots=True)
class Tolerance:
    """What may differ.

    Parameters
    ----------
    rtol, atol : float or None
        Of outputs and membranes, each relative to the largest value of its array, up to the sample's first difference in
        spikes; None does not look at them.
    spikes : float
        Share of a population's spikes by which its raster may differ, counted bit by bit.
    counts : float
        Share by which a count may differ.
    slack : int
        Differences in spikes and counts that are always let pass: small cases have few.
    """

    rtol: float | None = 0.0
    atol: float = 0.0
    spikes: float = 0.0
    counts: float = 0.0
    slack: int = 0

    @property
    def is_exact(self) -> bool:
        """Whether nothing may differ."""
        return self == Tolerance()


#: By fidelity. ``float``: the same equations with other roundings: a spike near the threshold may fall otherwise, and
#: what follows from it is not judged. ``fixed_point``: a chip's integers: spikes and counts about the same, no more.
TOLERANCES = {
    "bit_exact": Tolerance(),
    "float": Tolerance(rtol=1e-4, atol=1e-6, spikes=0.1, counts=0.1, slack=4),
    "fixed_point": Tolerance(rtol=None, spikes=0.5, counts=0.35, slack=12),
}


def first_difference(expected: Trace, found: Trace, tolerance: Tolerance, order: Sequence[str]) -> str:
    """Return what differs first, "" where nothing does: the earliest step, in it the node that is evaluated first.

    Parameters
    ----------
    expected, found : Trace
        Of the reference and of the backend.
    tolerance : Tolerance
        What may differ.
    order : sequence of str
        Paths in the order of evaluation.
    """
    if (found.samples, found.steps) != (expected.samples, expected.steps):
        return f"it ran {found.samples} samples of {found.steps} steps, asked for {expected.samples} of {expected.steps}"
    for group in _GROUPS:
        wanted, got = getattr(expected, group), getattr(found, group)
        if wanted.keys() != got.keys():
            missing, extra = sorted(wanted.keys() - got.keys()), sorted(got.keys() - wanted.keys())
            return f"trace.{group}: missing {missing or 'nothing'}, not asked for {extra or 'nothing'}"
        for path in wanted:
            kinds = "iu" if group == "spikes" else "f"
            if got[path].shape != wanted[path].shape or got[path].dtype.kind not in kinds:
                return (
                    f"trace.{group}[{path!r}] is {got[path].dtype} of shape {got[path].shape}, the reference has "
                    f"{wanted[path].dtype} of shape {wanted[path].shape}"
                )
    values = _exact(expected, found, order) if tolerance.is_exact else _near(expected, found, tolerance, order)
    return values or next(_counts(expected, found, tolerance), "")


def _exact(expected: Trace, found: Trace, order: Sequence[str]) -> str:
    """Return the first value that differs in its bits, -0.0 counting as 0.0 and NaN as NaN."""
    place = {path: i for i, path in enumerate(order)}
    worst: tuple[tuple[int, int, int, int], str] | None = None
    for number, group in enumerate(_GROUPS):
        for path, wanted in getattr(expected, group).items():
            got = getattr(found, group)[path]
            differs = (wanted != got) & ~((wanted != wanted) & (got != got))
            if not differs.any():
                continue
            step = int(np.argmax(differs.any(axis=tuple(i for i in range(differs.ndim) if i != 1))))
            sample, *where = (int(i) for i in np.argwhere(differs[:, step])[0])
            # A membrane is judged last: where the spikes differ too, they say more.
            key = (int(group == "v"), step, place.get(path, len(place)), number)
            at = (sample, step, *where)
            text = (
                f"{_GROUPS[group]} of {path}{where} in sample {sample}, step {step}: {got[at].item()!r}, the reference has "
                f"{wanted[at].item()!r}; {int(differs.sum())} of {differs.size} values of this array differ"
            )
            if worst is None or key < worst[0]:
                worst = (key, text)
    return worst[1] if worst else ""


def _near(expected: Trace, found: Trace, tolerance: Tolerance, order: Sequence[str]) -> str:
    """Return the first array that differs by more than *tolerance*."""
    good = np.full(expected.samples, expected.steps)  # steps of each sample before its first difference in spikes
    place = {path: i for i, path in enumerate(order)}
    for path in sorted(expected.spikes, key=lambda p: place.get(p, len(place))):
        wanted, got = expected.spikes[path].astype(np.int64), found.spikes[path].astype(np.int64)
        off, total = int(np.abs(wanted - got).sum()), int(wanted.sum())
        if off > tolerance.spikes * total + tolerance.slack:
            return f"spikes of {path}: {off} differ, of {total}; {tolerance.spikes:.0%} and {tolerance.slack} may"
        differs = (wanted != got).reshape(*wanted.shape[:2], -1).any(axis=2)
        good = np.minimum(good, np.where(differs.any(axis=1), differs.argmax(axis=1), expected.steps))
    if tolerance.rtol is None:
        return ""
    judged = np.arange(expected.steps)[None] < good[:, None]
    for group in ("out", "v"):
        for path, wanted in getattr(expected, group).items():
            got = getattr(found, group)[path]
            bound = tolerance.atol + tolerance.rtol * float(np.abs(wanted).max(initial=0.0))
            off_by = np.abs(wanted.astype(np.float64) - got)[judged]
            if off_by.size and not float(off_by.max()) <= bound:
                return f"{_GROUPS[group]} of {path} is off by {float(off_by.max()):.3g}, {bound:.3g} may be"
    return ""


def _counts(expected: Trace, found: Trace, tolerance: Tolerance) -> Iterator[str]:
    """Yield the counts that differ."""
    if expected.counts.keys() != found.counts.keys():
        yield f"trace.counts has {sorted(found.counts)}, the reference {sorted(expected.counts)}"
        return
    for path, wanted in expected.counts.items():
        for name in _COUNTS:
            if name.endswith("_per_step") and not tolerance.is_exact:
                continue
            one, two = getattr(wanted, name), getattr(found.counts[path], name)
            where = f"counts[{path!r}].{name}"
            if (one is None) != (two is None):
                yield f"{where} is {two}, the reference has {one}"
            elif one is not None:
                yield from _number(where, one, two, tolerance)
    if expected.activity.keys() != found.activity.keys():
        yield f"trace.activity has {sorted(found.activity)}, the reference {sorted(expected.activity)}"
        return
    for path, array in expected.activity.items():
        yield from _number(f"activity[{path!r}]", array, found.activity[path], tolerance)


def _number(where: str, one: Array | int, two: Array | int, tolerance: Tolerance) -> Iterable[str]:
    a, b = np.asarray(one), np.asarray(two)
    if a.shape != b.shape:
        yield f"{where} has the shape {b.shape}, the reference {a.shape}"
    elif tolerance.is_exact:
        if (a != b).any():
            at = tuple(int(i) for i in np.argwhere(a != b)[0])
            yield f"{where}{list(at) if at else ''} is {b[at]}, the reference has {a[at]}"
    else:
        off, total = abs(float(a.sum()) - float(b.sum())), float(a.sum())
        if off > tolerance.counts * total + tolerance.slack:
            may = f"{tolerance.counts:.0%} and {tolerance.slack} may differ"
            yield f"{where} is {b.sum():g}, the reference has {a.sum():g}; {may}"
