"""The program: a graph mapped on a target. Where everything lies, in which bits, and which way spikes go."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from spikeport.ir.diagnostics import Diagnostic
from spikeport.ir.graph import Graph
from spikeport.ir.profile import Profile
from spikeport.ir.routing import Box as Box
from spikeport.ir.routing import Routing


@dataclass(frozen=True, slots=True)
class Slice:
    """A box of a population's neurons on one core.

    A box (a half-open range on each axis of the population's shape) rather than a run of flat indices: a tile of a
    feature map needs few input axons, a run of whole rows needs most of the map.

    Parameters
    ----------
    path : str
        Population.
    box : tuple of (start, stop)
        Half-open range of indices on each axis of the population's shape.
    core : int
        Index of the core; cores of a chip are consecutive.
    usage : Mapping[str, int]
        What the slice takes of each limited resource.
    """

    path: str
    box: Box
    core: int
    usage: Mapping[str, int] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Number of neurons."""
        return math.prod(stop - start for start, stop in self.box)

    @property
    def where(self) -> tuple[slice, ...]:
        """The box as an index into an array of the population's shape."""
        return tuple(slice(start, stop) for start, stop in self.box)


@dataclass(frozen=True, slots=True, eq=False)
class Projection:
    """A connection between populations as the chip sees it: from a source of events to a population.

    Parameters
    ----------
    source, target : str
        Paths of the event source (an input or a spiking node) and of the population.
    through : tuple of str
        Stateless nodes on the way, in order.
    delay : int
        Steps on the way.
    """

    source: str
    target: str
    through: tuple[str, ...]
    delay: int


@dataclass(frozen=True, slots=True, eq=False)
class Program:
    """A mapped graph.

    Parameters
    ----------
    graph : Graph
        What is computed.
    profile : Profile
        Its time semantics.
    arithmetic : str
        The number system of the run.
    target : str
        Name of the target that it was mapped on.
    chips : int
        Chips that it takes.
    slices : tuple of Slice
        All populations, in the order of placement.
    projections : tuple of Projection
        All connections between populations.
    usage : Mapping[str, (used, limit)]
        Most that any core (for resources of a chip: any chip) takes of each resource, beside the limit; a limit that
        nobody published is None.
    passes : tuple of Mapping
        Record of each pass: name, digest before and after, seconds.
    notes : Mapping
        What the report says about the lowering.
    routing : Routing or None
        Keys, trees and tables, for a fabric that has routing tables; None for others.
    """

    graph: Graph
    profile: Profile
    arithmetic: str
    target: str
    chips: int
    slices: tuple[Slice, ...]
    projections: tuple[Projection, ...]
    usage: Mapping[str, tuple[int, int | None]] = field(default_factory=dict)
    passes: tuple[Mapping[str, Any], ...] = ()
    notes: Mapping[str, Any] = field(default_factory=dict)
    routing: Routing | None = None

    def findings(self) -> tuple[Diagnostic, ...]:
        """Return the warnings and notes of verification, lowering and mapping, each once: several may have met it."""
        found: list[Mapping[str, Any]] = []
        for data in (d for key in ("warnings", "mapping") for d in self.notes.get(key, ())):
            if data not in found:
                found.append(data)
        return tuple(Diagnostic(**{f.name: d[f.name] for f in dataclasses.fields(Diagnostic)}) for d in found)

    def slices_of(self, path: str) -> tuple[Slice, ...]:
        """Return the slices of the population *path*, in the order of their boxes."""
        return tuple(sorted((s for s in self.slices if s.path == path), key=lambda s: s.box))

    def largest(self) -> dict[str, int]:
        """Return the neurons of the largest slice of each population."""
        sizes: dict[str, int] = {}
        for s in self.slices:
            sizes[s.path] = max(s.size, sizes.get(s.path, 1))
        return sizes

    @property
    def cores(self) -> tuple[int, ...]:
        """Indices of the cores that hold slices."""
        return tuple(sorted({s.core for s in self.slices}))

    @property
    def allocated(self) -> tuple[int, ...]:
        """Indices of all cores that it takes: where it is routed, those of inputs and delay slices too."""
        return self.cores if self.routing is None else tuple(sorted({*self.cores, *self.routing.cores}))
