"""Loihi's rows of the conversion table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from spikeport.compiler.integer.links import Link
from spikeport.compiler.integer.neurons import Dynamics
from spikeport.compiler.integer.table import Row, row, span, whole
from spikeport.compiler.loihi.settle import Settled
from spikeport.ir.loihi import DECAY_ONE, SHIFT, split_bias, split_weights


def rows_of(
    path: str, dyn: Dynamics, done: Settled, links: Sequence[Link], names: Mapping[int, str]
) -> Iterator[Row]:  # fmt: skip
    """Yield the rows of one population and of the connections into it."""
    scale = done.choice.scale
    if dyn.threshold is not None and done.choice.threshold is not None:
        mantissa = done.choice.threshold
        # `v >= t` is `v > t - 1` in the steps that the membrane has.
        effective = (mantissa + (1 if dyn.is_ge else 0)) * (SHIFT / scale)
        yield row(path, "threshold", dyn.threshold, mantissa, 6, effective)
    yield row(path, "dv", dyn.beta, DECAY_ONE - done.beta, 0, done.beta / DECAY_ONE)
    alpha = np.zeros(dyn.shape) if dyn.alpha is None else dyn.alpha
    held = np.zeros(dyn.shape, np.int64) if done.alpha is None else done.alpha
    yield row(path, "du", alpha, DECAY_ONE - 1 - held, 0, held / DECAY_ONE)
    place = [i for i, link in enumerate(links) if link.target == path]
    if np.any(done.bias) or np.any(dyn.constant):
        mantissa, exponent = split_bias(done.bias)
        old = done.bias / scale if not np.any(dyn.constant) else dyn.constant
        yield row(path, "bias", old, mantissa, exponent, done.bias / scale)
    for name, state in (("v_init", done.v_init), ("i_init", done.i_init)):
        if np.any(state):
            yield row(path, name, state / scale, state, 0, state / scale)
    if done.refractory is not None:
        yield row(path, "refractory", done.refractory, done.refractory, 0, done.refractory)
    for number, weights in zip(place, done.choice.weights, strict=True):
        old = links[number].incoming.weight
        effective = weights.weight * (SHIFT / scale)
        mantissa, shift = split_weights(weights.weight)
        norm = float(np.sqrt(np.sum(old**2)))
        error = float(np.sqrt(np.sum((effective - old) ** 2))) / norm if norm else 0.0
        yield Row(
            names[number], "weights", span(old), whole(mantissa), (shift, shift), span(effective), error,
            weights.saturated, weights.zeroed, int(old.size),
        )  # fmt: skip
