"""Mapping: partition into slices, placement on cores, routes, under all limits of the target."""

from __future__ import annotations

from typing import Protocol

from spikeport.compiler.mapping.sequential import map_sequential
from spikeport.hw_profiles.target import Target
from spikeport.ir.diagnostics import Diagnostic, UsageError, did_you_mean
from spikeport.ir.graph import Graph
from spikeport.ir.profile import Profile
from spikeport.ir.program import Program
from spikeport.ir.shapes import Shapes


class Mapper(Protocol):
    """What maps a graph: same graph, profile and target give the same program."""

    def __call__(
        self, graph: Graph, profile: Profile, target: Target, *, arithmetic: str = "float64", chips: int | None = None,
        shapes: Shapes | None = None,
    ) -> Program:  # fmt: skip
        """Return the mapped program, or raise CapacityError or UnsupportedError."""
        ...


#: Mappers by name.
MAPPERS: dict[str, Mapper] = {"sequential": map_sequential}


def map_graph(
    graph: Graph, profile: Profile, target: Target, *, arithmetic: str = "float64", chips: int | None = None,
    shapes: Shapes | None = None, mapper: str = "sequential",
) -> Program:  # fmt: skip
    """Return *graph* mapped on *target*.

    Parameters
    ----------
    graph : Graph
        Verified.
    profile : Profile
        Its time semantics.
    target : Target
        Chip.
    arithmetic : str
        Number system of the run; until a target has its own, its weight width counts in the memory only, and
        ``notes["lowering"]`` says so.
    chips : int or None
        Chips allowed; None for as many as it takes.
    shapes : Shapes or None
        Where they are known already.
    mapper : str
        Name in ``MAPPERS``.

    Raises
    ------
    CapacityError
        E401 (a neuron that fits no core), E402 (too few chips), E403 (delay), E406 (too many ways); with routing tables E410
        and E411 (no machine, or dead parts that it has not), E412 (a table too long), E413 (keys), E415 (shared memory).
    UnsupportedError
        E520, a construct that the target refuses.
    UsageError
        E640 for an unknown mapper, E641 for a number of chips below 1.
    """
    if mapper not in MAPPERS:
        raise UsageError(
            Diagnostic("E640", "", f"unknown mapper {mapper!r}{did_you_mean(mapper, MAPPERS)}", f"one of {', '.join(MAPPERS)}")
        )
    if chips is not None and chips < 1:
        raise UsageError(Diagnostic("E641", "", f"{chips} chips", "give at least 1, or leave --chips out"))
    return MAPPERS[mapper](graph, profile, target, arithmetic=arithmetic, chips=chips, shapes=shapes)


__all__ = ["MAPPERS", "Mapper", "map_graph"]
