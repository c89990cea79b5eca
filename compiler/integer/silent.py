"""What a population does before anything spikes: its biases, and the state that makes up for how they began."""

from __future__ import annotations

import numpy as np

from spikeport.compiler.integer.neurons import Dynamics
from spikeport.ir.ops import Array


def late_by(silent: Array) -> int:
    """Return the steps after which a constant input has arrived whole."""
    differs = np.any((silent != silent[-1]).reshape(len(silent), -1), axis=1)
    return int(np.flatnonzero(differs)[-1]) + 1 if differs.any() else 0


def starting(dyn: Dynamics, silent: Array, least: float) -> tuple[Array, Array]:
    """Return current and membrane before the source model's first step, as the chip's neuron must hold them.

    The bias enters the chip's membrane, where the source's may build up in its current, or begin some steps late: what is
    missing then is taken from the initial state, and decays as it must: by *least* a step at least.
    """
    bias = silent[-1]
    current, membrane = np.array(dyn.i_init), np.array(dyn.v_init)
    missing = (bias - silent[:-1]) * dyn.gain if len(silent) > 1 else np.zeros((0, *dyn.shape))
    if dyn.alpha is not None:
        current = current - (dyn.settled(bias) - dyn.constant)
        safe = np.maximum(dyn.alpha, least)
        for t, lack in enumerate(missing):
            current = current - lack / safe ** (t + 1)
    else:
        safe = np.maximum(dyn.beta, least)
        for t, lack in enumerate(missing):
            membrane = membrane - lack / safe ** (t + 1)
    return current, membrane
