"""Affine, Linear and Scale: weighted sums in the canonical order."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spikeport.ir.ops.base import Array, Op, Shape, ShapeError, frozen_array


def _matvec(weight: Array, bias: Array | None, x: Array) -> Array:
    """Return ``bias + weight @ x`` with the sum started at the bias and taken by ascending presynaptic index."""
    out_shape = (*x.shape[:-1], weight.shape[-2])
    acc = np.zeros(out_shape, x.dtype) if bias is None else np.broadcast_to(bias, out_shape).astype(x.dtype)
    for j in range(weight.shape[-1]):
        acc = acc + weight[..., :, j] * x[..., j : j + 1]
    return acc


@dataclass(frozen=True, slots=True, eq=False)
class Affine(Op):
    """``y = W x + b``.

    Parameters
    ----------
    weight : array, shape (*lead, N_out, N_in)
        Synaptic weights, dimensionless.
    bias : array, shape (*lead, N_out)
        Bias, in the unit of the output.

    Source: NIR, doi:10.1038/s41467-024-52259-9.
    """

    weight: Array
    bias: Array
    is_weighted = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "weight", frozen_array(self.weight))
        object.__setattr__(self, "bias", frozen_array(self.bias))

    def input_shape_hint(self) -> Shape | None:
        if self.weight.ndim < 2:
            return None
        return (*self.weight.shape[:-2], self.weight.shape[-1])

    def output_shape(self, input_shape: Shape) -> Shape:
        if self.weight.ndim < 2:
            raise ShapeError(f"{self.kind} weight needs at least 2 axes (N_out, N_in), got shape {self.weight.shape}")
        hint = self.input_shape_hint()
        if input_shape != hint:
            raise ShapeError(f"{self.kind} weight {self.weight.shape} takes input {hint}, got {input_shape}")
        out = (*self.weight.shape[:-2], self.weight.shape[-2])
        if self.bias.shape != out:
            raise ShapeError(f"{self.kind} bias has shape {self.bias.shape}, the output {out}")
        return out

    def apply(self, x: Array) -> Array:
        return _matvec(self.weight.astype(x.dtype), self.bias, x)


@dataclass(frozen=True, slots=True, eq=False)
class Linear(Op):
    """``y = W x``, an :class:`Affine` without bias.

    Parameters
    ----------
    weight : array, shape (*lead, N_out, N_in)
        Synaptic weights, dimensionless.

    Source: NIR, doi:10.1038/s41467-024-52259-9.
    """

    weight: Array
    is_weighted = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "weight", frozen_array(self.weight))

    def input_shape_hint(self) -> Shape | None:
        if self.weight.ndim < 2:
            return None
        return (*self.weight.shape[:-2], self.weight.shape[-1])

    def output_shape(self, input_shape: Shape) -> Shape:
        if self.weight.ndim < 2:
            raise ShapeError(f"{self.kind} weight needs at least 2 axes (N_out, N_in), got shape {self.weight.shape}")
        if input_shape != self.input_shape_hint():
            raise ShapeError(f"{self.kind} weight {self.weight.shape} takes input {self.input_shape_hint()}, got {input_shape}")
        return (*self.weight.shape[:-2], self.weight.shape[-2])

    def apply(self, x: Array) -> Array:
        return _matvec(self.weight.astype(x.dtype), None, x)


@dataclass(frozen=True, slots=True, eq=False)
class Scale(Op):
    """``y = s * x``, element by element.

    Parameters
    ----------
    scale : array, shape of the input
        Factor, dimensionless.

    Source: NIR, doi:10.1038/s41467-024-52259-9.
    """

    scale: Array

    def __post_init__(self) -> None:
        object.__setattr__(self, "scale", frozen_array(self.scale))

    def input_shape_hint(self) -> Shape | None:
        return self.scale.shape or None

    def output_shape(self, input_shape: Shape) -> Shape:
        if self.scale.shape not in ((), input_shape):
            raise ShapeError(f"Scale has shape {self.scale.shape}, its input {input_shape}")
        return input_shape

    def apply(self, x: Array) -> Array:
        return np.asarray(x * self.scale.astype(x.dtype))
