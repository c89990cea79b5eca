"""The graph is a value: equality by digest, pure edits, nothing shared with the caller."""

import dataclasses

import numpy as np
import pytest
from graphs import chain, lif, networks
from hypothesis import given, settings
from hypothesis import strategies as st

from spikeport.ir import Edge, Graph, Node, parse_profile, verify
from spikeport.ir.network import build_network
from spikeport.ir.ops import Affine, Discrete, Extras, Input, Linear, Output, Scale
from spikeport.ir.printer import format_graph
from spikeport.ir.reference import run_reference
from spikeport.ir.shapes import infer_shapes


def small():
    return chain(Linear(np.ones((2, 3))), lif(2), shape=(3,))


@given(networks(), st.randoms(use_true_random=False))
@settings(max_examples=30)
def test_the_order_of_writing_changes_nothing(case, random):
    graph, profile, _ = case
    nodes, edges = list(graph.nodes), list(graph.edges)
    random.shuffle(nodes)
    random.shuffle(edges)
    other = Graph(nodes, edges, {"b": 1, "a": [2]}, profile)
    assert other == graph.replace(notes={"a": [2], "b": 1}, profile=profile)
    assert hash(other) == hash(graph.replace(notes={"a": [2], "b": 1}, profile=profile))


@given(networks())
@settings(max_examples=30)
def test_analyses_and_runs_leave_the_graph_as_it_is(case):
    graph, profile, inputs = case
    before, raw = graph.digest, {p: x.copy() for p, x in inputs.items()}
    verify(graph, profile)
    infer_shapes(graph)
    format_graph(graph)
    run_reference(build_network(graph, profile), inputs)
    assert Graph(graph.nodes, graph.edges, graph.notes, graph.profile).digest == before
    assert all((inputs[p] == x).all() for p, x in raw.items())


@pytest.mark.parametrize(
    "change",
    [
        lambda g: g.replace(notes={"a": 1}),
        lambda g: g.replace(profile=parse_profile("exact")),
        lambda g: g.replace(edges=[dataclasses.replace(e, delay=0) for e in g.edges]),
        lambda g: g.replace(edges=[dataclasses.replace(e, rank=1) for e in g.edges]),
        lambda g: g.replace(nodes=[dataclasses.replace(n, notes={"origin": "x"}) for n in g.nodes]),
        lambda g: g.map_ops(lambda n: Linear(np.full((2, 3), 1.0 + 2**-52)) if n.path == "0" else n.op),
        lambda g: g.map_ops(lambda n: Linear(np.ones((2, 3), np.float32)) if n.path == "0" else n.op),
        lambda g: g.map_ops(lambda n: Affine(np.ones((2, 3)), np.zeros(2)) if n.path == "0" else n.op),
        lambda g: g.map_ops(lambda n: lif(2, extras=Extras(v_init=np.zeros(2))) if n.path == "1" else n.op),
        lambda g: g.map_ops(lambda n: lif(2, extras=Extras(held_init=np.zeros(2))) if n.path == "1" else n.op),
        lambda g: g.map_ops(lambda n: lif(2, threshold=-0.0) if n.path == "1" else n.op),
        lambda g: g.map_ops(lambda n: Output((2, 1)) if n.path == "output" else n.op),
        lambda g: g.map_ops(lambda n: Input((2,)) if n.path == "output" else n.op),
    ],
)
def test_everything_that_means_something_is_in_the_digest(change):
    graph = small()
    assert change(graph).digest != graph.digest
    assert change(graph) != graph


def test_equal_numbers_in_other_clothes_have_one_digest():
    plain = Graph([Node("a", Input((2,)))], [Edge("a", "b", 1, 0)])
    assert Graph([Node("a", Input(np.array([2])))], [Edge("a", "b", np.int64(1), np.int8(0))]) == plain
    assert chain(Scale(np.broadcast_to(2.0, (3,))), shape=(3,)) == chain(Scale(np.full(3, 2.0)), shape=(3,))
    exact = [Discrete(dt, "euler", "nir", np.array(0.9), np.array(0.1)) for dt in (1e-4, np.float64(1e-4))]
    first, second = (chain(lif(2, extras=Extras(discrete=d)), shape=(2,)) for d in exact)
    assert first == second


def test_a_field_that_was_added_later_leaves_older_digests_as_they_are():
    # Of the same graph before Extras had held_init: files and artifacts hold such digests.
    assert small().digest == "21a84122974e827aeb4a853614ac7988f28c8212d6e8e97d4df3db6c6fda81c8"


def test_ranks_order_the_sum_and_renaming_does_not():
    nodes = [Node(p, Input((1,))) for p in "abc"]
    graph = Graph(nodes, [Edge("a", "c", None, 1), Edge("b", "c", None, 0)])
    assert [e.source for e in graph.into("c")] == ["b", "a"]
    assert [e.target for e in graph.out_of("a")] == ["c"]


def test_edits_return_new_graphs_or_the_same_one():
    graph = small()
    assert graph.map_ops(lambda n: n.op) is graph
    without = graph.without(["0"])
    assert [n.path for n in without] == ["1", "input", "output"]
    assert without.edges == (Edge("1", "output"),)
    assert len(graph) == 4
    assert graph["1"].op.kind == "LIF"
    assert "0" in graph
    assert (graph.inputs, graph.outputs, graph.spiking) == (("input",), ("output",), ("1",))


def test_two_nodes_of_one_path_are_refused():
    with pytest.raises(ValueError, match="share the path 'a'"):
        Graph([Node("a", Input((1,))), Node("a", Input((2,)))], [])


def test_notes_are_frozen_plain_data():
    notes = {"a": [1, 2]}
    node = Node("n", Input((1,)), notes)
    notes["a"].append(3)
    assert node.notes["a"] == [1, 2]
    with pytest.raises(TypeError):
        node.notes["b"] = 1
    with pytest.raises(ValueError, match="JSON"):
        Node("n", Input((1,)), {"a": float("nan")})
    with pytest.raises(TypeError, match="JSON"):
        Node("n", Input((1,)), {"a": np.ones(2)})
