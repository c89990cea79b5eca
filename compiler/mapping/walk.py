"""The walk of packets through routing tables, compiled; see :mod:`spikeport.compiler.mapping.replay`."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit


@njit(cache=True)
def _span(first: Any, count: Any) -> Any:  # pragma: no cover - compiled
    """Return the mask of the bits in which the *count* keys from *first* agree."""
    mask = np.int64(0xFFFFFFFF)
    differ = first ^ (first + count - 1)
    while differ & mask:
        mask = (mask << 1) & np.int64(0xFFFFFFFF)
    return mask


@njit(cache=True)
def _walk(
    links: Any,
    cores: Any,
    start: Any,
    key: Any,
    mask: Any,
    route: Any,
    source: Any,
    packet: Any,
    span: Any,
    stack: Any,
    seen: Any,
    reached: Any,
) -> Any:  # pragma: no cover - compiled
    """Walk all packets that agree with *packet* in the bits of *span* at once.

    Returns (verdict, chips visited); verdict -1 where an entry matches some of them and not all. ``stack`` holds chip and
    link of arrival of all visits, ``seen`` and ``reached`` are handed back as zeros by the caller.
    """
    stack[0, 0], stack[0, 1] = source, -1
    seen[source] = 1
    top, done, verdict = 1, 0, 0
    while done < top and verdict == 0:
        chip, arrives = stack[done, 0], stack[done, 1]
        done += 1
        way = np.int64(-1)
        for e in range(start[chip], start[chip + 1]):
            if ((packet ^ key[e]) & mask[e] & span) == 0:
                if mask[e] & ~span:
                    return -1, top
                way = route[e]
                break
        if way < 0:
            if arrives < 0:
                verdict = 5
                break
            way = np.int64(1) << ((arrives + 3) % 6)
        if (way >> 6) & ~cores[chip]:
            verdict = 6
            break
        reached[chip] |= way & ~np.int64(63)
        for link in range(6):
            if way >> link & 1:
                other = links[chip, link]
                if other < 0:
                    verdict = 4
                    break
                if seen[other]:
                    verdict = 3
                    break
                seen[other] = 1
                stack[top, 0], stack[top, 1] = other, (link + 3) % 6
                top += 1
    return verdict, top


@njit(cache=True)
def _judge(stack: Any, top: Any, seen: Any, reached: Any, ends: Any, bits: Any, verdict: Any) -> Any:  # pragma: no cover
    """Return *verdict*, or what is wrong with the cores that were reached; clear the scratch arrays."""
    if verdict == 0:
        for i in range(len(ends)):
            if bits[i] & ~reached[ends[i]]:
                verdict = 1
            reached[ends[i]] &= ~bits[i]
        for i in range(top):
            if reached[stack[i, 0]] and verdict == 0:
                verdict = 2
    for i in range(top):
        seen[stack[i, 0]] = 0
        reached[stack[i, 0]] = 0
    return verdict


@njit(cache=True)
def walk_all(
    links: Any,
    cores: Any,
    start: Any,
    key: Any,
    mask: Any,
    route: Any,
    source: Any,
    wire: Any,
    ends: Any,
    bits: Any,
    run: Any,
    first: Any,
    count: Any,
) -> Any:  # pragma: no cover - compiled
    """Walk all keys of all senders; return (keys walked, [key, verdict] of the wrong ones, chips visited by sender)."""
    chips, senders = len(links), len(source)
    stack = np.empty((chips + 1, 2), np.int64)
    seen, reached = np.zeros(chips, np.int64), np.zeros(chips, np.int64)
    visits = np.zeros(senders, np.int64)
    wrong = np.empty((senders, 2), np.int64)
    faults, walked = 0, 0
    for s in range(senders):
        if wire[s] == wire[s + 1]:
            continue
        to, on = ends[wire[s] : wire[s + 1]], bits[wire[s] : wire[s + 1]]
        bad = False
        for r in range(run[s], run[s + 1]):
            walked += count[r]
            # All keys of a run at once, as long as no entry tells them apart; else one by one.
            verdict, top = _walk(links, cores, start, key, mask, route, source[s], first[r], _span(first[r], count[r]), stack,
                                 seen, reached)  # fmt: skip
            alike = verdict >= 0
            verdict = _judge(stack, top, seen, reached, to, on, verdict)
            visits[s] = top
            if alike and verdict == 0:
                continue
            for packet in range(first[r], first[r] + count[r]):
                verdict, top = _walk(links, cores, start, key, mask, route, source[s], packet, np.int64(0xFFFFFFFF), stack,
                                     seen, reached)  # fmt: skip
                verdict = _judge(stack, top, seen, reached, to, on, verdict)
                visits[s] = top
                if verdict and not bad:
                    wrong[faults, 0], wrong[faults, 1] = packet, verdict
                    faults += 1
                    bad = True
    return walked, wrong[:faults].copy(), visits
