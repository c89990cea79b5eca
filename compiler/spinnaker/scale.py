"""Choose a population's scale and the shifts of its ring buffers: from fan-in and activity.

The scale S says how many millivolts make one unit of the membrane; a weight w then is ``S w 2^(15 - shift)`` in 16 bits,
and what it is added to must stay below 2^16 or saturates. The shift belongs to the population, but S to the neuron, whose
threshold goes with it (to the channel, where neurons share a kernel; to the population, where it does not spike). Ring
buffers bound the current, so a scale at which both currents at their largest fit the 32 bits of a membrane cannot overflow,
whatever comes in.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from spikeport.compiler.integer.calibrate import Calibration, later, through
from spikeport.compiler.integer.links import Incoming, Link
from spikeport.compiler.integer.neurons import Dynamics
from spikeport.compiler.integer.reach import reach, spread
from spikeport.compiler.spinnaker.fit import bits_of, by_row, fitted
from spikeport.compiler.spinnaker.registers import Decays
from spikeport.compiler.spinnaker.rule import spynnaker_rule
from spikeport.ir.diagnostics import Diagnostic, UnsupportedError
from spikeport.ir.ops import Array, Linear
from spikeport.ir.spinnaker import MOST, MOST_SHIFT, ONE, slots_per_unit

#: Largest membrane and currents, of the 65,536 that a word holds: differences of two must fit.
CURRENT, REST = 16384.0, 8192.0
#: Share of a slot that the largest content may fill: weights are rounded, and many of them may be rounded up.
ROOM = 0.98
#: Fewest units that the largest weight of a population may have where nothing is known of its activity.
FEW_UNITS = 256
#: Fewest units of all.
FEWEST = 8
#: Values that are held at a time.
VALUES = 1 << 20
#: How much more than calibration showed the ring buffers hold.
MARGINS = (2.0, 1.25)

Pair = tuple[Array, Array]


@dataclass(frozen=True, slots=True, eq=False)
class Choice:
    """Scales, shifts and what follows from them.

    Parameters
    ----------
    scale : array
        By neuron.
    shifts : (int, int)
        Excitatory, inhibitory.
    weights : tuple of array of int64
        16-bit numbers of the connections, inhibitory ones negative, in the order of the connections.
    cut : tuple of int
        Weights of each connection that were cut at 65,535.
    rule : str
        What the largest contents of the ring buffers were taken from.
    bound : (array, array)
        Those contents, by neuron, in units of the membrane.
    """

    scale: Array
    shifts: tuple[int, int]
    weights: tuple[Array, ...]
    cut: tuple[int, ...]
    rule: str
    bound: Pair

    def real(self, number: int) -> Array:
        """Return the weights of a connection as currents in nA."""
        bits = self.weights[number]
        return np.asarray(bits / slots_per_unit(bits, self.shifts))

    def modelled(self, number: int) -> Array:
        """Return the weights of a connection as currents in units of the model's membrane."""
        return self.real(number) / by_row(self.scale, self.weights[number])


def worst(incoming: Sequence[Incoming], shape: tuple[int, ...]) -> Pair:
    """Return the largest contents of the two ring buffers of each neuron when every source sends its most."""
    exc, inh = np.zeros(shape), np.zeros(shape)
    for one in incoming:
        low, high = reach(one)
        exc, inh = exc + spread(high, one.merged.op, shape), inh - spread(low, one.merged.op, shape)
    return exc, inh


def seen(into: Sequence[Link], shape: tuple[int, ...], calibration: Calibration) -> Pair:
    """Return the largest contents of the two ring buffers of each neuron on the calibration data."""
    exc, inh = np.zeros(shape), np.zeros(shape)
    for values in entering(into, shape, calibration, calibration.samples):
        exc, inh = np.maximum(exc, values.real.max(axis=(0, 1))), np.maximum(inh, values.imag.max(axis=(0, 1)))
    return exc, inh


def entering(
    into: Sequence[Link], shape: tuple[int, ...], calibration: Calibration, samples: int, weights: Sequence[Array] | None = None
) -> Iterator[Array]:
    """Yield what enters a population on calibration samples, some at a time: excitatory + 1j*inhibitory.

    Arrays have the shape (some, steps, *shape); *weights* replace those of the connections.
    """
    some = max(1, VALUES // max(1, calibration.steps * math.prod(shape)))
    for first in range(0, samples, some):
        rows = slice(first, min(first + some, samples))
        total = np.zeros((rows.stop - first, calibration.steps, *shape), complex)
        for number, link in enumerate(into):
            weight = link.incoming.weight if weights is None else weights[number]
            sent = later(calibration.values[link.incoming.source][rows], link.delay)
            merged = link.incoming.merged
            up, down = (merged.with_weight(w) for w in (np.maximum(weight, 0.0), np.maximum(-weight, 0.0)))
            above = np.maximum(sent, 0)
            total += through(up, above, shape) + 1j * through(down, above, shape)
            if np.any(sent < 0):
                below = np.maximum(-sent, 0)
                total += through(down, below, shape) + 1j * through(up, below, shape)
        yield total


def candidates(
    path: str, dyn: Dynamics, done: Decays, into: Sequence[Link], rest: Array, start: Array, calibration: Calibration | None,
    dt: float,
) -> Iterator[Choice]:  # fmt: skip
    """Yield scales with their shifts, the safest first.

    Parameters
    ----------
    path : str
        Of the population.
    dyn : Dynamics
        Its real numbers, weights of *into* as currents in units of its membrane.
    done : Decays
        Its decays on the grid.
    rest : array
        What its membrane rests at.
    start : array
        Largest magnitude that membrane and current begin with.
    calibration : Calibration or None
    dt : float
        Step of the model in seconds.

    Raises
    ------
    UnsupportedError
        E532 where the largest weight would have almost no bits.
    """
    incoming = [link.incoming for link in into]
    most = worst(incoming, dyn.shape)
    floor = _largest(incoming, dyn.shape)
    tried: list[tuple[str, Pair]] = [("every source at its most", most)]
    if calibration is not None:
        shown = seen(into, dyn.shape, calibration)
        tried += [
            (f"{m:g} times the calibration data's", (np.minimum(shown[0] * m, most[0]), np.minimum(shown[1] * m, most[1])))
            for m in MARGINS
        ]
    else:
        exc, inh = spynnaker_rule(into, dyn.shape, dt)
        tried.append(("sPyNNaker's rule", (np.full(dyn.shape, exc), np.full(dyn.shape, inh))))
    found = False
    for number, (rule, bound) in enumerate(tried):
        choice = _choice(
            dyn, done, incoming, rest, start, (np.maximum(bound[0], floor[0]), np.maximum(bound[1], floor[1])), rule
        )
        units = max((int(np.abs(w).max(initial=0)) for w in choice.weights), default=0)
        enough = FEWEST if calibration is not None or number else FEW_UNITS
        if not any(np.any(one.weight) for one in incoming) or units >= enough:
            found = True
            yield choice
            if calibration is None:
                return
    if not found:
        sums, weight = (max(float(part.max(initial=0.0)) for part in pair) for pair in (bound, floor))
        raise UnsupportedError(
            Diagnostic(
                "E532", path, f"what enters it in a step ({sums:.4g} in the model's unit) fills its ring buffers at a scale "
                f"that leaves its largest weight ({weight:.4g}) {units} units", "lower the fan-in or the time constant of the "
                "current, clip the largest weights, or raise the small ones", {"units": units},
            )
        )  # fmt: skip


def _largest(incoming: Sequence[Incoming], shape: tuple[int, ...]) -> Pair:
    """Return the largest single weights of both kinds into each neuron, for sources that send values of either sign."""
    exc, inh = np.zeros(shape), np.zeros(shape)
    for one in incoming:
        axes = tuple(range(1, one.weight.ndim))
        up, down = (spread(w.max(axis=axes, initial=0.0), one.merged.op, shape) for w in (one.weight, -one.weight))
        both = np.maximum(up, down) if one.least < 0 else None
        exc, inh = np.maximum(exc, up if both is None else both), np.maximum(inh, down if both is None else both)
    return exc, inh


def _shared(dyn: Dynamics, incoming: Sequence[Incoming], values: Array) -> Array:
    """Return the largest of *values* among the neurons that must have one scale, for each neuron."""
    if dyn.threshold is None:
        return np.full(dyn.shape, values.max(initial=0.0))
    channels = {len(one.weight) for one in incoming if not isinstance(one.merged.op, Linear)}
    if not channels:
        return values
    if len(channels) > 1:
        return np.full(dyn.shape, values.max(initial=0.0))
    by_channel = values.reshape(channels.pop(), -1)
    return np.broadcast_to(by_channel.max(axis=1, keepdims=True), by_channel.shape).reshape(dyn.shape)


def _choice(
    dyn: Dynamics, done: Decays, incoming: Sequence[Incoming], rest: Array, start: Array, bound: Pair, rule: str
) -> Choice:  # fmt: skip
    # The largest step of 2 by which a full ring buffer can be multiplied without the current leaving its range.
    shift = int(np.clip(math.floor(math.log2(CURRENT / (MOST * done.longest))) + 15, 0, MOST_SHIFT))
    threshold = np.zeros(dyn.shape) if dyn.threshold is None else np.abs(dyn.threshold)
    # What one unit of the scale takes of the room that there is: the scale is 1 over the largest of these.
    fixed = np.maximum(np.maximum(np.abs(rest) / REST, start / CURRENT), threshold / CURRENT)
    exc, inh = (_shared(dyn, incoming, b) for b in bound)
    fixed = _shared(dyn, incoming, fixed)
    best: tuple[float, Array, tuple[int, int]] | None = None
    # A negative value takes each weight to the other ring buffer: both must hold it.
    signed = any(one.least < 0 for one in incoming)
    for less in (0,) if signed else range(-shift, shift + 1):
        shifts = (shift - max(less, 0), shift - max(-less, 0))
        need = [b / (ROOM * MOST * 2.0 ** (s - 15)) for b, s in zip((exc, inh), shifts, strict=True)]
        share = np.maximum(np.maximum(need[0], need[1]), fixed)
        scale = 1 / np.where(share > 0, share, 1 / CURRENT)
        # Bits of the weights, over all neurons and both kinds.
        bits = sum(float(np.sum(np.log2(scale[b > 0]) - s)) for b, s in zip((exc, inh), shifts, strict=True))
        if best is None or bits > best[0]:
            best = (bits, scale, shifts)
    if best is None:
        raise AssertionError("one shift is tried at least")
    _, scale, shifts = best
    # Where thresholds or rests bound the scale, ring buffers are less than half full: a smaller shift keeps more.
    shifts = (_tight(scale * exc, shifts[0]), _tight(scale * inh, shifts[1]))
    if signed:
        shifts = (max(shifts), max(shifts))
    scale = fitted(scale, shifts, incoming, dyn.threshold is not None)
    whole = [bits_of(one.weight, scale, shifts) for one in incoming]
    kept = tuple(np.clip(w, -MOST, MOST).astype(np.int64) for w in whole)
    cut = tuple(int(np.count_nonzero(k != w)) for k, w in zip(kept, whole, strict=True))
    return Choice(scale, shifts, kept, cut, rule, bound)


def _tight(sums: Array, shift: int) -> int:
    """Return the smallest shift, *shift* at most, at which ring buffers hold *sums*."""
    largest = float(sums.max(initial=0.0))
    return int(np.clip(math.ceil(math.log2(largest * ONE / (ROOM * MOST)) - 1e-9), 0, shift)) if largest else 0
