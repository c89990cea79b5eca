"""The coefficients of a neuron's step: what a profile makes of the continuous parameters of an op."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from spikeport.ir.ops import Array, Neuron, Shape
from spikeport.ir.profile import Profile

if TYPE_CHECKING:
    from spikeport.ir.dynamics import State


class Stepper(Protocol):
    """A population that computes in registers of its own: see ``ir.spinnaker``."""

    def step(self, state: State, x: Array) -> Array:
        """Advance *state* by one step with the finished input *x* (batch, *shape); return the spikes (int64)."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class NeuronModel:
    """A population's discrete dynamics: everything that a step needs, for the reference and for every backend.

    With ``x`` the finished input of the step, ``S`` the spike test, and every array of the population's shape::

        i = (alpha*i + syn_gain*x) + syn_leak      (or alpha*(i + x) with ``decay_input``)
        cur = i  (``old_current``: i before this step; without synapse: x)
        v = (beta*v + mem_gain*(cur + offset)) + leak
        s = S(v, threshold); reset; clamp

    Parameters
    ----------
    shape : tuple of int
        Of the population.
    beta, mem_gain, leak : array, float64
        Membrane decay, factor of its input, and what the leak adds a step.
    alpha, syn_gain : array or None
        Synaptic decay and factor of its input; None without a synaptic current.
    syn_leak : array or None
        Constant added to the synaptic current each step.
    offset : array or None
        Constant added to the current (a bias that enters at the membrane).
    threshold, v_reset : array or None
        None for integrators.
    reset, reset_when, compare : str
        As in :class:`Profile`; ``reset_when`` is resolved (never ``next_step``).
    old_current, decay_input : bool
        Order of current and membrane; whether the input decays in its own step.
    clamp_low : array or None
        Lower bound of the membrane after the reset.
    max_spikes : int or None
        Bound of ``multi_subtract``.
    output_delay : int
        Steps until spikes are visible in the raster.
    v_init, i_init : array
        State before the first step.
    refractory_steps : array of int64 or None
        Steps in which the membrane is held after a spike.
    amplitude : array or None
        Value of a spike; None is 1.
    truncate : bool
        Whether decays are cut towards zero, the current wraps and the membrane is clipped at 24 bits, as on Loihi: see
        ``ir.loihi``. All values then are whole numbers.
    held_init : array of int64 or None
        Steps at the start of a sample in which the membrane is held; ``refractory_steps`` is an array then, of 0 maybe.
    core : Stepper or None
        What steps the population in place of these equations, which then say the same but for its rounding.
    """

    shape: Shape
    beta: Array
    mem_gain: Array
    leak: Array
    alpha: Array | None
    syn_gain: Array | None
    syn_leak: Array | None
    offset: Array | None
    threshold: Array | None
    v_reset: Array | None
    reset: str
    reset_when: str
    compare: str
    old_current: bool
    decay_input: bool
    clamp_low: Array | None
    max_spikes: int | None
    output_delay: int
    v_init: Array
    i_init: Array
    refractory_steps: Array | None
    amplitude: Array | None
    truncate: bool = False
    held_init: Array | None = None
    core: Stepper | None = None

    @property
    def has_current(self) -> bool:
        """Whether its current is a register that can be recorded."""
        return self.truncate or self.core is not None

    def cast(self, dtype: Any) -> NeuronModel:
        """Return the model with its floating-point arrays in *dtype*."""
        changed: dict[str, Any] = {
            f.name: np.asarray(value, dtype)
            for f in dataclasses.fields(self)
            if isinstance(value := getattr(self, f.name), np.ndarray) and value.dtype.kind == "f"
        }
        return dataclasses.replace(self, **changed)


def _decay(scheme: str, dt: float, tau: Array) -> Array:
    ratio = dt / tau
    return np.asarray(1.0 - ratio if scheme == "euler" else np.exp(-ratio))


def _share(scheme: str, dt: float, tau: Array) -> Array:
    """Return the part of the way to its steady state that a step makes: ``dt/tau`` or ``1 - exp(-dt/tau)``."""
    ratio = dt / tau
    return np.asarray(ratio if scheme == "euler" else -np.expm1(-ratio))


def _membrane(op: Neuron, profile: Profile, f: dict[str, Array]) -> tuple[Array, Array, Array]:
    """Return (beta, mem_gain, leak) from the NIR parameters *f*."""
    one = np.ones(())
    if not op.has_leak:
        gains = {"nir": f["r"] * profile.dt, "unit": one, "scaled": one * profile.dt, "r": f["r"]}
        return one, gains[profile.gain], np.zeros(())
    tau = f["tau_mem"] if op.has_current else f["tau"]
    share = _share(profile.scheme, profile.dt, tau)
    gains = {"nir": f["r"] * share, "unit": one, "scaled": profile.dt / tau, "r": f["r"]}
    leak = f["v_leak"] if profile.leak == "unit" else share * f["v_leak"]
    return _decay(profile.scheme, profile.dt, tau), gains[profile.gain], leak


def _synapse(profile: Profile, f: dict[str, Array]) -> tuple[Array, Array, Array | None]:
    """Return (alpha, syn_gain, syn_leak) from the NIR parameters *f*."""
    scheme = profile.scheme if profile.syn_scheme == "scheme" else profile.syn_scheme
    share = _share(scheme, profile.dt, f["tau_syn"])
    one = np.ones(())
    gains = {"nir": f["w_in"] * share, "unit": one, "scaled": profile.dt / f["tau_syn"], "decay": one}
    leak = share * f["v_leak"] if profile.leak == "both" and np.any(f["v_leak"]) else None
    return _decay(scheme, profile.dt, f["tau_syn"]), gains[profile.syn_gain], leak


def discretise(op: Neuron, profile: Profile, shape: Shape, *, recurrent: bool = False, **parameters: Any) -> NeuronModel:
    """Return the discrete dynamics of *op* under *profile* (already narrowed to the node by ``Profile.at``).

    Parameters
    ----------
    op : Neuron
        Continuous parameters.
    profile : Profile
        Of this node.
    shape : tuple of int
        Of the population.
    recurrent : bool
        Whether the node is in a loop; it decides between snnTorch's Leaky and RLeaky under ``reset_when=next_step``.
    **parameters
        ``v_threshold`` or ``v_reset`` that the profile sets for the node; ``offset`` of a bias at the membrane.
    """
    f = {name: np.asarray(value, np.float64) for name, value in op.arrays().items()}
    extras = op.extras
    beta, gain, leak = _membrane(op, profile, f)
    alpha, syn_gain, syn_leak = _synapse(profile, f) if op.has_current else (None, None, None)
    exact = extras.discrete
    if exact is not None and (exact.dt, exact.scheme, exact.gain) == (profile.dt, profile.scheme, profile.gain):
        beta, gain = exact.beta, exact.mem_gain
        if alpha is not None:
            alpha, syn_gain = exact.alpha, exact.syn_gain
    threshold = v_reset = None
    if op.is_spiking:
        threshold = f["v_threshold"] if parameters.get("v_threshold") is None else np.asarray(parameters["v_threshold"])
        v_reset = f["v_reset"] if parameters.get("v_reset") is None else np.asarray(parameters["v_reset"])
        if profile.reset == "to_zero":
            v_reset = np.zeros(())
    when = profile.reset_when
    if when == "next_step":
        keeps = not op.has_current and not recurrent
        when = "next_step_keep_input" if keeps else "next_step_drop_input"
    clamp: Any = profile.clamp_low
    if clamp == "-v_threshold":
        clamp = None if threshold is None else -threshold

    def full(value: Any) -> Any:
        return None if value is None else np.ascontiguousarray(np.broadcast_to(np.asarray(value, np.float64), shape))

    steps, held = extras.refractory_steps, extras.held_init
    if steps is None and held is not None:
        steps = np.zeros((), np.int64)
    return NeuronModel(
        shape=shape, beta=full(beta), mem_gain=full(gain), leak=full(leak), alpha=full(alpha), syn_gain=full(syn_gain),
        syn_leak=full(syn_leak), offset=full(parameters.get("offset")), threshold=full(threshold), v_reset=full(v_reset),
        reset="none" if threshold is None else "to_v_reset" if profile.reset == "to_zero" else profile.reset,
        reset_when=when, compare=profile.compare, old_current=profile.order == "old_current",
        decay_input=alpha is not None and profile.syn_gain == "decay", clamp_low=full(clamp), max_spikes=profile.max_spikes,
        output_delay=profile.output_delay if op.is_spiking else 0,
        v_init=full(0.0 if extras.v_init is None else extras.v_init),
        i_init=full(0.0 if extras.i_init is None else extras.i_init),
        refractory_steps=None if steps is None else np.ascontiguousarray(np.broadcast_to(steps, shape)),
        amplitude=full(extras.spike_amplitude),
        held_init=None if held is None else np.ascontiguousarray(np.broadcast_to(held, shape)),
    )  # fmt: skip
