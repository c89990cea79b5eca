"""The reference interpreter: delays, sample boundaries, what it records and what it counts."""

import dataclasses

import numpy as np
import pytest
from graphs import chain, lif, networks
from hypothesis import given, settings

from spikeport.ir import Edge, Graph, Node, Recording, parse_profile
from spikeport.ir.network import build_network
from spikeport.ir.ops import IF, LI, Affine, Conv2d, Delay, Extras, I, Input, Linear, Output, Scale, Threshold
from spikeport.ir.reference import run_reference

EULER = parse_profile("norse:value")
UNIT = dataclasses.replace(EULER, gain="unit", overrides=())


def run(graph, x, profile=UNIT, recording=None, arith="float64"):
    return run_reference(build_network(graph, profile, arith), {"input": np.asarray(x, float)}, recording)


def steps(*values):
    """Return one sample of a one-neuron input."""
    return np.array(values, float).reshape(1, -1, 1)


def fires(n=1, threshold=0.5, **given):
    return IF(np.ones(n), np.full(n, threshold), np.zeros(n), **given)


@pytest.mark.parametrize("delay", [0, 1, 3])
def test_an_edge_waits_its_delay_and_zeros_come_before(delay):
    graph = Graph([Node("input", Input((1,))), Node("output", Output((1,)))], [Edge("input", "output", delay)])
    out = run(graph, steps(1, 2, 3, 4, 5)).out["output"][0, :, 0]
    assert out.tolist() == [*[0] * delay, 1, 2, 3, 4, 5][:5]


def test_a_delay_node_waits_for_each_neuron_its_own_time():
    graph = chain(Delay(np.array([0.0, 2e-4, 1e-4])), shape=(3,))
    x = np.arange(1.0, 6.0)[None, :, None] * np.array([1.0, 10.0, 100.0])
    out = run(graph, x).out["output"][0]
    assert out.T.tolist() == [[1, 2, 3, 4, 5], [0, 0, 10, 20, 30], [0, 100, 200, 300, 400]]


def test_a_loop_s_spike_comes_back_a_step_later():
    nodes = [Node("input", Input((1,))), Node("n", fires()), Node("output", Output((1,)))]
    graph = Graph(nodes, [Edge("input", "n"), Edge("n", "n", None, 1), Edge("n", "output")])
    assert run(graph, steps(1, 0, 0, 0)).out["output"].ravel().tolist() == [1, 1, 1, 1]
    slow = graph.replace(edges=[dataclasses.replace(e, delay=2 if e.source == "n" == e.target else None) for e in graph.edges])
    assert run(slow, steps(1, 0, 0, 0, 0)).out["output"].ravel().tolist() == [1, 0, 1, 0, 1]


@pytest.mark.parametrize(("bias_at_0", "first"), [(True, [1, 1]), (False, [0, 1])])
def test_the_recurrent_bias_acts_at_step_0_or_not(bias_at_0, first):
    rec = Affine(np.zeros((1, 1)), np.ones(1))
    nodes = [Node("input", Input((1,))), Node("n", fires()), Node("rec", rec), Node("output", Output((1,)))]
    edges = [Edge("input", "n"), Edge("n", "rec"), Edge("rec", "n", None, 1), Edge("n", "output")]
    profile = dataclasses.replace(UNIT, bias_at_0=bias_at_0)
    assert run(Graph(nodes, edges), steps(0, 0), profile).out["output"].ravel().tolist() == first


def test_sums_are_taken_in_the_order_of_ranks():
    nodes = [Node("input", Input((1,))), *(Node(p, Scale(np.array([v]))) for p, v in (("a", 1.0), ("b", 1e16), ("c", -1e16)))]
    nodes.append(Node("output", Output((1,))))
    into = [Edge("input", p) for p in "abc"]
    first = Graph(nodes, [*into, *(Edge(p, "output", None, r) for r, p in enumerate("abc"))])
    last = Graph(nodes, [*into, *(Edge(p, "output", None, r) for r, p in enumerate("bca"))])
    assert run(first, steps(1)).out["output"].item() == 0.0
    assert run(last, steps(1)).out["output"].item() == 1.0


@pytest.mark.parametrize(
    ("boundary", "expected"),
    [("reset", [[1, 2], [1, 2]]), ("carry", [[1, 2], [3, 4]]), ("silence(2)", [[1, 2], [3, 4]])],
)
def test_state_between_samples(boundary, expected):
    graph = chain(I(np.ones(1)), shape=(1,))
    out = run(graph, np.ones((2, 2, 1)), dataclasses.replace(UNIT, boundary=boundary)).out["output"]
    assert out[..., 0].tolist() == expected


@pytest.mark.parametrize(("boundary", "second"), [("reset", [0, 0]), ("carry", [2, 0]), ("silence(1)", [0, 0])])
def test_delay_buffers_between_samples(boundary, second):
    graph = Graph([Node("input", Input((1,))), Node("output", Output((1,)))], [Edge("input", "output", 1)])
    x = np.array([[1.0, 2.0], [0.0, 0.0]])[..., None]
    out = run(graph, x, dataclasses.replace(UNIT, boundary=boundary)).out["output"]
    assert out[1, :, 0].tolist() == second


def test_silence_lets_the_membrane_leak():
    graph = chain(LI(np.array([1e-3]), np.ones(1), np.zeros(1)), shape=(1,))
    x = np.array([[1.0], [0.0]])[..., None]
    out = run(graph, x, dataclasses.replace(UNIT, boundary="silence(3)")).out["output"]
    assert out.ravel().tolist() == pytest.approx([1.0, 0.9**4])


@given(networks(fields=False, profiles=("norse", "snntorch", "spikingjelly", "lava_float")))
@settings(max_examples=25)
def test_samples_do_not_touch_each_other_under_reset(case):
    graph, profile, inputs = case
    profile = dataclasses.replace(profile, boundary="reset")
    network = build_network(graph, profile)
    whole = run_reference(network, inputs, Recording(None, True))
    for sample in range(whole.samples):
        alone = run_reference(network, {p: x[sample : sample + 1] for p, x in inputs.items()}, Recording(None, True))
        for name, array in alone.arrays().items():
            assert (array[0] == whole.arrays()[name][sample]).all(), name


@given(networks())
@settings(max_examples=40)
def test_what_is_recorded_and_counted_fits_together(case):
    graph, profile, inputs = case
    trace = run_reference(build_network(graph, profile), inputs, Recording(None))
    assert set(trace.spikes) == set(graph.spiking)
    assert set(trace.out) == set(graph.outputs)
    for path, raster in trace.spikes.items():
        assert raster.shape[:2] == (trace.samples, trace.steps)
        assert raster.min() >= 0
        counts = trace.counts[path]
        assert counts.spikes == raster.sum() == counts.spikes_per_step.sum()
        assert (counts.spikes_per_step == raster.reshape(*raster.shape[:2], -1).sum(axis=2)).all()
    for node in graph:
        if node.op.is_weighted:
            counts = trace.counts[node.path]
            assert 0 <= counts.synops == counts.synops_per_step.sum()


def test_synaptic_operations_are_events_times_nonzero_weights():
    weight = np.array([[1.0, 0.0, 2.0], [3.0, 0.0, 0.0]])
    trace = run(chain(Linear(weight), shape=(3,)), np.array([[[1.0, 1.0, 0.0], [0.0, 0.0, 5.0]]]))
    assert (trace.counts["0"].events, trace.counts["0"].synops) == (3, 3)
    assert trace.counts["0"].synops_per_step.tolist() == [[2, 1]]
    conv = Conv2d(None, np.ones((2, 1, 3, 3)), 1, 1, 1, 1, np.zeros(2))
    x = np.zeros((1, 1, 1, 4, 4))
    x[0, 0, 0, 0, 0] = x[0, 0, 0, 1, 1] = 1.0
    assert run(chain(conv, shape=(1, 4, 4)), x).counts["0"].synops == 2 * (4 + 9)


def test_late_output_shifts_the_raster_and_what_is_behind():
    graph = chain(fires(), Linear(np.ones((1, 1))), fires(), shape=(1,))
    now = run(graph, steps(1, 0, 0, 0), recording=Recording(None))
    late = run(graph, steps(1, 0, 0, 0), dataclasses.replace(UNIT, output_delay=1), Recording(None))
    assert np.flatnonzero(now.spikes["0"]).tolist() == np.flatnonzero(now.spikes["2"]).tolist() == [0]
    assert np.flatnonzero(late.spikes["0"]).tolist() == [1]
    assert np.flatnonzero(late.spikes["2"]).tolist() == [2]


def test_a_graded_spike_carries_its_amplitude_and_counts_once():
    graph = chain(fires(extras=Extras(spike_amplitude=np.array([0.25]))), shape=(1,))
    trace = run(graph, steps(1, 0), recording=Recording(None))
    assert trace.out["output"].ravel().tolist() == [0.25, 0.0]
    assert trace.spikes["0"].ravel().tolist() == [1, 0]
    assert trace.counts["0"].spikes == 1


def test_initial_state_and_recorded_membranes():
    graph = chain(lif(1, threshold=9.0, extras=Extras(v_init=np.array([2.0]))), shape=(1,))
    trace = run(graph, steps(0, 0), recording=Recording(("0",), state=True))
    assert trace.v["0"].ravel().tolist() == pytest.approx([1.8, 1.62])
    assert set(trace.arrays()) == {"spikes/0", "out/output", "v/0"}


def test_a_population_that_is_held_at_the_start_of_each_sample():
    def recorded(**extras):
        graph = chain(lif(2, threshold=0.15, extras=Extras(v_init=np.full(2, 0.1), **extras)), shape=(2,))
        trace = run(graph, np.ones((2, 6, 2)), recording=Recording(("0",), state=True))
        return trace.v["0"], trace.spikes["0"]

    (v, spikes), (free_v, free_spikes) = recorded(held_init=np.array([0, 2])), recorded()
    assert free_spikes.any()
    assert np.array_equal(v[..., 0], free_v[..., 0])
    assert np.array_equal(v[:, :2, 1], np.full((2, 2), 0.1))
    assert np.array_equal(v[:, 2:, 1], free_v[:, :4, 1])
    assert not spikes[:, :2, 1].any()
    assert np.array_equal(spikes[:, 2:, 1], free_spikes[:, :4, 1])


def test_an_integrator_that_is_held_at_the_start():
    op = LI(np.array([1e-3]), np.ones(1), np.zeros(1), extras=Extras(held_init=np.array(3)))
    trace = run(chain(op, shape=(1,)), steps(1, 1, 1, 1, 1))
    assert trace.out["output"].ravel()[:3].tolist() == [0.0, 0.0, 0.0]
    assert (trace.out["output"].ravel()[3:] > 0).all()


def test_threshold_nodes_spike_without_memory():
    graph = chain(Threshold(np.array([0.5])), shape=(1,))
    assert run(graph, steps(1, 0, 0.6), recording=Recording(None)).spikes["0"].ravel().tolist() == [1, 0, 1]


@given(networks())
@settings(max_examples=25)
def test_float32_is_single_throughout(case):
    graph, profile, inputs = case
    network = build_network(graph, profile, "float32")
    assert {v.dtype for n in network.models.values() for v in (n.beta, n.v_init)} <= {np.dtype(np.float32)}
    trace = run_reference(network, inputs, Recording(None, True))
    assert {a.dtype for n, a in trace.arrays().items() if not n.startswith("spikes/")} == {np.dtype(np.float32)}
