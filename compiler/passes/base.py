"""What every pass has: options that are its fields, one pure function, and the context that it may look at."""

from __future__ import annotations

import abc
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Protocol

from spikeport.ir.graph import Graph
from spikeport.ir.ops import Array
from spikeport.ir.profile import Profile
from spikeport.ir.trace import Trace

if TYPE_CHECKING:
    from spikeport.hw_profiles.target import Target


class Evaluator(Protocol):
    """What a pass needs where only a run can tell (accuracy, calibration): the compiler imports no backend itself."""

    def run(self, graph: Graph, inputs: Mapping[str, Array], profile: Profile, arithmetic: str = "float64") -> Trace:
        """Run *graph* over *inputs* and return what happened: spikes and membranes of every population."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class PassContext:
    """What a pass may look at beside the graph.

    Parameters
    ----------
    profile : Profile
        Time semantics of the graph.
    target : Target or None
        The chip that the graph is compiled for.
    keep : tuple of str
        Paths that the caller will record: they stay, under their names.
    data : Mapping[str, array, shape (samples, steps, *shape)] or None
        Calibration input.
    seed : int
        For passes that draw random numbers.
    evaluator : Evaluator or None
        For passes that need a run.
    """

    profile: Profile
    target: Target | None = None
    keep: tuple[str, ...] = ()
    data: Mapping[str, Array] | None = field(default=None, repr=False)
    seed: int = 0
    evaluator: Evaluator | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Pass(abc.ABC):
    """A pure function from a verified graph to a verified graph.

    The pipeline verifies, times and records: a pass does none of it.
    """

    #: Name in a pipeline's text.
    name: ClassVar[str]
    #: One line for `spikeport passes`.
    summary: ClassVar[str]
    #: Whether every recorded bit stays as it was.
    is_lossless: ClassVar[bool]

    @abc.abstractmethod
    def apply(self, graph: Graph, ctx: PassContext) -> Graph:
        """Return the changed graph, or the same object where nothing changes.

        Raises
        ------
        PassError
            E9xx where the pass cannot do what its options ask.
        """
