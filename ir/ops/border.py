"""Input, Output and Flatten: what has no arithmetic."""

from __future__ import annotations

import math
from dataclasses import dataclass

from spikeport.ir.ops.base import Array, Op, Shape, ShapeError


@dataclass(frozen=True, slots=True, eq=False)
class Input(Op):
    """Where values enter, one array of *shape* a step.

    Parameters
    ----------
    shape : tuple of int
        Without batch and time.
    """

    shape: Shape

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", tuple(int(n) for n in self.shape))

    def input_shape_hint(self) -> Shape | None:
        return self.shape

    def output_shape(self, input_shape: Shape) -> Shape:
        if input_shape != self.shape:
            raise ShapeError(f"{self.kind} has shape {self.shape}, got {input_shape}")
        return self.shape

    def apply(self, x: Array) -> Array:
        return x


@dataclass(frozen=True, slots=True, eq=False)
class Output(Input):
    """Where values leave, one array of *shape* a step.

    Parameters
    ----------
    shape : tuple of int
        Without batch and time.
    """


@dataclass(frozen=True, slots=True, eq=False)
class Flatten(Op):
    """Merge the axes *start_dim* to *end_dim* (both included; no batch axis) into one.

    Parameters
    ----------
    start_dim, end_dim : int
        Axes of the shape without batch; negative ones count from the end.
    """

    start_dim: int = 0
    end_dim: int = -1

    def __post_init__(self) -> None:
        object.__setattr__(self, "start_dim", int(self.start_dim))
        object.__setattr__(self, "end_dim", int(self.end_dim))

    def output_shape(self, input_shape: Shape) -> Shape:
        rank = len(input_shape)
        start = self.start_dim + rank if self.start_dim < 0 else self.start_dim
        end = self.end_dim + rank if self.end_dim < 0 else self.end_dim
        if not 0 <= start <= end < rank:
            raise ShapeError(f"Flatten({self.start_dim}, {self.end_dim}) does not fit an input of shape {input_shape}")
        return (*input_shape[:start], math.prod(input_shape[start : end + 1]), *input_shape[end + 1 :])

    def apply(self, x: Array) -> Array:
        return x.reshape(x.shape[0], *self.output_shape(x.shape[1:]))
