"""What every op has: frozen parameters, a shape rule, and one reference step."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Shape = tuple[int, ...]


class ShapeError(ValueError):
    """An input shape that an op cannot take; ``ir.verify`` turns it into a diagnostic with the path."""


def _is_frozen(array: Array) -> bool:
    """Whether nobody can write to the memory of *array*: a read-only view of a writeable array is not frozen."""
    base: Any = array
    while isinstance(base, np.ndarray):
        if base.flags.writeable:
            return False
        base = base.base
    return base is None or isinstance(base, bytes)


#: Metadata of a field, None by default, that was added to a record which files know already: while it is None a graph's
#: digest leaves it out, so that what was written before still has its digest.
LATER = {"later": True}


def frozen_array(value: Any, dtype: Any = None) -> Array:
    """Return a read-only copy of *value* as a C-ordered array; an owned read-only array passes as it is."""
    array = np.asarray(value, dtype=dtype)
    if array.flags.c_contiguous and _is_frozen(array):
        return array
    if array.ndim and array.size > 1 and not any(array.strides):
        # A broadcast scalar (a million equal thresholds) stays one number in memory.
        return np.broadcast_to(np.array(array.reshape(-1)[0]), array.shape)
    array = np.array(array, order="C", copy=True)
    array.flags.writeable = False
    return array


def pair(value: Any, what: str) -> tuple[int, int]:
    """Return *value* (a number or two) as two ints."""
    flat = np.atleast_1d(np.asarray(value))
    if flat.dtype.kind not in "iu" or flat.size not in (1, 2) or flat.ndim != 1:
        raise ValueError(f"{what} must be one or two integers, got {value!r}")
    return int(flat[0]), int(flat[-1])


@dataclass(frozen=True, slots=True, eq=False)
class Op:
    """Base of all ops. Parameters are the dataclass fields, named as NIR names them."""

    #: Inputs are weighted and summed: the node is a connection that a chip holds as synapses.
    is_weighted: ClassVar[bool] = False
    #: Keeps state from one step to the next.
    is_stateful: ClassVar[bool] = False
    #: Emits integer spike counts rather than real values.
    is_spiking: ClassVar[bool] = False

    @property
    def kind(self) -> str:
        """NIR's name of the primitive."""
        return type(self).__name__

    def input_shape_hint(self) -> Shape | None:
        """Return the input shape that the parameters alone fix, or None where the input decides."""
        return None

    def output_shape(self, input_shape: Shape) -> Shape:
        """Return the shape of the output for an input of *input_shape*; raise ShapeError where it cannot be."""
        raise NotImplementedError

    def apply(self, x: Array) -> Array:
        """Return the output of a stateless op for *x* of shape (batch, *input shape): the reference."""
        raise NotImplementedError(f"{self.kind} keeps state")

    def parameters(self) -> dict[str, Any]:
        """Return the fields by name, in order of declaration."""
        return {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}


def expect_rank(op: Op, shape: Shape, rank: int, names: str) -> None:
    """Raise ShapeError unless *shape* has *rank* axes called *names*."""
    if len(shape) != rank:
        raise ShapeError(f"{op.kind} takes {rank} axes {names}, got shape {shape}")
