"""Repairs of a file's plain data: the one reading is taken and said, all else is left to whoever refuses it."""

import numpy as np
import pytest

from spikeport.compiler.importers.nir_edges import mended_tree


def dense(out, size):
    return {"type": "Linear", "weight": np.ones((out, size))}


def border(kind, *shape):
    return {"type": kind, "shape": np.array(shape)}


def tree(nodes, edges):
    return {"version": "1", "node": {"type": "NIRGraph", "nodes": nodes, "edges": edges}}


def mend(nodes, edges):
    given = tree(nodes, edges)
    found = []
    after = mended_tree(given, found)
    assert given == tree(nodes, edges)
    return after["node"], [(d.code, d.path) for d in found]


def test_numbers_become_names_and_the_output_is_added():
    node, found = mend({"0": border("Input", 3), "1": dense(2, 3)}, np.array([[0, 1]]))
    assert node["edges"] == [("0", "1"), ("1", "output")]
    assert node["nodes"]["output"]["shape"].tolist() == [2, 3]  # the verifier takes the shape that reaches it
    assert found == [("E018", "edges"), ("E018", "output")]


def test_groups_become_inner_graphs():
    nodes = {"input": border("Input", 3), "a.input": border("Input", 3), "a.fc": dense(3, 3), "a.output": border("Output", 3),
             "output": border("Output", 3)}  # fmt: skip
    edges = [("input", "a"), ("a.input", "a.fc"), ("a.fc", "a.output"), ("a", "output")]
    node, found = mend(nodes, edges)
    assert found == [("E018", "a")]
    assert set(node["nodes"]) == {"input", "a", "output"}
    assert node["nodes"]["a"]["edges"] == [("input", "fc"), ("fc", "output")]
    assert node["edges"] == [("input", "a"), ("a", "output")]


@pytest.mark.parametrize(
    "edges",
    [
        [("input", "b"), ("b", "output")],  # nothing is called so
        [("input", "a"), ("a", "output"), ("input", "a.fc")],  # one edge leads into the group by itself
        [("input", 3)],
        None,
    ],
)
def test_what_has_other_readings_is_left(edges):
    nodes = {"input": border("Input", 3), "a.input": border("Input", 3), "a.fc": dense(3, 3), "a.output": border("Output", 3),
             "output": border("Output", 3)}  # fmt: skip
    node, found = mend(nodes, edges)
    assert found == []
    assert node["edges"] == edges


CHAIN = [("input", "fc"), ("fc", "output")]


def test_an_axis_of_steps_is_taken_off_where_the_output_shows_it():
    node, found = mend({"input": border("Input", 256, 3), "fc": dense(2, 3), "output": border("Output", 2)}, CHAIN)
    assert found == [("E012", "input")]
    assert node["nodes"]["input"]["shape"].tolist() == [3]


@pytest.mark.parametrize(
    ("shape", "layer", "output"),
    [
        ((256, 3), dense(2, 3), (256, 2)),
        ((256, 3), dense(2, 256), (2,)),
        ((1, 3), dense(2, 3), (2,)),
        ((4, 5, 3), dense(2, 3), (2,)),
        ((256, 3), {"type": "Flatten"}, (768,)),
    ],
)
def test_other_axes_stay(shape, layer, output):
    _, found = mend({"input": border("Input", *shape), "fc": layer, "output": border("Output", *output)}, CHAIN)
    assert found == []


def test_what_is_no_graph_is_left_alone():
    for node in ({"type": "LIF"}, {"type": "NIRGraph"}, {"type": "NIRGraph", "nodes": {"a": np.ones(2)}, "edges": []}):
        assert mended_tree({"node": node}, []) == {"node": node}
