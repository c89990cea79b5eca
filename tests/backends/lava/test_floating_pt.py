"""lava-nc's floating_pt against the float64 reference under the profile lava_float, and what it lacks, refused by name."""

from itertools import pairwise

import numpy as np
import pytest

import spikeport
from spikeport.backends.lava.backend import LavaBackend, LavaExecutable
from spikeport.backends.lava.ways import findings
from spikeport.ir import Edge, Graph, Node, parse_profile
from spikeport.ir.network import build_network
from spikeport.ir.ops import (
    LI,
    LIF,
    Affine,
    AvgPool2d,
    Conv2d,
    CubaLIF,
    Extras,
    Flatten,
    Input,
    Linear,
    Output,
    Scale,
)
from spikeport.ir.reference import run_reference
from spikeport.ir.trace import Recording

DT = 1e-4
PROFILE = parse_profile(f"lava_float,dt={DT}")


def lif(shape, rng=None, threshold=0.9, **extras):
    one = np.ones(shape)
    tau = DT * (np.full(shape, 12.0) if rng is None else rng.uniform(4, 20, shape))
    return LIF(tau, one * tau / DT, 0 * one, one * threshold, 0 * one, extras=Extras(**extras))


def graph_of(*layers, edges=None, shape_in=(6,), shape_out=(5,)):
    """Return a chain of (path, op) between an input and an output, and further *edges*."""
    nodes = [Node("in", Input(shape_in)), *(Node(path, op) for path, op in layers), Node("out", Output(shape_out))]
    chain = [Edge(a.path, b.path) for a, b in pairwise(nodes)]
    return Graph(tuple(nodes), (*chain, *(edges or ())))


def same(graph, x, worker, profile=PROFILE, spikes=20):
    """Spikes are the reference's, membranes within rounding."""
    network = build_network(graph, profile, "float64")
    assert findings(network) == ()
    wanted = run_reference(network, {"in": x}, Recording(None, True))
    with LavaExecutable(network, worker.place, line=worker.get()) as lava:
        found = lava.run({"in": x}, Recording(None, True))
    assert list(found.arrays()) == list(wanted.arrays())
    for path, array in wanted.spikes.items():
        assert np.array_equal(found.spikes[path], array), path
    for group in ("v", "out"):
        for path, array in getattr(wanted, group).items():
            assert np.allclose(getattr(found, group)[path], array, rtol=1e-9, atol=1e-9), (group, path)
    assert sum(int(s.sum()) for s in wanted.spikes.values()) >= spikes


def spikes(rng, *shape, rate=0.4):
    return (rng.random(shape) < rate).astype(np.uint8)


@pytest.mark.parametrize("boundary", ["reset", "carry", "silence(4)"])
def test_a_biased_recurrent_network_with_a_refractory_period_and_a_readout(boundary, worker):
    rng = np.random.default_rng(0)
    one = np.ones(5)
    readout = LI(DT * 9 * np.ones(3), 9 * np.ones(3), np.zeros(3))
    cuba = CubaLIF(
        tau_mem=DT * rng.uniform(5, 15, 5), tau_syn=DT * rng.uniform(2, 6, 5), r=one * 10, v_leak=0 * one,
        v_threshold=one * 0.7, v_reset=0 * one, w_in=one * 3, extras=Extras(i_init=one * 0.1, v_init=one * 0.2),
    )  # fmt: skip
    graph = graph_of(
        ("fc", Affine(rng.normal(0.3, 0.4, (4, 6)), rng.normal(0, 0.05, 4))),
        ("hidden", lif((4,), rng, refractory_steps=np.array([0, 1, 2, 5]))),
        ("fc2", Affine(rng.normal(0.3, 0.4, (5, 4)), rng.normal(0, 0.05, 5))), ("cuba", cuba),
        ("fc3", Linear(rng.normal(0, 1, (3, 5)))), ("readout", readout), shape_out=(3,),
        edges=(Edge("cuba", "rec"), Edge("rec", "cuba", 2, 1)),
    )  # fmt: skip
    graph = Graph((*graph.nodes, Node("rec", Linear(rng.normal(0, 0.3, (5, 5))))), graph.edges)
    same(graph, spikes(rng, 3, 40, 6), worker, parse_profile(f"lava_float,dt={DT},boundary={boundary}"))


@pytest.mark.parametrize("gains", ["shared", "by channel", "by neuron"])
def test_convolutions_take_the_gains_of_their_neurons(gains, worker):
    rng = np.random.default_rng(3)
    neurons = lif((2, 5, 5), rng if gains == "by neuron" else None)
    if gains == "by channel":
        neurons = LIF(*(a * np.array([1.0, 2.0])[:, None, None] for a in (neurons.tau, neurons.r * 0.8)),
                      neurons.v_leak, neurons.v_threshold, neurons.v_reset)  # fmt: skip
    conv = Conv2d(None, rng.normal(0.2, 0.4, (2, 1, 3, 3)), (1, 1), (1, 1), (1, 1), 1, np.zeros(2))
    graph = graph_of(
        ("conv", conv), ("n", neurons), ("flat", Flatten(0, -1)), ("fc", Linear(rng.normal(0.05, 0.2, (5, 50)))),
        ("m", lif((5,))), shape_in=(1, 5, 5),
    )  # fmt: skip
    same(graph, spikes(rng, 2, 30, 1, 5, 5), worker)


def test_graded_input_and_late_sparse_weights(worker):
    rng = np.random.default_rng(4)
    weight = np.where(rng.random((8, 6)) < 0.15, rng.normal(1, 0.5, (8, 6)), 0)
    graph = graph_of(("fc", Linear(weight)), ("n", lif((8,), threshold=0.5)), shape_out=(8,))
    edges = tuple(Edge(e.source, e.target, 6 if e.target == "n" else None) for e in graph.edges)
    same(Graph(graph.nodes, edges), rng.normal(0.5, 1, (2, 50, 6)), worker)


def test_the_recording_of_one_neuron(anchors, environment):
    x, v, s = np.loadtxt(anchors / "lif" / "lif_lava_cpu_float.csv", delimiter=",").T
    result = spikeport.run(
        anchors / "lif" / "lif_norse.nir", x[:, None], "lava", profile="lava_float", arith="float64", record="all",
        record_state=True,
    )  # fmt: skip
    (path,) = result.spikes
    assert np.array_equal(result.spikes[path][:, 0], s)
    assert np.flatnonzero(s).tolist() == [461, 511, 711, 761]
    assert np.allclose(result.v[path][:, 0], v, atol=1e-5)


ONE = np.ones(5)
PLAIN = [("fc", Linear(np.ones((5, 6)))), ("n", lif((5,)))]


@pytest.mark.parametrize(
    ("profile", "layers", "code", "path", "words"),
    [
        ("norse:subtract,latency_at=synapse,latency=1", None, "E544", "n", "a reset other than to zero"),
        ("lava_float,compare=>=", None, "E544", "n", "a spike where v >= threshold"),
        ("lava_float,clamp_low=0", None, "E544", "n", "a lower bound of the membrane"),
        ("lava_float,output_delay=1", None, "E544", "n", "spikes that show late"),
        ("lava_float,reset_when=next_step", None, "E544", "n", "a reset next step keep input"),
        ("lava_float,reset=multi_subtract", None, "E544", "n", "a reset other than to zero"),
        ("lava_float,latency=0", None, "E546", "fc", "spikes take no step"),
        ("lava_float,bias_at=input", [("fc", Affine(np.ones((5, 6)), ONE)), ("n", lif((5,)))], "E545", "fc", "the biases"),
        ("lava_float", [("a", Linear(np.ones((6, 6)))), *PLAIN], "E545", "n", "2 weighted"),
        ("lava_float", [("s", Scale(np.ones(6))), *PLAIN], "E545", "s", "no process for a Scale"),
        ("lava_float", [("fc", Linear(np.ones((5, 6))))], "E545", "fc", "no population follows"),
        (
            "lava_float", [("fc", Linear(np.ones((6, 6)))), ("li", LI(np.ones(6), np.ones(6), np.zeros(6))),
                           ("fc2", Linear(np.ones((5, 6)))), ("n", lif((5,)))], "E545", "fc2", "li does not spike",
        ),
    ],
)  # fmt: skip
def test_what_lava_lacks_is_refused_with_the_layer_and_the_reason(profile, layers, code, path, words):
    found = findings(build_network(graph_of(*(layers or PLAIN)), parse_profile(f"{profile},dt={DT}"), "float64"))
    assert (code, path) in {(d.code, d.path) for d in found}
    assert any(words in d.message for d in found), [d.message for d in found]
    assert all(d.hint for d in found)


def test_all_that_stands_in_the_way_is_said_at_once():
    graph = graph_of(
        ("pool", AvgPool2d((2, 2), (2, 2), (0, 0))), ("flat", Flatten(0, -1)), ("fc", Linear(np.ones((5, 4)))),
        ("n", lif((5,))), shape_in=(1, 4, 4),
    )  # fmt: skip
    program = spikeport.compile(graph, None, profile=f"lava_float,dt={DT},compare=>=", arith="float64")
    found = LavaBackend().check(program)
    assert {d.code for d in found} == {"E544", "E545"}
    assert {d.path for d in found} == {"pool", "n"}


def test_a_delay_beyond_lava_s_is_refused_in_either_arithmetic():
    graph = graph_of(("fc", Linear(np.ones((5, 6)))), ("n", lif((5,))))
    edges = tuple(Edge(e.source, e.target, 65 if e.target == "n" else None) for e in graph.edges)
    (found,) = findings(build_network(Graph(graph.nodes, edges), PROFILE, "float64"))
    assert (found.code, found.path) == ("E546", "fc")
    assert "65 steps" in found.message
    assert "64 at most" in found.message
