"""Compression of one table, compiled: a decision list built from the top, each line taking as much as it may.

A line may match any packets of its own way and any that never come, but none that come, go another way and are not matched
above it. Once all packets of a line are out of the way, later lines need not mind them: so lines are chosen from the top.
A way needs one line at least; where one ternary line holds all that is left of it and nothing else, that line is part of a
smallest table of what is left. Only when there is no such way, one has to be split, which is where heuristics come in.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

#: Steps that the search for a split may take at once.
EFFORT = 4_000_000


@njit(cache=True)
def _hull(key: Any, mask: Any, colour: Any, left: Any, c: Any, soft: Any) -> Any:  # pragma: no cover - compiled
    """Return (key, mask) of the smallest line over what is left of colour *c*; *soft* 0 leaves out optional items."""
    k, m, n = np.int64(0), np.int64(-1), 0
    for i in range(len(key)):
        if left[i] > 0 and colour[i] == c and (left[i] == 2 or soft):
            if n == 0:
                k, m = key[i], mask[i]
            else:
                m &= mask[i] & ~(k ^ key[i])
            n += 1
    return k & m, m


@njit(cache=True)
def _foreign(key: Any, mask: Any, colour: Any, left: Any, c: Any, k: Any, m: Any, stop: Any) -> Any:  # pragma: no cover
    """Return how many items of other colours the line (k, m) meets, counting to *stop*."""
    n = 0
    for i in range(len(key)):
        if left[i] > 0 and colour[i] != c and ((k ^ key[i]) & m & mask[i]) == 0:
            n += 1
            if n >= stop:
                break
    return n


@njit(cache=True)
def _grown(key: Any, mask: Any, colour: Any, left: Any, seed: Any) -> Any:  # pragma: no cover - compiled
    """Return (key, mask, items) of a line from item *seed* that takes in others of its colour, nearest first."""
    c, n = colour[seed], len(key)
    k, m, held = key[seed], mask[seed], 1
    below, above = seed - 1, seed + 1
    while below >= 0 or above < n:
        # Items lie in the order of keys: take the nearer neighbour first.
        take_below = above >= n or (below >= 0 and key[seed] - key[below] <= key[above] - key[seed])
        i = below if take_below else above
        if take_below:
            below -= 1
        else:
            above += 1
        if left[i] == 0 or colour[i] != c:
            continue
        wider = m & mask[i] & ~(k ^ key[i])
        if wider == m:
            held += left[i] == 2
        elif _foreign(key, mask, colour, left, c, k & wider, wider, 1) == 0:
            k, m = k & wider, wider
            held += left[i] == 2
    return k & m, m, held


@njit(cache=True)
def _split(key: Any, mask: Any, colour: Any, left: Any, c: Any) -> Any:  # pragma: no cover - compiled
    """Return (key, mask) of the line that takes most of colour *c*, from as many seeds as the effort allows."""
    count = 0
    for i in range(len(key)):
        count += left[i] == 2 and colour[i] == c
    seeds = max(1, EFFORT // max(1, count * len(key)))
    step = max(1, count // seeds)
    best, bk, bm, number = -1, np.int64(0), np.int64(0), 0
    for i in range(len(key)):
        if left[i] == 2 and colour[i] == c:
            if number % step == 0:
                k, m, held = _grown(key, mask, colour, left, i)
                if held > best:
                    best, bk, bm = held, k, m
            number += 1
    return bk, bm


@njit(cache=True)
def decide(key: Any, mask: Any, colour: Any, colours: Any, optional: Any, rule: Any, out: Any) -> Any:  # pragma: no cover
    """Write lines (key, mask, colour) for the items of a table into *out*; return how many.

    Items are disjoint and sorted by key; *optional* ones need no line (their default route does), but no line for others
    may take them. *rule* is what to split where no colour has a line of its own: 0 the largest colour, 1 what stands in the
    way of the colour with the least in its way, 2 the colour with the least in its way; from 3 on one or the other of a
    colour drawn at random, the rule being the seed.
    """
    n = len(key)
    left = np.where(optional, 1, 2)
    required = np.zeros(colours, np.int64)
    for i in range(n):
        required[colour[i]] += left[i] == 2
    hull_k, hull_m = np.zeros(colours, np.int64), np.zeros(colours, np.int64)
    blocked = np.full(colours, -1, np.int64)  # foreign items in the hull of what is required; -1 for unknown
    lines = 0
    dice = np.int64(rule)
    while True:
        chosen = -1
        for c in range(colours):
            if required[c] == 0:
                continue
            if blocked[c] < 0:
                hull_k[c], hull_m[c] = _hull(key, mask, colour, left, c, 0)
                blocked[c] = _foreign(key, mask, colour, left, c, hull_k[c], hull_m[c], n)
            if blocked[c] == 0:
                chosen = c
                break
        if chosen >= 0:
            # With the optional items too, where that is as clean: they are then in nobody's way.
            k, m = _hull(key, mask, colour, left, chosen, 1)
            if _foreign(key, mask, colour, left, chosen, k, m, 1):
                k, m = hull_k[chosen], hull_m[chosen]
        else:
            # A linear congruential generator: the same everywhere, and good enough to try something else.
            dice = (dice * 1103515245 + 12345) & 0x7FFFFFFF
            first = (dice >> 8) % colours
            for k in range(colours):
                c = (first + k) % colours if rule > 2 else k
                if required[c] == 0:
                    continue
                if chosen < 0:
                    chosen = c
                    if rule > 2:
                        break
                elif rule == 0:
                    if required[c] > required[chosen]:
                        chosen = c
                elif blocked[c] < blocked[chosen]:
                    chosen = c
            if chosen < 0:
                return lines
            if rule == 1 or (rule > 2 and (dice >> 4) & 1):
                seed = -1
                for i in range(n):
                    if left[i] > 0 and colour[i] != chosen and ((hull_k[chosen] ^ key[i]) & hull_m[chosen] & mask[i]) == 0:
                        seed = i
                        break
                chosen = colour[seed]
                k, m, _ = _grown(key, mask, colour, left, seed)
            else:
                k, m = _split(key, mask, colour, left, chosen)
        out[lines, 0], out[lines, 1], out[lines, 2] = k, m, chosen
        lines += 1
        blocked[chosen] = -1
        for i in range(n):
            if left[i] > 0 and colour[i] == chosen and (m & ~mask[i]) == 0 and ((k ^ key[i]) & m) == 0:
                required[chosen] -= left[i] == 2
                left[i] = 0
                for c in range(colours):
                    if c != chosen and blocked[c] > 0 and ((hull_k[c] ^ key[i]) & hull_m[c] & mask[i]) == 0:
                        blocked[c] -= 1
