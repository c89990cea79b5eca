"""Conv1d and Conv2d: groups, dilation, stride, padding (numbers, 'same', 'valid'), kernels of any form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from spikeport.ir.ops.base import Array, Op, Shape, ShapeError, expect_rank, frozen_array, pair

Padding2d = tuple[tuple[int, int], tuple[int, int]]


def _padding(value: Any, kernel: Shape, dilation: Shape, stride: Shape, kind: str) -> tuple[tuple[int, int], ...]:
    """Return (before, after) for each spatial axis; 'same' pads as PyTorch does, the odd one after."""
    if value == "valid":
        return tuple((0, 0) for _ in kernel)
    if value == "same":
        if any(s != 1 for s in stride):
            raise ShapeError(f"{kind} with padding='same' needs stride 1, got {stride}")
        totals = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
        return tuple((t // 2, t - t // 2) for t in totals)
    return tuple((int(p), int(p)) for p in value)


def _spatial(size: int, kernel: int, stride: int, dilation: int, pad: tuple[int, int]) -> int:
    return (size + sum(pad) - dilation * (kernel - 1) - 1) // stride + 1


def _frozen_padding(value: Any, kind: str) -> str | tuple[int, int]:
    if isinstance(value, bytes):
        value = value.decode("utf8", "replace")
    if isinstance(value, str):
        if value not in ("same", "valid"):
            raise ValueError(f"{kind} padding must be 'same', 'valid' or integers, got {value!r}")
        return value
    return pair(value, f"{kind} padding")


@dataclass(frozen=True, slots=True, eq=False)
class Conv2d(Op):
    """Two-dimensional cross-correlation, as PyTorch's ``Conv2d``.

    Parameters
    ----------
    input_shape : (int, int) or None
        Spatial size (N_x, N_y) of the input; None where the graph's shapes decide.
    weight : array, shape (C_out, C_in / groups, K_x, K_y)
        Kernels, dimensionless.
    stride, dilation : (int, int)
        In elements.
    padding : (int, int), "same" or "valid"
        Zeros on each side, in elements.
    groups : int
        Number of groups; C_in and C_out are multiples of it.
    bias : array, shape (C_out,)
        Bias per output channel.

    Source: NIR, doi:10.1038/s41467-024-52259-9.
    """

    input_shape: tuple[int, int] | None
    weight: Array
    stride: tuple[int, int]
    padding: str | tuple[int, int]
    dilation: tuple[int, int]
    groups: int
    bias: Array
    is_weighted = True

    def __post_init__(self) -> None:
        set_ = object.__setattr__
        set_(self, "weight", frozen_array(self.weight))
        set_(self, "bias", frozen_array(self.bias))
        set_(self, "stride", pair(self.stride, "Conv2d stride"))
        set_(self, "dilation", pair(self.dilation, "Conv2d dilation"))
        set_(self, "padding", _frozen_padding(self.padding, "Conv2d"))
        set_(self, "groups", int(self.groups))
        if self.input_shape is not None:
            set_(self, "input_shape", pair(self.input_shape, "Conv2d input_shape"))

    @property
    def pads(self) -> Padding2d:
        """((before, after) of x, (before, after) of y), in elements."""
        out = _padding(self.padding, self.weight.shape[2:], self.dilation, self.stride, "Conv2d")
        return out[0], out[1]

    def input_shape_hint(self) -> Shape | None:
        if self.input_shape is None or self.weight.ndim != 4:
            return None
        return (self.weight.shape[1] * self.groups, *self.input_shape)

    def output_shape(self, input_shape: Shape) -> Shape:
        if self.weight.ndim != 4:
            raise ShapeError(f"Conv2d weight needs 4 axes (C_out, C_in/groups, K_x, K_y), got {self.weight.shape}")
        expect_rank(self, input_shape, 3, "(C, N_x, N_y)")
        c_out, c_group = self.weight.shape[:2]
        _check_channels(self.kind, input_shape[0], c_out, c_group, self.groups, self.bias.shape)
        if self.input_shape is not None and tuple(self.input_shape) != input_shape[1:]:
            raise ShapeError(f"Conv2d says input_shape {self.input_shape}, its input has {input_shape[1:]}")
        if min(self.stride) < 1 or min(self.dilation) < 1 or min(min(p) for p in self.pads) < 0:
            raise ShapeError(f"Conv2d stride {self.stride}, dilation {self.dilation} and padding {self.padding} clash")
        size = tuple(
            _spatial(*a)
            for a in zip(input_shape[1:], self.weight.shape[2:], self.stride, self.dilation, self.pads, strict=True)
        )
        if min(size) < 1:
            raise ShapeError(f"Conv2d kernel {self.weight.shape[2:]} is larger than its padded input {input_shape[1:]}")
        return (c_out, *size)

    def apply(self, x: Array) -> Array:
        out_shape = self.output_shape(x.shape[1:])
        (px0, px1), (py0, py1) = self.pads
        padded = np.pad(x, ((0, 0), (0, 0), (px0, px1), (py0, py1)))
        weight = self.weight.astype(x.dtype)
        c_out, c_group, k_x, k_y = weight.shape
        acc = np.broadcast_to(self.bias.astype(x.dtype)[:, None, None], (x.shape[0], *out_shape)).copy()
        per_group = c_out // self.groups
        rows, cols = out_shape[1:]
        for group in range(self.groups):
            out = slice(group * per_group, (group + 1) * per_group)
            for c in range(c_group):
                plane = padded[:, group * c_group + c]
                for i in range(k_x):
                    for j in range(k_y):
                        i0, j0 = i * self.dilation[0], j * self.dilation[1]
                        window = plane[
                            :,
                            i0 : i0 + (rows - 1) * self.stride[0] + 1 : self.stride[0],
                            j0 : j0 + (cols - 1) * self.stride[1] + 1 : self.stride[1],
                        ]
                        acc[:, out] += weight[out, c, i, j][None, :, None, None] * window[:, None]
        return acc


def _check_channels(kind: str, c_in: int, c_out: int, c_group: int, groups: int, bias: Shape) -> None:
    if groups < 1 or c_out % groups:
        raise ShapeError(f"{kind} has {c_out} output channels in {groups} groups")
    if c_in != c_group * groups:
        raise ShapeError(f"{kind} kernels take {c_group} x {groups} groups = {c_group * groups} channels, got {c_in}")
    if bias != (c_out,):
        raise ShapeError(f"{kind} bias has shape {bias}, expected ({c_out},)")


@dataclass(frozen=True, slots=True, eq=False)
class Conv1d(Op):
    """One-dimensional cross-correlation, as PyTorch's ``Conv1d``.

    Parameters
    ----------
    input_shape : int or None
        Length N of the input; None where the graph's shapes decide.
    weight : array, shape (C_out, C_in / groups, K)
        Kernels, dimensionless.
    stride, dilation : int
        In elements.
    padding : int, "same" or "valid"
        Zeros on each side, in elements.
    groups : int
        Number of groups.
    bias : array, shape (C_out,)
        Bias per output channel.

    Source: NIR, doi:10.1038/s41467-024-52259-9.
    """

    input_shape: int | None
    weight: Array
    stride: int
    padding: str | int
    dilation: int
    groups: int
    bias: Array
    is_weighted = True

    def __post_init__(self) -> None:
        set_ = object.__setattr__
        set_(self, "weight", frozen_array(self.weight))
        set_(self, "bias", frozen_array(self.bias))
        for name in ("stride", "dilation"):
            set_(self, name, pair(getattr(self, name), f"Conv1d {name}")[0])
        padding = _frozen_padding(self.padding, "Conv1d")
        set_(self, "padding", padding if isinstance(padding, str) else padding[0])
        set_(self, "groups", int(self.groups))
        if self.input_shape is not None:
            set_(self, "input_shape", pair(self.input_shape, "Conv1d input_shape")[0])

    def as_conv2d(self) -> Conv2d:
        """Return the same connection as a Conv2d over (C, 1, N)."""
        padding: str | tuple[int, int] = self.padding if isinstance(self.padding, str) else (0, self.padding)
        size = None if self.input_shape is None else (1, self.input_shape)
        kernel = self.weight[:, :, None, :]
        return Conv2d(size, kernel, (1, self.stride), padding, (1, self.dilation), self.groups, self.bias)

    def input_shape_hint(self) -> Shape | None:
        if self.input_shape is None or self.weight.ndim != 3:
            return None
        return (self.weight.shape[1] * self.groups, self.input_shape)

    def output_shape(self, input_shape: Shape) -> Shape:
        if self.weight.ndim != 3:
            raise ShapeError(f"Conv1d weight needs 3 axes (C_out, C_in/groups, K), got {self.weight.shape}")
        expect_rank(self, input_shape, 2, "(C, N)")
        out = self.as_conv2d().output_shape((input_shape[0], 1, input_shape[1]))
        return out[0], out[2]

    def apply(self, x: Array) -> Array:
        return self.as_conv2d().apply(x[:, :, None, :])[:, :, 0, :]
