"""Neurons and integrators: NIR's parameters, what NIR cannot say beside them, and their equations as docstrings.

The differential equations stand here; how a step of length dt follows from them is the execution profile's matter
(``ir.profile``), and the one reference step that all of them share is ``ir.dynamics.step``.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from spikeport.ir.ops.base import LATER, Array, Op, Shape, ShapeError, frozen_array

#: Longest Delay in steps: each of them is a value of the layer in memory.
MAX_DELAY_STEPS = 2**20


@dataclass(frozen=True, slots=True, eq=False)
class Discrete:
    """Exact coefficients of one step, known from a module: they win over tau while dt, scheme and gain stay as here.

    ``beta -> tau -> 1 - dt/tau`` does not always give beta back, and a spike hangs on the last bit.

    Parameters
    ----------
    dt : float
        Step in seconds that the coefficients belong to.
    scheme, gain : str
        Fields of the profile that they belong to.
    beta, mem_gain : array
        Membrane decay and the factor of the membrane's input, dimensionless.
    alpha, syn_gain : array or None
        Synaptic decay and the factor of the synapse's input; None without synaptic current.
    """

    dt: float
    scheme: str
    gain: str
    beta: Array
    mem_gain: Array
    alpha: Array | None = None
    syn_gain: Array | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "dt", float(self.dt))
        for name in ("beta", "mem_gain", "alpha", "syn_gain"):
            value = getattr(self, name)
            object.__setattr__(self, name, None if value is None else frozen_array(value, np.float64))


@dataclass(frozen=True, slots=True, eq=False)
class Extras:
    """What a neuron carries beyond NIR.

    Parameters
    ----------
    discrete : Discrete or None
        Exact coefficients beside tau.
    v_init, i_init : array or None
        State before the first step of a sample; None is 0.
    refractory_steps : array of int or None
        Steps after a spike in which the membrane is held; None is 0.
    spike_amplitude : array or None
        Value of a spike; None is 1.
    held_init : array of int or None
        Steps at the start of a sample in which the membrane is held as after a spike: a population that starts when its
        first input can arrive; None is 0.
    """

    discrete: Discrete | None = None
    v_init: Array | None = None
    i_init: Array | None = None
    refractory_steps: Array | None = None
    spike_amplitude: Array | None = None
    held_init: Array | None = dataclasses.field(default=None, metadata=LATER)

    def __post_init__(self) -> None:
        for name, dtype in (("v_init", np.float64), ("i_init", np.float64), ("spike_amplitude", np.float64)):
            value = getattr(self, name)
            object.__setattr__(self, name, None if value is None else frozen_array(value, dtype))
        for name in ("refractory_steps", "held_init"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, frozen_array(getattr(self, name), np.int64))

    def is_empty(self) -> bool:
        """Whether plain NIR says all there is to say."""
        return all(getattr(self, f.name) is None for f in dataclasses.fields(self))


NO_EXTRAS = Extras()


@dataclass(frozen=True, slots=True, eq=False)
class Neuron(Op):
    """Base of the ops with a membrane. All parameters have the shape of the population."""

    is_stateful = True
    #: Has a synaptic current (the Cuba kinds).
    has_current: ClassVar[bool] = False
    #: Leaks (has a time constant).
    has_leak: ClassVar[bool] = False

    def __post_init__(self) -> None:
        for f in dataclasses.fields(self):
            if f.name != "extras":
                object.__setattr__(self, f.name, frozen_array(getattr(self, f.name)))

    @property
    def shape(self) -> Shape:
        """Shape of the population: the widest of the parameters' shapes."""
        return max((a.shape for a in self.arrays().values()), key=lambda s: (len(s), s))

    def arrays(self) -> dict[str, Array]:
        """Return the NIR parameters by name."""
        return {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name != "extras"}

    def input_shape_hint(self) -> Shape | None:
        return self.shape or None

    def output_shape(self, input_shape: Shape) -> Shape:
        for name, array in self.arrays().items():
            if array.shape not in ((), input_shape):
                raise ShapeError(f"{self.kind} {name} has shape {array.shape}, its input {input_shape}")
        for f in dataclasses.fields(self.extras):
            value: Any = getattr(self.extras, f.name)
            if isinstance(value, np.ndarray) and value.shape not in ((), input_shape):
                raise ShapeError(f"{self.kind} {f.name} has shape {value.shape}, its input {input_shape}")
        return input_shape

    def broadcast(self, shape: Shape) -> Neuron:
        """Return the same population with every parameter of *shape*, as NIR wants them."""
        full: dict[str, Any] = {k: np.broadcast_to(v, shape) for k, v in self.arrays().items()}
        return dataclasses.replace(self, **full)

    extras: Extras = dataclasses.field(default=NO_EXTRAS, kw_only=True)


@dataclass(frozen=True, slots=True, eq=False)
class I(Neuron):  # noqa: E742 - NIR's own name
    """Integrator: ``dv/dt = r x``.

    Parameters
    ----------
    r : array
        Resistance.

    Source: NIR, doi:10.1038/s41467-024-52259-9.
    """

    r: Array


@dataclass(frozen=True, slots=True, eq=False)
class IF(Neuron):
    """Integrate and fire: ``dv/dt = r x``; a spike where ``v > v_threshold``; then ``v = v_reset``.

    Parameters
    ----------
    r : array
        Resistance.
    v_threshold, v_reset : array
        In the unit of v.

    Source: NIR, doi:10.1038/s41467-024-52259-9.
    """

    r: Array
    v_threshold: Array
    v_reset: Array
    is_spiking = True


@dataclass(frozen=True, slots=True, eq=False)
class LI(Neuron):
    """Leaky integrator: ``tau dv/dt = (v_leak - v) + r x``.

    Parameters
    ----------
    tau : array
        Membrane time constant, in the profile's unit of dt (seconds).
    r : array
        Resistance.
    v_leak : array
        In the unit of v.

    Source: NIR, doi:10.1038/s41467-024-52259-9.
    """

    tau: Array
    r: Array
    v_leak: Array
    has_leak = True


@dataclass(frozen=True, slots=True, eq=False)
class LIF(Neuron):
    """Leaky integrate and fire: ``tau dv/dt = (v_leak - v) + r x``; a spike where ``v > v_threshold``; then reset.

    Parameters
    ----------
    tau : array
        Membrane time constant, in the profile's unit of dt (seconds).
    r : array
        Resistance.
    v_leak, v_threshold, v_reset : array
        In the unit of v.

    Source: NIR, doi:10.1038/s41467-024-52259-9.
    """

    tau: Array
    r: Array
    v_leak: Array
    v_threshold: Array
    v_reset: Array
    has_leak = True
    is_spiking = True


@dataclass(frozen=True, slots=True, eq=False)
class CubaLI(Neuron):
    """Current-based leaky integrator: ``tau_syn di/dt = -i + w_in x``; ``tau_mem dv/dt = (v_leak - v) + r i``.

    Parameters
    ----------
    tau_syn, tau_mem : array
        Time constants, in the profile's unit of dt (seconds).
    r : array
        Resistance.
    v_leak : array
        In the unit of v.
    w_in : array
        Weight of the input, dimensionless.

    Source: NIR, doi:10.1038/s41467-024-52259-9.
    """

    tau_syn: Array
    tau_mem: Array
    r: Array
    v_leak: Array
    w_in: Array
    has_current = True
    has_leak = True


@dataclass(frozen=True, slots=True, eq=False)
class CubaLIF(Neuron):
    """Current-based leaky integrate and fire: a :class:`CubaLI` that spikes where ``v > v_threshold`` and resets.

    Parameters
    ----------
    tau_syn, tau_mem : array
        Time constants, in the profile's unit of dt (seconds).
    r : array
        Resistance.
    v_leak, v_threshold, v_reset : array
        In the unit of v.
    w_in : array
        Weight of the input, dimensionless.

    Source: NIR, doi:10.1038/s41467-024-52259-9.
    """

    tau_syn: Array
    tau_mem: Array
    r: Array
    v_leak: Array
    v_threshold: Array
    v_reset: Array
    w_in: Array
    has_current = True
    has_leak = True
    is_spiking = True


@dataclass(frozen=True, slots=True, eq=False)
class Threshold(Op):
    """Spike without memory: ``y = 1`` where ``x > threshold``, else 0.

    Parameters
    ----------
    threshold : array
        In the unit of the input.

    Source: NIR, doi:10.1038/s41467-024-52259-9.
    """

    threshold: Array
    is_spiking = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "threshold", frozen_array(self.threshold))

    def input_shape_hint(self) -> Shape | None:
        return self.threshold.shape or None

    def output_shape(self, input_shape: Shape) -> Shape:
        if self.threshold.shape not in ((), input_shape):
            raise ShapeError(f"Threshold has shape {self.threshold.shape}, its input {input_shape}")
        return input_shape

    def apply(self, x: Array) -> Array:
        return (x > self.threshold.astype(x.dtype)).astype(x.dtype)


@dataclass(frozen=True, slots=True, eq=False)
class Delay(Op):
    """``y(t) = x(t - delay)``, element by element; 0 before the start.

    Parameters
    ----------
    delay : array
        In the profile's unit of dt (seconds); a whole number of steps.

    Source: NIR, doi:10.1038/s41467-024-52259-9.
    """

    delay: Array
    is_stateful = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "delay", frozen_array(self.delay))

    def input_shape_hint(self) -> Shape | None:
        return self.delay.shape or None

    def output_shape(self, input_shape: Shape) -> Shape:
        if self.delay.shape not in ((), input_shape):
            raise ShapeError(f"Delay has shape {self.delay.shape}, its input {input_shape}")
        return input_shape

    def steps(self, dt: float) -> Array:
        """Return the delay in steps of *dt* as int64; raise ValueError where it is no whole number of them, or too large."""
        exact = np.asarray(self.delay, np.float64) / dt
        if exact.size and not exact.max() <= MAX_DELAY_STEPS:
            steps = f"{exact.max():.7g} steps of {dt:g} s"
            raise ValueError(f"a delay of {self.delay.max():g} s is {steps}; at most {MAX_DELAY_STEPS:,} are kept")
        whole = np.rint(exact)
        if not np.allclose(exact, whole, rtol=1e-6, atol=1e-6):
            worst = float(self.delay.ravel()[np.argmax(np.abs(exact - whole))])
            raise ValueError(f"a delay of {worst:g} s is {worst / dt:g} steps of {dt:g} s, not a whole number")
        return np.asarray(whole, np.int64)
