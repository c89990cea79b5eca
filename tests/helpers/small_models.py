"""A small network of known shape and a function file that builds it, for tests of the command and the API."""

import itertools
from pathlib import Path

import numpy as np

from spikeport.ir.graph import Edge, Graph, Node
from spikeport.ir.ops import LIF, Affine, Flatten, Input, Output, Scale

PROFILE = "norse:zero,dt=1e-3"


def lif(size, threshold=0.5):
    """Return a LIF population of *size* with a time constant of 5 ms."""
    return LIF(np.full(size, 5e-3), np.ones(size), np.zeros(size), np.full(size, threshold), np.zeros(size))


def small_graph(profile=None, seed=0):
    """Return two LIF layers (6 and 3 neurons) on 4 inputs, with a Flatten and a Scale that change nothing in between."""
    rng = np.random.default_rng(seed)
    nodes = [
        Node("input", Input((4,))), Node("fc1", Affine(rng.uniform(0, 2, (6, 4)), np.zeros(6))), Node("hidden", lif(6)),
        Node("flat", Flatten(0, -1)), Node("fc2", Affine(rng.uniform(0, 2, (3, 6)), np.full(3, 0.01))),
        Node("ones", Scale(np.ones(3))), Node("readout", lif(3)), Node("output", Output((3,))),
    ]  # fmt: skip
    names = ["input", "fc1", "hidden", "flat", "fc2", "ones", "readout", "output"]
    return Graph(nodes, [Edge(a, b) for a, b in itertools.pairwise(names)], profile=profile)


def spikes(shape, seed=1, rate=0.4):
    """Return random spikes, uint8."""
    return (np.random.default_rng(seed).random(shape) < rate).astype(np.uint8)


def write_builder(folder: Path, body: str = "return small_graph()") -> str:
    """Write a Python file with a function ``build`` of *body* and return ``FILE.py:build``."""
    path = folder / "model.py"
    here = str(Path(__file__).parent)
    path.write_text(f"import sys\nsys.path.insert(0, {here!r})\nfrom small_models import *\n\ndef build():\n    {body}\n")
    return f"{path}:build"
