"""Shape inference: from inputs through loops, and what clashes."""

import numpy as np
from graphs import chain, lif
from hypothesis import given
from hypothesis import strategies as st

from spikeport.ir import Edge, Graph, Node
from spikeport.ir.ops import LI, Affine, Conv2d, Flatten, Input, Linear, Output, SumPool2d
from spikeport.ir.shapes import infer_shapes


def net(nodes, edges):
    return Graph([Node(p, op) for p, op in nodes.items()], [Edge(a, b, None, r) for r, (a, b) in enumerate(edges)])


def test_a_chain_of_convolution_pool_and_flatten():
    conv = Conv2d(None, np.ones((4, 1, 3, 2)), (2, 1), (1, 0), 1, 2, np.zeros(4))
    graph = chain(conv, SumPool2d(2, 2, 0), Flatten(), shape=(2, 8, 9))
    shapes, clashes = infer_shapes(graph)
    assert clashes == ()
    assert [shapes.output[p] for p in ("0", "1", "2", "output")] == [(4, 4, 8), (4, 2, 4), (32,), (32,)]


@given(st.permutations(["a", "b", "c"]))
def test_a_loop_is_closed_whatever_the_names(names):
    fc, cell, rec = names
    nodes = {"in": Input((3,)), fc: Linear(np.ones((5, 3))), cell: lif(5), rec: Linear(np.ones((5, 5))), "out": Output((5,))}
    shapes, clashes = infer_shapes(net(nodes, [("in", fc), (fc, cell), (cell, rec), (rec, cell), (cell, "out")]))
    assert clashes == ()
    assert shapes.input[cell] == shapes.output[rec] == (5,)


def test_scalar_parameters_take_the_shape_of_the_input():
    scalar = LI(np.array(1e-3), np.array(1.0), np.array(0.0))
    shapes, clashes = infer_shapes(chain(scalar, shape=(2, 3)))
    assert clashes == ()
    assert shapes.output["0"] == (2, 3)


def test_the_clash_names_both_layers_and_numbers():
    nodes = {"in": Input((3,)), "fc": Affine(np.ones((2, 4)), np.ones(2)), "out": Output((2,))}
    (finding,) = infer_shapes(net(nodes, [("in", "fc"), ("fc", "out")]))[1]
    assert (finding.code, finding.path) == ("E201", "fc")
    assert str(finding) == (
        "E201 at fc: Affine weight (2, 4) takes input (4,), got (3,)\n    -> in gives (3,); mend one of the two layers"
    )


def test_two_sources_of_different_shape_are_a_clash():
    nodes = {"a": Input((3,)), "b": Input((4,)), "n": LI(np.array(1.0), np.array(1.0), np.array(0.0)), "out": Output((3,))}
    (finding,) = infer_shapes(net(nodes, [("a", "n"), ("b", "n"), ("n", "out")]))[1]
    assert (finding.code, finding.path, dict(finding.facts)["got"]) == ("E203", "n", (4,))
    assert "takes (3,), but b gives (4,)" in finding.message


def test_what_lies_behind_a_clash_is_not_reported_again():
    nodes = {"in": Input((3,)), "fc": Linear(np.ones((2, 4))), "n": lif(2), "out": Output((2,))}
    assert [f.path for f in infer_shapes(net(nodes, [("in", "fc"), ("fc", "n"), ("n", "out")]))[1]] == ["fc"]


def test_a_shape_that_follows_from_nothing_is_said():
    nodes = {"p": SumPool2d(2, 2, 0), "n": LI(np.array(1.0), np.array(1.0), np.array(0.0)), "out": Output((3,))}
    found = infer_shapes(net(nodes, [("n", "p"), ("p", "n"), ("n", "out")]))[1]
    assert {f.code for f in found} == {"E202"}
