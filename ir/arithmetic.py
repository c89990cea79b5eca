"""Arithmetics: the number system that runs a graph, as against the profile, which is the time semantics of its source."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from spikeport.ir.diagnostics import Diagnostic, UsageError, did_you_mean
from spikeport.ir.ops import Array


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """A number system.

    Parameters
    ----------
    name : str
        As on the command line.
    dtype : numpy dtype
        Of state and sums.
    weight_bits : int or None
        Width of integer weights; None for weights in *dtype*.
    summary : str
        One line for people.
    approximations : tuple of str
        What it cannot do and does otherwise on request (``--allow``).
    """

    name: str
    dtype: Any
    weight_bits: int | None
    summary: str
    approximations: tuple[str, ...] = ()


ARITHMETICS: dict[str, Arithmetic] = {
    a.name: a
    for a in (
        Arithmetic("float64", np.dtype(np.float64), None, "IEEE double: the reference"),
        Arithmetic("float32", np.dtype(np.float32), None, "IEEE single, sums in the canonical order"),
        Arithmetic(
            "loihi", np.dtype(np.float64), None, "Loihi's integers as Lava fixed_pt computes them, held in doubles",
            ("reset-change",),
        ),
        Arithmetic(
            "spinnaker1", np.dtype(np.float64), None, "sPyNNaker's cores: s16.15 state, 16-bit weights, held in doubles",
            ("reset-change", "slow-leak"),
        ),
        Arithmetic("spinnaker2", np.dtype(np.float64), 8, "int8 weights, one scale a population; the state in double"),
    )
}  # fmt: skip


def arithmetic(name: str | Arithmetic) -> Arithmetic:
    """Return the arithmetic called *name*; raise UsageError E603 for one that is not there."""
    if isinstance(name, Arithmetic):
        return name
    if name not in ARITHMETICS:
        raise UsageError(
            Diagnostic(
                "E603",
                "",
                f"unknown arithmetic {name!r}{did_you_mean(name, ARITHMETICS)}",
                f"one of {', '.join(ARITHMETICS)}",
            )
        )
    return ARITHMETICS[name]


def int8_scale(weights: list[Array]) -> float:
    """Return ``127 / max|W|`` over all weights into a population; 1 where all are 0 (py-spinnaker2's rule)."""
    largest = max((float(np.max(np.abs(w))) for w in weights if w.size), default=0.0)
    return 127.0 / largest if largest else 1.0


def int8_weights(weight: Array, scale: float) -> Array:
    """Return ``trunc(W * scale)``, the product in the type of *weight*, as float64 holding integers of 8 bits."""
    # A scale beyond float32 belongs to weights so small that their product is taken in double.
    single = weight.dtype == np.float32 and scale <= float(np.finfo(np.float32).max)
    product = weight * np.float32(scale) if single else np.asarray(weight, np.float64) * scale
    return np.clip(np.trunc(product), -127, 127).astype(np.float64)
