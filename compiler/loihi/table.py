"""The conversion table: what each parameter of each population was, its integer, what that amounts to, and the error."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from spikeport.compiler.loihi.links import Link
from spikeport.compiler.loihi.neurons import Dynamics
from spikeport.compiler.loihi.settle import Settled
from spikeport.ir.loihi import DECAY_ONE, SHIFT, split_bias, split_weights
from spikeport.ir.ops import Array

Span = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Row:
    """One parameter of one population or connection; spans are (least, largest) over its neurons or weights.

    Parameters
    ----------
    path, parameter : str
        Population or weighted layer; ``threshold``, ``dv``, ``du``, ``bias``, ``weights``, ``v_init``, ``i_init``.
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


def rows_of(
    path: str, dyn: Dynamics, done: Settled, links: Sequence[Link], names: Mapping[int, str]
) -> Iterator[Row]:  # fmt: skip
    """Yield the rows of one population and of the connections into it."""
    scale = done.choice.scale
    if dyn.threshold is not None and done.choice.threshold is not None:
        mantissa = done.choice.threshold
        # `v >= t` is `v > t - 1` in the steps that the membrane has.
        effective = (mantissa + (1 if dyn.is_ge else 0)) * (SHIFT / scale)
        yield _row(path, "threshold", dyn.threshold, mantissa, 6, effective)
    yield _row(path, "dv", dyn.beta, DECAY_ONE - done.beta, 0, done.beta / DECAY_ONE)
    alpha = np.zeros(dyn.shape) if dyn.alpha is None else dyn.alpha
    held = np.zeros(dyn.shape, np.int64) if done.alpha is None else done.alpha
    yield _row(path, "du", alpha, DECAY_ONE - 1 - held, 0, held / DECAY_ONE)
    place = [i for i, link in enumerate(links) if link.target == path]
    if np.any(done.bias) or np.any(dyn.constant):
        mantissa, exponent = split_bias(done.bias)
        old = done.bias / scale if not np.any(dyn.constant) else dyn.constant
        yield _row(path, "bias", old, mantissa, exponent, done.bias / scale)
    for name, state in (("v_init", done.v_init), ("i_init", done.i_init)):
        if np.any(state):
            yield _row(path, name, state / scale, state, 0, state / scale)
    if done.refractory is not None:
        yield _row(path, "refractory", done.refractory, done.refractory, 0, done.refractory)
    for number, weights in zip(place, done.choice.weights, strict=True):
        old = links[number].incoming.weight
        effective = weights.weight * (SHIFT / scale)
        mantissa, shift = split_weights(weights.weight)
        norm = float(np.sqrt(np.sum(old**2)))
        error = float(np.sqrt(np.sum((effective - old) ** 2))) / norm if norm else 0.0
        yield Row(
            names[number], "weights", _span(old), _whole(mantissa), (shift, shift), _span(effective), error,
            weights.saturated, weights.zeroed, int(old.size),
        )  # fmt: skip


def _row(path: str, name: str, old: Array, mantissa: Array, exponent: Any, effective: Array) -> Row:
    old, effective = np.asarray(old, np.float64), np.asarray(effective, np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        error = np.where(old == effective, 0.0, np.abs(effective - old) / np.abs(old))
    return Row(
        path,
        name,
        _span(old),
        _whole(mantissa),
        _whole(np.asarray(exponent)),
        _span(effective),
        float(np.max(error, initial=0.0)),
    )


def _span(values: Array) -> Span:
    return (float(values.min()), float(values.max())) if values.size else (0.0, 0.0)


def _whole(values: Array) -> tuple[int, int]:
    return (int(values.min()), int(values.max())) if values.size else (0, 0)
