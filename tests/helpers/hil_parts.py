"""A small network, its artifact and an input, for the tests of the bench."""

import functools

import numpy as np

import spikeport
from spikeport.ir.graph import Edge, Graph, Node
from spikeport.ir.ops import LIF, Affine, Input, Output
from spikeport.runtime.artifact import artifact_bytes

#: Two samples of 25 steps on three inputs.
X = (np.random.default_rng(5).random((2, 25, 3)) < 0.5).astype(np.uint8)


def network(weight=0.5, neurons=4):
    """Return three inputs into a layer of LIF neurons."""
    w = weight * np.random.default_rng(1).random((neurons, 3))
    one = np.ones(neurons)
    lif = LIF(tau=2e-3 * one, r=one, v_leak=0 * one, v_threshold=0.1 * one, v_reset=0 * one)
    nodes = [Node("in", Input((3,))), Node("fc", Affine(w, 0 * one)), Node("lif", lif), Node("out", Output((neurons,)))]
    return Graph(nodes, [Edge("in", "fc"), Edge("fc", "lif"), Edge("lif", "out")])


@functools.cache
def _compiled(weight, target):
    return artifact_bytes(spikeport.compile(network(weight), target, "norse"))


def artifact(graph=None, target=None, weight=0.5):
    """Return the network, or *graph*, compiled, as the bytes of a ``.spk``."""
    if graph is not None:
        return artifact_bytes(spikeport.compile(graph, target, "norse"))
    return _compiled(weight, target)
