"""A population's registers once its scale is chosen: decays, threshold, bias and initial state as whole numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from spikeport.compiler.integer.links import Incoming
from spikeport.compiler.integer.neurons import Dynamics
from spikeport.compiler.integer.silent import late_bias, starting
from spikeport.compiler.loihi.scale import Choice, Quantized, mantissas, quantize
from spikeport.compiler.loihi.start import back
from spikeport.ir.diagnostics import Diagnostic
from spikeport.ir.dynamics import NeuronModel
from spikeport.ir.loihi import DECAY_ONE, LIMIT, MAX_BIAS, MAX_EXPONENT, MAX_THRESHOLD, SHIFT, split_bias
from spikeport.ir.ops import Array

#: How near a real number must be to a whole one to be it: coefficients come by way of time constants.
WHOLE = 1e-9


@dataclass(frozen=True, slots=True, eq=False)
class Settled:
    """A population in Loihi's integers; arrays of int64 of the population's shape.

    Parameters
    ----------
    choice : Choice
        Scale, weights and threshold mantissas.
    alpha : array or None
        Decay of the current in 1/4096; None where there is none (du = 4095).
    beta : array
        Decay of the membrane in 1/4096.
    bias : array
        Effective: mantissa << exponent.
    i_init, v_init : array
    refractory : array or None
    """

    choice: Choice
    alpha: Array | None
    beta: Array
    bias: Array
    i_init: Array
    v_init: Array
    refractory: Array | None

    def model(self) -> NeuronModel:
        """Return the population as the reference steps it."""
        shape = self.beta.shape
        threshold = None if self.choice.threshold is None else self.choice.threshold * float(SHIFT)
        one, zero = np.ones(shape), np.zeros(shape)
        return NeuronModel(
            shape, self.beta / DECAY_ONE, one if self.alpha is not None else one * SHIFT, self.bias.astype(float),
            None if self.alpha is None else self.alpha / DECAY_ONE, None if self.alpha is None else one * SHIFT, None, None,
            threshold, None if threshold is None else zero, "none" if threshold is None else "to_v_reset", "after_spike", ">",
            False, False, None, None, 0, self.v_init.astype(float), self.i_init.astype(float), self.refractory, None, True,
        )  # fmt: skip


def whole_bias(value: Array) -> Array:
    """Return *value* at the nearest numbers with 13-bit mantissas and exponents up to 7."""
    clipped = np.clip(value, -(MAX_BIAS << MAX_EXPONENT), MAX_BIAS << MAX_EXPONENT)
    done = np.zeros(value.shape)
    for exponent in range(MAX_EXPONENT, -1, -1):  # the smallest exponent that fits comes last
        mantissa = np.rint(clipped / 2**exponent)
        done = np.where(np.abs(mantissa) <= MAX_BIAS, mantissa * 2**exponent, done)
    return done.astype(np.int64)


def decay(value: Array, least: int) -> Array:
    """Return *value* in 1/4096, at least *least* and, for a current, at most 4095."""
    return np.asarray(np.clip(np.rint(value * DECAY_ONE), least, DECAY_ONE).astype(np.int64))


def settle(
    path: str, dyn: Dynamics, silent: Array, lag: int, choice: Choice
) -> tuple[Settled, list[Diagnostic]]:  # fmt: skip
    """Return the population at *choice*, and warnings; *silent* and *lag* are its own of `Prepared`."""
    found: list[Diagnostic] = []
    alpha = None if dyn.alpha is None else np.minimum(decay(dyn.alpha, 0), DECAY_ONE - 1)
    beta = decay(dyn.beta, 1)
    found += _lost_decays(path, dyn, alpha, beta)
    current, membrane = starting(dyn, silent, 1 / DECAY_ONE)
    bias = whole_bias(dyn.settled(silent[-1]) * choice.scale)
    threshold = np.full(dyn.shape, LIMIT) if choice.threshold is None else choice.threshold * SHIFT
    i = np.clip(np.rint(current * choice.scale), 1 - LIMIT, LIMIT - 1).astype(np.int64)
    v = np.clip(np.rint(membrane * choice.scale), 1 - LIMIT, LIMIT - 1).astype(np.int64)
    keep = np.zeros(dyn.shape, np.int64) if alpha is None else alpha
    i, v, exact = back(i, v, keep, beta, bias, threshold, lag)
    if not exact:
        found.append(
            Diagnostic(
                "E534", path, f"it runs {lag} steps behind and its bias acts from the first step on; no initial state undoes "
                "that within 24 bits and below threshold, so its first steps differ from the model's",
                "discard the first steps, or put the bias on neurons that are nearer the input", {"lag": lag}, "warning",
            )
        )  # fmt: skip
    found += late_bias(path, silent)
    return Settled(choice, alpha, beta, bias, i, v, dyn.refractory), found


def _lost_decays(path: str, dyn: Dynamics, alpha: Array | None, beta: Array) -> list[Diagnostic]:
    out = []
    for name, register, value, rounded in (("dv", "membrane", dyn.beta, beta), ("du", "current", dyn.alpha, alpha)):
        if value is None or rounded is None:
            continue
        top = DECAY_ONE if name == "dv" else DECAY_ONE - 1
        gone = (value < 1) & (rounded == top) & (np.abs(value * DECAY_ONE - top) > 1e-6)
        if name == "du":
            gone = gone | ((value >= 1) & (rounded == top))
        if np.any(gone):
            first = float(value[gone].reshape(-1)[0])
            means = "it does not leak at all" if name == "dv" else "it still loses 1/4096 a step"
            out.append(
                Diagnostic(
                    "E533", path, f"the decay of its {register}, {first:.8g} a step, rounds to {name} = 0 in 12 bits: {means}",
                    "use a larger dt or a shorter time constant", {"register": name, "decay": first}, "warning",
                )
            )  # fmt: skip
    return out


def exact_choice(dyn: Dynamics, incoming: Sequence[Incoming], silent: Array, lag: int) -> Settled | None:
    """Return the population at scale 1 where every number is whole there already: an explicit integer model; else None."""
    bias = dyn.settled(silent[-1])
    current, membrane = starting(dyn, silent, 1 / DECAY_ONE)
    threshold = dyn.threshold
    if threshold is not None and (not _near(threshold / SHIFT) or np.any(threshold > MAX_THRESHOLD * SHIFT) or dyn.is_ge):
        return None
    if any(not _near(a) for a in (bias, current, membrane)) or not _near(dyn.beta * DECAY_ONE):
        return None
    if dyn.alpha is not None and not _near(dyn.alpha * DECAY_ONE):
        return None
    weights: list[Quantized] = []
    for one in incoming:
        done = quantize(one.weight, 1.0)
        if not _near(one.weight / SHIFT) or np.any(done.weight != np.rint(one.weight / SHIFT)):
            return None
        weights.append(done)
    try:
        split_bias(np.rint(bias))
    except ValueError:
        return None
    if not any(np.any(w.weight) for w in weights):
        return None
    choice = Choice(1.0, tuple(weights), None if threshold is None else mantissas(dyn, 1.0))
    settled, found = settle("", dyn, silent, lag, choice)
    return None if found else settled


def _near(value: Array) -> bool:
    return bool(np.all(np.abs(value - np.rint(value)) <= WHOLE * np.maximum(1.0, np.abs(value))))
