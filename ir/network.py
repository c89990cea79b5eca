"""The step network: a graph under a profile and an arithmetic, ready to be stepped by the reference or any backend."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from spikeport.ir import loihi, spinnaker
from spikeport.ir.arithmetic import Arithmetic, arithmetic, int8_scale, int8_weights
from spikeport.ir.diagnostics import Diagnostic, UnsupportedError, VerifyError, fail_on_errors
from spikeport.ir.dynamics import NeuronModel, discretise
from spikeport.ir.expressible import inexpressible, populations_behind
from spikeport.ir.graph import Graph
from spikeport.ir.loihi import integer_inputs
from spikeport.ir.ops import Array, Delay, Neuron, Op
from spikeport.ir.profile import Profile
from spikeport.ir.schedule import Schedule, feedback_edges, schedule
from spikeport.ir.shapes import Shapes, infer_shapes

#: Arithmetics of chips: what puts neurons that compute as the chip's do in place of the profile's.
GRIDS = {"loihi": loihi.on_grid, "spinnaker1": spinnaker.on_grid}


@dataclass(frozen=True, slots=True, eq=False)
class StepNetwork:
    """What is computed in a step, with nothing left open.

    Parameters
    ----------
    graph : Graph
        As given.
    profile : Profile
        Its time semantics.
    arithmetic : Arithmetic
        Its number system.
    schedule : Schedule
        Order of evaluation and delays of edges.
    shapes : Shapes
        Input and output shape of every node.
    ops : Mapping[str, Op]
        Stateless nodes, parameters cast to the arithmetic and biases moved where the profile wants them.
    models : Mapping[str, NeuronModel]
        Neurons and integrators.
    delays : Mapping[str, array of int64]
        Steps of the Delay nodes, of the node's shape.
    halves : Mapping[str, (Op, Op)]
        Weighted nodes in arithmetic ``spinnaker1``, their excitatory and inhibitory weights apart.
    """

    graph: Graph
    profile: Profile
    arithmetic: Arithmetic
    schedule: Schedule
    shapes: Shapes
    ops: Mapping[str, Op]
    models: Mapping[str, NeuronModel]
    delays: Mapping[str, Array]
    halves: Mapping[str, tuple[Op, Op]] = field(default_factory=dict)

    @property
    def warmup(self) -> int:
        """Largest delay of an edge or a Delay node, in steps."""
        longest = [int(d.max()) for d in self.delays.values() if d.size]
        return max([*self.schedule.delays.values(), *longest], default=0)

    def entering(self, inputs: Mapping[str, Array]) -> Mapping[str, Array]:
        """Return *inputs* as they enter the network: scaled and whole on a chip's grid, as they are elsewhere.

        Every runner calls this first. Raises RunError E806 for values that the program was not made for.
        """
        return integer_inputs(self.graph, inputs) if self.arithmetic.name in GRIDS else inputs

    def leaving(self, path: str, x: Array) -> Array:
        """Return what leaves the stateless node *path* when *x* (batch, *shape) enters it."""
        halves = self.halves.get(path)
        return self.ops[path].apply(x) if halves is None else spinnaker.two_sums(halves, x)


def build_network(graph: Graph, profile: Profile, arith: str | Arithmetic = "float64") -> StepNetwork:
    """Return the step network of a verified *graph*.

    Raises
    ------
    VerifyError
        E2xx or E3xx where the graph does not fit the profile; E310 or E560 where it is not on the grid of
        arithmetic ``loihi`` or ``spinnaker1``.
    UnsupportedError
        E510 where the arithmetic or ``bias_at=membrane`` cannot express a connection.
    """
    number = arithmetic(arith)
    shapes, clashes = infer_shapes(graph)
    if clashes:
        raise VerifyError(clashes)
    fail_on_errors(UnsupportedError, inexpressible(graph, profile, number))
    plan = schedule(graph, profile)
    loops = {path for group in plan.groups if plan.is_recurrent(group) for path in group}
    ops: dict[str, Op] = {n.path: n.op for n in graph if not n.op.is_stateful}
    offsets: dict[str, Array] = {}
    if profile.bias_at == "membrane":
        ops, offsets = _biases_to_membrane(graph, shapes, ops)
    scales: dict[str, float] = {}
    if number.weight_bits is not None:
        ops, scales = _integer_weights(graph, ops)
    models = {}
    for node in graph:
        if isinstance(node.op, Neuron):
            models[node.path] = _model(node.path, node.op, profile, shapes, node.path in loops, offsets, scales, number)
    ops = {path: _cast(op, number.dtype) for path, op in ops.items()}
    delays = {n.path: _delay_steps(n.op, profile, shapes.output[n.path]) for n in graph if isinstance(n.op, Delay)}
    network = StepNetwork(graph, profile, number, plan, shapes, ops, models, delays)
    return GRIDS[number.name](network) if number.name in GRIDS else network


def _model(
    path: str, op: Neuron, profile: Profile, shapes: Shapes, in_loop: bool,
    offsets: Mapping[str, Array], scales: Mapping[str, float], number: Arithmetic,
) -> NeuronModel:  # fmt: skip
    offset = offsets.get(path)
    if offset is not None and op.has_current:
        # The synaptic current would settle at w_in*bias: syn_gain*bias/(1 - alpha).
        offset = offset * np.asarray(op.arrays()["w_in"], np.float64)
    model = discretise(
        op, profile.at(path, op.kind), shapes.output[path], recurrent=in_loop, offset=offset,
        v_threshold=profile.parameter(path, op.kind, "v_threshold"), v_reset=profile.parameter(path, op.kind, "v_reset"),
    )  # fmt: skip
    scale = scales.get(path)
    if scale is not None:
        # Integer weights are W*scale: the factor leaves with the gain, so that state keeps the graph's units.
        if model.syn_gain is not None:
            model = dataclasses.replace(model, syn_gain=model.syn_gain / scale)
        else:
            model = dataclasses.replace(
                model, mem_gain=model.mem_gain / scale, offset=None if model.offset is None else model.offset * scale
            )
    return model.cast(number.dtype)


def _cast(op: Op, dtype: Any) -> Op:
    changed = {
        f.name: np.asarray(value, dtype)
        for f in dataclasses.fields(op)
        if isinstance(value := getattr(op, f.name), np.ndarray) and value.dtype != dtype
    }
    return dataclasses.replace(op, **changed) if changed else op


def _delay_steps(op: Delay, profile: Profile, shape: tuple[int, ...]) -> Array:
    try:
        return np.ascontiguousarray(np.broadcast_to(op.steps(profile.dt), shape))
    except ValueError as error:
        raise VerifyError(
            Diagnostic("E304", "", str(error), "choose dt so that every delay is a whole number of steps, and not too many")
        ) from None


def _biases_to_membrane(graph: Graph, shapes: Shapes, ops: dict[str, Op]) -> tuple[dict[str, Op], dict[str, Array]]:
    """Return ops without biases and, for each neuron, the sum of the biases of the nodes right in front of it."""
    offsets: dict[str, Array] = {}
    moved = dict(ops)
    for path, op in ops.items():
        bias = getattr(op, "bias", None)
        if bias is None or not np.any(bias):
            continue
        for edge in graph.out_of(path):
            shape = shapes.output[path]
            full = np.broadcast_to(np.asarray(bias, np.float64).reshape(*bias.shape, *(1,) * (len(shape) - bias.ndim)), shape)
            offsets[edge.target] = offsets.get(edge.target, np.zeros(shape)) + full
        moved[path] = dataclasses.replace(op, bias=np.zeros_like(bias))  # type: ignore[call-arg]
    return moved, offsets


def _integer_weights(graph: Graph, ops: dict[str, Op]) -> tuple[dict[str, Op], dict[str, float]]:
    """Return ops with 8-bit integer weights, and the scale of every population (the largest weight becomes 127)."""
    into: dict[str, list[str]] = {}
    for path, op in ops.items():
        if not op.is_weighted:
            continue
        into.setdefault(populations_behind(graph, path)[0], []).append(path)
    scales: dict[str, float] = {}
    done = dict(ops)
    for target, paths in into.items():
        scale = int8_scale([np.asarray(ops[p].parameters()["weight"]) for p in paths])
        scales[target] = scale
        for path in paths:
            changed: dict[str, Any] = {"weight": int8_weights(ops[path].parameters()["weight"], scale)}
            if "bias" in ops[path].parameters():
                changed["bias"] = np.asarray(ops[path].parameters()["bias"], np.float64) * scale
            done[path] = dataclasses.replace(ops[path], **changed)
    return done, scales


__all__ = ["StepNetwork", "build_network", "feedback_edges"]
