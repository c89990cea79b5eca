"""Weighted layers as matrices between flat neurons, by their entries: what simulators of single synapses take."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from spikeport.ir.ops import Array, Conv1d, Conv2d, Op, Shape


@dataclass(frozen=True, slots=True, eq=False)
class Synapses:
    """A matrix by its entries that are not zero.

    Parameters
    ----------
    rows, columns : array of int64
        Postsynaptic and presynaptic index of each.
    values : array
    shape : (int, int)
        Postsynaptic and presynaptic neurons.
    """

    rows: Array
    columns: Array
    values: Array
    shape: tuple[int, int]

    @property
    def is_mixed(self) -> bool:
        """Whether there are weights of both signs."""
        return bool(self.values.size) and bool(self.values.min() < 0 < self.values.max())

    def scaled(self, factor: float) -> Synapses:
        """Return all weights times *factor*."""
        return dataclasses.replace(self, values=self.values * factor)

    def times(self, gain: Array) -> Synapses:
        """Return the weights into each neuron times its *gain*."""
        return dataclasses.replace(self, values=self.values * gain[self.rows])

    def cast(self, dtype: Any) -> Synapses:
        """Return the weights in *dtype*."""
        return dataclasses.replace(self, values=self.values.astype(dtype))

    def ordered(self, source: Array, target: Array) -> Synapses:
        """Return the matrix between neurons in other orders, given by the old index of each new one."""
        into, out = np.empty_like(source), np.empty_like(target)
        into[source], out[target] = np.arange(source.size), np.arange(target.size)
        return dataclasses.replace(self, rows=out[self.rows], columns=into[self.columns])

    def dense(self) -> Array:
        """Return the matrix with its zeros."""
        matrix = np.zeros(self.shape, self.values.dtype)
        matrix[self.rows, self.columns] = self.values
        return matrix

    def parts(self) -> dict[str, Array]:
        """Return what is needed to write the matrix down."""
        return {"rows": self.rows, "columns": self.columns, "values": self.values, "shape": np.array(self.shape)}


def matrix_of(op: Op, input_shape: Shape, output_shape: Shape) -> Synapses:
    """Return the weighted *op* as a matrix between flat neurons."""
    shape = (int(np.prod(output_shape)), int(np.prod(input_shape)))
    if isinstance(op, Conv1d):
        return matrix_of(op.as_conv2d(), (input_shape[0], 1, input_shape[1]), (output_shape[0], 1, output_shape[1]))
    if isinstance(op, Conv2d):
        return _conv_matrix(op, input_shape, output_shape, shape)
    weight: Array = op.parameters()["weight"]
    blocks = weight.reshape(-1, *weight.shape[-2:])
    block, rows, columns = np.nonzero(blocks)
    return Synapses(
        block * weight.shape[-2] + rows, block * weight.shape[-1] + columns, blocks[block, rows, columns], shape
    )  # fmt: skip


def _conv_matrix(op: Conv2d, input_shape: Shape, output_shape: Shape, shape: tuple[int, int]) -> Synapses:
    into = np.arange(shape[1]).reshape(op.groups, -1, *input_shape[1:])  # (groups, channels, rows, columns)
    out = np.arange(shape[0]).reshape(op.groups, -1, *output_shape[1:])
    kernel = op.weight.reshape(op.groups, -1, *op.weight.shape[1:])
    (px, _), (py, _) = op.pads
    found: list[tuple[Array, Array, Array]] = []
    for i, j in product(*map(range, op.weight.shape[2:])):
        x = np.arange(output_shape[1]) * op.stride[0] + i * op.dilation[0] - px
        y = np.arange(output_shape[2]) * op.stride[1] + j * op.dilation[1] - py
        at_x, at_y = (np.flatnonzero((a >= 0) & (a < n)) for a, n in zip((x, y), input_shape[1:], strict=True))
        targets = out[:, :, at_x][..., at_y][:, :, None]  # (groups, out, 1, rows, columns)
        sources = into[:, :, x[at_x]][..., y[at_y]][:, None]  # (groups, 1, in, rows, columns)
        weights = kernel[..., i, j][..., None, None]  # (groups, out, in, 1, 1)
        used = np.broadcast_to(weights != 0, np.broadcast_shapes(targets.shape, sources.shape))
        found.append(tuple(np.broadcast_to(a, used.shape)[used] for a in (targets, sources, weights)))
    rows, columns, values = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return Synapses(rows, columns, values, shape)


__all__ = ["Synapses", "matrix_of"]
