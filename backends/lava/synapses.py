"""Weights as Lava wants them: kernels with channels last, gains of neurons folded in."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from spikeport.ir.ops import Array, Conv1d, Conv2d, Op

#: What Lava's Conv holds in 8 bits: kernel sizes, strides, paddings, dilations and groups.
MOST = 127


def conv_fits(op: Conv1d | Conv2d) -> bool:
    """Whether Lava's Conv can say *op*: the same padding on both sides, and numbers of 8 bits."""
    conv = op.as_conv2d() if isinstance(op, Conv1d) else op
    numbers = (*conv.weight.shape[2:], *conv.stride, *conv.dilation, *(p for pad in conv.pads for p in pad), conv.groups)
    return all(before == after for before, after in conv.pads) and max(numbers) <= MOST


def conv_kernel(op: Op | None) -> tuple[Array, dict[str, Any]]:
    """Return the kernel (out, x, y, in) and the arguments of Lava's Conv, which convolves, where *op* correlates."""
    conv = op.as_conv2d() if isinstance(op, Conv1d) else op
    if not isinstance(conv, Conv2d):
        raise TypeError(f"no convolution: {conv}")
    options = {
        "padding": [p[0] for p in conv.pads], "stride": list(conv.stride), "dilation": list(conv.dilation),
        "groups": conv.groups,
    }  # fmt: skip
    return np.ascontiguousarray(conv.weight[:, :, ::-1, ::-1].transpose(0, 2, 3, 1)), options


def gained(op: Op, gain: Array) -> Op | None:
    """Return the convolution *op* with the gains of its neurons in its kernel; None where a channel has several."""
    weight: Array = op.parameters()["weight"]
    by_channel = gain.reshape(weight.shape[0], -1)
    if np.any(by_channel != by_channel[:, :1]):
        return None
    factor = by_channel[:, 0].reshape(-1, *(1,) * (weight.ndim - 1))
    return dataclasses.replace(op, weight=weight * factor)  # type: ignore[call-arg]


__all__ = ["conv_fits", "conv_kernel", "gained"]
