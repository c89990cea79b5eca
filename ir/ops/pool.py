"""SumPool2d and AvgPool2d."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spikeport.ir.ops.base import Array, Op, Shape, ShapeError, expect_rank, pair


@dataclass(frozen=True, slots=True, eq=False)
class SumPool2d(Op):
    """Sum over windows of each channel.

    Parameters
    ----------
    kernel_size, stride, padding : (int, int)
        (height, width) in elements; padding adds zeros on each side.

    Source: NIR, doi:10.1038/s41467-024-52259-9.
    """

    kernel_size: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]

    def __post_init__(self) -> None:
        for name in ("kernel_size", "stride", "padding"):
            object.__setattr__(self, name, pair(getattr(self, name), f"{self.kind} {name}"))

    def output_shape(self, input_shape: Shape) -> Shape:
        expect_rank(self, input_shape, 3, "(C, height, width)")
        if min(self.kernel_size) < 1 or min(self.stride) < 1 or min(self.padding) < 0:
            raise ShapeError(f"{self.kind} kernel {self.kernel_size}, stride {self.stride}, padding {self.padding}")
        size = tuple(
            (n + 2 * p - k) // s + 1
            for n, k, s, p in zip(input_shape[1:], self.kernel_size, self.stride, self.padding, strict=True)
        )
        if min(size) < 1:
            raise ShapeError(f"{self.kind} window {self.kernel_size} is larger than its padded input {input_shape[1:]}")
        return (input_shape[0], *size)

    def apply(self, x: Array) -> Array:
        rows, cols = self.output_shape(x.shape[1:])[1:]
        (k_x, k_y), (s_x, s_y), (p_x, p_y) = self.kernel_size, self.stride, self.padding
        padded = np.pad(x, ((0, 0), (0, 0), (p_x, p_x), (p_y, p_y)))
        acc = np.zeros((*x.shape[:2], rows, cols), x.dtype)
        for i in range(k_x):
            for j in range(k_y):
                acc = acc + padded[:, :, i : i + (rows - 1) * s_x + 1 : s_x, j : j + (cols - 1) * s_y + 1 : s_y]
        return acc


@dataclass(frozen=True, slots=True, eq=False)
class AvgPool2d(SumPool2d):
    """Mean over windows of each channel; padded zeros count, as PyTorch's default.

    Parameters
    ----------
    kernel_size, stride, padding : (int, int)
        (height, width) in elements; padding adds zeros on each side.

    Source: NIR, doi:10.1038/s41467-024-52259-9.
    """

    def apply(self, x: Array) -> Array:
        # The sum first, then one division: PyTorch's order.
        area = x.dtype.type(self.kernel_size[0] * self.kernel_size[1])
        return np.asarray(SumPool2d.apply(self, x) / area)
