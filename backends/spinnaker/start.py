"""Where a membrane has to start so that it is where the model wants it some steps later: sPyNNaker holds nobody at first.

A population that hears nothing for its first steps, since every hop on the way to it takes one, is held by arithmetic
``spinnaker1`` until then. sPyNNaker's neurons run from the first step on. A step maps the membrane's integers onto integers
without leaving one out (it never moves two neighbours apart by more than one), so there is always a start from which it arrives
exactly, unless it would leave its register or spike on the way.
"""

from __future__ import annotations

import numpy as np

from spikeport.ir.dynamics import State
from spikeport.ir.ops import Array
from spikeport.ir.spinnaker import LIMIT, ONE, Core, word_bits


def walked_back(core: Core, v_init: Array, i_init: Array, held: Array) -> Array | None:
    """Return the membranes to start with, or None where there are none from which they arrive.

    Parameters
    ----------
    core : Core
        Registers.
    v_init, i_init : array of float64, shape of the population
        Membranes after *held* steps; currents at the start, which run down meanwhile (excitatory, less the inhibitory).
    held : array of int64, shape of the population
        Steps.

    Returns
    -------
    array of float64, shape of the population, or None
        On the grid of s16.15.
    """
    shape = core.shape
    wanted = word_bits(np.broadcast_to(v_init, shape))
    steps = np.broadcast_to(np.asarray(held, np.int64), shape)
    rests = _rests(core, i_init, int(steps.max(initial=0)))
    v = wanted
    for step in reversed(range(len(rests))):
        fall = rests[step] - v
        # The least m with (exp_tc * m) >> 15 == fall; where exp_tc is 0 only a membrane at rest has one.
        m = -((-fall << 15) // np.maximum(core.exp_tc, 1))
        v = np.where(step < steps, np.where(core.exp_tc > 0, rests[step] - m, rests[step]), v)
    if np.any(np.abs(v) >= LIMIT):
        return None
    return v / ONE if _arrives(core, v, i_init, steps, wanted) else None


def _beginning(core: Core, v: Array, i_init: Array) -> State:
    current = np.broadcast_to(i_init, core.shape)[None]
    both = np.maximum(current, 0) + 1j * np.maximum(-current, 0)
    return State(np.broadcast_to(v, core.shape)[None] / ONE, both, np.zeros((1, *core.shape), np.int64))


def _rests(core: Core, i_init: Array, steps: int) -> list[Array]:
    """Return what the membrane tends to in each of the first *steps*, as currents run down without input."""
    state, found = _beginning(core, np.zeros(core.shape), i_init), []
    for _ in range(steps):
        core.step(state, np.zeros((1, *core.shape)))
        found.append(core.rest(word_bits(state.i.real[0]), word_bits(state.i.imag[0])))
    return found


def _arrives(core: Core, v: Array, i_init: Array, steps: Array, wanted: Array) -> bool:
    """Return whether every membrane is where it is wanted after its own steps, and none has spiked before."""
    state = _beginning(core, v, i_init)
    there = np.where(steps == 0, v == wanted, False)
    for step in range(1, int(steps.max(initial=0)) + 1):
        if np.any(core.step(state, np.zeros((1, *core.shape)))[0][step <= steps]):
            return False
        there |= (steps == step) & (word_bits(state.v[0]) == wanted)
    return bool(np.all(there))
