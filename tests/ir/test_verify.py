"""Each rule of the verifier finds its defect, with code, path and numbers; all defects come at once."""

import dataclasses

import numpy as np
import pytest
from graphs import chain, lif

from spikeport.ir import Edge, Graph, Node, SpikeportError, parse_profile, verify
from spikeport.ir.diagnostics import ProfileError, VerifyError
from spikeport.ir.ops import IF, LI, LIF, Affine, CubaLIF, Delay, Discrete, Extras, Input, Linear, Output, Scale
from spikeport.ir.verify import RULES, findings

EULER = parse_profile("norse:value")


def base(**ops):
    """Return input(3) -> fc -> lif(2) -> output, some of its ops exchanged."""
    nodes = {"input": Input((3,)), "fc": Affine(np.ones((2, 3)), np.ones(2)), "lif": lif(2), "output": Output((2,))} | ops
    return Graph([Node(p, op) for p, op in nodes.items()], [Edge("input", "fc"), Edge("fc", "lif"), Edge("lif", "output")])


def neuron(**arrays):
    given = {"tau": 1e-3, "r": 1.0, "v_leak": 0.0, "v_threshold": 1.0, "v_reset": 0.0} | arrays
    return LIF(**{k: np.full(2, v) if np.ndim(v) == 0 else np.asarray(v) for k, v in given.items()})


def with_edges(graph, *edges):
    return graph.replace(edges=[*graph.edges, *edges])


def only(graph, code, profile=None):
    """Return the one finding with *code*."""
    found = [d for d in findings(graph, profile) if d.code == code]
    assert len(found) == 1, [str(d) for d in findings(graph, profile)]
    return found[0]


def test_a_sound_graph_has_no_findings():
    assert verify(base(), EULER) == ()


@pytest.mark.parametrize("path", ["", "a/b", "a b\n", " a", "a:b", "a@b", "a,b", "a\0"])
def test_paths_that_other_formats_cannot_carry(path):
    graph = Graph([Node(path, Input((1,)))], [])
    assert only(graph, "E107").path == path


def test_dangling_edges_at_both_ends_are_found_at_once():
    graph = with_edges(base(), Edge("lif", "nowhere"), Edge("ghost", "fc", None, 1))
    with pytest.raises(VerifyError) as caught:
        verify(graph)
    assert [(d.code, d.path) for d in caught.value.diagnostics] == [("E101", "ghost"), ("E101", "nowhere")]
    assert str(caught.value).splitlines()[:2] == [
        "E101 at ghost: the edge ghost -> fc names a node that is not there", "    -> remove the edge or add the node",
    ]  # fmt: skip


def test_borders_are_needed_and_are_ends():
    assert only(base(input=Scale(np.ones(3))), "E102").path == ""
    assert only(base(output=Scale(np.ones(2))), "E103").message == "the graph has no Output node"
    graph = with_edges(base(fc=Linear(np.ones((3, 3))), lif=lif(3), output=Output((3,))), Edge("lif", "input"))
    assert only(graph, "E108").message == "the edge lif -> input enters an Input"
    assert only(with_edges(base(), Edge("output", "lif", None, 1)), "E108").path == "output"


def test_what_nothing_reaches_and_what_reaches_nothing():
    lonely = base().replace(nodes=[*base().nodes, Node("alone", lif(2))])
    assert only(lonely, "E104").message == "nothing enters this LIF"
    island = with_edges(lonely, Edge("alone", "alone", 1))
    assert only(island, "E104").message == "no Input reaches this LIF"
    dead_end = with_edges(lonely, Edge("fc", "alone"))
    assert only(dead_end, "E105").severity == "note"
    assert [d.code for d in verify(dead_end)] == ["E105"]


def test_loops_need_state():
    graph = with_edges(base(fc=Linear(np.ones((3, 3))), lif=lif(3), output=Output((3,))), Edge("fc", "fc", None, 1))
    found = only(graph, "E106", EULER)
    assert (found.path, found.message) == ("fc", "the loop fc passes through no neuron and no delay")


def test_ranks_and_delays_of_edges():
    graph = with_edges(base(), Edge("lif", "lif", 1, 0))
    found = only(graph, "E109")
    assert found.path == "lif"
    assert "edges from fc, lif have the ranks [0, 0]" in found.message
    assert "has a delay of -1 steps" in only(with_edges(base(), Edge("lif", "lif", -1, 1)), "E110").message
    assert "5000 steps" in only(with_edges(base(), Edge("lif", "lif", 5000, 1)), "E110").message


def test_shapes_clash():
    assert only(base(fc=Linear(np.ones((2, 4)))), "E201").path == "fc"
    assert only(base(output=Output((5,))), "E201").path == "output"


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_numbers_are_finite(bad):
    weight = np.ones((2, 3))
    weight[1, 2] = bad
    found = only(base(fc=Linear(weight)), "E301")
    assert found.message == "weight has 1 of 6 values that are NaN or infinite"
    assert dict(found.facts) == {"parameter": "weight", "count": 1}
    exact = Discrete(1e-4, "euler", "nir", np.array([0.9, bad]), np.array(0.1))
    assert only(base(lif=lif(2, extras=Extras(discrete=exact))), "E301").message.startswith("extras.discrete.beta has 1 of 2")


def test_infinities_that_cancel_are_found_too():
    assert only(base(fc=Affine(np.ones((2, 3)), np.array([np.inf, -np.inf]))), "E301").facts["count"] == 2


def test_large_finite_numbers_are_no_defect():
    huge = np.full((2, 3), 1.7e308)
    assert [d for d in findings(base(fc=Linear(huge)), EULER) if d.code == "E301"] == []


def test_number_types():
    assert "bias of this Affine is boolean" in only(base(fc=Affine(np.ones((2, 3)), np.ones(2, bool))), "E306").message
    assert "complex128" in only(base(fc=Linear(np.ones((2, 3), complex))), "E306").message


@pytest.mark.parametrize("tau", [0.0, -1e-3])
def test_time_constants_are_above_zero(tau):
    found = only(base(lif=neuron(tau=[1e-3, tau])), "E302")
    assert (found.path, found.message) == ("lif", f"tau is {tau:g}; a time constant is above 0")
    delayed = base(fc=Delay(np.full(3, -1e-4)), lif=lif(3), output=Output((3,)))
    assert only(delayed, "E302").message == "a delay of -0.0001 s is negative"


def test_dt_against_tau():
    found = only(base(lif=neuron(tau=1e-4)), "E303", EULER)
    assert found.message == "tau is 0.0001 s and dt 0.0001 s: Euler's decay 1 - dt/tau is not above 0"
    assert dict(found.facts) == {"dt": 1e-4, "tau": 1e-4}
    assert found.severity == "error"
    assert only(base(lif=neuron(tau=1e-4)), "E303", parse_profile("sinabs")).severity == "warning"
    exact = Extras(discrete=Discrete(1e-4, "euler", "nir", np.array(0.0), np.array(1.0)))
    assert verify(base(lif=dataclasses.replace(neuron(tau=1e-4), extras=exact)), EULER) == ()


def test_the_synapse_is_held_against_its_own_scheme():
    full = {f.name: np.full(2, 1e-3) for f in dataclasses.fields(CubaLIF) if f.name != "extras"}
    cuba = CubaLIF(**(full | {"tau_syn": np.full(2, 1e-4), "v_reset": np.zeros(2)}))
    assert only(base(lif=cuba), "E303", parse_profile("nengo")).severity == "error"


def test_time_constants_in_steps_or_milliseconds_are_doubted():
    assert only(base(lif=neuron(tau=20.0)), "E313", EULER).severity == "warning"


def test_a_delay_is_a_whole_number_of_steps():
    delayed = base(fc=Delay(np.full(3, 2.5e-4)), lif=lif(3), output=Output((3,)))
    assert "2.5 steps of 0.0001 s" in only(delayed, "E304", EULER).message
    assert only(delayed, "E304", EULER).path == "fc"


@pytest.mark.parametrize("seconds", [105.0, 1e9, 1e300])
def test_a_delay_is_not_longer_than_memory(seconds):
    delayed = base(fc=Delay(np.full(3, seconds)), lif=lif(3), output=Output((3,)))
    found = only(delayed, "E304", EULER)
    assert found.path == "fc"
    assert f"a delay of {seconds:g} s is {seconds / 1e-4:.7g} steps of 0.0001 s; at most 1,048,576 are kept" in found.message


def test_resets_above_the_threshold_are_doubted():
    found = only(base(lif=neuron(v_reset=2.0)), "E305", EULER)
    assert found.message == "v_reset 2 is above v_threshold 1: it never stops spiking"
    assert [d.code for d in findings(base(lif=neuron(v_reset=2.0)), parse_profile("norse:subtract"))] == []
    by_profile = parse_profile("norse:value,@lif:v_threshold=-1")
    assert only(base(), "E305", by_profile).severity == "warning"


def test_several_spikes_need_a_positive_threshold():
    node = IF(np.ones(2), np.array([1.0, 0.0]), np.zeros(2))
    assert "divides by the threshold, which is 0" in only(base(lif=node), "E309", parse_profile("sinabs")).message


def test_a_loop_without_delay():
    graph = with_edges(base(), Edge("lif", "lif", 0, 1))
    assert only(graph, "E308", EULER).path == "lif"


def test_a_bias_that_cannot_be_told_from_the_forward_one():
    nodes = {"input": Input((2,)), "lif": lif(2), "fc": Affine(np.ones((2, 2)), np.ones(2)), "output": Output((2,))}
    edges = [Edge("input", "lif"), Edge("lif", "fc"), Edge("fc", "lif", None, 1), Edge("fc", "output")]
    graph = Graph([Node(p, op) for p, op in nodes.items()], edges)
    assert only(graph, "E307", parse_profile("snntorch")).path == "fc"
    assert verify(graph, EULER) == ()


@pytest.mark.parametrize(
    ("override", "path", "message"),
    [
        ("@lifs:reset=none", "lifs", "the profile sets reset for a node that is not in the graph (did you mean 'lif'?)"),
        ("@fc:reset=none", "fc", "the profile sets reset for fc, which is no neuron but a node of the kind Affine"),
        ("@%LiF:reset=none", "%LiF", "the kind 'LiF', which is no kind of neuron (did you mean 'LIF'?)"),
        ("@%Linear:reset=none", "%Linear", "the kind 'Linear', which is no kind of neuron"),
        ("@li:v_threshold=1", "li", "the profile sets v_threshold for li, whose kind LI does not spike"),
    ],
)
def test_overrides_name_neurons_of_the_graph(override, path, message):
    graph = with_edges(base(li=LI(np.ones(2), np.ones(2), np.zeros(2))), Edge("fc", "li"), Edge("li", "output", None, 1))
    profile = parse_profile(f"norse:value,{override}")
    found = only(graph, "E334", profile)
    assert found.path == path
    assert message in found.message
    with pytest.raises(ProfileError) as caught:
        verify(graph, profile)
    assert caught.value.exit_code == 2


def test_overrides_may_name_neurons_and_kinds_that_are_not_there():
    assert verify(base(), parse_profile("norse:value,@lif:reset=none,@%CubaLIF:reset=none")) == ()


def test_all_findings_come_at_once():
    weight = np.full((2, 3), np.nan)
    graph = with_edges(base(fc=Linear(weight), lif=neuron(tau=-1.0), output=Output((9,))), Edge("lif", "lif", -3, 1))
    with pytest.raises(SpikeportError) as caught:
        verify(graph, EULER)
    assert [d.code for d in caught.value.diagnostics] == ["E110", "E201", "E301", "E302"]
    assert caught.value.exit_code == 3


def test_every_rule_is_tested_here():
    # "crossings" in test_crossing.py
    assert set(RULES) == {
        "paths", "dangling edges", "inputs and outputs", "reachable", "edge ranks and delays", "shapes", "numbers",
        "time constants", "thresholds", "crossings", "timing",
    }  # fmt: skip


def test_chain_helper_verifies():
    assert verify(chain(Linear(np.ones((2, 3))), lif(2), shape=(3,)), EULER) == ()
