"""benchmarks/engine.py compares like with like: its networks give the same spikes in our reference and in the peers."""

import importlib
import itertools
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

import spikeport
from spikeport.backends.registry import get_backend
from spikeport.ir.graph import Edge, Graph, Node
from spikeport.ir.ops import IF, Affine, Conv2d, Flatten, Input, Op, Output, SumPool2d
from spikeport.ir.trace import Recording, Trace


@pytest.fixture(scope="module")
def bench(root: Path) -> SimpleNamespace:
    """The benchmark's parts, imported as its script imports them."""
    folder = str(root / "benchmarks")
    sys.path.insert(0, folder)
    try:
        names = ("nets", "numba_loop", "numpy_loops", "peer", "tables")
        return SimpleNamespace(**{name: importlib.import_module(f"enginebench.{name}") for name in names})
    finally:
        sys.path.remove(folder)


def reference(net: object, x: np.ndarray, profile: str) -> Trace:
    program = spikeport.compile(net.graph(), None, profile, opt=0, arith="float32")
    (path,) = (n.path for n in program.graph if n.op.kind == "Input")
    return get_backend("reference").emit(program).run({path: x}, Recording(None))


def small_conv(nets: ModuleType) -> object:
    """A network with every kind of layer that the convolutional case has."""
    rng = np.random.default_rng(2)

    def weights(*shape: int) -> np.ndarray:
        return (rng.integers(-20, 60, shape) / 128).astype(np.float32)

    def neurons(*shape: int) -> IF:
        ones = np.ones(shape)
        return IF(r=ones, v_threshold=ones, v_reset=0 * ones)

    ops: list[Op] = [
        Input((2, 8, 8)),
        Conv2d(None, weights(3, 2, 5, 5), (2, 2), (1, 1), (1, 1), 1, weights(3)), neurons(3, 3, 3),
        Conv2d(None, weights(4, 3, 3, 3), (1, 1), (2, 2), (1, 1), 1, weights(4)), neurons(4, 5, 5),
        Conv2d(None, weights(2, 4, 2, 2), (1, 1), (0, 0), (1, 1), 1, weights(2)), neurons(2, 4, 4),
        SumPool2d((2, 2), (2, 2), (0, 0)), Flatten(0, -1), Affine(weights(5, 8), weights(5)), neurons(5), Output((5,)),
    ]  # fmt: skip
    paths = [f"{i}" for i in range(len(ops))]
    edges = [Edge(a, b) for a, b in itertools.pairwise(paths)]
    return nets.ConvNet("small", Graph([Node(p, op) for p, op in zip(paths, ops, strict=True)], edges))


@pytest.mark.parametrize("name", ["dense", "recurrent"])
def test_lif_peers_give_the_references_spikes(bench: SimpleNamespace, name: str) -> None:
    net = bench.nets.dense_net((40, 24, 16, 5)) if name == "dense" else bench.nets.recurrent_net(60, 30)
    x = bench.nets.bernoulli((3, 25, net.weights[0].shape[1]), 0.2)
    trace = reference(net, x, bench.nets.LIF_PROFILE)
    assert all(raster.any() and not raster.all() for raster in trace.spikes.values())
    loop, numpy = bench.numba_loop.NumbaLif, bench.numpy_loops
    for peer in (loop(net, x), loop(net, x, branchless=True), numpy.NumpyEvents(net, x), numpy.NumpyDense(net, x)):
        assert bench.peer.check(peer, trace.spikes, [1]) == [], peer.name


def test_conv_peers_give_the_references_spikes(bench: SimpleNamespace) -> None:
    net = small_conv(bench.nets)
    x = bench.nets.bernoulli((1, 12, 2, 8, 8), 0.2)
    trace = reference(net, x, bench.nets.CONV_PROFILE)
    assert max(raster.max() for raster in trace.spikes.values()) > 1, "several spikes a step, or the test is too easy"
    for peer in (bench.numba_loop.NumbaConv(net, x), bench.numpy_loops.NumpyConv(net, x)):
        assert bench.peer.check(peer, trace.spikes, [1]) == [], peer.name


@pytest.mark.parametrize("name", ["dense", "recurrent"])
def test_synaptic_events_are_those_that_our_counts_give(bench: SimpleNamespace, name: str) -> None:
    net = bench.nets.dense_net((40, 24, 5)) if name == "dense" else bench.nets.recurrent_net(60, 30)
    x = bench.nets.bernoulli((2, 25, net.weights[0].shape[1]), 0.2)
    trace = reference(net, x, bench.nets.LIF_PROFILE)
    counted = sum(c.synops or 0 for c in trace.counts.values())
    assert net.synaptic_events(x, dict(trace.spikes)) * 2 == counted


def test_a_moved_spike_is_found_and_said_where(bench: SimpleNamespace) -> None:
    ours = {"lif0": np.zeros((1, 10, 4), np.uint8), "lif1": np.zeros((1, 10, 2), np.uint8)}
    ours["lif0"][0, 3, 1] = 1
    theirs = {layer: raster.copy() for layer, raster in ours.items()}
    assert bench.peer.differences(ours, theirs) == []
    theirs["lif0"][0, 3, 1], theirs["lif0"][0, 4, 1] = 0, 1
    assert bench.peer.differences(ours, theirs) == ["lif0: 2 of 40 values differ, the first at step 3; 1 spikes against 1"]


def test_bars_name_the_hardest_library_and_say_what_was_not_run(bench: SimpleNamespace) -> None:
    def row(name: str, ratio: float, is_library: bool = True) -> dict:
        return {"name": name, "is_library": is_library, "ratio": {"median": ratio, "p10": ratio - 1, "p90": ratio + 1}}

    rows = [row("snnTorch", 120.0), row("sinabs", 45.0), row("numba loop", 1.25, False)]
    bars = bench.tables.judge([{"name": "dense 784-256-256-10, 5% input, batch 1", "simulators": rows}])
    assert [(b["against"], b["reached"]) for b in bars] == [
        ("sinabs", True), (None, None), (None, None), ("numba loop", False), (None, None)
    ]  # fmt: skip
