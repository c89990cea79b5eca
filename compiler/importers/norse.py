"""Norse 1.1: LIF, box, integrate-and-fire, leaky and refractory cells and layers, read from the module.

With ``k = dt*tau_mem_inv``, ``a = dt*tau_syn_inv``, ``x`` the input and ``z`` the spikes of the step before::

    LIF, LI       i' = i + x;  v = v + k*((v_leak - v) + i');  i = i' - a*i'
    LIFRecurrent  i' = i + W x + R z;  then as LIF
    LIFBox, LIBox v = v + k*((x + v_leak) - v)
    IAF           v = v + x
    spike where v > v_th; then v = v_reset (LIFBox: or v - v_th, its reset_method)
    LIFRefrac     for ceil(rho_reset) steps after a spike v stays and nothing fires; i goes on

Our synaptic current is ``i'``, the one that enters the membrane: ``i' = (1 - a)*i' + x``, so the current is new and its
gain is 1. ``k`` and ``a`` are computed by the module's own expressions in its own number type and kept exactly; NIR's
``tau`` is ``dt/k`` and ``r`` is 1. The membrane is summed as ``((1 - k)*v + k*i') + k*v_leak`` here, which can move it by
a rounding. It starts at v_leak (IAF: at v_reset), which the layers over time and the recurrent cells round to float32. Neither
the input weights nor the recurrent ones of a recurrent cell have a bias. A call without a state starts anew: nothing is
kept in a module.
Source: the package's own ``torch/module/*.py`` and ``torch/functional/*.py``, version 1.1.0.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import norse.torch as norse
import numpy as np
import torch
from norse.torch.functional.reset import reset_subtract

from spikeport.compiler.importers.norse_cells import base_of, kind_of, lif_parameters, owns, refusals
from spikeport.compiler.importers.norse_containers import inside
from spikeport.compiler.importers.torch_library import (
    STEP,
    TIME_FIRST,
    Lead,
    Library,
    NeuronReading,
    class_name,
    per_neuron,
    refusal,
    to_numpy,
    with_own_fields,
)
from spikeport.ir.diagnostics import Diagnostic, ImportModelError
from spikeport.ir.graph import Graph
from spikeport.ir.ops import IF, LI, LIF, Array, CubaLI, CubaLIF, Discrete, Extras, Linear, Neuron, Shape
from spikeport.ir.profile import Profile
from spikeport.ir.profiles import parse_profile

#: Time constant of a decay of 1, in steps: ``1 - 2**-60`` is 1 in double precision.
NO_LEAK_STEPS = 2.0**60

#: What this importer says of each construct: (construct, "exact" or "refused", remark).
CONSTRUCTS = (
    ("LIFCell, LIF", "exact", "v_leak, v_th, v_reset and both time constants, one value or one a neuron"),
    ("LIFRecurrentCell, LIFRecurrent", "exact", "input_weights and recurrent_weights, with and without autapses"),
    ("LIFBoxCell", "exact", "reset_method reset_value or reset_subtract"),
    ("IAFCell, IAF", "exact", ""),
    ("LICell, LI, LILinearCell, LIBoxCell", "exact", "the output is the membrane"),
    ("LIFRefracCell, LIFRefracRecurrentCell, LIFRefracRecurrent", "exact", "ceil(rho_reset) steps"),
    ("SequentialState", "exact", "states handed in or None; return_hidden"),
    ("RecurrentSequential", "exact", "with one output module"),
    ("Lift", "exact", "of layers, cells and SequentialState"),
    ("method super, heaviside, triangle, tanh, circ, heavi_erfc", "exact", "they differ in training only"),
    ("method adjoint, logistic", "refused", "both raise an error in Norse 1.1.0 itself"),
    ("dt other than 0.001", "exact", "one dt in a network (IAF has none)"),
    ("another reset_method", "refused", ""),
    ("a Lift with a state of its own behind another", "refused", "Norse hands it the other's state"),
    ("LSNN, LSNNRecurrent and their cells", "refused", "adaptive threshold"),
    ("LIFEx, LIFAdEx, LIFAdExRefrac, their recurrent forms and cells", "refused", "exponential term"),
    ("Izhikevich, IzhikevichRecurrent and their cells", "refused", "quadratic membrane"),
    ("CobaLIFCell", "refused", "conductances"),
    ("LIFMCRecurrentCell, LIFMCRefracRecurrentCell, LIFCorrelation", "refused", ""),
    ("encoders, decoders, receptive fields, LConv2d, RegularizationCell", "refused", ""),
)


def state_arguments(module: Any) -> tuple[str, ...]:
    """Return the names of the states that a call takes after its input."""
    return ("state",)


def results(module: Any) -> tuple[str, ...]:
    """Return what a call returns, in order; an integrator's membrane stands where a neuron has its spikes."""
    return ("spikes", "state")


def input_shape(module: Any) -> Shape | None:
    """Return the shape that the input weights fix."""
    return (int(module.input_size),) if kind_of(module).weights else None


def lead(module: Any) -> Lead:
    """Return what stands in front of the population's axes in a call."""
    return TIME_FIRST if base_of(module) is not None and kind_of(module).in_time else STEP


def keeps_state(module: Any) -> bool:
    """Whether a call without a state goes on from the one before: never in Norse."""
    return False


def read(module: Any, path: str, shape: Shape) -> NeuronReading:
    """Return what *module* means for a population of *shape* (of its input, where it holds input weights).

    Raises
    ------
    ImportModelError
        E027 where a parameter does not fit the population.
    """
    kind, p = kind_of(module), lif_parameters(module)
    if kind.weights:
        shape = (*shape[:-1], int(module.hidden_size))
        if kind.flat and len(shape) > 1:
            raise refusal(
                "E027", path, f"this {class_name(module)} takes (batch, features), its population has {shape}",
                "flatten its input", got=shape,
            )  # fmt: skip

    def value(name: str) -> Array:
        return per_neuron(_number(getattr(p, name)), name, module, path, shape)

    dt = float(module.dt)
    with torch.no_grad():
        # The module's own expressions, in its own number type.
        rates = {
            name: per_neuron(_number(module.dt * getattr(p, name)), name, module, path, shape)
            for name in ("tau_mem_inv", "tau_syn_inv") if hasattr(p, name)
        }  # fmt: skip
    v_init = value(kind.start)
    if kind.single and not isinstance(module, norse.LIFRefracCell):
        v_init = _rounded_start(v_init, rates["tau_mem_inv"])
    extras = Extras(
        discrete=_discrete(dt, rates),
        v_init=_thin(v_init) if np.any(v_init) else None,
        refractory_steps=_held(module, path, shape),
    )
    spiking = {"v_threshold": value("v_th"), "v_reset": value("v_reset")} if hasattr(p, "v_th") else {}
    leak = value("v_leak") if "tau_mem_inv" in rates else np.zeros(())
    op = _neuron(dt, rates, leak, spiking, shape, extras)
    fields: dict[str, Any] = {"gain": "nir" if op.has_leak else "unit"}
    if spiking:
        fields["reset"] = "subtract" if getattr(p, "reset_method", None) is reset_subtract else "to_v_reset"
    connections = {n: _weights(module, n, path, shape) for n in kind.weights}
    return NeuronReading(
        op, fields, connections.get("recurrent_weights"), None if spiking else op, "recurrent_weights",
        front=("input_weights", connections["input_weights"]) if connections else None,
    )  # fmt: skip


def _number(value: Any) -> Any:
    """Return a plain number in double precision, as PyTorch computes with it; a tensor as it is."""
    return torch.as_tensor(value, dtype=torch.float64) if isinstance(value, (int, float)) else value


def _rounded_start(v_leak: Array, k: Array) -> Array:
    """Return the start of a membrane that ``torch.full`` makes in float32, from a *v_leak* that may be more precise.

    In its first step such a membrane is not pulled, for ``v_leak - v`` is 0 in float32; ours starts from where the pull ends.
    """
    start = v_leak.astype(np.float32).astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where((start == v_leak) | (k == 1), start, (start - k * v_leak) / (1 - k))


def _discrete(dt: float, rates: Mapping[str, Array]) -> Discrete:
    """Return the exact coefficients of a step."""
    one = np.ones(())
    if not rates:
        return Discrete(dt, "euler", "unit", beta=one, mem_gain=one)
    k, a = rates["tau_mem_inv"], rates.get("tau_syn_inv")
    return Discrete(
        dt, "euler", "nir", beta=_thin(1 - k), mem_gain=_thin(k), alpha=None if a is None else _thin(1 - a),
        syn_gain=None if a is None else one,
    )  # fmt: skip


def _held(module: Any, path: str, shape: Shape) -> Array | None:
    """Return the steps of a refractory neuron: rho counts down from rho_reset by 1, and holds while it is above 0."""
    if not hasattr(module.p, "rho_reset"):
        return None
    rho = per_neuron(_number(module.p.rho_reset), "rho_reset", module, path, shape)
    return _thin(np.ceil(np.maximum(rho, 0))).astype(np.int64)


def _neuron(
    dt: float, rates: Mapping[str, Array], v_leak: Array, spiking: Mapping[str, Array], shape: Shape, extras: Extras
) -> Neuron:
    """Return the neuron (with threshold and reset in *spiking*), or the integrator (without), of these rates a step."""
    fields: dict[str, Any] = {name: _full(v, shape) for name, v in spiking.items()}
    if not rates:
        return IF(r=_full(1 / dt, shape), **fields, extras=extras)
    k = rates["tau_mem_inv"]
    # Where nothing leaks, v_leak is but the start.
    fields |= {"r": _full(1.0, shape), "v_leak": _full(np.where(k == 0, 0.0, v_leak), shape)}
    tau = _full(dt * _steps(k), shape)
    if "tau_syn_inv" not in rates:
        return (LIF if spiking else LI)(tau=tau, **fields, extras=extras)
    steps = _steps(rates["tau_syn_inv"])
    fields |= {"tau_syn": _full(dt * steps, shape), "w_in": _full(steps, shape)}
    return (CubaLIF if spiking else CubaLI)(tau_mem=tau, **fields, extras=extras)


def _steps(rate: Array) -> Array:
    """Return the time constant of a rate a step, in steps."""
    with np.errstate(divide="ignore"):
        return np.where(rate == 0, NO_LEAK_STEPS, 1 / rate)


def _full(value: Any, shape: Shape) -> Array:
    """Return *value* with the shape of the population; equal values stay one number in memory."""
    return np.broadcast_to(_thin(value), shape)


def _thin(value: Any) -> Array:
    """Return one number where all of *value* are equal."""
    array = np.asarray(value, np.float64)
    return array.reshape(-1)[0] if array.size and np.all(array == array.reshape(-1)[0]) else array


def _weights(module: Any, name: str, path: str, shape: Shape) -> Linear:
    """Return the connection *name* into a population of *shape*; it acts on the last axis of each row by itself."""
    weight = to_numpy(getattr(module, name))
    size = int(module.input_size if name == "input_weights" else module.hidden_size)
    if weight.shape != (shape[-1], size):
        raise refusal(
            "E027", f"{path}.{name}", f"{name} of this {class_name(module)} has shape {weight.shape}, its sizes want "
            f"{(shape[-1], size)}", f"give {name} the shape (hidden_size, {'input' if size != shape[-1] else 'hidden'}_size)",
            got=weight.shape, expected=(shape[-1], size),
        )  # fmt: skip
    return Linear(np.broadcast_to(weight, (*shape[:-1], *weight.shape)))


def profile(graph: Graph, readings: Mapping[str, NeuronReading]) -> Profile:
    """Return the profile of *graph*: the commonest reset for all, the others' own as overrides.

    Raises
    ------
    ImportModelError
        E021 where the cells do not agree in dt.
    """
    steps = {path: r.op.extras.discrete.dt for path, r in sorted(readings.items()) if r.op.extras.discrete is not None}
    leaking = {path: dt for path, dt in steps.items() if readings[path].op.has_leak} or steps
    first, dt = next(iter(leaking.items()))
    others = [
        Diagnostic(
            "E021", path, f"this cell has dt={own:g}, and {first} has {dt:g}: a network has one step",
            f"only dt*tau_mem_inv and dt*tau_syn_inv count: give it dt={dt:g}, and both of them times {own / dt:g}",
            {"dt": own, "expected": dt},
        )
        for path, own in leaking.items() if own != dt
    ]  # fmt: skip
    if others:
        raise ImportModelError(others)
    resets = Counter(r.fields["reset"] for r in readings.values() if "reset" in r.fields)
    word = "subtract" if resets and resets.most_common(1)[0][0] == "subtract" else "value"
    # The named profile is that of Norse's import of .nir files, whose kinds ignore r or leak twice.
    base = parse_profile(f"norse:{word},dt={dt!r},gain=nir,leak=nir")
    return with_own_fields(base, graph, readings)


LIBRARY = Library(
    "norse", owns, refusals, state_arguments, results, input_shape, read, profile, lead, keeps_state=keeps_state, inside=inside
)
