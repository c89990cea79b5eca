"""A population's registers once its scale is chosen, and the neuron that holds them in the lowered graph."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from spikeport.compiler.integer.neurons import Dynamics
from spikeport.compiler.integer.silent import late_bias, starting
from spikeport.compiler.spinnaker.registers import Decays
from spikeport.ir.diagnostics import Diagnostic
from spikeport.ir.ops import LI, LIF, Array, CubaLI, CubaLIF, Neuron, Op
from spikeport.ir.ops.neuron import Discrete, Extras
from spikeport.ir.spinnaker import LIMIT, ONE

#: A decay of 0 has no time constant: this many time constants in a step are as good.
NOTHING = 700.0


@dataclass(frozen=True, slots=True, eq=False)
class Settled:
    """A population in sPyNNaker's registers, in millivolts and nanoamperes; arrays of float64 of its shape.

    Parameters
    ----------
    decays : Decays
    scale : array
        Millivolts of one unit of the model's membrane.
    rest : array
        V_rest: holds what the bias adds.
    threshold : array or None
        V_thresh; None for an integrator.
    v_init, i_init : array
    refractory : array of int64 or None
    held : int
        Steps for which the refractory counter runs at the start: until the first input can arrive.
    """

    decays: Decays
    scale: Array
    rest: Array
    threshold: Array | None
    v_init: Array
    i_init: Array
    refractory: Array | None
    held: int

    def neuron(self, dt: float) -> Neuron:
        """Return the population as a node of the lowered graph, whose step is *dt* seconds."""
        beta, alpha, shape = self.decays.beta, self.decays.alpha, self.rest.shape
        one = np.ones(shape)
        with np.errstate(divide="ignore"):
            tau = dt / np.minimum(-np.log(beta), NOTHING)
        fields: dict[str, Any] = {"v_leak": self.rest, "r": one}
        if alpha is None:
            fields["tau"] = tau
            discrete = Discrete(dt, "exponential", "nir", beta, self.decays.way)
        else:
            tau_syn = -dt / np.log(alpha)
            fields |= {"tau_mem": tau, "tau_syn": tau_syn, "w_in": tau_syn / dt}
            discrete = Discrete(dt, "exponential", "nir", beta, self.decays.way, alpha, self.decays.init)
        held = np.full(shape, self.held) if self.held else None
        extras = Extras(discrete, _given(self.v_init), _given(self.i_init), self.refractory, None, held)
        kind: type[Op] = LI if alpha is None else CubaLI
        if self.threshold is not None:
            kind = LIF if alpha is None else CubaLIF
            fields |= {"v_threshold": self.threshold, "v_reset": np.zeros(shape)}
        return kind(**fields, extras=extras)  # type: ignore[call-arg,return-value]


def _given(state: Array) -> Array | None:
    return state if np.any(state) else None


def rest_of(dyn: Dynamics, done: Decays, silent: Array) -> Array:
    """Return what the membrane of the model rests at once its biases have settled, in its own units."""
    return np.asarray(dyn.settled(silent[-1]) / done.way)


def beginning(dyn: Dynamics, done: Decays, silent: Array, lag: int) -> tuple[Array, Array]:
    """Return (current, membrane) before the first step, in units of the membrane: the current decays for *lag* steps more.

    Source's current J enters the membrane whole; the core's enters by the membrane's own share, so it is larger.
    """
    current, membrane = starting(dyn, silent, 1 / ONE)
    if done.alpha is not None:
        with np.errstate(over="ignore"):
            current = np.where(current == 0, 0.0, current / done.way / done.alpha**lag)
    else:
        current = np.zeros(dyn.shape)
    return current, membrane


def settle(
    path: str, dyn: Dynamics, done: Decays, silent: Array, lag: int, scale: Array, *, rounded: bool = True
) -> tuple[Settled, list[Diagnostic]]:  # fmt: skip
    """Return the population at *scale*, and warnings.

    Parameters
    ----------
    path : str
        Of the population.
    dyn : Dynamics
        Its real numbers.
    done : Decays
        Its decays, as they are on the grid.
    silent, lag
        Its own of `Prepared`.
    scale : array
        Millivolts of one unit of its membrane.
    rounded : bool
        Whether values are put on the grid.
    """
    found: list[Diagnostic] = []

    def grid(values: Array, how: Any = np.rint) -> Array:
        return np.asarray(np.clip(how(values * ONE), -LIMIT, LIMIT - 1) / ONE if rounded else values)

    current, membrane = beginning(dyn, done, silent, lag)
    threshold = None
    if dyn.threshold is not None:
        exact = dyn.threshold * scale
        if not rounded:
            threshold = exact if dyn.is_ge else np.nextafter(exact, np.inf)
        else:
            # v > t is v >= t + 2^-15 in the steps that a membrane has.
            threshold = grid(exact, np.ceil if dyn.is_ge else lambda bits: np.floor(bits) + 1)
    rest = grid(rest_of(dyn, done, silent) * scale)
    v_init, i_init = grid(membrane * scale), grid(current * scale)
    begins = bool(np.any(rest) or np.any(v_init) or np.any(i_init))
    held = lag if begins else 0
    if held and threshold is not None and np.any(v_init >= threshold):
        found.append(_first(path, f"it starts {lag} steps late and above its threshold: it spikes before them", lag))
    if not np.all(np.abs(current * scale) < LIMIT / ONE):
        found.append(_first(path, f"its current at the start does not fit a register {lag} steps before", lag))
    found += late_bias(path, silent)
    return Settled(done, scale, rest, threshold, v_init, i_init, dyn.refractory, held), found


def _first(path: str, what: str, steps: int) -> Diagnostic:
    return Diagnostic(
        "E534", path, f"{what}, so its first steps differ from the model's", "discard the first steps of each sample",
        {"steps": steps}, "warning",
    )  # fmt: skip
