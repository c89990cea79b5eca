"""Each table, read as its docstring says it is laid out, gives what the op itself gives, in every bit."""

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from spikeport.backends.engine.connections import (  # fmt: skip
    NARROW,
    Dense,
    Sparse,
    convolution,
    fan,
    linear,
    packing_of,
    sparse_below,
    windows,
)
from spikeport.backends.engine.layout import blocks_of
from spikeport.backends.engine.vec import LANES
from spikeport.ir.fanout import fan_out
from spikeport.ir.ops import Affine, AvgPool2d, Conv1d, Conv2d, Linear, ShapeError, SumPool2d

SEEDS = st.integers(0, 2**32 - 1)


def _events(rng, shape):
    """Return real values, some of them 0."""
    return np.where(rng.random(shape) < 0.7, rng.normal(size=shape), 0.0)


def _dense_sum(held, n_in, x):
    """Sum the columns of the active inputs, part by part, each starting at its bias."""
    blocks = held.bias.size // LANES
    widths = [2 * LANES] * held.pairs + [LANES] * (blocks - 2 * held.pairs - held.is_narrow) + [NARROW] * held.is_narrow
    out, at, begin = held.bias.copy(), 0, 0
    for width in widths:
        part = held.weights[at : at + n_in * width].reshape(n_in, width)
        for j in np.flatnonzero(x):
            out[begin : begin + width] += part[j] * x[j]
        at, begin = at + n_in * width, begin + width
    assert at == held.weights.size
    return out


def _scattered(first, target, weights, out, x):
    for j in np.flatnonzero(x):
        for k in range(first[j], first[j + 1]):
            out[target[k]] += x[j] if weights is None else weights[k] * x[j]
    return out


def _map_sum(runs, shape, x):
    """Add every event's runs into the map with its margin and cut out the feature map."""
    whole, weights = runs.blank.copy(), runs.weights.reshape(-1)
    for j in np.flatnonzero(x):
        here, own, begin, end = runs.inputs[j]
        for to, of, length in runs.runs[begin:end]:
            low = here + to
            assert 0 <= low <= low + length <= whole.size, "a run leaves the map"
            whole[low : low + length] += weights[own + of : own + of + length] * x.flat[j]
    rows = [whole[runs.first + i * runs.pitch :][: runs.length] for i in range(runs.rows)]
    return np.concatenate(rows).reshape(-1, shape[0]).T.reshape(shape)


@pytest.mark.parametrize("n_out", [1, 15, 16, 17, 63, 64, 65, 80, 81, 127, 128, 129, 130, 144, 145, 192, 200, 256, 272, 1000])
def test_dense_weights_of_every_width(n_out):
    rng = np.random.default_rng(n_out)
    op = Affine(rng.normal(size=(n_out, 9)), rng.normal(size=n_out))
    held = linear(op, np.float64)
    assert isinstance(held, Dense)
    x = _events(rng, 9)
    found = _dense_sum(held, 9, x)
    assert np.array_equal(found[:n_out], op.apply(x[None])[0])
    assert found.size == blocks_of(n_out) * LANES
    assert not found[n_out:].any()


@given(SEEDS, st.integers(1, 90), st.integers(1, 60), st.sampled_from((0.0, 0.01, 0.03, 0.05, 0.5)), st.booleans())
def test_few_weights_are_held_sparse(seed, n_out, n_in, density, has_bias):
    rng = np.random.default_rng(seed)
    weight = np.where(rng.random((n_out, n_in)) < density, rng.normal(size=(n_out, n_in)), 0.0)
    op = Affine(weight, rng.normal(size=n_out)) if has_bias else Linear(weight)
    held = linear(op, np.float64)
    x = _events(rng, n_in)
    if np.count_nonzero(weight) / weight.size < sparse_below(weight.nbytes):
        assert isinstance(held, Sparse)
        assert held.weights.size == held.target.size == np.count_nonzero(weight)
        found = _scattered(held.first, held.target, held.weights, held.bias.copy(), x)
    else:
        found = _dense_sum(held, n_in, x)
    assert np.array_equal(found[:n_out], op.apply(x[None])[0])


@given(SEEDS, st.lists(st.integers(1, 4), min_size=1, max_size=2), st.integers(1, 7), st.integers(1, 7))
def test_leading_axes_are_connections_of_their_own(seed, lead, n_out, n_in):
    rng = np.random.default_rng(seed)
    op = Affine(rng.normal(size=(*lead, n_out, n_in)), rng.normal(size=(*lead, n_out)))
    held = linear(op, np.float64)
    x = _events(rng, (*lead, n_in))
    found = _scattered(held.first, held.target, held.weights, held.bias.copy(), x.reshape(-1))
    assert np.array_equal(found[: math.prod(lead) * n_out], op.apply(x[None])[0].reshape(-1))


@st.composite
def _convolutions(draw, axes):
    """Draw an op and an input shape that it takes: strides beyond the kernel, kernels beyond the input, groups and all."""
    seed = draw(SEEDS)
    size = [draw(st.integers(1, 9)) for _ in range(axes)]
    kernel, dilation = ([draw(st.integers(1, high)) for _ in size] for high in (6, 4))
    groups = draw(st.sampled_from((1, 1, 2, 3)))
    inner, own = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    padding = draw(st.one_of(st.sampled_from(("same", "valid")), st.lists(st.integers(0, 9), min_size=axes, max_size=axes)))
    stride = [1 if padding == "same" else draw(st.integers(1, 7)) for _ in size]
    rng = np.random.default_rng(seed)
    weight, bias = rng.normal(size=(groups * own, inner, *kernel)), rng.normal(size=groups * own)
    if axes == 1:
        flat = padding if isinstance(padding, str) else padding[0]
        op = Conv1d(None, weight, stride[0], flat, dilation[0], groups, bias)
    else:
        op = Conv2d(None, weight, stride, padding, dilation, groups, bias)
    shape = (groups * inner, *size)
    try:
        op.output_shape(shape)
    except ShapeError:
        assume(False)
    return op, shape, _events(rng, shape)


@given(st.one_of(_convolutions(1), _convolutions(2)))
def test_convolutions_of_any_geometry(drawn):
    op, shape, x = drawn
    output = op.output_shape(shape)
    assert np.array_equal(_map_sum(convolution(op, shape, output, np.float64), output, x), op.apply(x[None])[0])


def test_a_convolution_holds_its_kernels_once():
    kernel = np.ones((8, 4, 3, 3))
    for side in (8, 64):
        op = Conv2d(None, kernel, 2, 1, 1, 1, np.zeros(8))
        held = convolution(op, (4, side, side), (8, side // 2, side // 2), np.float32)
        # Padded to the phase of the stride that meets most of the kernel: 4 of 9 elements, for each of 4.
        assert held.weights.size <= 2 * kernel.size
        assert held.inputs.size == 4 * 4 * side**2
        assert held.runs.shape[0] <= 9
        assert held.blank.size <= 8 * (side // 2 + 2) ** 2


@st.composite
def _pools(draw):
    size, kernel, stride = ([draw(st.integers(1, high)) for _ in "xy"] for high in (9, 5, 7))
    padding = [draw(st.integers(0, 4)) for _ in "xy"]
    op, shape = draw(st.sampled_from((SumPool2d, AvgPool2d)))(kernel, stride, padding), (draw(st.integers(1, 3)), *size)
    try:
        op.output_shape(shape)
    except ShapeError:
        assume(False)
    return op, shape, _events(np.random.default_rng(draw(SEEDS)), shape)


@given(_pools())
def test_pools_of_any_geometry(drawn):
    op, shape, x = drawn
    output = op.output_shape(shape)
    held = windows(op, shape, output)
    found = _scattered(held.first, held.target, None, np.zeros(math.prod(output)), x.reshape(-1))
    expected = op.apply(x[None])[0].reshape(-1)
    assert np.array_equal(found / held.area if held.area else found, expected)
    assert bool(held.area) is isinstance(op, AvgPool2d)


@given(st.one_of(_convolutions(1), _convolutions(2)))
def test_fan_is_the_fan_out(drawn):
    op, shape, _ = drawn
    each, all_alike = fan(op, shape)
    expected = fan_out(op, shape).reshape(-1)
    assert np.array_equal(np.full(expected.size, all_alike) if each is None else each, expected)
    assert each is None or len(set(expected.tolist())) > 1


def test_what_is_no_convolution_is_an_error_of_ours():
    with pytest.raises(TypeError, match="Linear is no convolution"):
        convolution(Linear(np.ones((2, 2))), (2,), (2,), np.float64)


@pytest.mark.parametrize(("channels", "size", "is_packed"), [(1, (4, 4), False), (3, (1, 1), False), (3, (4, 4), True)])
def test_one_channel_and_one_place_stay_in_canonical_order(channels, size, is_packed):
    op = Conv2d(None, np.ones((channels, 2, 1, 1)), 1, 0, 1, 1, np.zeros(channels))
    packing = packing_of(op, op.output_shape((2, *size)))
    assert (packing is not None) is is_packed
    if packing is not None:
        assert dataclasses.astuple(packing) == (channels, math.prod(size))
