"""Faults of spikes on their way: dropped and late ones, as gates between a layer and what reads it.

Whether a spike of a neuron in a step of a sample would be dropped or late is drawn beforehand, whether or not there is one. So
it is an input of the rewritten graph, and a gate lets a spike through or not: a ``Threshold`` over the sum of the spike and
of what was drawn. A chip's simulator of any kind runs that, recurrent layers too. Where a neuron fires several times in a
step, all of its spikes of the step are one packet, and share its fate; the gate then is a neuron without memory, ``IF`` with
``multi_subtract`` and a clamp at 0.

The faults of a layer act together: a spike that any ``spike_drop`` drops is gone; else it comes later by the sum of the
``steps`` of every ``late`` that hits it, beside what its neuron sends then. What would come after the last step of a run is not
seen. A layer's own raster shows what its neurons fired; what became of it is seen behind the gates.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from spikeport.ir.graph import Edge, Node
from spikeport.ir.loihi import INPUT_NOTE
from spikeport.ir.ops import IF, Array, Input, Neuron, Op, Shape, Threshold
from spikeport.ir.profile import MAX_STEPS
from spikeport.ir.program import Program
from spikeport.ir.shapes import infer_shapes
from spikeport.runtime.hil.faults.draws import layers_of, not_here, uniform
from spikeport.runtime.hil.faults.neurons import fires_often, free_path, settled
from spikeport.runtime.hil.faults.spec import Fault

#: What the gate of a neuron that fires several times is held down by: more than 32 bits count (E805).
HOLD = 2.0**33


@dataclass(frozen=True, slots=True)
class Way:
    """What leaves a layer, and the faults that meet it there.

    Parameters
    ----------
    layer : str
        Path.
    shape : tuple of int
        Of the layer.
    faults : tuple of Fault
        Those that meet it: ``spike_drop`` and ``late``.
    """

    layer: str
    shape: Shape
    faults: tuple[Fault, ...]

    @property
    def lateness(self) -> tuple[int, ...]:
        """All numbers of steps, above 0, by which a spike can be late, ascending."""
        steps = [int(f.get("steps", 1)) for f in self.faults if f.name == "late" and f.get("p")]
        return tuple(sorted({sum(c) for n in range(1, len(steps) + 1) for c in combinations(steps, n)}))

    def fates(self, samples: range, steps: int) -> Array:
        """Return by how many steps each spike would be late, -1 where it would be dropped.

        Parameters
        ----------
        samples : range
            Numbers of the samples in the run.
        steps : int
            Of each of them.

        Returns
        -------
        array of int32, shape (samples, steps, *shape)
        """
        fates = np.zeros((len(samples), steps, *self.shape), np.int32)
        for row, sample in enumerate(samples):
            dropped = np.zeros((steps, *self.shape), np.bool_)
            for fault in self.faults:
                is_hit = uniform(fault, self.layer, (steps, *self.shape), sample) < fault.get("p")
                if fault.name == "late":
                    fates[row] += is_hit * np.int32(fault.get("steps", 1))
                else:
                    dropped |= is_hit
            fates[row][dropped] = -1
        return fates


@dataclass(frozen=True, slots=True)
class Gate:
    """A gate of a rewritten graph: it lets spikes through that are *late* by so many steps.

    Parameters
    ----------
    way : Way
        Whose spikes come here.
    late : int
        0 for those that are in time.
    input : str
        Path of the Input node of what was drawn.
    pass_, hold : float
        What is to be added to a spike that passes, and to one that does not.
    """

    way: Way
    late: int
    input: str
    pass_: float
    hold: float

    def values(self, fates: Array) -> Array:
        """Return what enters *input*, given the *fates* of the way."""
        if abs(self.hold) > 1:
            return np.where(fates == self.late, self.pass_, self.hold)
        return np.where(fates == self.late, np.int8(self.pass_), np.int8(self.hold))


def ways_of(program: Program, faults: Iterable[Fault]) -> tuple[Way, ...]:
    """Return the layers whose spikes meet *faults*: the one that a fault names, an Input too, or every layer that spikes.

    Raises
    ------
    UnsupportedError
        E887 for a layer that sends no spikes, for spikes that have other values than 1, and for late input where samples are
        not reset.
    """
    graph = program.graph
    shapes = infer_shapes(graph)[0].output
    known = (*graph.spiking, *graph.inputs)
    met: dict[str, list[Fault]] = {}
    for fault in faults:
        named = layers_of(fault, known, "sends no spikes", "layers that spike, and inputs")
        for path in graph.spiking if fault.get("layer") is None else named:
            op = graph[path].op
            if isinstance(op, Neuron) and op.extras.spike_amplitude is not None and np.any(op.extras.spike_amplitude != 1):
                raise not_here(fault, f"the spikes of {path} have other values than 1", "name a layer whose spikes are 1", path)
            if isinstance(op, Input) and fault.name == "late" and program.profile.boundary != "reset":
                why = "input that comes late would belong to the next sample, since samples are not reset"
                raise not_here(fault, why, "name another layer", path)
            met.setdefault(path, []).append(fault)
    return tuple(Way(path, shapes[path], tuple(found)) for path, found in sorted(met.items()))


def gated(program: Program, ways: Iterable[Way]) -> tuple[Program, tuple[Gate, ...]]:
    """Return *program* with gates behind the layers of *ways* (not inputs), and the gates.

    Raises
    ------
    UnsupportedError
        E887 where an edge would come to wait longer than 4,096 steps.
    """
    graph, profile = settled(program.graph, program.profile), program.profile
    gates: list[Gate] = []
    for way in ways:
        node = graph[way.layer]
        if isinstance(node.op, Input):
            continue
        many = fires_often(node, profile)
        nodes, edges = list(graph.nodes), [e for e in graph.edges if e.source != way.layer]
        ranks = {e.target: max(i.rank for i in graph.into(e.target)) for e in graph.out_of(way.layer)}
        for late in (0, *way.lateness):
            path, source = (free_path(graph, way.layer, late, word) for word in ("gate", "drawn"))
            # In time: the spike or nothing, and -1 where it is held. Late, which is rare: only both together pass.
            pass_, hold = (0.0, -HOLD) if many else (float(late > 0), -float(late == 0))
            nodes += [Node(path, _gate(many, late, way.shape)), _drawn(source, way.shape)]
            edges += [Edge(way.layer, path, 0, 0), Edge(source, path, 0, 1)]
            gates.append(Gate(way, late, source, pass_, hold))
            if many:
                profile = profile.with_overrides(
                    path, gain="unit", reset="multi_subtract", reset_when="after_spike", compare=">=", clamp_low=0.0,
                    max_spikes=None, output_delay=0, v_threshold=1.0, v_reset=0.0,
                )  # fmt: skip
            for edge in graph.out_of(way.layer):
                wait = int(edge.delay or 0) + late
                if wait > MAX_STEPS:
                    fault = next(f for f in way.faults if f.name == "late")
                    raise not_here(fault, f"spikes would wait {wait:,} steps on their way to {edge.target}",
                                   f"{MAX_STEPS:,} at most", way.layer)  # fmt: skip
                rank = edge.rank
                if late:
                    rank = ranks[edge.target] = ranks[edge.target] + 1
                edges.append(Edge(path, edge.target, wait, rank))
        graph = graph.replace(nodes=nodes, edges=edges)
    return dataclasses.replace(program, graph=graph, profile=profile), tuple(gates)


def _gate(many: bool, late: int, shape: Shape) -> Op:
    if many:
        return IF(r=np.ones(shape), v_threshold=np.ones(shape), v_reset=np.zeros(shape))
    return Threshold(np.full(shape, 1.5 if late else 0.5))


def _drawn(path: str, shape: Shape) -> Node:
    return Node(path, Input(shape), {INPUT_NOTE: {"scale": 1.0, "least": -1, "most": 1}})


def on_input(way: Way, values: Array, fates: Array) -> Array:
    """Return *values*, (samples, steps, *shape), of an input whose non-zero values are events with these *fates*."""
    kind = np.float64 if values.dtype.kind == "f" else np.int64
    out = np.where(fates == 0, values, 0).astype(values.dtype if not way.lateness else kind)
    for late in way.lateness:
        if late < values.shape[1]:
            out[:, late:] += np.where(fates == late, values, 0)[:, :-late].astype(out.dtype)
    return out
