"""What Loihi 1 was measured to take, and the networks that it was measured on.

Sources: Blouw et al. 2019 (doi:10.1145/3320288.3320304), the keyword spotter and its scaled versions, layers as in the authors'
repository abr/power_benchmarks; Rueckauer et al. 2021 (NxTF, arXiv:2101.04261), MNIST; Boyle et al. 2025 (SANA-FE,
doi:10.1109/TCAD.2025.3537971), DVS gestures.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from spikeport.ir.graph import Edge, Graph, Node
from spikeport.ir.ops import LIF, Conv2d, Flatten, Input, Linear, Op, Output


@dataclass(frozen=True, slots=True)
class Case:
    """A measurement.

    Parameters
    ----------
    name : str
    network : callable
        Returns its graph; weights are ones, since only their number counts.
    steps : int
        Steps of an inference.
    step_s : (float, float)
        Length of a step in s, or the range of it.
    energy_j : (float, float) or None
        Dynamic energy of an inference in J, or the range of it.
    covers : {"chip", "neurocores"}
        Whether the energy is that of all of the chip (x86 cores and their input and output too) or of the neurocores.
    """

    name: str
    network: Callable[[], Graph]
    steps: int
    step_s: tuple[float, float]
    energy_j: tuple[float, float] | None
    covers: str = "chip"


def lif(*shape: int) -> LIF:
    """Neurons of *shape*."""
    return LIF(*(np.broadcast_to(v, shape) for v in (0.02, 1.0, 0.0, 1.0, 0.0)))


def scaled(branches: int | None) -> Graph:
    """Return the scaled network, ``branches * 2560 + 512`` neurons; None for the spotter, 390-256-256-29.

    390 inputs, a layer of 256, branches of 10 layers of 256, a layer of 256 that all branches enter.
    """
    nodes: list[Node] = [Node("input", Input((390,)))]
    edges: list[Edge] = []

    def layer(path: str, size: int, *behind: tuple[str, int]) -> tuple[str, int]:
        nodes.append(Node(path, lif(size)))
        for rank, (source, inputs) in enumerate(behind):
            nodes.append(Node(f"{path}.w{rank}", Linear(np.broadcast_to(np.float64(1), (size, inputs)))))
            edges.extend([Edge(source, f"{path}.w{rank}"), Edge(f"{path}.w{rank}", path, rank=rank)])
        return path, size

    first = layer("first", 256, ("input", 390))
    ends = [first] if not branches else []
    for branch in range(branches or 0):
        last = first
        for depth in range(10):
            last = layer(f"branch{branch}.layer{depth}", 256, last)
        ends.append(last)
    last = layer("last", 256, *ends)
    if branches is None:
        last = layer("characters", 29, last)
    nodes.append(Node("output", Output((last[1],))))
    return Graph(nodes, [*edges, Edge(last[0], "output")])


def convolutions(side: int, *layers: tuple[int, int, int], dense: int) -> Graph:
    """Return convolutions of (channels, kernel, stride) on an image of one channel, and a dense layer behind them."""
    nodes: list[tuple[str, Op]] = [("input", Input((1, side, side)))]
    before = 1
    for number, (channels, kernel, stride) in enumerate(layers):
        side = (side - kernel) // stride + 1
        weight = np.ones((channels, before, kernel, kernel))
        nodes += [
            (f"conv{number}", Conv2d(None, weight, (stride, stride), "valid", (1, 1), 1, np.zeros(channels))),
            (f"layer{number}", lif(channels, side, side)),
        ]
        before = channels
    nodes += [
        ("flat", Flatten(0, -1)), ("fc", Linear(np.ones((dense, before * side * side)))), ("last", lif(dense)),
        ("output", Output((dense,))),
    ]  # fmt: skip
    paths = [path for path, _ in nodes]
    return Graph([Node(path, op) for path, op in nodes], [Edge(a, b) for a, b in pairwise(paths)])


def mnist() -> Graph:
    """Return NxTF's MNIST network: the layers of SNN toolbox's Loihi example, which have its 33.8 k parameters (33,802)."""
    return convolutions(28, (16, 5, 2), (32, 3, 1), (64, 3, 2), dense=10)


def gestures() -> Graph:
    """Return the network of DVS gestures: 15x15x16, 13x13x32, 11x11x64, 9x9x11, 11; its first kernel is taken as 3x3."""
    return convolutions(32, (16, 3, 2), (32, 3, 1), (64, 3, 1), (11, 3, 1), dense=11)


def _blouw(name: str, branches: int | None, per_second: float, energy_j: float) -> Case:
    return Case(name, lambda: scaled(branches), 10, (1 / per_second / 10,) * 2, (energy_j, energy_j))


SPOTTER = _blouw("keyword spotter", None, 296.5, 0.2721e-3)
#: The scaled networks by their number of branches.
SCALED = {
    n: _blouw(f"scaled, N = {n}", n, hz, joule)
    for n, hz, joule in ((0, 125.8, 0.6194e-3), (1, 114.7, 0.6833e-3), (2, 114.4, 0.7033e-3), (10, 114.0, 0.8356e-3))
}
NXTF = Case("MNIST on NxTF", mnist, 512, (60.81e-6, 60.81e-6), None)
#: Ranges of the axes of SANA-FE's plots of its 100 gestures (its repository, scripts/tcad2025), in a mean step.
DVS = Case("DVS gestures", gestures, 1, (10e-6, 30e-6), (1e-6, 4e-6), "neurocores")
