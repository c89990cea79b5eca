"""Ports: what leaves each node of a network, and in which forms, told by who reads it.

A node that only hands on (Flatten, an Output behind one edge) has no port: whoever reads it reads its source.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from spikeport.backends.engine.connections import packing_of
from spikeport.backends.engine.layout import Packing, Pool, blocks_of, packed, padded
from spikeport.backends.engine.population import Population, population
from spikeport.ir.graph import Edge
from spikeport.ir.loihi import INPUT_NOTE
from spikeport.ir.network import StepNetwork
from spikeport.ir.ops import Conv1d, Conv2d, Delay, Flatten, Input, Neuron, Output, Scale, SumPool2d, Threshold


@dataclass(slots=True, eq=False)
class Port:
    """What leaves a node. Offsets that do not depend on the chunk are settled here, the others by the workspace.

    Parameters
    ----------
    path : str
        Node, or the sum in front of one.
    n : int
        Neurons.
    packing : Packing or None
        Their order; None is the canonical one.
    words, values, stream : bool
        Forms that are made: masks of spikes, values, a stream of events.
    several : bool
        Whether a neuron may spike several times in a step.
    amounts : bool
        Whether events may have other values than 1.
    trace, trace_is_values : bool
        Whether membranes are kept, and whether they are the values (integrators).
    currents : bool
        Whether currents are kept.
    active : bool
        Whether non-zero values are counted by neuron.
    place, channel, amplitude : int
        Offsets of tables in the pools; -1 is none.
    index : int
        Row of the port table.
    """

    path: str
    n: int
    packing: Packing | None = None
    words: bool = False
    values: bool = False
    stream: bool = False
    several: bool = False
    amounts: bool = True
    trace: bool = False
    trace_is_values: bool = False
    currents: bool = False
    active: bool = False
    place: int = -1
    channel: int = -1
    amplitude: int = -1
    index: int = -1

    @property
    def from_masks(self) -> bool:
        """Whether the masks say all that leaves the node: a spike, or none."""
        return self.words and not self.several and not self.trace_is_values

    @property
    def blocks(self) -> int:
        """64-neuron blocks of a row."""
        return blocks_of(self.n)


class Ports:
    """The ports of a network.

    Parameters
    ----------
    network : StepNetwork
        What will run.
    shown : collection of str
        Nodes whose values will be recorded.
    state : bool
        Whether membranes will be recorded.
    W, WI : Pool
        Where amplitudes and tables of places are added.
    """

    def __init__(self, network: StepNetwork, shown: Collection[str], state: bool, W: Pool, WI: Pool) -> None:
        self.network, self.graph = network, network.graph
        self.shown = {p for path in (*shown, *self.graph.outputs) for p in (path, self.origin(path)[0])}
        self.of: dict[str, Port] = {}
        self.sums: dict[str, Port] = {}  # in front of nodes with several edges
        self.populations: dict[str, Population] = {}
        self._make(W, WI, state)

    def is_alias(self, path: str) -> bool:
        """Whether *path* only hands on what one edge brings."""
        return isinstance(self.graph[path].op, (Flatten, Output)) and len(self.graph.into(path)) == 1

    def origin(self, path: str) -> tuple[str, int]:
        """Return the node whose port *path* hands on, and the steps that it lies behind."""
        delay = 0
        while self.is_alias(path):
            (edge,) = self.graph.into(path)
            delay += self.network.schedule.delays[edge]
            path = edge.source
        return path, delay

    def where(self, path: str) -> tuple[Port, int]:
        """Return the port that the output of *path* is read from, and the steps that it lies behind."""
        origin, delay = self.origin(path)
        return self.of[origin], delay

    def read(self, edge: Edge) -> tuple[Port, int]:
        """Return the port that *edge* reads from, and the steps that it lies behind."""
        port, delay = self.where(edge.source)
        return port, delay + self.network.schedule.delays[edge]

    def takes_spikes(self, path: str) -> bool:
        """Whether all that enters *path* is 0 or 1."""
        if len(self.graph.into(path)) != 1:
            return False
        port, _ = self.read(self.graph.into(path)[0])
        if type(self.graph[port.path].op) is not Input:
            return not port.amounts
        note = self.graph[port.path].notes.get(INPUT_NOTE, {"least": 0, "most": 1})
        return bool(note["least"] >= 0 and note["most"] <= 1)

    def _packing(self, path: str, seen: frozenset[str] = frozenset()) -> Packing | None:
        """Return the order in which the output of *path* lies: a convolution's own, or that of what comes first into it."""
        op, edges = self.graph[path].op, self.graph.into(path)
        if isinstance(op, (Conv1d, Conv2d)):
            return packing_of(op, self.network.shapes.output[path])
        if not isinstance(op, (Neuron, Threshold, Scale, Delay)) or not edges or path in seen:
            return None
        return self._packing(self.origin(edges[0].source)[0], seen | {path})

    def _make(self, W: Pool, WI: Pool, state: bool) -> None:
        shapes = self.network.shapes
        for node in self.graph:
            path, op = node.path, node.op
            if self.is_alias(path):
                continue
            port = Port(path, int(np.prod(shapes.output[path])), self._packing(path))
            model = self.network.models.get(path)
            if model is not None:
                self.populations[path] = population(model, port.packing, W.dtype)
                port.words = True
                port.several = model.reset == "multi_subtract"
                integrates = model.threshold is None
                port.values = port.several or integrates
                port.amounts = port.values or model.amplitude is not None
                port.trace_is_values = integrates
                port.trace = integrates or state
                port.currents = state and model.truncate
                if model.amplitude is not None:
                    port.amplitude = W.add(padded(packed(model.amplitude, port.packing)))
            elif isinstance(op, Threshold):
                port.words, port.amounts = True, False
            elif type(op) is not Input:
                port.values = True
            has_source = type(op) is Input or op.is_spiking or op.is_stateful
            port.active = has_source and bool(self.graph.out_of(path))
            self.of[path] = port
        for node in self.graph:
            if not self.is_alias(node.path):
                self._ask(node.path)
        for path in self.shown:
            port, _ = self.where(path)
            port.values = port.values or not port.words
        for path in self.graph.inputs:
            port = self.of[path]
            port.values = port.values or not port.stream
        for port in [*self.of.values(), *self.sums.values()]:
            if port.packing is not None:
                port.place = WI.add(port.packing.place)
                port.channel = WI.add(port.packing.channel)

    def _ask(self, path: str) -> None:
        """Note which forms of its sources the node *path* reads."""
        op, edges = self.graph[path].op, self.graph.into(path)
        if type(op) is Input:
            return
        by_event = op.is_weighted or isinstance(op, SumPool2d)
        if len(edges) == 1:
            source, _ = self.read(edges[0])
            if by_event:
                source.stream = True
                return
            source.values = True
            if source.packing == self.of[path].packing:
                return
        for edge in edges:
            self.read(edge)[0].values = True
        if isinstance(op, (Output, Flatten)):
            return  # the sum is its own output
        packing = None if by_event else self.of[path].packing
        size = int(np.prod(self.network.shapes.input[path]))
        self.sums[path] = Port(f"{path} (sum)", size, packing, values=True, stream=by_event)
