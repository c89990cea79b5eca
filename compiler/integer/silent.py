"""What a population does before anything spikes: its biases, and the state that makes up for how they began."""

from __future__ import annotations

import numpy as np

from spikeport.compiler.integer.neurons import Dynamics
from spikeport.ir.diagnostics import Diagnostic, UnsupportedError
from spikeport.ir.ops import Array


def late_by(silent: Array) -> int:
    """Return the steps after which a constant input has arrived whole."""
    differs = np.any((silent != silent[-1]).reshape(len(silent), -1), axis=1)
    return int(np.flatnonzero(differs)[-1]) + 1 if differs.any() else 0


def late_bias(path: str, silent: Array) -> list[Diagnostic]:
    """Return a warning E534 where the bias of a population arrives late: on the chip it acts from the first step."""
    late = late_by(silent)
    if late <= 1:
        return []
    return [
        Diagnostic(
            "E534", path, f"its bias arrives {late} steps late in the model; here it acts from the first on, "
            "and its initial state makes up for that only in the end, so its first steps differ from the model's",
            "discard the first steps, or put the bias behind the delay", {"late": late}, "warning",
        )
    ]  # fmt: skip


def require_steady(path: str, dyn: Dynamics, silent: Array) -> None:
    """Raise UnsupportedError E530 where the constant bias of a population does not let its current settle."""
    if dyn.alpha is not None and np.any((dyn.alpha >= 1) & (silent[-1] != 0)):
        raise UnsupportedError(
            Diagnostic(
                "E530", path, "its bias enters a current that does not decay, so it grows without end", "give it a tau_syn",
            )
        )  # fmt: skip


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
