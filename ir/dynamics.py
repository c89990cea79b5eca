"""One step of a neuron: the coefficients that a profile gives, and the reference step that all kinds share."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from spikeport.ir.ops import Array, Neuron, Shape
from spikeport.ir.profile import Profile

#: Spike counts of a step are cut here, beyond what a raster holds (int32).
MAX_COUNT = 2**31
#: Half the range of Loihi's 24-bit current and membrane.
HALF_RANGE = 2.0**23


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


@dataclass(slots=True)
class State:
    """What a population keeps: membrane *v*, current *i* and refractory counter *held*, each (batch, *shape).

    A model with a core has two currents: *i* is complex, the excitatory one its real part, the inhibitory its imaginary.
    """

    v: Array
    i: Array
    held: Array

    @classmethod
    def initial(cls, model: NeuronModel, batch: int, dtype: Any) -> State:
        """Return the state before the first step."""
        full = (batch, *model.shape)
        current = model.i_init
        if model.core is not None:
            current = np.maximum(current, 0) + 1j * np.maximum(-current, 0)
        return cls(
            np.broadcast_to(model.v_init, full).astype(dtype),
            np.broadcast_to(current, full).astype(dtype if model.core is None else complex),
            np.broadcast_to(0 if model.held_init is None else model.held_init, full).astype(np.int64),
        )

    @property
    def current(self) -> Array:
        """The current as one number."""
        return self.i.real - self.i.imag if np.iscomplexobj(self.i) else self.i


def step(model: NeuronModel, state: State, x: Array) -> Array:
    """Advance *state* by one step with the finished input *x* (batch, *shape); return the spike counts (int64).

    This is the oracle: every backend and every pass is measured against it. Integrators return zeros.
    """
    if model.core is not None:
        return model.core.step(state, x)
    carried = state.v
    rst = _test(model, carried) if _looks_back(model) else None
    if rst is not None and model.reset == "to_v_reset" and model.reset_when == "next_step_keep_input":
        carried = np.where(rst, _rest(model), carried)
    current = x
    if model.alpha is not None and model.syn_gain is not None:
        old = state.i
        if model.truncate:
            state.i = _wrapped(np.trunc(model.alpha * old) + model.syn_gain * x)
        else:
            state.i = model.alpha * (old + x) if model.decay_input else model.alpha * old + model.syn_gain * x
        if model.syn_leak is not None:
            state.i = state.i + model.syn_leak
        current = old if model.old_current else state.i
    if model.offset is not None:
        current = current + model.offset
    if model.truncate:
        state.i = current = current if model.alpha is not None else _wrapped(model.mem_gain * x)
        v = np.clip(np.trunc(model.beta * carried) + current + model.leak, 1.0 - HALF_RANGE, HALF_RANGE - 1.0)
    else:
        v = (model.beta * carried + model.mem_gain * current) + model.leak
    if rst is not None:
        if model.reset in ("subtract", "subtract_once"):
            v = v - rst * model.threshold
        elif model.reset == "to_v_reset" and model.reset_when == "next_step_drop_input":
            v = np.where(rst, _rest(model), v)
    held = state.held > 0
    if model.refractory_steps is not None:
        v = np.where(held, state.v, v)
    if model.threshold is None:
        state.held = np.maximum(state.held - 1, 0)
        state.v = v if model.clamp_low is None else np.maximum(v, model.clamp_low)
        return np.zeros(v.shape, np.int64)
    spikes = _count(model, v)
    if model.refractory_steps is not None:
        spikes = np.where(held, 0, spikes)
        state.held = np.where(spikes > 0, model.refractory_steps, np.maximum(state.held - 1, 0))
    if model.reset == "subtract_once" and rst is not None:
        v = v - (spikes - rst.astype(v.dtype)).astype(v.dtype) * model.threshold
    elif model.reset_when == "at_crossing":
        state.v = np.where(spikes > 0, _recharged(model, carried, current, v), v)
        if model.clamp_low is not None:
            state.v = np.maximum(state.v, model.clamp_low)
        return spikes
    elif model.reset_when == "after_spike" or model.reset == "multi_subtract":
        if model.reset in ("subtract", "multi_subtract"):
            v = v - spikes.astype(v.dtype) * model.threshold
        elif model.reset == "to_v_reset":
            v = np.where(spikes > 0, _rest(model), v)
    state.v = v if model.clamp_low is None else np.maximum(v, model.clamp_low)
    return spikes


def _wrapped(current: Array) -> Array:
    """Return *current* as 24 bits keep it on Lava: beyond half the range it is taken round once."""
    wrapped = np.where(current > HALF_RANGE, current - 2 * HALF_RANGE, current)
    return np.asarray(np.where(wrapped <= -HALF_RANGE, current + 2 * HALF_RANGE, wrapped))


def _rest(model: NeuronModel) -> Array:
    if model.v_reset is None:
        raise AssertionError("a model without a spike test has no reset")
    return model.v_reset


def _recharged(model: NeuronModel, before: Array, current: Array, v: Array) -> Array:
    """Return the membrane at the end of a step in which it crossed the threshold, was reset and charged on.

    With input constant within the step the membrane relaxes to ``v_inf``; what is left of the step's decay after the
    crossing is ``beta*(v_inf - before)/(v_inf - threshold)``.
    """
    start = model.v_reset if model.reset == "to_v_reset" else np.zeros_like(model.threshold)
    if model.reset == "none":
        return v
    with np.errstate(divide="ignore", invalid="ignore"):
        v_inf = (model.mem_gain * current + model.leak) / (1 - model.beta)
        left = model.beta * ((v_inf - before) / (v_inf - model.threshold))
        leaky = v_inf - (v_inf - start) * left
    # Without a leak the membrane is a straight line: what lies above the threshold was charged after the reset.
    return np.where(model.beta == 1, start + (v - model.threshold), leaky)


def _looks_back(model: NeuronModel) -> bool:
    """Whether the step starts by testing the membrane that it was handed."""
    if model.reset == "subtract_once":
        return True
    return model.reset in ("subtract", "to_v_reset") and model.reset_when.startswith("next_step")


def _test(model: NeuronModel, v: Array) -> Array:
    return np.asarray(v >= model.threshold if model.compare == ">=" else v > model.threshold)


def _count(model: NeuronModel, v: Array) -> Array:
    fired = _test(model, v)
    if model.reset != "multi_subtract":
        return fired.astype(np.int64)
    with np.errstate(divide="ignore", invalid="ignore"):
        count = np.where(fired, np.trunc(v / model.threshold), 0.0)
    # The cast of an infinite count is undefined; a count beyond 32 bits is refused as no result (E805).
    most = MAX_COUNT if model.max_spikes is None else model.max_spikes
    return np.asarray(np.minimum(count, most), np.int64)
