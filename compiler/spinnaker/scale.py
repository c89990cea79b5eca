"""Choose a population's scale and the shifts of its ring buffers: from fan-in and activity.

The scale S says how many millivolts make one unit of the membrane; a weight w then is ``S w 2^(15 - shift)`` in 16 bits,
and what it is added to must stay below 2^16 or saturates. Ring buffers bound the current, so a scale at which the two
currents at their largest fit the 32 bits of a membrane cannot overflow, whatever comes in.
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
from spikeport.compiler.spinnaker.registers import Decays
from spikeport.compiler.spinnaker.rule import spynnaker_rule
from spikeport.ir.diagnostics import Diagnostic, UnsupportedError
from spikeport.ir.ops import Array
from spikeport.ir.spinnaker import MOST, MOST_SHIFT, ONE

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

Pair = tuple[float, float]


@dataclass(frozen=True, slots=True, eq=False)
class Choice:
    """A scale and what follows from it.

    Parameters
    ----------
    scale : float
    shifts : (int, int)
        Excitatory, inhibitory.
    weights : tuple of array of int64
        16-bit numbers of the connections, inhibitory ones negative, in the order of the connections.
    cut : tuple of int
        Weights of each connection that were cut at 65,535.
    rule : str
        What the largest contents of the ring buffers were taken from.
    bound : (float, float)
        Those contents, in units of the membrane.
    """

    scale: float
    shifts: tuple[int, int]
    weights: tuple[Array, ...]
    cut: tuple[int, ...]
    rule: str
    bound: Pair

    def real(self, number: int) -> Array:
        """Return the weights of a connection as currents in nA."""
        bits = self.weights[number]
        return bits * np.where(bits > 0, *(2.0 ** (s - 15) for s in self.shifts))


def worst(incoming: Sequence[Incoming], shape: tuple[int, ...]) -> Pair:
    """Return the largest contents of the two ring buffers when every source sends its most."""
    exc, inh = np.zeros(shape), np.zeros(shape)
    for one in incoming:
        low, high = reach(one)
        exc, inh = exc + spread(high, one.merged.op, shape), inh - spread(low, one.merged.op, shape)
    return float(exc.max(initial=0.0)), float(inh.max(initial=0.0))


def seen(into: Sequence[Link], shape: tuple[int, ...], calibration: Calibration) -> Pair:
    """Return the largest contents of the two ring buffers on the calibration data."""
    exc, inh = np.zeros(1), np.zeros(1)
    for values in entering(into, shape, calibration, calibration.samples):
        exc, inh = np.maximum(exc, values.real.max(initial=0.0)), np.maximum(inh, values.imag.max(initial=0.0))
    return float(exc[0]), float(inh[0])


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
    path: str, dyn: Dynamics, done: Decays, into: Sequence[Link], rest: Array, start: float, calibration: Calibration | None,
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
    start : float
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
    floor = _largest(incoming)
    tried: list[tuple[str, Pair]] = [("every source at its most", most)]
    if calibration is not None:
        shown = seen(into, dyn.shape, calibration)
        tried += [
            (f"{margin:g} times the calibration data's", (min(shown[0] * margin, most[0]), min(shown[1] * margin, most[1])))
            for margin in MARGINS
        ]
    else:
        tried.append(("sPyNNaker's rule", spynnaker_rule(into, dyn.shape, dt)))
    found = False
    for number, (rule, bound) in enumerate(tried):
        bound = (max(bound[0], floor[0]), max(bound[1], floor[1]))
        choice = _choice(dyn, done, incoming, rest, start, bound, rule)
        units = max((int(np.abs(w).max(initial=0)) for w in choice.weights), default=0)
        enough = FEWEST if calibration is not None or number else FEW_UNITS
        if not any(floor) or units >= enough:
            found = True
            yield choice
            if calibration is None:
                return
    if not found:
        raise UnsupportedError(
            Diagnostic(
                "E532", path, f"what enters it in a step ({max(bound):.4g} in the model's unit) fills its ring buffers at a "
                f"scale that leaves its largest weight ({max(floor):.4g}) {units} units", "lower the fan-in or the time "
                "constant of the current, clip the largest weights, or raise the small ones", {"units": units},
            )
        )  # fmt: skip


def _largest(incoming: Sequence[Incoming]) -> Pair:
    """Return the largest single weights of both kinds, for sources that send values of either sign."""
    exc = [float(np.max(w, initial=0.0)) for one in incoming for w in _ends(one)]
    inh = [float(np.max(-w, initial=0.0)) for one in incoming for w in _ends(one)]
    return max(exc, default=0.0), max(inh, default=0.0)


def _ends(one: Incoming) -> list[Array]:
    return [one.weight, -one.weight] if one.least < 0 else [one.weight]


def _choice(
    dyn: Dynamics, done: Decays, incoming: Sequence[Incoming], rest: Array, start: float, bound: Pair, rule: str
) -> Choice:  # fmt: skip
    top = max(bound)
    # The largest step of 2 by which a full ring buffer can be multiplied without the current leaving its range.
    shift = int(np.clip(math.floor(math.log2(CURRENT / (MOST * done.longest))) + 15, 0, MOST_SHIFT))
    limits = [ROOM * MOST * 2.0 ** (shift - 15) / top if top else CURRENT]
    for value, room in ((np.abs(rest).max(initial=0.0), REST), (start, CURRENT)):
        limits.append(room / value if value else np.inf)
    if dyn.threshold is not None:
        largest = float(np.max(np.abs(dyn.threshold), initial=0.0))
        limits.append(CURRENT / largest if largest else np.inf)
    scale = float(min(limits))
    shifts = tuple(
        int(np.clip(math.ceil(math.log2(scale * b * ONE / (ROOM * MOST)) - 1e-12), 0, shift)) if b else 0 for b in bound
    )
    exact = [one.weight * scale * np.where(one.weight > 0, *(2.0 ** (15 - s) for s in shifts)) for one in incoming]
    whole = [np.rint(w) for w in exact]
    kept = tuple(np.clip(w, -MOST, MOST).astype(np.int64) for w in whole)
    cut = tuple(int(np.count_nonzero(k != w)) for k, w in zip(kept, whole, strict=True))
    return Choice(scale, (shifts[0], shifts[1]), kept, cut, rule, bound)
