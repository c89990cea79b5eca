"""Small float networks, one for each thing that a mapping on SpiNNaker has to get right, compiled for it."""

import dataclasses
from itertools import pairwise

import numpy as np

import spikeport
from spikeport.ir import Edge, Graph, Node
from spikeport.ir.ops import LI, LIF, Conv2d, CubaLIF, Extras, Flatten, Input, Linear, Output

DT = 1e-3
PROFILE = f"spynnaker,dt={DT}"


def lif(shape, tau=12.0, threshold=0.6, refractory=0):
    one = np.ones(shape)
    extras = Extras(refractory_steps=np.array(refractory)) if refractory else Extras()
    return LIF(DT * tau * one, tau * one, 0 * one, threshold * one, 0 * one, extras=extras)


def cuba(shape, tau=15.0, tau_syn=5.0, threshold=0.8):
    one = np.ones(shape)
    return CubaLIF(DT * tau_syn * one, DT * tau * one, tau * one, 0 * one, threshold * one, 0 * one, tau_syn * one)


def weights(seed, *shape):
    return np.random.default_rng(seed).normal(0.12, 0.3, shape)


def chain(*layers, more=(), delays=None):
    """Return the graph of *layers*, (path, op) each, one behind the other, with *more* edges."""
    names = [name for name, _ in layers]
    edges = [Edge(a, b, (delays or {}).get((a, b))) for a, b in pairwise(names)]
    return Graph(tuple(Node(*layer) for layer in layers), (*edges, *more))


def dense():
    li = LI(DT * 9 * np.ones(3), 9 * np.ones(3), np.zeros(3))
    return chain(
        ("in", Input((20,))), ("a 1", Linear(weights(1, 300, 20))), ("h", cuba((300,))), ("b", Linear(weights(2, 8, 300) / 6)),
        ("o", lif((8,), refractory=2)), ("c", Linear(weights(3, 3, 8))), ("v", li), ("out", Output((3,))),
    )  # fmt: skip


def conv():
    kernel = Conv2d(None, weights(4, 4, 2, 3, 3), (1, 1), (1, 1), (1, 1), 1, np.zeros(4))
    return chain(
        ("in", Input((2, 8, 8))), ("conv", kernel), ("h", lif((4, 8, 8))), ("flat", Flatten(0, -1)),
        ("fc", Linear(weights(5, 10, 256) / 4)), ("o", lif((10,))), ("out", Output((10,))),
    )  # fmt: skip


def recurrent():
    rec = Node("rec", Linear(weights(7, 40, 40) / 3))
    graph = chain(
        ("in", Input((16,))), ("fc", Linear(weights(6, 40, 16))), ("h", cuba((40,))), ("w", Linear(weights(8, 5, 40) / 2)),
        ("o", lif((5,))), ("out", Output((5,))),
    )  # fmt: skip
    return dataclasses.replace(
        graph, nodes=(*graph.nodes, rec), edges=(*graph.edges, Edge("h", "rec"), Edge("rec", "h", None, 1))
    )


def delayed():
    return chain(
        ("in", Input((16,))), ("fc", Linear(weights(9, 300, 16))), ("h", lif((300,))), ("w", Linear(weights(10, 300, 300) / 8)),
        ("o", lif((300,))), ("out", Output((300,))), delays={("h", "w"): 40},
    )  # fmt: skip


NETS = {"dense": dense, "conv": conv, "recurrent": recurrent, "delayed": delayed}


def spikes(graph, steps=30, samples=1, rate=0.3, seed=0):
    rng = np.random.default_rng(seed)
    return {p: (rng.random((samples, steps, *graph[p].op.input_shape_hint())) < rate).astype(np.uint8) for p in graph.inputs}


def compiled(name, profile=PROFILE):
    """Return the network called *name*, mapped on SpiNNaker 1, and input for it."""
    graph = NETS[name]()
    return spikeport.compile(graph, "spinnaker1", profile=profile, arith="spinnaker1"), spikes(
        graph, 60 if name == "delayed" else 30
    )
