"""The schedule: which edge waits how long, and what is evaluated before what."""

import dataclasses

import numpy as np
import pytest
from graphs import chain, lif, networks
from hypothesis import given, settings

from spikeport.ir import Edge, Graph, Node, parse_profile
from spikeport.ir.diagnostics import VerifyError
from spikeport.ir.ops import Affine, CubaLIF, Input, Linear, Output
from spikeport.ir.schedule import feedback_edges, schedule

EULER = parse_profile("norse:value")
SNN = parse_profile("snntorch:subtract,reset_delay=false")


def net(nodes, *edges):
    """Return a graph; an edge is (source, target) or (source, target, delay), ranks by place."""
    made = [Edge(e[0], e[1], e[2] if len(e) > 2 else None, rank) for rank, e in enumerate(edges)]
    return Graph([Node(p, op) for p, op in nodes.items()], made)


def delays(graph, profile):
    return {(e.source, e.target): d for e, d in schedule(graph, profile).delays.items()}


def recurrent(rec):
    nodes = {"in": Input((2,)), "fc": Linear(np.ones((2, 2))), "lif": lif(2), "rec": rec, "out": Output((2,))}
    return net(nodes, ("in", "fc"), ("fc", "lif"), ("lif", "rec"), ("rec", "lif"), ("lif", "out"))


@given(networks())
@settings(max_examples=60)
def test_nodes_come_after_what_they_need_at_once(case):
    graph, profile, _ = case
    plan = schedule(graph, profile)
    place = {path: i for i, path in enumerate(plan.order)}
    assert sorted(place) == [n.path for n in graph]
    assert set(plan.delays) == set(graph.edges)
    assert all(place[e.source] < place[e.target] for e, d in plan.delays.items() if d == 0)
    assert all(d == e.delay for e, d in plan.delays.items() if e.delay is not None)
    assert sorted(path for group in plan.groups for path in group) == [n.path for n in graph]
    number = {path: i for i, group in enumerate(plan.groups) for path in group}
    assert all(number[e.source] <= number[e.target] for e in graph.edges)
    for group in plan.groups:
        inside = [e for e in graph.edges if e.source in group and e.target in group]
        assert plan.is_recurrent(group) == bool(inside)


def test_a_chain_waits_nowhere_by_default_and_at_each_hop_where_the_profile_says():
    graph = chain(Linear(np.ones((2, 2))), lif(2), Linear(np.ones((2, 2))), lif(2), shape=(2,))
    assert set(delays(graph, EULER).values()) == {0}
    hop = dataclasses.replace(EULER, latency=(2, 1))
    assert delays(graph, hop) == {("input", "0"): 2, ("0", "1"): 0, ("1", "2"): 1, ("2", "3"): 0, ("3", "output"): 0}
    assert schedule(graph, EULER).order == ("input", "0", "1", "2", "3", "output")


def test_lava_sends_one_step_late_at_each_weighted_process():
    graph = chain(Linear(np.ones((2, 2))), lif(2), Linear(np.ones((2, 2))), lif(2), shape=(2,))
    found = delays(graph, parse_profile("lava_float"))
    assert found == {("input", "0"): 0, ("0", "1"): 1, ("1", "2"): 0, ("2", "3"): 1, ("3", "output"): 0}


def test_nengo_waits_where_a_synaptic_current_is_entered():
    full = {f.name: np.ones(2) for f in dataclasses.fields(CubaLIF) if f.name != "extras"}
    graph = chain(Linear(np.ones((2, 2))), CubaLIF(**full), Linear(np.ones((2, 2))), lif(2), shape=(2,))
    found = delays(graph, parse_profile("nengo,dt=1e-4"))
    assert found == {("input", "0"): 0, ("0", "1"): 1, ("1", "2"): 0, ("2", "3"): 0, ("3", "output"): 0}


def test_spyx_shows_a_layer_s_output_one_step_late():
    graph = chain(Linear(np.ones((2, 2))), lif(2), Linear(np.ones((2, 2))), lif(2), shape=(2,))
    found = delays(graph, parse_profile("spyx"))
    assert found == {("input", "0"): 0, ("0", "1"): 0, ("1", "2"): 1, ("2", "3"): 0, ("3", "output"): 1}


def test_feedback_counts_once_a_loop_and_after_the_affine_without_bias_at_0():
    found = delays(recurrent(Linear(np.eye(2))), EULER)
    assert found[("rec", "lif")] == 1
    assert found[("lif", "rec")] == 0


def test_feedback_waits_before_the_affine_where_its_bias_acts_at_step_0():
    found = delays(recurrent(Affine(np.eye(2), np.ones(2))), SNN)
    assert found[("rec", "lif")] == 0
    assert found[("lif", "rec")] == 1


def test_feedback_may_take_more_steps():
    for profile in (EULER, SNN):
        found = delays(recurrent(Linear(np.eye(2))), dataclasses.replace(profile, feedback=3))
        assert found[("rec", "lif")] + found[("lif", "rec")] == 3


def test_a_chip_s_hop_is_not_added_to_the_loop():
    found = delays(recurrent(Linear(np.eye(2))), parse_profile("spinnaker2"))
    assert found[("in", "fc")] == 1
    assert found[("rec", "lif")] + found[("lif", "rec")] == 1


def test_self_loops_and_loops_of_two_populations():
    nodes = {"in": Input((2,)), "a": lif(2), "b": lif(2), "out": Output((2,))}
    graph = net(nodes, ("in", "a"), ("a", "b"), ("b", "a"), ("b", "b"), ("b", "out"))
    assert {(e.source, e.target) for e in feedback_edges(graph)} == {("b", "a"), ("b", "b")}
    found = delays(graph, EULER)
    assert found == {("in", "a"): 0, ("a", "b"): 0, ("b", "a"): 1, ("b", "b"): 1, ("b", "out"): 0}
    plan = schedule(graph, EULER)
    assert plan.groups == (("in",), ("a", "b"), ("out",))
    assert plan.is_recurrent(("a", "b"))
    assert not plan.is_recurrent(("in",))


def test_edges_with_delays_of_their_own_break_the_loop():
    nodes = {"in": Input((2,)), "a": lif(2), "b": lif(2), "out": Output((2,))}
    graph = net(nodes, ("in", "a"), ("a", "b", 4), ("b", "a"), ("b", "out"))
    assert feedback_edges(graph) == frozenset()
    assert delays(graph, EULER)[("a", "b")] == 4
    assert delays(graph, EULER)[("b", "a")] == 0


@pytest.mark.parametrize("profile", [dataclasses.replace(EULER, feedback=0), dataclasses.replace(SNN, feedback=0)])
def test_a_loop_without_delay_is_refused_by_name(profile):
    with pytest.raises(VerifyError) as caught:
        schedule(recurrent(Linear(np.eye(2))), profile)
    (finding,) = caught.value.diagnostics
    assert finding.code == "E308"
    assert finding.message in ("the loop lif -> rec has no delay", "the loop rec -> lif has no delay")


def test_a_loop_of_stateless_nodes_is_refused():
    nodes = {"in": Input((2,)), "a": Linear(np.eye(2)), "b": Linear(np.eye(2)), "out": Output((2,))}
    with pytest.raises(VerifyError) as caught:
        schedule(net(nodes, ("in", "a"), ("a", "b"), ("b", "a"), ("b", "out")), EULER)
    assert caught.value.diagnostics[0].code == "E106"


def test_names_do_not_decide_the_order_of_a_loop():
    for first, second in (("a", "z"), ("z", "a")):
        nodes = {"in": Input((2,)), first: lif(2), second: lif(2), "out": Output((2,))}
        graph = net(nodes, ("in", first), (first, second), (second, first), (second, "out"))
        assert {(e.source, e.target) for e in feedback_edges(graph)} == {(second, first)}
