"""Corners of the real Lava that random networks seldom reach, held against the reference."""

import dataclasses

import numpy as np
import pytest
from loihi import GRID, on_grid_cuba, on_grid_lif, with_input_range

from spikeport.backends.lava.backend import LavaExecutable
from spikeport.backends.lava.ways import findings
from spikeport.ir import Edge, Graph, Node
from spikeport.ir.network import build_network
from spikeport.ir.ops import LI, Conv1d, Discrete, Extras, Input, Linear, Output
from spikeport.ir.profile import parse_value
from spikeport.ir.reference import run_reference
from spikeport.ir.trace import Recording


def same(graph, inputs, worker, profile=GRID, conv="conv", spikes=1):
    """Lava records and counts what the reference does; return Lava's trace."""
    network = build_network(graph, profile, "loihi")
    assert findings(network) == ()
    wanted = run_reference(network, inputs, Recording(None, True))
    with LavaExecutable(network, worker.place, conv, worker.get()) as lava:
        found = lava.run(inputs, Recording(None, True))
    assert list(found.arrays()) == list(wanted.arrays())
    for key, array in wanted.arrays().items():
        assert np.array_equal(found.arrays()[key], array), key
        assert found.arrays()[key].dtype == array.dtype
    for path, counts in wanted.counts.items():
        got = found.counts[path]
        assert (got.spikes, got.events, got.synops, got.updates) == (
            counts.spikes,
            counts.events,
            counts.synops,
            counts.updates,
        )
        assert (got.spikes_per_step is None) == (counts.spikes_per_step is None)
    for path, array in wanted.activity.items():
        assert np.array_equal(found.activity[path], array)
    assert sum(int(s.sum()) for s in found.spikes.values()) >= spikes
    return found


def chain(shape, op, lif, delay=None, out=None):
    nodes = (Node("in", Input(shape)), Node("w", op), Node("n", lif), Node("out", Output(out or lif.v_threshold.shape)))
    return Graph(nodes, (Edge("in", "w"), Edge("w", "n", delay), Edge("n", "out")))


@pytest.mark.parametrize("delay", [1, 2, 63, 64])
@pytest.mark.parametrize("weight", [np.full((8, 8), 7.0), np.eye(8) * 7.0], ids=["dense", "sparse"])
def test_delays_up_to_the_longest(delay, weight, worker):
    x = np.zeros((2, 70, 8), np.uint8)
    x[0, [0, 3]] = x[1, 5] = 1
    same(chain((8,), Linear(weight), on_grid_lif((8,), threshold=5), delay), {"in": x}, worker)


def test_weights_at_both_ends_of_their_mantissa(worker):
    for exponent in (0, 7):
        mixed = np.array([[-256.0, 254.0], [254.0, 0.0], [-256.0, -256.0]]) * 2**exponent
        least = np.array([[255.0, 1.0], [0.0, 255.0], [254.0, 3.0]]) * 2**exponent
        for weight in (mixed, least, -least):
            graph = chain((2,), Linear(weight), on_grid_cuba((3,), dv=40, du=900, threshold=100))
            x = (np.random.default_rng(exponent).random((1, 30, 2)) < 0.4).astype(np.uint8)
            same(graph, {"in": x}, worker, spikes=0)


def test_a_kernel_of_both_signs_of_which_one_is_met(worker):
    op = Conv1d(None, np.array([[[2.0, -256.0]]]), 3, 1, 1, 1, np.zeros(1))
    graph = chain((1, 1), op, on_grid_lif((1, 1), dv=10, threshold=4, bias=900), 2)
    found = same(graph, {"in": np.ones((1, 40, 1, 1), np.uint8)}, worker)
    assert found.i["n"].min() == -256 * 64


def test_graded_input_of_both_signs_into_all_three_kinds_of_synapses(worker):
    rng = np.random.default_rng(1)
    kernel = 2.0 * rng.integers(-60, 60, (2, 1, 3))
    nodes = (
        Node("in", Input((1, 12))), Node("conv", Conv1d(None, kernel, 1, 1, 1, 1, np.zeros(2))),
        Node("late", Conv1d(None, kernel, 1, 1, 1, 1, np.zeros(2))), Node("n", on_grid_lif((2, 12), dv=200, threshold=3000)),
        Node("out", Output((2, 12))),
    )  # fmt: skip
    edges = (Edge("in", "conv"), Edge("in", "late"), Edge("conv", "n", 1, 0), Edge("late", "n", 5, 1), Edge("n", "out"))
    graph = with_input_range(Graph(nodes, edges), "in", -100, 100, 4.0)
    x = rng.integers(-100, 101, (2, 30, 1, 12)) / 4
    same(graph, {"in": x}, worker)
    same(graph, {"in": x}, worker, conv="sparse")
    # Spikes alone afterwards: the network is built anew, without messages.
    same(graph, {"in": (x > 0) / 4}, worker, spikes=0)


@pytest.mark.parametrize("boundary", ["reset", "carry", "silence(3)"])
def test_parts_that_do_not_hang_together_and_an_input_that_feeds_nothing(boundary, worker):
    nodes = (
        Node("in", Input((3,))), Node("in2", Input((2,))), Node("w", Linear(np.full((2, 3), 90.0))),
        Node("n", on_grid_lif((2,), dv=90, threshold=150)), Node("w2", Linear(np.full((2, 2), 70.0))),
        Node("m", on_grid_lif((2,), dv=90, threshold=150, refractory_steps=np.array([0, 3]))),
        Node("alone", on_grid_lif((2,), dv=90, threshold=20, bias=500)), Node("out", Output((2,))), Node("out2", Output((2,))),
        Node("out3", Output((2,))),
    )  # fmt: skip
    edges = (
        Edge("in", "w"), Edge("w", "n"), Edge("in2", "w2"), Edge("w2", "m"), Edge("n", "out"), Edge("m", "out2", 2),
        Edge("alone", "out3"),
    )  # fmt: skip
    rng = np.random.default_rng(0)
    inputs = {p: (rng.random((3, 20, n)) < 0.4).astype(np.uint8) for p, n in (("in", 3), ("in2", 2))}
    profile = dataclasses.replace(GRID, boundary=parse_value("boundary", boundary))
    same(Graph(nodes, edges), inputs, worker, profile, spikes=10)


def test_an_integrator_never_spikes_even_where_its_membrane_is_clipped(worker):
    exact = Discrete(1e-4, "euler", "nir", np.ones(1), np.float64(64))
    li = LI(np.full(1, 1e9), np.ones(1), np.full(1, 4095.0 * 128), extras=Extras(discrete=exact))
    nodes = (Node("in", Input((1,))), Node("w", Linear(np.array([[255.0 * 128]]))), Node("n", li), Node("out", Output((1,))))
    graph = Graph(nodes, (Edge("in", "w"), Edge("w", "n"), Edge("n", "out")))
    found = same(graph, {"in": np.ones((1, 30, 1), np.uint8)}, worker, spikes=0)
    assert found.out["out"].max() == 2**23 - 1


def test_runs_of_any_size_follow_each_other_in_one_worker(worker):
    graph = chain((4,), Linear(np.full((3, 4), 100.0)), on_grid_lif((3,), dv=80, threshold=250), 3)
    network = build_network(graph, GRID, "loihi")
    rng = np.random.default_rng(2)
    with LavaExecutable(network, worker.place, line=worker.get()) as lava:
        for samples, steps, recording in ((2, 9, None), (1, 40, Recording(None, True)), (5, 1, Recording(("n", "w", "in")))):
            inputs = {"in": (rng.random((samples, steps, 4)) < 0.5).astype(np.uint8)}
            found, wanted = lava.run(inputs, recording), run_reference(network, inputs, recording)
            assert list(found.arrays()) == list(wanted.arrays())
            assert all(np.array_equal(found.arrays()[k], a) for k, a in wanted.arrays().items())
    assert found.meta["processes"] == 3
