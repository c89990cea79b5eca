"""The stateless ops against PyTorch, over random geometry, and their shape rules against what they compute."""

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from spikeport.ir.ops import (
    Affine,
    AvgPool2d,
    Conv1d,
    Conv2d,
    Delay,
    Flatten,
    Input,
    Linear,
    Output,
    Scale,
    ShapeError,
    SumPool2d,
    Threshold,
)
from spikeport.ir.ops.base import frozen_array

SEEDS = st.integers(0, 2**32 - 1)


@st.composite
def convolutions(draw, axes):
    rng = np.random.default_rng(draw(SEEDS))
    groups = draw(st.integers(1, 3))
    c_in, c_out = groups * draw(st.integers(1, 2)), groups * draw(st.integers(1, 2))
    kernel = [draw(st.integers(1, 4)) for _ in range(axes)]
    dilation = [draw(st.integers(1, 3)) for _ in range(axes)]
    same = draw(st.booleans())
    stride = [1 if same else draw(st.integers(1, 3)) for _ in range(axes)]
    padding = "same" if same else draw(st.sampled_from(("valid", [draw(st.integers(0, 3)) for _ in range(axes)])))
    size = [draw(st.integers(1, 9)) for _ in range(axes)]
    weight = rng.normal(size=(c_out, c_in // groups, *kernel))
    return (c_in, *size), weight, stride, padding, dilation, groups, rng.normal(size=c_out), rng


def _torch_conv(function, x, weight, stride, padding, dilation, groups, bias):
    # Uneven total padding under 'same' is what torch warns about; it then pads the odd one after, by hand here.
    if padding == "same":
        total = [d * (k - 1) for d, k in zip(dilation, weight.shape[2:], strict=True)]
        x = np.pad(x, [(0, 0), (0, 0), *((t // 2, t - t // 2) for t in total)])
        padding = "valid"
    kernel, offset = torch.from_numpy(weight), torch.from_numpy(bias)
    pad = padding if padding == "valid" else tuple(padding)
    return function(torch.from_numpy(x), kernel, offset, tuple(stride), pad, tuple(dilation), groups).numpy()


@given(convolutions(2))
def test_conv2d_is_torch_s(case):
    shape, weight, stride, padding, dilation, groups, bias, rng = case
    op = Conv2d(None, weight, stride, padding, dilation, groups, bias)
    x = rng.normal(size=(2, *shape))
    try:
        expected = _torch_conv(torch.nn.functional.conv2d, x, weight, stride, padding, dilation, groups, bias)
    except RuntimeError:
        with pytest.raises(ShapeError):
            op.output_shape(shape)
        return
    assert (2, *op.output_shape(shape)) == expected.shape
    np.testing.assert_allclose(op.apply(x), expected, rtol=1e-12, atol=1e-12)


@given(convolutions(1))
def test_conv1d_is_torch_s(case):
    shape, weight, stride, padding, dilation, groups, bias, rng = case
    flat = padding if isinstance(padding, str) else padding[0]
    op = Conv1d(None, weight, stride[0], flat, dilation[0], groups, bias)
    x = rng.normal(size=(2, *shape))
    try:
        expected = _torch_conv(torch.nn.functional.conv1d, x, weight, stride, padding, dilation, groups, bias)
    except RuntimeError:
        with pytest.raises(ShapeError):
            op.output_shape(shape)
        return
    assert (2, *op.output_shape(shape)) == expected.shape
    np.testing.assert_allclose(op.apply(x), expected, rtol=1e-12, atol=1e-12)


def test_same_padding_is_torch_s_own():
    rng = np.random.default_rng(0)
    x, w = rng.normal(size=(1, 2, 7, 6)), rng.normal(size=(3, 2, 3, 5))
    ours = Conv2d(None, w, 1, "same", (2, 1), 1, np.zeros(3)).apply(x)
    theirs = torch.nn.functional.conv2d(torch.from_numpy(x), torch.from_numpy(w), padding="same", dilation=(2, 1)).numpy()
    np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-12)


@given(SEEDS, st.data())
def test_pools_are_torch_s(seed, data):
    rng = np.random.default_rng(seed)
    shape = (data.draw(st.integers(1, 3)), data.draw(st.integers(1, 9)), data.draw(st.integers(1, 9)))
    kernel = [data.draw(st.integers(1, 4)) for _ in "xy"]
    stride = [data.draw(st.integers(1, 4)) for _ in "xy"]
    padding = [data.draw(st.integers(0, k // 2)) for k in kernel]
    x = rng.normal(size=(2, *shape))
    assume(all(n + 2 * p >= k for n, p, k in zip(shape[1:], padding, kernel, strict=True)))
    mean = torch.nn.functional.avg_pool2d(torch.from_numpy(x), kernel, stride, padding).numpy()
    avg, total = AvgPool2d(kernel, stride, padding), SumPool2d(kernel, stride, padding)
    assert (2, *avg.output_shape(shape)) == mean.shape
    np.testing.assert_allclose(avg.apply(x), mean, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(total.apply(x), mean * kernel[0] * kernel[1], rtol=1e-12, atol=1e-12)


@given(SEEDS, st.integers(1, 6), st.integers(1, 6), st.sampled_from(((), (3,))))
def test_affine_and_linear_are_matrix_products(seed, n_in, n_out, lead):
    rng = np.random.default_rng(seed)
    w, b, x = rng.normal(size=(*lead, n_out, n_in)), rng.normal(size=(*lead, n_out)), rng.normal(size=(2, *lead, n_in))
    expected = np.einsum("...oi,b...i->b...o", w, x)
    np.testing.assert_allclose(Linear(w).apply(x), expected, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(Affine(w, b).apply(x), expected + b, rtol=1e-12, atol=1e-12)
    assert Affine(w, b).output_shape((*lead, n_in)) == (*lead, n_out)


def test_a_weighted_sum_starts_at_the_bias_and_ascends():
    # 1e16 + 1 is 1e16: only this order gives exactly 0 + 1.
    affine = Affine(np.array([[1.0, -1e16, 1.0]]), np.array([1e16]))
    assert affine.apply(np.ones((1, 3))).tolist() == [[1.0]]
    conv = Conv1d(None, np.array([[[1.0], [-1e16], [1.0]]]), 1, 0, 1, 1, np.array([1e16]))
    assert conv.apply(np.ones((1, 3, 1))).tolist() == [[[1.0]]]


def test_adding_zeros_changes_no_bit():
    rng = np.random.default_rng(1)
    w, x = rng.normal(size=(5, 40)), np.where(rng.random((1, 40)) < 0.2, rng.normal(size=(1, 40)), 0.0)
    on = np.flatnonzero(x[0])
    assert (Linear(w).apply(x) == Linear(w[:, on]).apply(x[:, on])).all()


@given(st.lists(st.integers(1, 4), min_size=1, max_size=4), st.data())
def test_flatten_is_torch_s(shape, data):
    start = data.draw(st.integers(0, len(shape) - 1))
    end = data.draw(st.integers(start, len(shape) - 1))
    x = np.arange(2 * np.prod(shape), dtype=float).reshape(2, *shape)
    expected = torch.flatten(torch.from_numpy(x), start + 1, end + 1).numpy()
    for op in (Flatten(start, end), Flatten(start - len(shape), end - len(shape))):
        assert op.output_shape(tuple(shape)) == expected.shape[1:]
        assert (op.apply(x) == expected).all()


def test_scale_threshold_and_borders():
    x = np.array([[1.0, 2.0, 3.0]])
    assert Scale(np.array([1.0, 0.0, -1.0])).apply(x).tolist() == [[1.0, 0.0, -3.0]]
    assert Scale(np.array(2.0)).apply(x).tolist() == [[2.0, 4.0, 6.0]]
    assert Threshold(np.array(2.0)).apply(x).tolist() == [[0.0, 0.0, 1.0]]
    assert Output((3,)).apply(x) is x


@pytest.mark.parametrize(
    ("op", "shape", "text"),
    [
        (Input((3,)), (4,), r"Input has shape \(3,\), got \(4,\)"),
        (Flatten(1, 3), (2, 2), r"Flatten\(1, 3\) does not fit an input of shape \(2, 2\)"),
        (Affine(np.ones((2, 3)), np.ones(2)), (4,), r"takes input \(3,\), got \(4,\)"),
        (Affine(np.ones((2, 3)), np.ones(3)), (3,), r"bias has shape \(3,\), the output \(2,\)"),
        (Linear(np.ones(3)), (3,), r"needs at least 2 axes"),
        (Scale(np.ones(3)), (4,), r"Scale has shape \(3,\), its input \(4,\)"),
        (Threshold(np.ones(3)), (4,), r"Threshold has shape \(3,\)"),
        (Delay(np.ones(3)), (4,), r"Delay has shape \(3,\)"),
        (SumPool2d(2, 2, 0), (4, 4), r"SumPool2d takes 3 axes"),
        (SumPool2d(5, 1, 0), (1, 4, 4), r"larger than its padded input"),
        (SumPool2d(2, 0, 0), (1, 4, 4), r"stride \(0, 0\)"),
        (Conv2d(None, np.ones((2, 3, 1, 1)), 1, 0, 1, 1, np.ones(2)), (4, 5, 5), r"3 x 1 groups = 3 channels, got 4"),
        (Conv2d(None, np.ones((3, 1, 1, 1)), 1, 0, 1, 2, np.ones(3)), (2, 5, 5), r"3 output channels in 2 groups"),
        (Conv2d(None, np.ones((2, 1, 1, 1)), 1, 0, 1, 1, np.ones(3)), (1, 5, 5), r"bias has shape \(3,\), expected \(2,\)"),
        (Conv2d((4, 5), np.ones((2, 1, 1, 1)), 1, 0, 1, 1, np.ones(2)), (1, 5, 5), r"says input_shape \(4, 5\)"),
        (Conv2d(None, np.ones((2, 1, 3, 3)), 2, "same", 1, 1, np.ones(2)), (1, 5, 5), r"needs stride 1"),
        (Conv2d(None, np.ones((2, 1, 3, 3)), 1, -1, 1, 1, np.ones(2)), (1, 5, 5), r"clash"),
        (Conv1d(None, np.ones((2, 1, 9)), 1, 0, 1, 1, np.ones(2)), (1, 5), r"larger than its padded input"),
    ],
)
def test_a_shape_that_cannot_be_is_refused_with_the_numbers(op, shape, text):
    with pytest.raises(ShapeError, match=text):
        op.output_shape(shape)


def test_constructors_refuse_what_is_no_number():
    with pytest.raises(ValueError, match="one or two integers"):
        SumPool2d(2.5, 1, 0)
    with pytest.raises(ValueError, match="'same', 'valid' or integers"):
        Conv2d(None, np.ones((1, 1, 1, 1)), 1, "full", 1, 1, np.ones(1))


def test_delay_counts_whole_steps_only():
    assert Delay(np.array([0.0, 3e-4])).steps(1e-4).tolist() == [0, 3]
    with pytest.raises(ValueError, match=r"0.00025 s is 2.5 steps"):
        Delay(np.array([2.5e-4])).steps(1e-4)


def test_parameters_are_copies_that_nobody_can_write_to():
    mine = np.ones((2, 3))
    op = Linear(mine)
    mine[0, 0] = 7.0
    assert op.weight[0, 0] == 1.0
    with pytest.raises(ValueError, match="read-only"):
        op.weight[0, 0] = 2.0


def test_a_read_only_view_of_a_writeable_array_is_copied():
    mine = np.ones(3)
    view = mine[:]
    view.flags.writeable = False
    op = Scale(view)
    mine[0] = 7.0
    assert op.scale.tolist() == [1.0, 1.0, 1.0]


def test_frozen_arrays_are_shared_and_constants_stay_one_number():
    frozen = frozen_array(np.arange(3.0))
    assert frozen_array(frozen) is frozen
    million = frozen_array(np.broadcast_to(1.0, (1000, 1000)))
    assert million.strides == (0, 0)
    assert million.shape == (1000, 1000)
