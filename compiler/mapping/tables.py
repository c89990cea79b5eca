"""Tables: the entries that trees ask for at each router, one for a whole population where all of it goes the same way."""

from __future__ import annotations

import numpy as np

from spikeport.compiler.mapping.keys import Keys
from spikeport.ir.ops import Array
from spikeport.ir.routing import Machine, Tables, Trees


def entries(machine: Machine, group: Array, keys: Keys, trees: Trees) -> Tables:
    """Return the uncompressed tables.

    The slices of a group that visit a chip share an entry, with the mask of the whole group, where they all leave it the
    same way: keys of the group's other slices never come there. An entry is defaultable where every one of its packets would
    go the same way without it: it comes in by one link and leaves by the opposite one alone.

    Parameters
    ----------
    machine : Machine
        Its chips.
    group : array of int64, shape (senders,)
        Population of each sender.
    keys : Keys
        Of senders and groups.
    trees : Trees
        By sender.
    """
    sender = trees.senders()
    straight = np.where(trees.arrives >= 0, np.int64(1) << ((trees.arrives + 3) % 6), 0)
    default = (trees.arrives >= 0) & (trees.route == straight)
    order = np.lexsort((keys.key[sender], group[sender], trees.chip))
    sender, chip, way, default = sender[order], trees.chip[order], trees.route[order], default[order]
    family = group[sender]
    first = _starts(chip, family)
    run = np.repeat(np.arange(len(first)), np.diff(np.append(first, len(chip))))
    if len(chip):
        least, most = np.minimum.reduceat(way, first), np.maximum.reduceat(way, first)
        same = (least == most)[run]
        # What may be left to the default route is so only if it is so for all that share the entry.
        whole = np.logical_and.reduceat(default, first)
    else:
        same = whole = np.zeros(0, bool)
    kept = ~same
    kept[first] = True
    shared = same[kept]
    key = np.where(shared, keys.group_key[family[kept]], keys.key[sender[kept]])
    mask = np.where(shared, keys.group_mask[family[kept]], keys.mask[sender[kept]])
    default = np.where(shared, whole[run[kept]], default[kept])
    start = np.searchsorted(chip[kept], np.arange(machine.chips + 1))
    return Tables(start.astype(np.int64), key, mask, way[kept], default)


def _starts(*columns: Array) -> Array:
    """Return where the values of sorted *columns* change."""
    if not len(columns[0]):
        return np.zeros(0, np.int64)
    changed = np.zeros(len(columns[0]), bool)
    changed[0] = True
    for c in columns:
        changed[1:] |= c[1:] != c[:-1]
    return np.flatnonzero(changed)
