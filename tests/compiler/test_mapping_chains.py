"""Windows by shape arithmetic against the same connections written out in full."""

import dataclasses
import math

import numpy as np
import pytest
from graphs import networks
from hypothesis import given, settings
from hypothesis import strategies as st
from mapped import PROFILE, chain, conv, lif, recurrent

from spikeport.compiler.mapping.chains import MAX_WAYS, chains_of, projections
from spikeport.ir.diagnostics import CapacityError
from spikeport.ir.graph import Edge, Graph, Node
from spikeport.ir.ops import AvgPool2d, Conv1d, Conv2d, Input, Linear, Output, Scale, SumPool2d
from spikeport.ir.shapes import infer_shapes


def written_out(one):
    """Ways from each source neuron to each target neuron, (target size, source size), by pushing ones through the ops."""
    source, target = math.prod(one.shapes[0]), math.prod(one.shapes[-1])
    x = np.eye(source).reshape(source, *one.shapes[0])
    for op in one.ops:
        change = {}
        for name in ("weight", "scale"):
            if hasattr(op, name):
                change[name] = (getattr(op, name) != 0).astype(float)
        if hasattr(op, "bias"):
            change["bias"] = np.zeros(op.bias.shape)
        if isinstance(op, AvgPool2d):
            op = SumPool2d(op.kernel_size, op.stride, op.padding)
        x = (dataclasses.replace(op, **change) if change else op).apply(x) if hasattr(op, "apply") and not op.is_stateful else x
    return x.reshape(source, target).T


def check(one, box):
    """Hold the window of *box* against the connection written out."""
    matrix = written_out(one).reshape(*one.shapes[-1], -1)
    rows = matrix[tuple(slice(a, b) for a, b in box)].reshape(-1, matrix.shape[-1])
    expected = (rows > 0).sum(axis=0).reshape(one.shapes[0])
    window = one.window(box)
    full = np.zeros(one.shapes[0], np.int64)
    full[window.where] = window.counts
    np.testing.assert_array_equal(full, expected)
    return rows


def boxes(shape, rng):
    """The whole population, single neurons, and boxes at random."""
    yield tuple((0, n) for n in shape)
    for _ in range(6):
        low = [int(rng.integers(0, n)) for n in shape]
        yield tuple((a, int(rng.integers(a, n)) + 1) for a, n in zip(low, shape, strict=True))


def chains(graph, profile=PROFILE):
    found = chains_of(graph, infer_shapes(graph)[0], projections(graph, profile))
    return [c for path in found for c in found[path]]


@pytest.mark.parametrize("zeros", [0.0, 0.6])
def test_windows_of_a_convolutional_network(zeros):
    rng = np.random.default_rng(5)
    for one in chains(conv(zeros=zeros)):
        for box in boxes(one.shapes[-1], rng):
            check(one, box)


@pytest.mark.parametrize(
    "op",
    [
        Conv2d(None, np.ones((4, 2, 2, 3)), (2, 3), (1, 2), (2, 1), 1, np.zeros(4)),
        Conv2d(None, np.ones((4, 1, 3, 1)), (1, 1), "same", (1, 1), 2, np.zeros(4)),
        Conv2d(None, np.ones((2, 2, 1, 1)), (3, 3), (0, 0), (1, 1), 1, np.zeros(2)),
        SumPool2d((3, 2), (2, 2), (1, 1)),
        AvgPool2d((2, 2), (3, 3), (0, 0)),
    ],
)
def test_windows_of_odd_kernels(op):
    shape = op.output_shape((2, 7, 8))
    graph = chain(("in", Input((2, 7, 8))), ("op", op), ("n", lif(shape)), ("out", Output(shape)))
    (one,) = chains(graph)
    for box in boxes(shape, np.random.default_rng(2)):
        check(one, box)


def test_window_of_a_conv1d():
    op = Conv1d(None, np.ones((3, 2, 3)), 2, 1, 1, 1, np.zeros(3))
    shape = op.output_shape((2, 9))
    (one,) = chains(chain(("in", Input((2, 9))), ("op", op), ("n", lif(shape)), ("out", Output(shape))))
    for box in boxes(shape, np.random.default_rng(3)):
        check(one, box)


@pytest.mark.parametrize(
    "ops",
    [
        [Conv2d(None, np.ones((3, 2, 3, 3)), (1, 1), (1, 1), (1, 1), 1, np.zeros(3)), AvgPool2d((2, 2), (2, 2), (0, 0))],
        [Conv2d(None, np.ones((2, 1, 2, 3)), (2, 1), (0, 1), (1, 2), 2, np.zeros(2)), SumPool2d((2, 3), (1, 2), (1, 1))],
        [SumPool2d((3, 3), (2, 2), (1, 1)), Conv2d(None, np.ones((4, 2, 2, 2)), (1, 1), (1, 1), (1, 1), 1, np.zeros(4))],
        [SumPool2d((2, 2), (1, 1), (0, 0)), SumPool2d((2, 2), (1, 1), (0, 0))],
    ],
)
def test_ways_that_meet_are_one_synapse(ops):
    nodes, shape = [("in", Input((2, 7, 9)))], (2, 7, 9)
    for number, op in enumerate(ops):
        nodes.append((f"op{number}", op))
        shape = op.output_shape(shape)
    (one,) = chains(chain(*nodes, ("n", lif(shape)), ("out", Output(shape))))
    assert one.is_merged
    for box in boxes(shape, np.random.default_rng(4)):
        check(one, box)


def test_a_zero_of_a_scale_cuts_the_synapse():
    graph = chain(
        ("in", Input((4,))), ("s", Scale(np.array([1.0, 0.0, 2.0, 0.0]))), ("n", lif((4,))), ("out", Output((4,)))
    )  # fmt: skip
    (one,) = chains(graph)
    assert one.window(((0, 4),)).counts.tolist() == [1, 0, 1, 0]


def test_two_linear_layers_in_a_row_are_one_synapse_each():
    graph = chain(
        ("in", Input((3,))),
        ("a", Linear(np.ones((5, 3)))),
        ("b", Linear(np.ones((2, 5)))),
        ("n", lif((2,))),
        ("out", Output((2,))),
    )
    (one,) = chains(graph)
    assert one.window(((0, 2),)).counts.tolist() == [2, 2, 2]


@settings(max_examples=40)
@given(networks(), st.integers(0, 2**31))
def test_windows_of_any_network(drawn, seed):
    graph, profile, _ = drawn
    rng = np.random.default_rng(seed)
    for one in chains(graph, profile):
        for box in list(boxes(one.shapes[-1], rng))[:3]:
            window = one.window(box)
            matrix = written_out(one).reshape(*one.shapes[-1], -1)
            rows = matrix[tuple(slice(a, b) for a, b in box)].reshape(-1, matrix.shape[-1])
            full = np.zeros(one.shapes[0], np.int64)
            full[window.where] = window.counts
            exact = (rows > 0).sum(axis=0).reshape(one.shapes[0])
            if one.is_merged:
                assert (full >= exact).all()
            else:
                np.testing.assert_array_equal(full, exact)


def test_delays_add_up_along_the_way():
    graph = recurrent()
    edges = [dataclasses.replace(e, delay=3) if e.source == "rec" else e for e in graph.edges]
    found = {(p.source, p.target): p.delay for p in projections(graph.replace(edges=edges), PROFILE)}
    assert found == {("in", "lif"): 0, ("lif", "lif"): 3}


def test_too_many_ways_are_refused():
    """Ten diamonds in a row make 2^10 ways."""
    nodes, edges, last = [Node("in", Input((1,)))], [], "in"
    for i in range(10):
        for side in "ab":
            nodes.append(Node(f"{side}{i}", Scale(np.ones(1))))
            edges.append(Edge(last, f"{side}{i}"))
        nodes.append(Node(f"j{i}", Scale(np.ones(1))))
        edges += [Edge(f"a{i}", f"j{i}"), Edge(f"b{i}", f"j{i}", rank=1)]
        last = f"j{i}"
    nodes += [Node("n", lif((1,))), Node("out", Output((1,)))]
    edges += [Edge(last, "n"), Edge("n", "out")]
    with pytest.raises(CapacityError, match=f"more than {MAX_WAYS} ways lead from in to") as caught:
        projections(Graph(nodes, edges), PROFILE)
    assert caught.value.diagnostics[0].code == "E406"
