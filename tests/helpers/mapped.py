"""Small graphs and changed targets for the tests of mapping and pricing."""

from __future__ import annotations

from importlib.resources import files
from itertools import pairwise
from typing import Any

import numpy as np

from spikeport.hw_profiles.target import Target, read_target
from spikeport.ir.graph import Edge, Graph, Node
from spikeport.ir.ops import IF, LIF, Affine, Conv2d, Flatten, Input, Linear, Op, Output, SumPool2d
from spikeport.ir.profiles import parse_profile

PROFILE = parse_profile("norse:zero,dt=1e-3")


def lif(shape: tuple[int, ...], tau: Any = 0.02, threshold: Any = 0.1) -> LIF:
    """LIF neurons of *shape* with v_reset 0."""
    values = (tau, 1.0, 0.0, threshold, 0.0)
    return LIF(*(np.broadcast_to(np.asarray(v, float), shape) for v in values))


def chain(*nodes: tuple[str, Op]) -> Graph:
    """A graph of nodes one behind the other."""
    made = [Node(path, op) for path, op in nodes]
    return Graph(made, [Edge(a.path, b.path) for a, b in pairwise(made)])


def dense(inputs: int, *sizes: int, weight: float = 1.0) -> Graph:
    """Fully connected layers, every weight the same."""
    nodes: list[tuple[str, Op]] = [("in", Input((inputs,)))]
    for number, size in enumerate(sizes):
        nodes += [(f"fc{number}", Linear(np.full((size, inputs), weight))), (f"lif{number}", lif((size,)))]
        inputs = size
    return chain(*nodes, ("out", Output((inputs,))))


def conv(seed: int = 0, zeros: float = 0.0) -> Graph:
    """Two convolutions, a pool between them, and a readout; some kernel weights zero."""
    rng = np.random.default_rng(seed)

    def weights(*shape: int) -> Any:
        return rng.normal(0, 0.4, shape) * (rng.random(shape) >= zeros)

    return chain(
        ("in", Input((2, 12, 10))),
        ("c0", Conv2d(None, weights(6, 2, 3, 3), (1, 1), (1, 1), (1, 1), 1, np.zeros(6))),
        ("n0", lif((6, 12, 10))),
        ("pool", SumPool2d((2, 2), (2, 2), (0, 0))),
        ("c1", Conv2d(None, weights(4, 3, 3, 3), (2, 1), "valid", (1, 1), 2, np.zeros(4))),
        ("n1", lif((4, 2, 3))),
        ("flat", Flatten(0, -1)),
        ("fc", Affine(weights(5, 24), np.zeros(5))),
        ("n2", lif((5,))),
        ("out", Output((5,))),
    )


def recurrent() -> Graph:
    """A layer that feeds itself."""
    rng = np.random.default_rng(1)
    nodes = [
        Node("in", Input((6,))), Node("fc", Linear(rng.normal(size=(8, 6)))), Node("lif", lif((8,))),
        Node("rec", Linear(rng.normal(size=(8, 8)))), Node("out", Output((8,))),
    ]  # fmt: skip
    edges = [Edge("in", "fc"), Edge("fc", "lif"), Edge("lif", "rec"), Edge("rec", "lif", rank=1), Edge("lif", "out")]
    return Graph(nodes, edges)


def changed(name: str, *changes: tuple[str, str]) -> Target:
    """The shipped target *name* with pieces of its text replaced; each must be there exactly once."""
    text = files("spikeport.hw_profiles").joinpath(f"{name}.toml").read_text()
    for old, new in changes:
        assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in {name}.toml"
        text = text.replace(old, new)
    return read_target(text.encode(), f"{name}.toml")


def limited(name: str, **limits: int) -> Target:
    """The shipped target *name* with other limits of a core."""
    import dataclasses

    from spikeport.hw_profiles.target import load_target
    from spikeport.ir.units import Quantity

    target = load_target(name)
    core = {**target.core, **{k: Quantity(v, target.core[k].unit, "estimated", "test") for k, v in limits.items()}}
    return dataclasses.replace(target, core=core)


__all__ = ["IF", "PROFILE", "chain", "changed", "conv", "dense", "lif", "limited", "recurrent"]
