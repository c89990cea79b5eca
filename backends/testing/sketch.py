"""A graph under construction, and neurons whose thresholds suit their profile: what cases and random tests draw with."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np

from spikeport.ir.dynamics import discretise
from spikeport.ir.graph import Edge, Graph, Node
from spikeport.ir.ops import NO_EXTRAS, OPS, Array, Extras, Input, Neuron, Op, Output, Shape
from spikeport.ir.profile import Profile

#: Neurons and integrators by NIR's name.
NEURONS: dict[str, type[Neuron]] = {name: cls for name, cls in OPS.items() if issubclass(cls, Neuron)}


def neuron(
    kind: str, shape: Shape, profile: Profile, rng: np.random.Generator, *, path: str = "", full: bool = True,
    dtype: Any = np.float64, drive: float = 1.0, extras: Extras = NO_EXTRAS,
) -> Neuron:  # fmt: skip
    """Return a neuron of *kind* whose threshold suits inputs of about *drive* under *profile*.

    Parameters
    ----------
    kind : str
        Key of `NEURONS`.
    shape : tuple of int
        Of the population.
    profile, path
        Time semantics and the node's path: what the profile really makes of the input's gain decides the threshold.
    rng : numpy.random.Generator
        Draws the parameters.
    full : bool
        Whether every parameter is an array of random values; else every one is a scalar.
    dtype : numpy type
        Of the parameters.
    drive : float
        Usual size of the input, in the unit of the input.
    extras : Extras
        What the neuron carries beyond NIR.
    """
    size = shape if full else ()
    # What the profile wants for the node decides: threshold and gain must fit each other.
    own = profile.at(path, kind)

    # What a parameter usually is, by its name: a neuron with a new one adds it here.
    def spread(low: float, high: float) -> Any:
        return np.asarray(rng.uniform(low, high, size)).astype(dtype)

    tau, tau_syn = (spread(2.0, 15.0) * dtype(profile.dt) for _ in "ab")
    values = {"tau": tau, "tau_mem": tau, "tau_syn": tau_syn, "v_leak": np.zeros(size, dtype), "w_in": spread(0.8, 2.0)}
    values["r"] = spread(0.8, 1.6) * (tau / dtype(profile.dt) if kind in ("LIF", "LI", "CubaLIF", "CubaLI") else dtype(1))
    values["v_threshold"] = values["v_reset"] = np.ones(size, dtype)
    cls = NEURONS[kind]
    names = [f.name for f in dataclasses.fields(cls) if f.name != "extras"]
    model = discretise(cls(**{n: values[n] for n in names}), own, shape)
    unit = float(np.mean(model.mem_gain)) * float(1.0 if model.syn_gain is None else np.mean(model.syn_gain)) * drive
    values["v_threshold"] = (spread(0.6, 2.2) * dtype(unit)).astype(dtype)
    values["v_reset"] = (spread(-0.5, 0.3) * values["v_threshold"]).astype(dtype)
    values["v_leak"] = (spread(-0.05, 0.05) * values["v_threshold"]).astype(dtype)
    return cls(**{n: values[n] for n in names}, extras=extras)


class Sketch:
    """A graph under construction: nodes, edges with ranks in the order of their making, and the shape of every node.

    Parameters
    ----------
    profile : Profile
        That the graph will run under.
    rng : numpy.random.Generator
        Draws weights.
    """

    def __init__(self, profile: Profile, rng: np.random.Generator) -> None:
        self.profile, self.rng = profile, rng
        self.nodes: dict[str, Op] = {}
        self.shape: dict[str, Shape] = {}
        self.edges: list[Edge] = []
        self.ranks: dict[str, int] = {}

    def add(self, path: str, op: Op, *sources: str, delay: int | None = None) -> str:
        """Add a node behind *sources* and return its path."""
        self.nodes[path] = op
        shape = self.shape[sources[0]] if sources else op.shape  # type: ignore[attr-defined]
        self.shape[path] = op.output_shape(shape)
        for source in sources:
            self.connect(source, path, delay)
        return path

    def connect(self, source: str, target: str, delay: int | None = None) -> None:
        """Add an edge with the next free rank."""
        rank = self.ranks.get(target, 0)
        self.ranks[target] = rank + 1
        self.edges.append(Edge(source, target, delay, rank))

    def weights(self, *shape: int, fan_in: int) -> Array:
        """Return weights whose sum over *fan_in* inputs of rate about 0.3 has a spread of about 1; some are zero."""
        scale = 1.0 / np.sqrt(max(0.3 * fan_in, 1.0))
        values = self.rng.normal(0.25, 1.0, shape) * scale
        return np.where(self.rng.random(shape) < 0.15, 0.0, values)

    def graph(self, notes: Mapping[str, Any] | None = None) -> Graph:
        """Return the frozen graph."""
        return Graph(tuple(Node(p, op) for p, op in self.nodes.items()), tuple(self.edges), notes or {})


def chain(*ops: Op, shape: Shape, names: list[str] | None = None) -> Graph:
    """Return the graph Input(shape) -> ops -> Output, with the nodes called "input", "0", "1", ..., "output"."""
    names = names or [str(i) for i in range(len(ops))]
    nodes, here = [Node("input", Input(shape))], tuple(shape)
    for name, op in zip(names, ops, strict=True):
        here = op.output_shape(here)
        nodes.append(Node(name, op))
    nodes.append(Node("output", Output(here)))
    return Graph(tuple(nodes), tuple(Edge(a.path, b.path) for a, b in pairwise(nodes)))
