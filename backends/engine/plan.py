"""The plan: a step network as ports and stages, with all weights packed; sizes of rows are settled later.

A *port* is what leaves a node, in the forms that its readers want: masks of spikes, values, a stream of events (see
``ports``). A *stage* is a piece of work that makes one of them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

import numpy as np

from spikeport.backends.engine import columns as col
from spikeport.backends.engine.connections import Dense, Narrow, Sparse, convolution, fan, is_sparse, linear, narrow, windows
from spikeport.backends.engine.dense import TOGETHER
from spikeport.backends.engine.layout import Pool, packed, padded, permutation
from spikeport.backends.engine.neurons import SHOWN
from spikeport.backends.engine.ports import Port, Ports
from spikeport.backends.engine.stage import Floats, Stage
from spikeport.backends.engine.vec import LANES
from spikeport.ir.network import StepNetwork
from spikeport.ir.ops import Affine, Conv1d, Conv2d, Delay, Flatten, Input, Linear, Neuron, Output, Scale, SumPool2d, Threshold


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """Ports, stages and weights of a network.

    Parameters
    ----------
    ports, stages : list
        In the order of their tables.
    groups : array of int64, shape (n, 3)
        First stage, behind the last, whether it is a loop.
    edges : array of int64, shape (n, 3)
        Of the sums of edges.
    starts : list of (stage, offset in W, floats)
        Initial states.
    weights, indices : array
        The pools W and WI.
    inputs : dict of str to Port
    where : Mapping
        ``where(path)`` is the port that a node's output is read from, and the steps it lies behind.
    lead : int
        Rows of history.
    by_step : tuple of (path, "spikes" or "synops")
        What is counted by step.
    """

    ports: list[Port]
    stages: list[Stage]
    groups: Any
    edges: Any
    starts: list[tuple[Stage, int, int]]
    weights: Any
    indices: Any
    inputs: dict[str, Port]
    where: Callable[[str], tuple[Port, int]]
    lead: int
    by_step: tuple[tuple[str, str], ...]


def plan(network: StepNetwork, shown: Collection[str] = (), state: bool = False, dtype: Any = None) -> Plan:
    """Return the plan of *network*.

    Parameters
    ----------
    network : StepNetwork
        What to run.
    shown : collection of str
        Nodes that do not spike whose values will be recorded.
    state : bool
        Whether membranes will be recorded.
    dtype : numpy dtype or None
        Of the kernels' floats; None is that of the network's arithmetic.
    """
    return _Planner(network, shown, state, network.arithmetic.dtype if dtype is None else dtype).plan()


class _Planner:
    def __init__(self, network: StepNetwork, shown: Collection[str], state: bool, dtype: Any) -> None:
        self.network, self.graph = network, network.graph
        self.W, self.WI = Pool(dtype), Pool(np.int32)
        self.ports = Ports(network, shown, state, self.W, self.WI)
        self.stages: list[Stage] = []
        self.edges: list[tuple[Port, int, int]] = []
        self.starts: list[tuple[Stage, int, int]] = []
        self.held: dict[str, Dense | Narrow | Sparse] = {}
        self.lags: list[int] = [0]

    def _fuses(self, path: str) -> str | None:
        """Return the neuron node that is stepped together with the fully connected layer *path*, or None."""
        op, out = self.graph[path].op, self.graph.out_of(path)
        if not isinstance(op, (Affine, Linear)) or op.weight.ndim != 2 or len(out) != 1 or path in self.ports.shown:
            return None
        target = out[0].target
        if (
            isinstance(self._hold(path), Sparse)
            or not isinstance(self.graph[target].op, Neuron)
            or len(self.graph.into(target)) != 1
        ):
            return None
        if not self.ports.populations[target].is_plain:
            return None
        if self.network.models[target].truncate != isinstance(self._hold(path), Narrow):
            return None
        if self.network.schedule.delays[out[0]]:
            # Older sums are the sums of older events, but for a bias; in a loop others may wait for what is made between.
            groups = self.network.schedule.groups
            if not isinstance(self._hold(path), Narrow) or any(path in g for g in groups if len(g) > 1):
                return None
        return target if self.ports.of[target].words and not self.ports.of[target].trace else None

    def _hold(self, path: str) -> Dense | Narrow | Sparse:
        """Return the packed weights of a fully connected layer."""
        if path not in self.held:
            op = self.network.ops[path]
            is_whole = self.network.arithmetic.name == "loihi" and self.ports.takes_spikes(path)
            found = narrow(op) if is_whole and not is_sparse(op, self.W.dtype) else None
            self.held[path] = linear(op, self.W.dtype) if found is None else found
        return self.held[path]

    def plan(self) -> Plan:
        fused = {path: target for path in self.ports.of if (target := self._fuses(path)) is not None}
        for path in fused:
            self.ports.of[path].values = False
        groups = []
        for group in self.network.schedule.groups:
            begin = len(self.stages)
            for path in group:
                if path not in self.ports.of or path in fused.values():
                    continue
                self._node(path, fused.get(path))
            if len(self.stages) > begin:
                groups.append((begin, len(self.stages), int(self.network.schedule.is_recurrent(group))))
        used = [p for p in [*self.ports.of.values(), *self.ports.sums.values()] if p.path not in fused]
        for number, port in enumerate(used):
            port.index = number
        edges = [(source.index, delay, order) for source, delay, order in self.edges]
        return Plan(
            used, self.stages, np.array(groups, np.int64).reshape(-1, 3), np.array(edges, np.int64).reshape(-1, 3),
            self.starts, self.W.array(), self.WI.array(), {p: self.ports.of[p] for p in self.graph.inputs}, self.ports.where,
            self._lead(),
            (*((p, "spikes") for p in self.graph.spiking), *((s.counted, "synops") for s in self.stages if s.counted)),
        )  # fmt: skip

    def _lead(self) -> int:
        shown = [self.ports.origin(p)[1] for p in self.ports.shown]
        late = [m.output_delay for m in self.network.models.values()]
        return max([*self.lags, *shown, *late])

    def _stage(self, op: int, source: Port, target: Port, delay: int = 0, **fields: Any) -> Stage:
        stage = Stage(op, source, target, delay)
        stage.fields.update({getattr(col, name): value for name, value in fields.items()})
        self.lags.append(delay)
        self.stages.append(stage)
        return stage

    def _front(self, path: str) -> tuple[Port, int]:
        """Return what enters *path*: the port of its only source, or that of the sum, for which a stage is made."""
        if path not in self.ports.sums:
            return self.ports.read(self.graph.into(path)[0])
        port = self.ports.sums[path]
        self._sum(path, port)
        if port.stream:
            self._stream(port)
        return port, 0

    def _sum(self, path: str, port: Port) -> None:
        begin = len(self.edges)
        for edge in self.graph.into(path):
            source, delay = self.ports.read(edge)
            order = permutation(source.packing, port.packing, port.n)
            self.edges.append((source, delay, -1 if order is None else self.WI.add(order)))
            self.lags.append(delay)
        self._stage(col.GATHER, port, port, A=begin, B=len(self.edges))

    def _stream(self, port: Port) -> None:
        if not port.from_masks:
            order = permutation(port.packing, None, port.n)
            where = -1 if order is None else self.WI.add(order)
            # An amplitude may be so small that a spike's value is 0.
            marked = port.several and port.amplitude < 0
            self._stage(col.EVENTS_OF_VALUES, port, port, A=int(marked), B=where)
            return
        model = self.network.models.get(port.path)
        values = -1 if model is None or model.amplitude is None else self.W.add(model.amplitude)
        self._stage(col.EVENTS_OF_WORDS, port, port, A=values)

    def _node(self, path: str, fused: str | None) -> None:
        """Make the stages of a node, then those that give its output the forms that are read."""
        op = self.graph[path].op
        if type(op) is not Input:
            self._work(path, fused)
        port = self.ports.of[fused or path]
        if self.graph[port.path].op.is_spiking:
            self._stage(col.COUNT_SPIKES, port, port, A=int(port.several))
        if port.from_masks and port.values:
            self._stage(col.VALUES_OF_WORDS, port, port)
        if port.stream and type(op) is not Input:
            self._stream(port)
        elif port.active and not port.stream:
            self._stage(col.COUNT_VALUES, port, port)

    def _work(self, path: str, fused: str | None) -> None:
        op = self.network.ops.get(path, self.graph[path].op)
        if isinstance(op, (Output, Flatten)):
            self._sum(path, self.ports.of[path])
            return
        source, delay = self._front(path)
        target = self.ports.of[fused or path]
        if op.is_weighted:
            self._weighted(path, op, source, target, delay, fused)
        elif isinstance(op, SumPool2d):
            found = windows(op, self.network.shapes.input[path], self.network.shapes.output[path])
            first, into = self.WI.add(found.first), self.WI.add(found.target)
            self._stage(col.POOL, source, target, delay, C=first, D=into, E=found.area)
        elif isinstance(op, Scale):
            factor = np.broadcast_to(op.scale, self.network.shapes.output[path])
            self._stage(col.SCALE, source, target, delay, A=self.W.add(padded(packed(factor, target.packing))))
        elif isinstance(op, Threshold):
            bound = np.broadcast_to(op.threshold, self.network.shapes.output[path])
            bound = padded(packed(bound, target.packing).astype(self.W.dtype), np.inf)
            self._stage(col.THRESHOLD, source, target, delay, A=self.W.add(bound))
        elif isinstance(op, Delay):
            steps = packed(self.network.delays[path], target.packing)
            self._stage(col.LAG, source, target, delay, A=self.WI.add(steps))
            self.lags.append(delay + int(steps.max(initial=0)))
        else:
            self._neuron(path, source, target, delay)

    def _neuron(self, path: str, source: Port, target: Port, delay: int) -> None:
        own = self.ports.populations[path]
        most = -1 if own.is_plain else own.most
        flags = own.flags | (SHOWN if target.currents else 0)
        stage = self._stage(
            col.NEURON, source, target, delay, A=self.W.add(own.parameters), B=Floats(own.start.size, True), C=flags,
            D=own.reset, E=most,
        )  # fmt: skip
        self.starts.append((stage, self.W.add(own.start), own.start.size))

    def _weighted(self, path: str, op: Any, source: Port, target: Port, delay: int, fused: str | None) -> None:
        shape, output = self.network.shapes.input[path], self.network.shapes.output[path]
        each, all_alike = fan(op, shape)
        counts = {"FAN": -1 if each is None else self.WI.add(each), "FAN_ALL": all_alike}
        if isinstance(op, (Conv1d, Conv2d)):
            c = convolution(op, shape, output, self.W.dtype)
            stage = self._stage(
                col.CONV, source, target, delay, A=self.W.add(c.weights), B=self.W.add(c.blank), C=Floats(c.blank.size),
                D=self.WI.add(c.inputs), E=self.WI.add(c.runs), G=c.blank.size, H=c.rows, J=c.length, K=c.pitch, M=c.first,
                **counts,
            )  # fmt: skip
        else:
            held = self._hold(path)
            if isinstance(held, Sparse):
                stage = self._stage(
                    col.SPARSE, source, target, delay, A=self.W.add(held.weights), B=self.W.add(held.bias),
                    C=self.WI.add(held.first), D=self.WI.add(held.target), **counts,
                )  # fmt: skip
            elif isinstance(held, Narrow):
                late = self.network.schedule.delays[self.graph.out_of(path)[0]] if fused else 0
                stage = self._narrow(held, source, target, delay, fused, counts | {"M": late})
            else:
                stage = self._dense(held, source, target, delay, fused, counts)
        stage.counted = path

    def _narrow(self, held: Narrow, source: Port, target: Port, delay: int, fused: str | None, counts: dict[str, int]) -> Stage:
        fields: dict[str, Any] = {"A": self.WI.add(held.weights), "B": held.offset, "C": held.unit, "H": held.pairs, **counts}
        if fused is None:
            return self._stage(col.NARROW_DENSE, source, target, delay, D=0, E=0, G=-1, **fields)
        own = self.ports.populations[fused]
        fields |= {"D": self.W.add(own.parameters), "E": Floats(own.start.size, True), "G": own.flags}
        stage = self._stage(col.NARROW_DENSE, source, target, delay, **fields)
        self.lags.append(delay + counts["M"])
        self.starts.append((stage, self.W.add(own.start), own.start.size))
        return stage

    def _dense(self, held: Dense, source: Port, target: Port, delay: int, fused: str | None, counts: dict[str, int]) -> Stage:
        fields: dict[str, Any] = {
            "A": self.W.add(held.weights), "B": self.W.add(held.bias), "C": int(held.is_narrow), "H": held.pairs,
            "J": Floats(LANES), "K": Floats(TOGETHER * source.n), **counts,
        }  # fmt: skip
        if fused is None:
            return self._stage(col.DENSE, source, target, delay, **fields)
        own = self.ports.populations[fused]
        fields |= {
            "D": self.W.add(own.parameters),
            "E": Floats(own.start.size, True),
            "G": own.flags << 8 | own.reset,
            "M": Floats(TOGETHER * target.blocks * LANES),
        }
        stage = self._stage(col.DENSE_NEURON, source, target, delay, **fields)
        self.starts.append((stage, self.W.add(own.start), own.start.size))
        return stage


__all__ = ["Floats", "Plan", "Port", "Stage", "plan"]
