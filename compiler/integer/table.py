"""The conversion table: what each parameter of each population was, its integer, what that amounts to, and the error."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from spikeport.ir.ops import Array

Span = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Row:
    """One parameter of one population or connection; spans are (least, largest) over its neurons or weights.

    Parameters
    ----------
    path, parameter : str
        Population or weighted layer; ``threshold``, ``weights``, ``bias``, ...
    old : (float, float)
        In the model's units: thresholds and biases of the membrane, decays a step, weights with all gains.
    integer : (int, int)
        What the register holds: the mantissa.
    exponent : (int, int)
        Power of two that it is shifted by.
    effective : (float, float)
        What it amounts to in the model's units.
    error : float
        Largest relative error; of weights, the root of the squared error relative to the root of the squares.
    saturated, zeroed, size : int
        Weights that were cut at the range, that became 0, and all.
    """

    path: str
    parameter: str
    old: Span
    integer: tuple[int, int]
    exponent: tuple[int, int]
    effective: Span
    error: float
    saturated: int = 0
    zeroed: int = 0
    size: int = 0

    def as_dict(self) -> dict[str, Any]:
        """Return the row as plain data."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}


def row(path: str, name: str, old: Array, mantissa: Array, exponent: Any, effective: Array) -> Row:
    """Return the row of a parameter of neurons: its error is the largest, relative."""
    old, effective = np.asarray(old, np.float64), np.asarray(effective, np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        error = np.where(old == effective, 0.0, np.abs(effective - old) / np.abs(old))
    return Row(
        path,
        name,
        span(old),
        whole(mantissa),
        whole(np.asarray(exponent)),
        span(effective),
        float(np.max(error, initial=0.0)),
    )


def span(values: Array) -> Span:
    """Return the least and the largest of *values*."""
    return (float(values.min()), float(values.max())) if values.size else (0.0, 0.0)


def whole(values: Array) -> tuple[int, int]:
    """Return the least and the largest of whole *values*."""
    return (int(values.min()), int(values.max())) if values.size else (0, 0)
