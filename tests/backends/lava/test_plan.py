"""Which processes of Lava a network becomes, and in which layout; no Lava is needed for that."""

import dataclasses
import json
from itertools import pairwise

import numpy as np
import pytest
from loihi import GRID, on_grid_cuba, on_grid_lif

from spikeport.backends.lava.plan import MESSAGE_BITS, make_plan
from spikeport.backends.lava.synapses import conv_kernel
from spikeport.backends.matrices import matrix_of
from spikeport.ir import Edge, Graph, Node
from spikeport.ir.network import build_network
from spikeport.ir.ops import Conv1d, Conv2d, Flatten, Input, Linear, Output


def network(op, shape, lif, *, delay=None, flat=False):
    """Return a network of one way: an input of *shape*, the weighted *op*, and neurons."""
    nodes = [Node("in", Input(shape)), Node("w", op), Node("n", lif), Node("out", Output(lif.v_threshold.shape))]
    chain = ["in", *(["flat"] if flat else []), "w", "n", "out"]
    if flat:
        nodes.append(Node("flat", Flatten(0, -1)))
    edges = [Edge(a, b, delay if b == "n" else None) for a, b in pairwise(chain)]
    return build_network(Graph(tuple(nodes), tuple(edges)), GRID, "loihi")


def kinds(plan):
    return [p.kind for p in plan.processes]


def synapses(plan):
    (found,) = (p for p in plan.processes if p.kind not in ("Source", "LIF", "LIFRefractory"))
    return found


def conv2d(weight, **options):
    given = {"stride": (1, 1), "padding": (0, 0), "dilation": (1, 1), "groups": 1} | options
    return Conv2d(None, weight, **given, bias=np.zeros(len(weight)))


@pytest.mark.parametrize(
    ("weight", "delay", "kind"),
    [
        (np.full((9, 9), 3.0), None, "Dense"), (np.full((9, 9), 3.0), 4, "DelayDense"),
        (np.eye(9) * 5.0, None, "Sparse"), (np.eye(9) * 5.0, 2, "DelaySparse"), (np.zeros((9, 9)), None, "Dense"),
    ],
)  # fmt: skip
def test_matrices_are_dense_or_sparse_and_delayed(weight, delay, kind):
    plan = make_plan(network(Linear(weight), (9,), on_grid_lif((9,), threshold=4), delay=delay))
    assert synapses(plan).kind == kind
    assert synapses(plan).args.get("delays") == (None if delay is None else delay - 1)
    assert plan.wires == ((0, 2), (2, 1))


def test_a_convolution_stays_one_with_channels_last_and_its_exponent_in_its_weights():
    weight = 4.0 * np.arange(2 * 3 * 2 * 2).reshape(2, 3, 2, 2)
    plan = make_plan(network(conv2d(weight), (3, 5, 4), on_grid_lif((2, 4, 3), threshold=9)))
    process = synapses(plan)
    assert process.kind == "Conv"
    assert process.args["input_shape"] == [5, 4, 3]
    kernel = plan.arrays[process.arrays["weight"]]
    assert kernel.shape == (2, 2, 2, 3)
    # Lava convolves: the last weight of the kernel meets the first input.
    assert np.array_equal(kernel[:, 0, 0, :], weight[:, :, 1, 1])
    assert "weight_exp" not in process.args
    values = np.arange(2 * 4 * 3)[None]
    place = plan.places["n"]
    assert place.shape == (4, 3, 2)
    assert np.array_equal(place.to_lava(values)[0], values.reshape(2, 4, 3).transpose(1, 2, 0))
    assert np.array_equal(place.from_lava(place.to_lava(values)), values)


@pytest.mark.parametrize(
    ("options", "delay", "conv", "kind"),
    [
        ({}, None, "sparse", "Sparse"), ({}, 3, "conv", "DelaySparse"),
        ({"padding": "same"}, None, "conv", "Sparse"),  # a kernel of even size pads one side more, which Lava cannot say
        ({"padding": (2, 1), "stride": (2, 1), "dilation": (1, 2)}, None, "conv", "Conv"),
    ],
)  # fmt: skip
def test_convolutions_that_lava_cannot_say_are_written_out(options, delay, conv, kind):
    op = conv2d(np.full((2, 1, 2, 2), 3.0), **options)
    shape = op.output_shape((1, 8, 8))
    plan = make_plan(network(op, (1, 8, 8), on_grid_lif(shape, threshold=9), delay=delay), conv=conv)
    assert synapses(plan).kind == kind


@pytest.mark.parametrize("groups", [1, 2])
def test_the_matrix_of_a_convolution_is_the_convolution(groups):
    rng = np.random.default_rng(groups)
    op = conv2d(
        rng.integers(-9, 9, (4, 4 // groups, 3, 2)).astype(float), groups=groups, stride=(2, 1), padding=(1, 2), dilation=(1, 2)
    )
    shape = (4, 6, 5)
    x = rng.integers(0, 3, (3, *shape)).astype(float)
    matrix = matrix_of(op, shape, op.output_shape(shape)).dense()
    assert np.array_equal(x.reshape(3, -1) @ matrix.T, op.apply(x).reshape(3, -1))
    line = Conv1d(None, rng.integers(-9, 9, (3, 2, 3)).astype(float), 2, 1, 1, 1, np.zeros(3))
    x = rng.integers(0, 3, (3, 2, 9)).astype(float)
    matrix = matrix_of(line, (2, 9), line.output_shape((2, 9))).dense()
    assert np.array_equal(x.reshape(3, -1) @ matrix.T, line.apply(x).reshape(3, -1))
    assert conv_kernel(line)[0].shape == (3, 1, 3, 2)


def test_a_matrix_that_uses_one_sign_of_a_mixed_kernel_says_that_it_is_mixed():
    # Of the kernel (-256, 2) only the -256 ever meets an input; Lava would clip it at -255.
    op = Conv1d(None, np.array([[[-256.0, 2.0]]]), 2, 0, 1, 1, np.zeros(1))
    kept = network(op, (1, 3), on_grid_lif((1, 1), threshold=1), delay=2)
    assert "sign_mode" not in synapses(make_plan(kept)).args  # both are met
    padded = Conv1d(None, np.array([[[2.0, -256.0]]]), 3, 1, 1, 1, np.zeros(1))
    plan = make_plan(network(padded, (1, 1), on_grid_lif((1, 1), threshold=1), delay=2))
    assert synapses(plan).args["sign_mode"] == "MIXED"
    assert plan.arrays[f"{synapses(plan).arrays['weights']}"].tolist() == [[-256]]


def test_parameters_that_neurons_share_are_numbers_and_others_arrays():
    lif = on_grid_cuba(
        (4,), dv=[1, 2, 3, 4], du=7, threshold=5, bias=[0, 4095, 4096, -8190], refractory_steps=np.array([0, 1, 2, 3])
    )
    plan = make_plan(network(Linear(np.full((4, 2), 3.0)), (2,), lif))
    (neurons,) = (p for p in plan.processes if p.kind == "LIFRefractory")
    assert neurons.args == {"shape": [4], "du": 7, "vth": 5}
    assert set(neurons.arrays) == {"dv", "bias_mant", "bias_exp", "refractory_period"}
    mantissa, exponent = (plan.arrays[f"n.bias_{part}"] for part in ("mant", "exp"))
    assert (mantissa << exponent).tolist() == [0, 4095, 4096, -8190]
    json.dumps(plan.as_dict())


def test_graded_inputs_have_messages_and_shared_layers_a_process_a_way():
    nodes = (
        Node("in", Input((3,))), Node("w", Linear(np.full((2, 3), 6.0))), Node("a", on_grid_lif((2,), threshold=4)),
        Node("b", on_grid_lif((2,), threshold=4)), Node("out", Output((2,))),
    )  # fmt: skip
    edges = (Edge("in", "w"), Edge("w", "a"), Edge("w", "b"), Edge("a", "out"))
    shared = build_network(Graph(nodes, edges), GRID, "loihi")
    plan = make_plan(shared, graded=frozenset({"in"}))
    names = [p.name for p in plan.processes]
    assert {"w (in to a)", "w (in to b)"} <= set(names)
    assert all(p.args["num_message_bits"] == MESSAGE_BITS for p in plan.processes if p.kind == "Dense")
    assert all("num_message_bits" not in p.args for p in make_plan(shared).processes)


def test_a_flatten_before_or_behind_weights_is_a_layout():
    lif = on_grid_lif((5,), threshold=4)
    rng = np.random.default_rng(0)
    weight = rng.integers(0, 9, (5, 12)).astype(float)
    plan = make_plan(network(Linear(weight), (3, 2, 2), lif, flat=True))
    assert kinds(plan) == ["Source", "LIF", "Dense"]
    assert np.array_equal(plan.arrays["w.weights"], weight)
    assert dataclasses.asdict(plan.processes[0])["args"] == {"shape": [12]}
