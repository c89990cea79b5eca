"""A population's registers but for its scale: decays in their bits, and the gain that they leave to the weights.

The core's membrane is ``v = b v + (1 - b)(R (e - h) + V_rest)``, so what enters is worth ``(1 - b) R init``. R is 1, whose
product loses nothing, and weights are divided by ``(1 - b) init`` of the rounded b: then only decays are off, not gains.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from spikeport.compiler.integer.neurons import Dynamics
from spikeport.ir.diagnostics import Diagnostic
from spikeport.ir.network import StepNetwork
from spikeport.ir.ops import Array
from spikeport.ir.spinnaker import FULL, ONE
from spikeport.ir.spinnaker_host import synapse, tau_m_of, tau_syn_of

#: Opt-in that gives membranes without leak the slowest leak that there is.
SLOW_LEAK = "slow-leak"
#: Relative error of a time constant from which on it is said.
LOST = 0.01


@dataclass(frozen=True, slots=True, eq=False)
class Decays:
    """Decays of a population, real numbers; arrays of its shape.

    Parameters
    ----------
    beta : array
        Of the membrane: exp_TC.
    alpha, init : array or None
        Of the current, and the share of its input that enters; None for IF_curr_delta.
    """

    beta: Array
    alpha: Array | None
    init: Array | None

    @property
    def way(self) -> Array:
        """The share of the way to its rest that the membrane makes in a step."""
        return 1 - self.beta

    @property
    def entering(self) -> Array:
        """What a current of 1 adds to the membrane in its first step."""
        return self.way if self.init is None else self.way * self.init

    @property
    def longest(self) -> float:
        """The largest sum that inputs of 1 at every step make in the current."""
        if self.alpha is None or self.init is None:
            return 1.0
        return float(np.max(self.init / (1 - self.alpha), initial=0.0))

    def shaped(self, dyn: Dynamics) -> Dynamics:
        """Return *dyn* with a gain that gives the weights of its inputs as currents in units of its membrane."""
        return dataclasses.replace(dyn, gain=dyn.gain / self.entering)


def decays(dyn: Dynamics, *, rounded: bool = True) -> Decays:
    """Return the decays of *dyn*, which `too_slow` did not refuse; exactly as they are unless *rounded*.

    The core makes its registers of time constants; of those that it can make, the nearest are taken.
    """
    beta = np.asarray(dyn.beta, np.float64)
    if rounded:
        beta = _by_value(beta, _reachable)[0]
    if dyn.alpha is None:
        return Decays(beta, None, None)
    alpha = np.clip(np.asarray(dyn.alpha, np.float64), 1 / FULL, 1 - 1 / FULL)
    if rounded:
        return Decays(beta, *_by_value(alpha, _synapse))
    return Decays(beta, alpha, _init(alpha))


def _init(alpha: Any) -> Any:
    """Return tau/dt (1 - exp(-dt/tau)), as the core computes it from its tau_syn, of the decay exp(-dt/tau)."""
    return (1 - alpha) / -np.log1p(alpha - 1)


def _by_value(values: Array, make: Callable[[float], tuple[float, ...]]) -> tuple[Array, ...]:
    """Return what *make* gives for each of *values*, one array for each of its results."""
    kinds, where = np.unique(values, return_inverse=True)
    made = np.array([make(float(v)) for v in kinds], np.float64).T
    return tuple(np.ascontiguousarray(column[where].reshape(values.shape)) for column in made)


def _reachable(beta: float) -> tuple[float]:
    """Return the decay of a membrane, of 15 bits, nearest to *beta* for which there is a time constant."""
    bits = int(np.clip(np.rint(beta * ONE), 0, ONE - 1))
    for away in range(ONE):
        for trial in (bits - away, bits + away):
            if 0 <= trial < ONE and tau_m_of(trial, ONE) is not None:
                return (trial / ONE,)
    raise AssertionError("a time constant of one step gives a decay")


def _synapse(alpha: float) -> tuple[float, float]:
    """Return (decay, init) of the time constant whose decay is nearest to *alpha*."""
    decay, entering = synapse(tau_syn_of(round(alpha * FULL), round(_init(alpha) * FULL), ONE), ONE)
    return decay / FULL, entering / FULL


def too_slow(network: StepNetwork, allow: frozenset[str]) -> Iterator[Diagnostic]:
    """Yield an error E530 for every membrane whose leak is none in 15 bits, or a warning where that was allowed (E533)."""
    for path, model in network.models.items():
        beta = model.beta
        if not np.any(np.rint(beta * ONE) >= ONE):
            continue
        what = f"this {network.graph[path].op.kind} " + (
            "does not leak" if np.any(beta >= 1) else f"leaks by {float(np.min(1 - beta)):.3g} a step, 0 in 15 bits"
        )
        if SLOW_LEAK in allow:
            yield Diagnostic("E533", path, f"{what}; as --allow {SLOW_LEAK} asks it leaks by 1/32768 a step", "", {}, "warning")
        else:
            yield Diagnostic(
                "E530", path, f"{what}; sPyNNaker's membrane takes its input in by as much as it leaks, so nothing would enter",
                f"train it with a leak, or --allow {SLOW_LEAK} lets it leak by 1/32768 a step", {"beta": float(beta.max())},
            )  # fmt: skip


def lost_decays(path: str, dyn: Dynamics, done: Decays) -> Iterator[Diagnostic]:
    """Yield a warning E533 where the registers change a time constant by more than a hundredth."""
    for name, exact, kept in (("membrane", dyn.beta, done.beta), ("current", dyn.alpha, done.alpha)):
        if exact is None or kept is None:
            continue
        long = (exact > 0.5) & ((exact < 1) | (name == "current"))
        with np.errstate(divide="ignore", invalid="ignore"):
            error = np.where(long, np.abs(np.log(exact) / np.log(np.where(long, kept, 0.5)) - 1), 0.0)
        worst = float(error.max(initial=0.0))
        if worst > LOST:
            where = int(error.argmax())
            value, became = float(exact.reshape(-1)[where]), float(kept.reshape(-1)[where])
            yield Diagnostic(
                "E533", path, f"the decay of its {name}, {value:.8g} a step, becomes {became:.8g}: its time constant is "
                f"{100 * worst:.2g} % off", "use a larger dt or a shorter time constant", {"decay": value, "kept": became},
                "warning",
            )  # fmt: skip
