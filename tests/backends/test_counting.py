"""Counting by core: what falls on the cores adds up to what the run counted."""

import dataclasses

import numpy as np
import pytest
from graphs import networks
from hypothesis import given, settings
from mapped import PROFILE, chain, conv, dense, limited, recurrent

from spikeport.backends.counting import count
from spikeport.backends.rates import StatedRates
from spikeport.compiler.mapping import map_graph
from spikeport.hw_profiles.support import CONSTRUCTS, Support
from spikeport.hw_profiles.target import load_target
from spikeport.ir.diagnostics import RunError, UsageError
from spikeport.ir.network import build_network
from spikeport.ir.ops import Input, Linear, Output
from spikeport.ir.program import Slice
from spikeport.ir.reference import run_reference
from spikeport.ir.trace import Trace

TARGETS = {
    "loihi1": limited("loihi1", neurons=30, in_axons=400),
    "loihi2": limited("loihi2", neurons=17),
    "spinnaker1": limited("spinnaker1", neurons=7),
}


def run(graph, seed=0, samples=2, steps=6, rate=0.4):
    rng = np.random.default_rng(seed)
    shape = graph["in"].op.shape
    network = build_network(graph, PROFILE)
    return run_reference(network, {"in": (rng.random((samples, steps, *shape)) < rate).astype(float)})


def total(counts):
    return sum(float(m.sum()) for m in counts.synops.values())


@pytest.mark.parametrize("name", TARGETS)
def test_synaptic_operations_are_conserved(name):
    """Without a pool in front, the cores of a layer do exactly what the layer counted."""
    graph = recurrent()
    trace = run(graph, steps=20)
    counts = count(map_graph(graph, PROFILE, TARGETS[name]), trace, TARGETS[name])
    assert trace.counts["rec"].synops > 0
    assert total(counts) == trace.counts["fc"].synops + trace.counts["rec"].synops


@pytest.mark.parametrize("name", TARGETS)
def test_synaptic_operations_by_layer(name):
    graph = conv(zeros=0.3)
    trace = run(graph)
    program = map_graph(graph, PROFILE, TARGETS[name])
    counts = count(program, trace, TARGETS[name])
    assert len(program.slices_of("n0")) > 1
    by_layer = dict.fromkeys(("n0", "n1", "n2"), 0.0)
    for layer, done in zip(counts.layers, sum(counts.synops.values()).sum(axis=1), strict=True):
        by_layer[layer] += done
    assert by_layer["n0"] == trace.counts["c0"].synops > 0
    assert by_layer["n2"] == trace.counts["fc"].synops
    # Spikes that meet in a window of the pool are one event behind it, and two on the chip, which has no pools.
    assert by_layer["n1"] >= trace.counts["c1"].synops > 0


@pytest.mark.parametrize("name", TARGETS)
def test_spikes_and_neurons_are_conserved(name):
    graph = conv()
    trace = run(graph)
    counts = count(map_graph(graph, PROFILE, TARGETS[name]), trace, TARGETS[name])
    assert counts.neurons.sum() == 6 * 12 * 10 + 4 * 2 * 3 + 5
    assert counts.spikes.sum() == sum(trace.counts[p].spikes for p in graph.spiking) > 0


def test_another_cut_does_the_same_work():
    graph = conv(zeros=0.3)
    trace = run(graph)
    done = {total(count(map_graph(graph, PROFILE, t), trace, t)) for t in TARGETS.values()}
    assert len(done) == 1


@settings(max_examples=25)
@given(networks(kinds=("LIF", "CubaLIF"), extras=False, features={"dense", "conv1d", "conv2d", "pool", "recurrent", "branch"}))
def test_any_network_does_the_same_work_on_any_cut(drawn):
    graph, profile, inputs = drawn
    trace = run_reference(build_network(graph, profile), inputs)
    wide = dataclasses.replace(load_target("loihi2"), support=dict.fromkeys(CONSTRUCTS, Support("native")))
    narrow = dataclasses.replace(limited("loihi2", neurons=3), support=wide.support)
    found = [count(map_graph(graph, profile, t), trace, t) for t in (wide, narrow)]
    assert total(found[0]) == total(found[1])
    assert found[0].spikes.sum() == found[1].spikes.sum()
    # More cores can only mean more packets: one for each core that a spike is needed on.
    assert found[1].packets_in.sum() >= found[0].packets_in.sum()


def test_packets_and_hops_by_hand():
    """4 inputs to 6 neurons on three cores of a tile each; core 0 and 1 of a 1-core tile lie side by side."""
    from spikeport.ir.units import Quantity

    one = Quantity(1, "1", "estimated", "test")
    target = limited("loihi1", neurons=2)
    fabric = dataclasses.replace(target.fabric, cores_per_tile=one, cores_per_chip=Quantity(32, "1", "estimated", "test"))
    target = dataclasses.replace(target, fabric=fabric)
    graph = dense(4, 2, 4)
    program = map_graph(graph, PROFILE, target)
    assert [(s.path, s.core) for s in program.slices] == [("lif0", 0), ("lif1", 1), ("lif1", 2)]
    activity = {
        "in": np.array([5, 0, 0, 2]),
        "fc0": np.zeros(2),
        "lif0": np.array([3, 4]),
        "fc1": np.zeros(4),
        "lif1": np.ones(4),
    }
    counts = count(program, Trace({}, {}, {}, {}, activity, 1, 10), target)
    # 7 events enter core 0 at tile 0; each of 7 spikes goes to two cores, one and two hops to the east.
    assert counts.packets_in.sum(axis=1).tolist() == [7, 7, 7]
    assert counts.packets_out.sum(axis=1).tolist() == [14, 0, 0]
    assert (counts.hops_ew, counts.hops_ns) == (7 * 1 + 7 * 2, 0)
    assert counts.entering == 7
    assert counts.tiles == 3
    assert total(counts) == 7 * 2 + 7 * 4


def test_multicast_sends_a_spike_once():
    """Two chips: the tree of the first slice visits both, a packet is charged at two routers."""
    target = limited("spinnaker1", neurons=10)
    graph = dense(3, 10, 10 * 17)
    program = map_graph(graph, PROFILE, target)
    assert (len(program.cores), program.chips) == (18, 2)
    activity = {"in": np.array([1, 1, 0]), "fc0": np.zeros(10), "lif0": np.full(10, 2), "fc1": np.zeros(170)}
    counts = count(program, Trace({}, {}, {}, {}, {**activity, "lif1": np.zeros(170)}, 1, 10), target)
    assert counts.packets_out.sum() == 20
    assert counts.packets_in.sum() == 20 * 17 + 2
    # The first chips of a board are (0, 0) and (0, 1); inputs enter at the first.
    assert counts.router_visits == 20 * 2 + 2
    assert (counts.hops_ew, counts.hops_ns) == (0, 20)


def test_packets_follow_the_trees_through_delay_slices_and_around_dead_links():
    """Ten spikes go to the delay slice on the same chip, which sends each twice as the edges wait two different blocks."""
    from spikeport.hw_profiles.records import Dead
    from spikeport.ir.graph import Edge, Graph, Node
    from spikeport.ir.ops import Delay, Linear

    nodes = list(dense(3, 4, 256).nodes)
    nodes.append(Node("wait", Delay(np.array([0.04, 0.04, 0.08, 0.08]))))
    edges = [Edge(a, b) for a, b in (("in", "fc0"), ("fc0", "lif0"), ("lif0", "wait"), ("wait", "fc1"), ("fc1", "lif1"),
                                     ("lif1", "out"))]  # fmt: skip
    assert any(isinstance(n.op, Linear) for n in nodes)
    # Core 3 of the first chip is the last that lives there: the target lies on the next chip, its straight link dead.
    dead = Dead(cores=tuple((0, 0, p) for p in range(4, 18)), links=((0, 0, 2),))
    target = load_target("spinnaker1").without(dead)
    program = map_graph(Graph(nodes, edges), PROFILE, target)
    assert [(s.path, s.chip, s.delay_blocks) for s in program.routing.senders] == [
        ("in", 0, ()), ("lif0", 0, ()), ("lif0", 0, (1, 2)), ("lif1", 1, ()),
    ]  # fmt: skip
    activity = {"in": np.array([1, 1, 0]), "lif0": np.array([4, 3, 2, 1]), "lif1": np.zeros(256)}
    activity |= {"fc0": np.zeros(4), "wait": np.zeros(4), "fc1": np.zeros(256)}
    counts = count(program, Trace({}, {}, {}, {}, activity, 1, 100), target)
    assert counts.packets_out.sum() == 10
    assert counts.entering == 2
    assert counts.allocated == 4
    # Two at the input's router, ten at the first layer's, twenty from the delay slice through three routers.
    assert counts.router_visits == 2 + 10 + 20 * 3
    assert counts.hops_ew + counts.hops_ns == 20 * 2
    assert counts.packets_in.sum() == 2 + 20


def test_slices_need_not_form_a_grid():
    target = load_target("loihi1")
    graph = conv()
    trace = run(graph)
    program = map_graph(graph, PROFILE, target)
    (whole,) = program.slices_of("n0")
    pieces = [((0, 6), (0, 5), (0, 10)), ((0, 6), (5, 12), (0, 4)), ((0, 2), (5, 12), (4, 10)), ((2, 6), (5, 12), (4, 10))]
    others = [s for s in program.slices if s.path != "n0"]
    odd = [Slice("n0", box, 100 + i, whole.usage) for i, box in enumerate(pieces)]
    other = dataclasses.replace(program, slices=(*others, *odd))
    assert total(count(other, trace, target)) == total(count(program, trace, target))
    assert count(other, trace, target).spikes.sum() == count(program, trace, target).spikes.sum()


def test_a_trace_without_activity_is_refused():
    graph = dense(2, 3)
    target = load_target("loihi1")
    with pytest.raises(RunError, match="E811 at in: the run did not count the events of this layer"):
        count(map_graph(graph, PROFILE, target), Trace({}, {}, {}, {}, {}, 1, 1), target)


def test_stated_rates_count_means():
    """At 100 Hz and 1 ms a neuron sends every tenth step: 4 inputs, 50 steps, 2 samples give 40 events, 120 operations."""
    graph = dense(4, 3)
    trace = StatedRates(100.0, 50, 2, {"lif0": 10.0}).trace(graph, PROFILE)
    assert trace.counts["fc0"].events == 40
    assert trace.counts["fc0"].synops == 120
    assert trace.counts["lif0"].spikes == 3
    assert trace.counts["lif0"].updates == 300
    target = load_target("loihi1")
    assert total(count(map_graph(graph, PROFILE, target), trace, target)) == pytest.approx(120)


def test_rates_flow_through_a_pool():
    trace = StatedRates(100.0, 10).trace(conv(), PROFILE)
    expected = (1 - 0.9**4) * 6 * 6 * 5 * 10
    assert trace.counts["c1"].events == round(expected)


@pytest.mark.parametrize(
    ("rates", "message"),
    [
        (StatedRates(2000.0, 10), "a mean rate of 2000 Hz is 2 a step of 0.001 s"),
        (StatedRates(-1.0, 10), "a mean rate of -1 Hz"),
        (StatedRates(float("nan"), 10), "a mean rate of nan Hz"),
        (StatedRates(1.0, 10, by_layer={"lif": 1.0}), "no input or spiking layer 'lif' (did you mean 'lif0'?)"),
        (StatedRates(1.0, 0), "1 samples of 0 steps"),
    ],
)
def test_impossible_rates(rates, message):
    with pytest.raises(UsageError) as caught:
        rates.trace(dense(2, 3), PROFILE)
    assert message in str(caught.value)
    assert caught.value.diagnostics[0].code == "E642"


def test_pruned_weights_cost_nothing():
    weight = np.array([[1.0, 0.0], [0.0, 0.0], [2.0, 3.0]])
    from mapped import lif

    graph = chain(("in", Input((2,))), ("fc", Linear(weight)), ("lif", lif((3,))), ("out", Output((3,))))
    target = load_target("loihi1")
    activity = {"in": np.array([10, 1]), "fc": np.zeros(3), "lif": np.zeros(3)}
    counts = count(map_graph(graph, PROFILE, target), Trace({}, {}, {}, {}, activity, 1, 10), target)
    assert total(counts) == 10 * 2 + 1
