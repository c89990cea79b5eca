"""lava-nc's own fixed_pt against the reference and the engine: every spike, current and membrane of every population."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from loihi import GRID, loihi_networks, on_grid_lif

import spikeport
from spikeport.backends.engine.execute import EngineExecutable
from spikeport.backends.lava.backend import LavaExecutable
from spikeport.ir import Edge, Graph, Node
from spikeport.ir.network import build_network
from spikeport.ir.ops import LIF, Input, Linear, Neuron, Output
from spikeport.ir.reference import run_reference
from spikeport.ir.trace import Recording

QUIET = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]


def assert_same(case, worker, conv="conv"):
    """Lava, the reference and the engine record the same arrays."""
    graph, profile, inputs = case
    network = build_network(graph, profile, "loihi")
    paths = tuple(n.path for n in graph if n.op.is_spiking or isinstance(n.op, Neuron))
    recording = Recording(paths, True)
    wanted = run_reference(network, inputs, recording).arrays()
    with LavaExecutable(network, worker.place, conv, worker.get()) as lava:
        found = lava.run(inputs, recording).arrays()
    with EngineExecutable(network) as engine:
        ours = engine.run(inputs, recording).arrays()
    assert set(found) == set(wanted) == set(ours)
    for key, array in wanted.items():
        for name, got in (("Lava", found[key]), ("engine", ours[key])):
            assert np.array_equal(got, array), f"{name}, {key}: {np.count_nonzero(got != array)} of {array.size} differ"


@settings(max_examples=16, suppress_health_check=QUIET)
@given(case=loihi_networks())
def test_random_networks(case, worker):
    assert_same(case, worker)


@settings(max_examples=5, suppress_health_check=QUIET)
@given(case=loihi_networks(features={"conv1d", "conv2d", "negative", "cuba", "bias", "graded", "large"}))
def test_convolutions_written_out_as_sparse(case, worker):
    assert_same(case, worker, "sparse")


@pytest.mark.slow
@settings(max_examples=300, suppress_health_check=QUIET)
@given(case=loihi_networks())
def test_three_hundred_random_networks(case, worker):
    assert_same(case, worker)


def test_the_recording_of_one_neuron(anchors, environment):
    x, v, s = np.loadtxt(anchors / "lif" / "lif_lava_cpu_fixed.csv", delimiter=",").T
    one = np.ones(1)
    graph = Graph(
        (Node("in", Input((1,))), Node("fc", Linear(np.array([[640.0]]))),
         Node("lif", LIF(one * 1e-4 * 4096 / 163, one * 4096 / 163, 0 * one, one * 1600, 0 * one)), Node("out", Output((1,)))),
        (Edge("in", "fc"), Edge("fc", "lif"), Edge("lif", "out")),
    )  # fmt: skip
    for backend in ("lava", "engine", "reference"):
        result = spikeport.run(
            graph, x.astype(np.uint8)[:, None], backend, profile="lava", arith="loihi", record="all", record_state=True
        )
        assert np.array_equal(result.v["lif"][:, 0], v), backend
        assert np.array_equal(result.spikes["lif"][:, 0], s), backend


def test_samples_in_one_network_are_those_of_a_network_each(worker):
    rng = np.random.default_rng(0)
    nodes = (
        Node("in", Input((6,))), Node("w", Linear(2.0 * rng.integers(-100, 120, (5, 6)))),
        Node("lif", on_grid_lif((5,), dv=300, threshold=150, bias=700, v_init=np.full(5, -2000.0))),
        Node("r", Linear(2.0 * rng.integers(-60, 60, (5, 5)))), Node("out", Output((5,))),
    )  # fmt: skip
    edges = (Edge("in", "w"), Edge("w", "lif"), Edge("lif", "r"), Edge("r", "lif", 3, 1), Edge("lif", "out"))
    network = build_network(Graph(nodes, edges), GRID, "loihi")
    x = (rng.random((4, 25, 6)) < 0.4).astype(np.uint8)
    recording = Recording(("lif",), True)
    with LavaExecutable(network, worker.place, line=worker.get()) as lava:
        together = lava.run({"in": x}, recording).arrays()
    for sample in range(4):
        with LavaExecutable(network, worker.place, line=worker.get()) as lava:
            alone = lava.run({"in": x[sample : sample + 1]}, recording).arrays()
        for key, array in alone.items():
            assert np.array_equal(array[0], together[key][sample]), (sample, key)
    assert together["spikes/lif"].sum() > 50


def test_a_compiled_network_gives_equal_arrays_on_lava_and_engine(root, environment):
    from spikeport.models import digits_conv

    train, _, x, _ = digits_conv.split()
    program = spikeport.compile(
        root / "models" / "digits_conv.nir", "loihi2", arith="loihi", data=digits_conv.encode(train[:32])
    )
    runs = [
        spikeport.run(program, digits_conv.encode(x[:3]), backend, record="all", record_state=True)
        for backend in ("lava", "engine")
    ]
    assert spikeport.compare(*runs).equal
    assert sum(int(s.sum()) for s in runs[0].spikes.values()) > 500
