"""The connections of the lowered graph: every way from an input or a population to a population, merged into one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from spikeport.compiler.integer.chip import Chip
from spikeport.compiler.integer.entry import Entry
from spikeport.compiler.integer.merge import Merged, merge
from spikeport.compiler.integer.neurons import Dynamics
from spikeport.compiler.mapping.chains import projections
from spikeport.ir.diagnostics import Diagnostic, UnsupportedError, fail_on_errors
from spikeport.ir.graph import Graph
from spikeport.ir.network import StepNetwork
from spikeport.ir.ops import Array, Flatten, Op, Scale
from spikeport.ir.program import Projection


@dataclass(frozen=True, slots=True, eq=False)
class Incoming:
    """A connection into a population, in real numbers.

    Parameters
    ----------
    source : str
        Input or population.
    merged : Merged
        Weights in units of the membrane per value of the source.
    least, most : int
        Range of the source's values.
    period : int
        Steps from one spike of a source neuron to its next at least: 1 + its refractory steps.
    """

    source: str
    merged: Merged
    least: int
    most: int
    period: int = 1

    @property
    def weight(self) -> Array:
        """Weights of the connection."""
        return self.merged.op.weight


@dataclass(frozen=True, slots=True, eq=False)
class Link:
    """A connection on its way into the lowered graph: its real numbers, delay in the source model, and its name."""

    incoming: Incoming
    target: str
    delay: int
    through: tuple[str, ...]


def readouts(graph: Graph, output: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield what an Output shows: the node behind which nothing but Flatten nodes stand, and those, from it to the output."""
    for edge in graph.into(output):
        path = edge.source
        between: tuple[str, ...] = ()
        while isinstance(graph[path].op, Flatten) and len(graph.into(path)) == 1:
            path, between = graph.into(path)[0].source, (path, *between)
        yield path, between


def links_of(network: StepNetwork, shapes: Mapping[str, Dynamics], entering: Mapping[str, Entry], chip: Chip) -> list[Link]:
    """Return every connection into a population, merged.

    Raises
    ------
    UnsupportedError
        E530 and E538, all at once.
    """
    found: list[Link] = []
    errors = [
        Diagnostic(
            "E530", path, f"this {network.graph[path].op.kind} leads to the output {output} with no neuron between: "
            f"{chip.name} gives out spikes and membranes", "put an LI or LIF in front of the output",
        )
        for output in network.graph.outputs
        for path, _ in readouts(network.graph, output)
        if path not in network.models
    ]  # fmt: skip
    for projection in projections(network.graph, network.profile):
        lagging = sum(int(network.delays[p].max(initial=0)) for p in projection.through if p in network.delays)
        for ops, waited in _by_lag(network, projection):
            base = projection.delay - lagging + waited
            dyn = shapes[projection.target]
            if projection.source in shapes:
                origin = shapes[projection.source]
                factor = np.ones(()) if origin.amplitude is None else origin.amplitude
                least, most = 0, 1
                period = 1 if origin.refractory is None else 1 + int(origin.refractory.min())
                if origin.threshold is None:
                    errors.append(
                        Diagnostic(
                            "E530", projection.source, f"the membrane of this {network.graph[projection.source].op.kind} is "
                            f"sent to {projection.target}; {chip.name}'s neurons send spikes",
                            "put a spiking neuron in its place",
                        )
                    )  # fmt: skip
                    continue
            else:
                entry = entering[projection.source]
                factor, least, most, period = np.asarray(1 / entry.scale), entry.least, entry.most, 1
            try:
                source = network.shapes.output[projection.source]
                merged = merge(projection.target, ops, source, dyn.shape, factor, dyn.gain)
            except UnsupportedError as error:
                errors += error.diagnostics
                continue
            incoming = Incoming(projection.source, merged, least, most, period)
            found.append(Link(incoming, projection.target, base + dyn.late, projection.through))
    fail_on_errors(UnsupportedError, errors)
    return found


def _by_lag(network: StepNetwork, projection: Projection) -> list[tuple[list[Op], int]]:
    """Return the ops of *projection* without its Delay nodes, once for every sum of steps that they make values wait."""
    ways: list[tuple[list[Op], int]] = [([], 0)]
    for path in projection.through:
        if path not in network.delays:
            ways = [([*ops, network.ops[path]], steps) for ops, steps in ways]
            continue
        lag = network.delays[path]
        kinds = np.unique(lag)
        if kinds.size == 1:
            ways = [(ops, steps + int(kinds[0])) for ops, steps in ways]
        else:
            ways = [
                ([*ops, Scale((lag == steps_more).astype(np.float64))], steps + int(steps_more))
                for ops, steps in ways
                for steps_more in kinds
            ]
    return ways
