"""Wires a graph as the torch importers of NIR read it: one input, one output, loops that wait after the recurrent weights."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np

from spikeport.compiler.exporters.names import torch_names
from spikeport.compiler.exporters.order import ordered_names, refuse_joins, runs_in_order
from spikeport.compiler.exporters.unit import Cannot
from spikeport.ir import Edge, Graph, Node
from spikeport.ir.network import StepNetwork
from spikeport.ir.ops import Affine, Array, Conv2d, Linear, Op


class Wiring:
    """A graph that is being rewritten: nodes and edges by path, delays as the schedule has them."""

    def __init__(self, network: StepNetwork) -> None:
        self.network = network
        self.ops: dict[str, Op] = {node.path: node.op for node in network.graph}
        self.edges: list[Edge] = list(network.graph.edges)
        self.delays: dict[Edge, int] = dict(network.schedule.delays)

    def into(self, path: str) -> list[Edge]:
        """Return the edges that enter *path*, in the order of their sum."""
        return sorted((e for e in self.edges if e.target == path), key=lambda e: (e.rank, e.source))

    def out_of(self, path: str) -> list[Edge]:
        """Return the edges that leave *path*."""
        return [e for e in self.edges if e.source == path]

    def shape(self, path: str) -> tuple[int, ...]:
        """Return the output shape of a node of the graph."""
        return self.network.shapes.output[path]

    # ------------------------------------------------------------------------------------------------------- refusals

    def check_borders(self) -> None:
        """Refuse several inputs or outputs, sums at the output, and doubled edges."""
        graph = self.network.graph
        for kind, paths in (("Input", graph.inputs), ("Output", graph.outputs)):
            if len(paths) != 1:
                raise Cannot(f"{len(paths)} {kind}s", "the importers take one", "export the parts one by one")
        if len(self.into(graph.outputs[0])) != 1:
            raise Cannot("a sum at the Output", "the importers return its parts", "put a layer in front of the Output")
        pairs = [(e.source, e.target) for e in self.edges]
        double = next((p for p in pairs if pairs.count(p) > 1), None)
        if double is not None:
            raise Cannot(f"two edges from {double[0]} to {double[1]}", "NIR has one between two nodes", "double the weights")

    def late(self) -> list[tuple[str, Cannot]]:
        """Return the edges outside of loops that wait."""
        remedy = "choose a profile without latency, or leave the delay out"
        return [
            (e.target, Cannot(f"a delay of {delay} steps from {e.source}", "the importers know none outside of loops", remedy))
            for e, delay in self.delays.items()
            if delay and not self._in_loop(e)
        ]

    def _in_loop(self, edge: Edge) -> bool:
        plan = self.network.schedule
        return any(edge.source in g and edge.target in g for g in plan.groups if plan.is_recurrent(g))

    # ---------------------------------------------------------------------------------------------------------- loops

    def turn_loops(self, longer: bool) -> list[tuple[str, str]]:
        """Let every loop wait one step in front of its neuron, and its biases act through the layer in front.

        The importers add a neuron's recurrent input of the step before, and none at step 0, so that a recurrent bias would
        act one step late.

        Parameters
        ----------
        longer : bool
            Whether loops of a single dense node get a second one.

        Returns
        -------
        list of (str, str)
            Neurons whose loops look different, and how.
        """
        plan = self.network.schedule
        before = set(self.ops)
        for group in plan.groups:
            if plan.is_recurrent(group):
                self._turn(group, longer)
        text = "its loop passes through a Linear of ones more, without which the importer fails or has no weights; a recurrent "
        return [
            (path.removesuffix(".loop"), f"{text}bias acts from step 1 on (bias_at_0=no)") for path in set(self.ops) - before
        ]

    def _turn(self, group: tuple[str, ...], longer: bool) -> None:
        stateful = [p for p in group if self.ops[p].is_stateful]
        neuron = stateful[0]
        inside = [e for e in self.edges if e.source in group and e.target in group]
        chain = [p for p in group if p not in stateful]
        linear = all(len(self.into(p)) == 1 and len(self.out_of(p)) == 1 for p in chain)
        if len(stateful) != 1 or not linear or len(inside) != len(chain) + 1:
            raise Cannot(f"a loop through {', '.join(sorted(group))}", "the importers' order of evaluation within it is open",
                         "make it a loop of one population with its recurrent weights")  # fmt: skip
        if sum(self.delays[e] for e in inside) != 1:
            raise Cannot(f"a loop of {sum(self.delays[e] for e in inside)} steps", "the importers make loops of one step")
        first = next(e for e in inside if e.source == neuron)
        ordered = []
        while first.target != neuron:
            ordered.append(first.target)
            first = self.out_of(first.target)[0]
        last = first
        if self.delays[last] == 0:
            self._move_bias(neuron, ordered)
        if not ordered or (longer and len(ordered) == 1 and isinstance(self.ops[ordered[0]], (Linear, Affine))):
            shape = self.shape(neuron)
            if len(shape) != 1:
                raise Cannot("a recurrent edge without weights", "the importers need a layer in the loop")
            name = f"{neuron}.loop"
            while name in self.ops:
                name += "_"
            self.ops[name] = Linear(np.eye(shape[0], dtype=np.float32))
            self.edges.remove(last)
            self.edges += [Edge(last.source, name), Edge(name, neuron, None, last.rank)]
            self.delays |= dict.fromkeys(self.edges[-2:], 0)

    def _move_bias(self, neuron: str, chain: list[str]) -> None:
        """Move what the *chain* gives for no spikes, at every step, to a dense layer in front of *neuron*."""
        value = np.zeros((1, *self.shape(neuron)))
        for path in chain:
            value = self.network.ops[path].apply(value)
        if not np.any(value):
            return
        fronts = [e.source for e in self.into(neuron) if e.source not in chain and e.source != neuron]
        front = next((p for p in fronts if self._is_private_dense(p)), None)
        if front is None or not all(isinstance(self.ops[p], (Linear, Affine)) for p in chain):
            raise Cannot("a recurrent bias that acts at step 0", "the importers evaluate it from step 1 on",
                         "train the recurrent layer without a bias, or put an Affine of its own in front")  # fmt: skip
        op = self.ops[front]
        bias = op.parameters().get("bias", 0.0) + value[0]
        self.ops[front] = Affine(op.parameters()["weight"], bias)
        for path in chain:
            self.ops[path] = Linear(self.ops[path].parameters()["weight"])

    def _is_private_dense(self, path: str) -> bool:
        return isinstance(self.ops[path], (Linear, Affine)) and len(self.out_of(path)) == 1

    # --------------------------------------------------------------------------------------------------------- weights

    def scale_inputs(self, neuron: str, factor: Array) -> tuple[str, float]:
        """Multiply all that enters *neuron* by *factor* (of its shape), in the weighted nodes in front.

        Returns
        -------
        (str, float)
            The layer whose numbers the factor rounds most in float32, and by how much, relative; 0.0 where all are exact.
        """
        changed: dict[str, Op] = {}
        worst = ("", 0.0)
        for edge in self.into(neuron):
            op = self.ops[edge.source]
            values = op.parameters()
            if not op.is_weighted or len(self.out_of(edge.source)) != 1:
                why = "the importer takes one, and no layer right in front could take the rest"
                raise Cannot("thresholds or gains of each neuron its own", why, "put a layer of weights in front")
            rows = _rows(factor, op)
            shaped = {"weight": values["weight"] * rows.reshape(-1, *(1,) * (values["weight"].ndim - 1))}
            if "bias" in values:
                shaped["bias"] = values["bias"] * rows
            by = max(_rounding(values[name], value, rows) for name, value in shaped.items())
            worst = max(worst, (edge.source, by), key=lambda found: found[1])
            changed[edge.source] = dataclasses.replace(op, **shaped)
        self.ops |= changed
        return worst

    def add_to_input(self, neuron: str, offset: Array) -> None:
        """Add *offset* (of its shape) to all that enters *neuron*, in a layer of weights in front."""
        for edge in self.into(neuron):
            op = self.ops[edge.source]
            inside = edge.source in self._loop_of(neuron)
            if inside or len(self.out_of(edge.source)) != 1 or not isinstance(op, (Linear, Affine, Conv2d)):
                continue
            rows = _rows(offset, op) + op.parameters().get("bias", 0.0)
            self.ops[edge.source] = Affine(op.weight, rows) if isinstance(op, Linear) else dataclasses.replace(op, bias=rows)
            return
        raise Cannot("v_leak", "the importer takes 0 only, and no layer right in front could take it as a bias",
                     "put a layer of weights in front")  # fmt: skip

    def _loop_of(self, neuron: str) -> tuple[str, ...]:
        plan = self.network.schedule
        own = next((g for g in plan.groups if neuron in g and plan.is_recurrent(g)), ())
        return (*own, f"{neuron}.loop")

    def graph(self, input_name: str, *, runs_depth_first: bool = False) -> Graph:
        """Return the graph under names that torch takes, without delays, notes and profile.

        Parameters
        ----------
        input_name : str
            What the Input is called.
        runs_depth_first : bool
            Whether the importer runs nodes depth first: then their names are made such that this is right, or refused.
        """
        names = torch_names(self.ops, input_name)
        graph = self._named(names)
        late = frozenset((e.source, e.target) for e in self.edges if self._closes(e))
        if runs_depth_first and not runs_in_order(graph, frozenset((names[a], names[b]) for a, b in late)):
            fixed = frozenset(p for p, op in self.ops.items() if op.kind in ("Input", "Output"))
            names = ordered_names(names, [(e.source, e.target) for e in self.edges], late, fixed)
            graph = self._named(names)
            refuse_joins(graph, frozenset((names[a], names[b]) for a, b in late))
        return graph

    def _closes(self, edge: Edge) -> bool:
        """Whether *edge* leads from the last node of a loop, as `turn_loops` left it, to its neuron."""
        ends = [edge.source]
        while not self.ops[ends[-1]].is_stateful and len(self.into(ends[-1])) == 1 and ends[-1] not in ends[:-1]:
            ends.append(self.into(ends[-1])[0].source)
        return self.ops[edge.target].is_stateful and edge.target == ends[-1] and edge.source != edge.target

    def _named(self, names: Mapping[str, str]) -> Graph:
        nodes = [Node(names[path], op) for path, op in self.ops.items()]
        edges = [Edge(names[e.source], names[path], None, rank) for path in self.ops for rank, e in enumerate(self.into(path))]
        return Graph(tuple(nodes), tuple(edges))


def _rounding(before: Array, after: Array, rows: Array) -> float:
    """Return by how much *after*, which is *before* times *rows*, differs from that as float32 numbers, relative."""
    exact = np.asarray(before, np.float32).astype(np.float64) * rows.reshape(-1, *(1,) * (np.ndim(before) - 1))
    exact = np.asarray(exact[exact != 0])
    rounded = np.asarray(after, np.float32).astype(np.float64)[np.asarray(before, np.float32) != 0]
    if exact.size != rounded.size or not exact.size:
        return 0.0
    by = float(np.max(np.abs(rounded / exact - 1)))
    return by if by > 1e-15 else 0.0  # the factor itself is a float64 number


def _rows(values: Array, op: Op) -> Array:
    """Return *values*, of a population's shape, for each output row or channel of the weights in front."""
    if op.kind in ("Linear", "Affine"):
        return values
    rows = values.reshape(values.shape[0], -1)
    if not np.allclose(rows, rows[:, :1], rtol=1e-9, atol=0):
        raise Cannot("thresholds, gains or leaks that differ within a channel", "the importer takes one for all")
    return np.asarray(rows[:, 0])
