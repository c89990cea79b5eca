"""What every lowering does before it chooses registers, and after: the source model taken apart, the lowered one measured."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from spikeport.compiler.integer.calibrate import Calibration, calibrate
from spikeport.compiler.integer.chip import Chip
from spikeport.compiler.integer.entry import Entry, entries
from spikeport.compiler.integer.links import Link, links_of
from spikeport.compiler.integer.lowered import Lowered, changed_resets
from spikeport.compiler.integer.neurons import Dynamics
from spikeport.compiler.integer.retime import lags
from spikeport.compiler.integer.table import Row
from spikeport.compiler.passes.base import Evaluator
from spikeport.ir.diagnostics import Diagnostic, VerifyError
from spikeport.ir.graph import Graph
from spikeport.ir.network import StepNetwork, build_network
from spikeport.ir.ops import Array
from spikeport.ir.reference import silent_inputs


@dataclass(frozen=True, slots=True, eq=False)
class Given:
    """What a lowering is given beside the model.

    Parameters
    ----------
    data : Mapping[str, array, shape (samples, steps, *shape)] or None
        Calibration input: what scales are chosen on. Without it the input is taken to be spikes, 0 or 1.
    evaluator : Evaluator or None
        Who runs the source model on *data*; None is the reference.
    labels : array of int, shape (samples,), or None
        Classes of the samples, where the outputs' spike counts tell classes: accuracy then is measured too.
    """

    data: Mapping[str, Array] | None
    evaluator: Evaluator | None
    labels: Array | None


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """A source model in real numbers and in a chip's form.

    Parameters
    ----------
    network : StepNetwork
        The source model, in doubles.
    shapes : Mapping[str, Dynamics]
        Its populations.
    entering : Mapping[str, Entry]
        Its inputs.
    links : tuple of Link
        Connections, their weights in the units that the lowering gave.
    lag : Mapping[str, int]
        Steps that each population runs behind.
    silent : Mapping[str, array, shape (steps, *shape)]
        Input of each population in the first steps while nothing spikes; the last holds from then on.
    calibration : Calibration or None
    given : Given
    found : tuple of Diagnostic
    """

    network: StepNetwork
    shapes: Mapping[str, Dynamics]
    entering: Mapping[str, Entry]
    links: tuple[Link, ...]
    lag: Mapping[str, int]
    silent: Mapping[str, Array]
    calibration: Calibration | None
    given: Given
    found: tuple[Diagnostic, ...]

    def into(self, path: str) -> list[Link]:
        """Return the connections into a population."""
        return [one for one in self.links if one.target == path]

    def finished(
        self, graph: Graph, arithmetic: str, rows: Iterable[Row], found: Sequence[Diagnostic], further: Mapping[str, Any]
    ) -> Lowered:
        """Return *graph*, which states its profile, as what the lowering gives back: measured where there is data."""
        profile = graph.profile
        if profile is None:
            raise AssertionError("a lowered graph states its profile")
        try:
            build_network(graph, profile, arithmetic)
        except VerifyError as error:  # what we made must be on the grid
            raise AssertionError(f"the lowered graph is off the grid: {error}") from error
        measured: dict[str, Any] = {}
        data, evaluator, labels = self.given.data, self.given.evaluator, self.given.labels
        if self.calibration is not None and data is not None:
            measured = self.calibration.measure(graph, profile, arithmetic, self.lag, self.network, data, evaluator, labels)
        return Lowered(graph, profile, tuple(rows), self.lag, measured, (*self.found, *found), further)


def timing(
    network: StepNetwork, chip: Chip, links: Sequence[Link], shapes: Mapping[str, Dynamics]
) -> tuple[dict[str, int], dict[str, Array]]:
    """Return the lag of each population, and its input while nothing spikes: see `Prepared`.

    Raises
    ------
    UnsupportedError
        E531.
    """
    lag = lags([(one.incoming.source, one.target, one.delay) for one in links], network.graph.inputs, chip.name)
    # A bias that starts late is there after the longest way at the latest.
    silent = silent_inputs(network, max((one.delay for one in links), default=0) + 1)
    quiet = {
        # Its input is one step late, its bias with it.
        path: np.concatenate([np.zeros((1, *dyn.shape)), silent[path]]) if dyn.late else silent[path]
        for path, dyn in shapes.items()
    }
    return lag, quiet


def prepare(
    network: StepNetwork, chip: Chip, given: Given, shapes: Mapping[str, Dynamics], shaped: Mapping[str, Dynamics]
) -> Prepared:
    """Return *network*, of which the chip refuses nothing, ready for its registers.

    Parameters
    ----------
    network : StepNetwork
        The source model, in doubles.
    chip : Chip
    given : Given
    shapes, shaped : Mapping[str, Dynamics]
        Its populations, and the same in the units in which weights shall lead into them.

    Raises
    ------
    UnsupportedError
        E530, E531, E536, E538.
    UsageError
        E623 where the data lacks an input.
    """
    data = given.data
    found = changed_resets(network, data)
    entering, said = entries(network.graph, data)
    found += said
    links = links_of(network, shaped, entering, chip)
    lag, silent = timing(network, chip, links, shapes)
    calibration = None if data is None else calibrate(network, data, entering, given.evaluator)
    return Prepared(network, shapes, entering, tuple(links), lag, silent, calibration, given, tuple(found))
