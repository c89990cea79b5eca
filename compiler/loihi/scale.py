"""Choose a population's scale: how many of Loihi's least bits make one unit of its membrane.

Everything of a population hangs on this one number: weights are ``w * scale / 64`` on a grid of 8-bit mantissas, threshold
and bias likewise, and the larger it is, the less the cut of decays costs. It is bounded by what 24 bits hold in the worst
case. Within the bounds it is chosen by the error that it makes: of spikes on calibration data, or else of weights.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from spikeport.compiler.integer.calibrate import relative_error
from spikeport.compiler.integer.links import Incoming
from spikeport.compiler.integer.neurons import Dynamics
from spikeport.compiler.integer.reach import reach, spread
from spikeport.ir.diagnostics import Diagnostic, UnsupportedError
from spikeport.ir.loihi import DECAY_ONE, LIMIT, MAX_BIAS, MAX_EXPONENT, MAX_THRESHOLD, SHIFT, mantissa_range
from spikeport.ir.ops import Array

#: Largest weight that a candidate scale makes, as a share of the largest mantissa: below 1 a finer fit of the others, above
#: 1 the largest weights are cut.
SHARES = (1.0, 0.94, 0.88, 0.82, 0.76, 0.7, 0.64, 0.58, 0.52, 1.12, 1.3, 1.6)
#: Least mantissa that the largest weight may have.
FEWEST = 4
#: Steps that an integrator without leak is assumed to run where no data says more.
ASSUMED_STEPS = 1024


@dataclass(frozen=True, slots=True, eq=False)
class Quantized:
    """A connection's integers.

    Parameters
    ----------
    weight : array of int64
        ``mantissa << exponent``.
    exponent, saturated, zeroed : int
        Shared exponent; weights cut at the range; weights that became 0.
    """

    weight: Array
    exponent: int
    saturated: int
    zeroed: int


@dataclass(frozen=True, slots=True, eq=False)
class Choice:
    """A scale and what follows from it.

    Parameters
    ----------
    scale : float
        Least bits of the membrane in one unit of it.
    weights : tuple of Quantized
        In the order of the connections.
    threshold : array of int64 or None
        Mantissas.
    """

    scale: float
    weights: tuple[Quantized, ...]
    threshold: Array | None


def quantize(weight: Array, scale: float, lower: int = 0) -> Quantized:
    """Return ``weight * scale / 64`` on the grid, with the smallest exponent that holds the largest weight.

    Where not even exponent 7 holds it, the largest weights are cut; so they are with an exponent *lower* by some.
    """
    exact = weight * (scale / SHIFT)
    low, high, step = mantissa_range(exact)
    for fitting in range(MAX_EXPONENT + 1):
        whole = _rounded(exact, step << fitting)
        if not whole.size or (whole.min() >= low << fitting and whole.max() <= high << fitting):
            break
    exponent = max(0, fitting - lower)
    whole = _rounded(exact, step << exponent)
    kept = np.clip(whole, low << exponent, high << exponent).astype(np.int64)
    return Quantized(kept, exponent, int(np.count_nonzero(kept != whole)), int(np.count_nonzero((kept == 0) & (exact != 0))))


def _rounded(values: Array, unit: int) -> Array:
    return np.asarray(np.rint(values / unit) * unit)


def largest_current(dyn: Dynamics, incoming: Sequence[Incoming], start: Array) -> Array:
    """Return, by neuron, the largest magnitude that the current can reach, in units of the membrane."""
    low, high = np.zeros(dyn.shape), np.zeros(dyn.shape)
    # du = 0 still takes 1/4096 a step.
    keep = np.zeros(dyn.shape) if dyn.alpha is None else np.minimum(dyn.alpha, 1 - 1 / DECAY_ONE)
    for one in incoming:
        a, b = reach(one)
        # Spikes every `period` steps, all at once: a geometric series of what is left of each.
        most = 1 / (1 - keep**one.period)
        low, high = low + spread(a, one.merged.op, dyn.shape) * most, high + spread(b, one.merged.op, dyn.shape) * most
    return np.asarray(np.maximum(np.abs(low), np.abs(high)) + np.abs(start))


@dataclass(frozen=True, slots=True, eq=False)
class Bounds:
    """The largest scale, and what sets it."""

    scale: float
    what: str
    number: float


def bounds(dyn: Dynamics, incoming: Sequence[Incoming], constant: Array, start: Array, steps: int) -> Bounds:
    """Return the largest scale that every register holds in the worst case."""
    current = largest_current(dyn, incoming, start)
    found = [("the current in the worst case", float(current.max(initial=0)), LIMIT - 1.0)]
    found.append(("the bias", float(np.abs(constant).max(initial=0)), float(MAX_BIAS << MAX_EXPONENT)))
    if dyn.threshold is not None:
        found.append(("the threshold", float(dyn.threshold.max(initial=0)), float(MAX_THRESHOLD * SHIFT)))
    else:
        keep = np.minimum(1 / np.maximum(1 - dyn.beta, 1e-300), float(steps))
        top = (current + np.abs(constant)) * keep + np.abs(dyn.v_init)
        found.append(("the membrane in the worst case", float(top.max(initial=0)), LIMIT - 1.0))
    found.append(("the initial membrane", float(np.abs(dyn.v_init).max(initial=0)), LIMIT - 1.0))
    ranked = [(limit / value if value else np.inf, what, value) for what, value, limit in found]
    scale, what, value = min(ranked)
    return Bounds(scale, what, value)


def candidates(path: str, dyn: Dynamics, incoming: Sequence[Incoming], most: Bounds) -> Iterator[Choice]:
    """Yield choices of scale within *most*, the plainest first.

    Raises
    ------
    UnsupportedError
        E532 where even the largest weight would have almost no bits.
    """
    peaks = [(float(np.abs(one.weight).max(initial=0)), one.weight) for one in incoming]
    peak, weight = max(peaks, key=lambda p: p[0], default=(0.0, np.zeros(0)))
    if not peak:
        # Nothing enters: registers of middling size.
        top = 0.0 if dyn.threshold is None else float(np.max(dyn.threshold, initial=1))
        yield _choice(dyn, incoming, min(most.scale, 2.0**20 / top if top else 2.0**12))
        return
    low, high, _ = mantissa_range(weight)
    # The scale at which the largest weights of both signs just fit the mantissa.
    ends = [(high, float(weight.max())), (-low, -float(weight.min()))]
    full = min(end * SHIFT / size for end, size in ends if size > 0)
    octave = int(np.clip(np.floor(np.log2(most.scale / full)), 0, MAX_EXPONENT))
    if most.scale * peak / SHIFT < FEWEST:
        raise UnsupportedError(
            Diagnostic(
                "E532", path, f"{most.what} ({most.number:.4g} in the model's unit) fills Loihi's register at a scale "
                f"that leaves its largest weight ({peak:.4g}) a mantissa of {most.scale * peak / SHIFT:.3g}",
                "lower the fan-in or the time constant of the current, clip the largest weights, or raise the small ones",
                {"scale": most.scale, "weight": peak},
            )
        )  # fmt: skip
    seen = set()
    for share in SHARES:
        choice = _choice(dyn, incoming, min(full * 2.0**octave * share, most.scale))
        if choice.scale not in seen and choice.scale <= most.scale * (1 + 1e-12):
            seen.add(choice.scale)
            yield choice


def _choice(dyn: Dynamics, incoming: Sequence[Incoming], scale: float) -> Choice:
    """Return the choice at *scale*, moved so that the threshold that most neurons have is exact."""
    threshold = None
    if dyn.threshold is not None:
        usual = float(np.median(dyn.threshold)) if dyn.threshold.size else 0.0
        if usual > 0:
            # Downwards: what fits at the larger scale fits at the smaller one.
            scale = max(1.0, np.floor(usual * scale / SHIFT + 1e-9)) * SHIFT / usual
        threshold = mantissas(dyn, scale)
    return Choice(scale, tuple(quantize(one.weight, scale) for one in incoming), threshold)


def mantissas(dyn: Dynamics, scale: float) -> Array:
    """Return the threshold mantissas at *scale*: ``v >= t`` is ``v > t - 1`` on Loihi, where t has steps of 64."""
    if dyn.threshold is None:
        raise AssertionError("an integrator has no threshold")
    exact = dyn.threshold * (scale / SHIFT)
    whole = np.ceil(exact - 1e-9 * np.maximum(1, exact)) - 1 if dyn.is_ge else np.rint(exact)
    return np.clip(whole, 0, MAX_THRESHOLD).astype(np.int64)


def weight_error(choice: Choice, incoming: Sequence[Incoming]) -> float:
    """Return the squared error of the weights, relative to their squares."""
    return relative_error(
        (one.weight, done.weight * (SHIFT / choice.scale)) for one, done in zip(incoming, choice.weights, strict=True)
    )
