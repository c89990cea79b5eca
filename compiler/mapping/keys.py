"""Keys: what senders put on their packets, so that a population's keys share a prefix."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from spikeport.ir.diagnostics import CapacityError, Diagnostic
from spikeport.ir.ops import Array

#: Bits of a key.
KEY_BITS = 32
FULL = (1 << KEY_BITS) - 1


@dataclass(frozen=True, slots=True, eq=False)
class Keys:
    """Keys and masks, by sender and by group of senders.

    Parameters
    ----------
    key, mask : array of int64, shape (senders,)
        Of each sender; the bits out of the mask number its neurons.
    group_key, group_mask : array of int64, shape (groups,)
        What all keys of a group share, and no others have.
    """

    key: Array
    mask: Array
    group_key: Array
    group_mask: Array


def allocate(group: Array, width: Array) -> Keys:
    """Return keys for senders in groups: a block of keys for each group, cut evenly among its senders.

    Blocks follow each other in the order of the groups, so that neighbours may share entries; only if the aligned blocks do
    not fit 32 bits so, they go largest first, which leaves no gap.

    Parameters
    ----------
    group : array of int64, shape (senders,)
        Group of each sender, 0, 1, ...; the senders of a group stand in the order in which they get their keys.
    width : array of int64, shape (senders,)
        Bits that a sender needs for its neurons.

    Raises
    ------
    CapacityError
        E413 where 32 bits are not enough.
    """
    groups = int(group.max(initial=-1)) + 1
    field, count = np.zeros(groups, np.int64), np.bincount(group, minlength=groups)
    np.maximum.at(field, group, width)
    bits = field + np.array([max(0, int(n) - 1).bit_length() for n in count], np.int64)
    base = _blocks(bits.tolist(), range(groups))
    if base is None:
        base = _blocks(bits.tolist(), sorted(range(groups), key=lambda g: -int(bits[g])))
    if base is None:
        need = sum(1 << int(b) for b in bits)
        raise CapacityError(
            Diagnostic("E413", "", f"the keys of {len(group):,} slices take {need:,} of the 2^{KEY_BITS} that there are",
                       "split the network over several runs", {"need": need, "limit": 1 << KEY_BITS})
        )  # fmt: skip
    group_key = np.array(base, np.int64)
    order = np.argsort(group, kind="stable")
    first = np.concatenate([[0], np.cumsum(count)])[:-1]
    rank = np.empty(len(group), np.int64)
    rank[order] = np.arange(len(group)) - first[group[order]]
    return Keys(
        group_key[group] + (rank << field[group]), FULL & ~((np.int64(1) << field[group]) - 1),
        group_key, FULL & ~((np.int64(1) << bits) - 1),
    )  # fmt: skip


def _blocks(bits: list[int], order: Iterable[int]) -> list[int] | None:
    """Return aligned beginnings of blocks of 2^*bits*, laid out in *order*; None where they need more than 32 bits."""
    base, cursor = [0] * len(bits), 0
    for g in order:
        size = 1 << bits[g]
        cursor = -(-cursor // size) * size
        base[g] = cursor
        cursor += size
    return base if cursor <= 1 << KEY_BITS else None
