"""Compression: the same ways in fewer entries, ordered and ternary, default routes left out.

Entries may match what never comes to a chip, and a later one what an earlier one has taken: the freedom that ordered
covering uses (Mundy, Heathcote, Garside 2016, doi:10.1109/HPSR.2016.7525659). Here a table is built as a decision list
(Rivest 1987, doi:10.1007/BF00058680), see :mod:`spikeport.compiler.mapping.decide`; the best of a few rules is kept.
"""

from __future__ import annotations

import numpy as np

from spikeport.compiler.mapping.decide import decide
from spikeport.compiler.mapping.keys import FULL
from spikeport.ir.ops import Array
from spikeport.ir.routing import Tables

#: Rules of splitting that are tried on every table.
RULES = (1, 2, 0)
#: Most tries at random beside them, and the work (tries times entries squared) that they may take: small tables only.
MOST_TRIES, WORK = 8, 20_000


def compress(tables: Tables) -> Tables:
    """Return *tables* with as few entries as found; nothing in the result is defaultable that is needed."""
    parts: list[Array] = []
    sizes = [0]
    for chip in range(len(tables.start) - 1):
        rows = slice(tables.start[chip], tables.start[chip + 1])
        lines = shortened(tables.key[rows], tables.mask[rows], tables.route[rows], tables.defaultable[rows])
        parts.append(lines)
        sizes.append(len(lines))
    flat = np.concatenate(parts) if parts else np.zeros((0, 3), np.int64)
    start = np.cumsum(sizes).astype(np.int64)
    return Tables(start, flat[:, 0].copy(), flat[:, 1].copy(), flat[:, 2].copy(), np.zeros(len(flat), bool))


def shortened(key: Array, mask: Array, route: Array, optional: Array) -> Array:
    """Return the lines (key, mask, route) of a short table, in order of precedence.

    Parameters
    ----------
    key, mask, route : array of int64, shape (n,)
        Entries that meet no packet in common.
    optional : array of bool, shape (n,)
        Whether an entry may be left out, its packets then going the same way by default.
    """
    order = np.argsort(key, kind="stable")
    key, mask, optional = key[order], mask[order], np.ascontiguousarray(optional[order])
    ways, colour = np.unique(route[order], return_inverse=True)
    least = len(np.unique(colour[~optional]))
    if not least:
        return np.zeros((0, 3), np.int64)
    best: Array | None = None
    tries = min(MOST_TRIES, WORK // len(key) ** 2)
    for rule in (*RULES, *range(3, 3 + tries)):
        out = np.empty((len(key), 3), np.int64)
        lines = decide(key, mask, colour.astype(np.int64), len(ways), optional, rule, out)
        if best is None or lines < len(best):
            best = out[:lines]
        if lines == least:
            break
    assert best is not None
    return np.stack([best[:, 0], best[:, 1] & FULL, ways[best[:, 2]]], axis=1)
