"""From the numbers that a PyNN program gives sPyNNaker to the registers that its cores compute from them, and back.

The host sends time constants as s16.15 in milliseconds; a core divides them (downwards) and takes the exponential in fixed
point: a table of ``e^z`` and one of ``1 - e^(-k/16)``, both u.32, and a polynomial for the last eleven bits. Source of the
method and of its three coefficients: ``src/stdfix-exp.c`` of SpiNNakerManchester/spinn_common, and ``neuron_model_lif_impl.h``
and ``exp_synapse_utils.h`` of SpiNNakerManchester/sPyNNaker 7, whose functions these equal on all arguments.
All numbers here are ints: bits of their words.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from decimal import Decimal, localcontext

from spikeport.ir.spinnaker import FULL, LIMIT, ONE

#: Largest word.
LARGEST = LIMIT - 1
#: Below this argument the exponential is 0.
LEAST = -340695
#: Integers whose exponential is in the table: -13 to 12.
OFFSET, ENTRIES = 13, 26
#: ``1 - e^-y`` for y below 1/16 is c0 + (c1 - c2 y) y.
SERIES = (5294, 4293434720, 2081624032)


@functools.cache
def _tables() -> tuple[tuple[int, ...], tuple[int, ...]]:
    with localcontext() as context:
        context.prec = 60
        whole = tuple(int((Decimal(z - OFFSET).exp() * FULL).to_integral_value()) for z in range(ENTRIES))
        sixteenths = tuple(int(((1 - (Decimal(-k) / 16).exp()) * FULL).to_integral_value()) for k in range(16))
    return whole, sixteenths


def exponential(n: int) -> int:
    """Return e to the s16.15 number *n*, not above 0, with 32 bits behind the point."""
    if n < LEAST:
        return 0
    whole, sixteenths = _tables()
    z, fraction = n >> 15, n & (ONE - 1)
    if not fraction:
        return whole[OFFSET + z]
    back = ONE - fraction
    value = whole[OFFSET + z + 1]
    value -= value * sixteenths[back >> 11] >> 32
    y = (back & 0x7FF) << 17
    c0, c1, c2 = SERIES
    return value - (value * ((((c1 - (c2 * y >> 32)) * y) >> 32) + c0) >> 32)


def ratio(a: int, b: int) -> int:
    """Return the quotient of two positive s16.15 numbers, downwards."""
    return (a << 15) // b


def membrane(tau_m: int, step: int) -> int:
    """Return exp_TC (s16.15) of the membrane's time constant *tau_m* for a step of *step*, both s16.15 in ms."""
    return exponential(-ratio(step, tau_m)) >> 17


def synapse(tau_syn: int, step: int) -> tuple[int, int]:
    """Return (decay, init), u0.32, of the synapse's time constant *tau_syn* for a step of *step*, both s16.15 in ms.

    ``init`` is ``tau/dt (1 - decay)``: the mean over the step of a current that begins at 1. Beyond some 600 steps the error of
    the exponential can take it past 1, and then it wraps: what is left is what the core has.
    """
    decay = exponential(-ratio(step, tau_syn)) % FULL
    return decay, (ratio(tau_syn, step) * (FULL - 1 - decay) >> 15) % FULL


def tau_m_of(exp_tc: int, step: int) -> int | None:
    """Return a time constant of which a core makes *exp_tc*; None where there is none.

    Examples
    --------
    >>> tau = tau_m_of(31170, 32768)
    >>> tau / 32768, membrane(tau, 32768)
    (20.0048828125, 31170)
    """
    # The quotients of which it is made: the exponential falls with them.
    first = _first(lambda quotient: exponential(-quotient) >> 17 <= exp_tc)
    last = _first(lambda quotient: exponential(-quotient) >> 17 < exp_tc) - 1 if exp_tc else 2 * first
    tau = min((step << 15) // max(first, 1), LARGEST)
    return tau if first <= last and tau > 0 and membrane(tau, step) == exp_tc else None


def _first(holds: Callable[[int], bool]) -> int:
    """Return the least quotient for which *holds* is true; it is for all beyond."""
    low, high = 0, 2 - LEAST
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle + 1, high)
    return low


def tau_syn_of(decay: int, init: int, step: int) -> int:
    """Return the time constant whose (decay, init) on a core come closest to these, decay first."""
    guess = max(1, round(-math.log(max(decay, 1) / FULL) * ONE)) if decay < FULL else 1
    best = min(range(max(1, guess - 4), guess + 5), key=lambda q: abs(exponential(-q) - decay))
    # Several time constants have this quotient: init tells them apart.
    least, most = (step << 15) // (best + 1) + 1, min((step << 15) // best, LARGEST)
    if not decay:
        least, most = 1, (step << 15) // (1 - LEAST)
    if least > most:  # none has: the nearest one
        return max(1, most)
    while most - least > 1:
        middle = (least + most) // 2
        if synapse(middle, step)[1] < init:
            least = middle
        else:
            most = middle
    return min((least, most), key=lambda tau: abs(synapse(tau, step)[1] - init))


__all__ = ["SERIES", "exponential", "membrane", "ratio", "synapse", "tau_m_of", "tau_syn_of"]
