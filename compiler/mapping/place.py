"""Placement: which core of which chip holds each slice."""

from __future__ import annotations

from collections.abc import Sequence

from spikeport.hw_profiles.target import Target
from spikeport.ir.program import Slice


def place_in_order(slices: Sequence[Slice], target: Target) -> tuple[tuple[Slice, ...], int]:
    """Return *slices* on consecutive cores, one a core, and the number of chips that they take.

    A chip is left when its cores or its shared memory are used up.
    """
    out = []
    chip, seat, shared = 0, 0, 0
    memory = target.limit("sdram")
    for s in slices:
        need = s.usage.get("sdram", 0)
        if seat >= target.fabric.cores_of(chip) or (memory is not None and seat and shared + need > memory):
            chip, seat, shared = chip + 1, 0, 0
        out.append(Slice(s.path, s.box, chip * target.fabric.stride + seat, s.usage))
        seat, shared = seat + 1, shared + need
    return tuple(out), chip + 1 if out else 0
