"""snnTorch 1.0: Leaky, Synaptic, RLeaky, RSynaptic and Lapicque, read from the module, not from its exporter.

With ``S(v) = v > threshold``, ``rst = S(mem)`` of the membrane that is carried in, and ``x`` the input::

    Leaky      mem = beta*mem + x                      RLeaky     mem = (beta*mem + x) + V(spk)
    Synaptic   syn = alpha*syn + x; mem = beta*mem + syn          RSynaptic: syn = (alpha*syn + x) + V(spk)
    Lapicque   mem = x*R*(1/(R*C))*time_step + (1 - time_step/(R*C))*mem

    subtract   mem -= rst*threshold
    zero       Leaky: the carried mem is 0 where rst; the others: the new mem is 0 where rst, input included
    reset_delay=False: after the spike ``mem -= (spk - rst)*threshold`` (or ``*mem``)

snnTorch has no dt: ours is 1e-4 s, ``tau = dt/(1 - beta)`` and ``r = tau/dt``, which under Euler's rule is the same
step; the exact ``beta`` stands beside it. Two sums are taken in our canonical order instead of the module's, which
can move a membrane by a rounding: RLeaky's and RSynaptic's ``x + V(spk)`` comes first, and Lapicque's three factors of
``x`` are one. Initial states are 0, whatever a module still holds from its last run.
Source: the package's own ``_neurons/*.py``, version 1.0.0.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import networkx as nx
import numpy as np
import snntorch
import torch

from spikeport.compiler.importers.torch_layers import connection
from spikeport.compiler.importers.torch_library import Library, NeuronReading, class_name, per_neuron, refusal, to_numpy
from spikeport.ir.diagnostics import Diagnostic
from spikeport.ir.graph import Graph
from spikeport.ir.ops import IF, LI, LIF, Array, CubaLI, CubaLIF, Discrete, Extras, I, Neuron, Op, Scale, Shape
from spikeport.ir.profile import Profile
from spikeport.ir.profiles import parse_profile

DT = 1e-4
#: Time constant for a decay of 1, in steps: ``1 - 2**-60`` is 1 in double precision.
NO_LEAK_STEPS = 2.0**60

KNOWN = (snntorch.Leaky, snntorch.Synaptic, snntorch.RLeaky, snntorch.RSynaptic, snntorch.Lapicque)
#: What is imported exactly and what is refused, with a remark: README's table, tried row by row in the tests.
CONSTRUCTS = (
    ("Leaky, Synaptic, RLeaky, RSynaptic, Lapicque", "exact", ""),
    ("beta, alpha and threshold: one, or one a neuron or channel", "exact", "learned or not, clamped as the module does"),
    ("reset_mechanism subtract, zero, none", "exact", "with reset_delay=True and False"),
    ("recurrence: linear_features, conv2d_channels, V", "exact", ""),
    ("graded_spikes_factor", "exact", "other than 0"),
    ("init_hidden, or states handed on", "exact", ""),
    ("the membrane of a neuron that never resets, as output", "exact", ""),
    ("inhibition, state_quant", "refused", ""),
    ("RSynaptic with reset_delay=False", "refused", "broken in snnTorch 1.0.0"),
    ("a spike_grad that gives other values than 0 and 1", "refused", ""),
    ("Alpha, SLSTM, SConv2dLSTM, LeakyParallel and all others", "refused", ""),
)
_STATES = {"Leaky": ("mem",), "Lapicque": ("mem",), "Synaptic": ("syn", "mem"), "RLeaky": ("spk", "mem"),
           "RSynaptic": ("spk", "syn", "mem")}  # fmt: skip


def _kind(module: Any) -> str:
    """Return the name of the class of ours that *module* is or derives from; empty where there is none."""
    return next((cls.__name__ for cls in type(module).__mro__ if cls in KNOWN), "")


def owns(module: Any) -> bool:
    """Whether *module* is a layer of snnTorch."""
    return any(cls.__module__.partition(".")[0] == "snntorch" for cls in type(module).__mro__)


def state_arguments(module: Any) -> tuple[str, ...]:
    """Return the names of the states that a call takes after its input."""
    return _STATES[_kind(module)]


def results(module: Any) -> tuple[str, ...]:
    """Return what a call returns, in order."""
    if module.init_hidden and not module.output:
        return ("spikes",)
    return ("spikes", *(s for s in _STATES[_kind(module)] if s != "spk"))


def hidden(module: Any) -> dict[str, str]:
    """Return the attributes that hold the state of *module*; an empty tensor before the first step."""
    return {name: "spikes" if name == "spk" else name for name in _STATES.get(_kind(module), ())}


def reset(module: Any) -> None:
    """Forget the state of *module*."""
    for name in hidden(module):
        setattr(module, name, torch.zeros(0))


def input_shape(module: Any) -> Shape | None:
    """Return the shape that a recurrent linear layer fixes."""
    return (int(module.linear_features),) if getattr(module, "linear_features", None) else None


def refusals(module: Any, path: str) -> list[Diagnostic]:
    """Return why *module* cannot be imported."""
    kind, name = _kind(module), class_name(module)
    if not kind:
        known = ", ".join(cls.__name__ for cls in KNOWN)
        return [Diagnostic("E020", path, f"{name} is not imported from snnTorch", f"use one of {known}", {"class": name})]
    found = []

    def add(message: str, hint: str) -> None:
        found.append(Diagnostic("E021", path, f"{name}: {message}", hint, {"class": name}))

    base = next(cls for cls in type(module).__mro__ if cls in KNOWN)
    changed = _overridden(type(module), base)
    if changed:
        add(f"derives from snntorch.{kind} and overrides {', '.join(changed)}", f"use snntorch.{kind} itself")
    if module.inhibition:
        add("inhibition=True lets one neuron of the layer spike at a time, which no graph can say", "train without it")
    if module.state_quant:
        add("state_quant rounds the membrane every step, which no graph can say", "quantise with a pass instead")
    delayed = getattr(module, "reset_delay", True)
    if kind == "RSynaptic" and not delayed:
        add("reset_delay=False is broken in snnTorch 1.0.0: the reset reads the arguments spk and mem, not the state",
            "use reset_delay=True")  # fmt: skip
    mechanism = int(module.reset_mechanism_val)
    expected = (module._base_sub, module._base_zero, module._base_int)[mechanism]
    if module.state_function.__func__ is not expected.__func__:
        add(f"reset_mechanism was set to {module.reset_mechanism!r} after the layer was made, which then still runs "
            f"{module.state_function.__func__.__name__}", "make the layer anew with that reset_mechanism")  # fmt: skip
    threshold = to_numpy(module.threshold)
    if mechanism == 1 and not delayed and np.any(threshold < 0):
        add(f"reset to zero with reset_delay=False never leaves a threshold below 0 (here {threshold.min():g})",
            "use reset_delay=True, or a threshold of 0 or more")  # fmt: skip
    if np.any(to_numpy(module.graded_spikes_factor) == 0):
        add("graded_spikes_factor is 0: its spikes have no value", "use a factor other than 0")
    probe = torch.tensor([-2.0, -1e-6, 0.0, 1e-6, 2.0])
    with torch.no_grad():
        fired = module.spike_grad(probe)
    if not torch.equal(fired.to(torch.float32), (probe > 0).to(torch.float32)):
        add("spike_grad gives other values than 1 above and 0 below the threshold", "use one of snntorch.surrogate")
    if kind == "Lapicque" and not np.all(np.isfinite(to_numpy(module.R * module.C))):
        add("R*C is infinite (beta=1): the input never reaches the membrane", "use snntorch.Leaky(beta=1)")
    return found


def _overridden(cls: type, base: type) -> list[str]:
    """Return the methods of *base* and its parents in snnTorch that *cls* changes."""
    names = ("forward", "fire", "mem_reset", "_base_state_function", "_base_sub", "_base_zero", "_base_int")
    return [n for n in names if getattr(cls, n) is not getattr(base, n)]


def read(module: Any, path: str, shape: Shape) -> NeuronReading:
    """Return what *module* means for a population of *shape*.

    Raises
    ------
    ImportModelError
        E027 where a parameter does not fit the population.
    """
    kind = _kind(module)

    def value(tensor: Any, name: str) -> Array:
        return per_neuron(tensor, name, module, path, shape)

    with torch.no_grad():
        if kind == "Lapicque":
            # The module's own expressions, in its own number type.
            product = module.R * module.C
            beta = value(1 - (module.time_step / product), "1 - time_step/(R*C)")
            gain = value(module.R * (1 / product) * module.time_step, "time_step/C")
        else:
            beta, gain = value(module.beta.clamp(0, 1), "beta"), np.ones(())
        alpha = value(module.alpha.clamp(0, 1), "alpha") if "syn" in _STATES[kind] else None
    factor = value(module.graded_spikes_factor, "graded_spikes_factor")
    exact = Discrete(
        DT, "euler", "nir", beta=_thin(beta), mem_gain=_thin(gain),
        alpha=None if alpha is None else _thin(alpha), syn_gain=None if alpha is None else np.ones(()),
    )  # fmt: skip
    extras = Extras(discrete=exact, spike_amplitude=None if np.all(factor == 1) else _thin(factor))
    mechanism = ("subtract", "zero", "none")[int(module.reset_mechanism_val)]
    common = {"v_threshold": value(module.threshold, "threshold"), "v_reset": _full(0.0, shape)}
    op = _neuron(beta, gain, alpha, shape, common, extras)
    membrane = _neuron(beta, gain, alpha, shape, {}, Extras(discrete=exact)) if mechanism == "none" else None
    fields = _reset_fields(kind, mechanism, getattr(module, "reset_delay", True))
    return NeuronReading(op, fields, _feedback(module, path, shape), membrane)


def _neuron(
    beta: Array, gain: Array, alpha: Array | None, shape: Shape, spiking: Mapping[str, Array], extras: Extras
) -> Neuron:
    """Return the neuron (with threshold and reset in *spiking*), or the integrator (without), with these decays."""
    fields: dict[str, Any] = dict(spiking)
    if alpha is None and np.all(beta == 1):
        return (IF if spiking else I)(r=_full(gain / DT, shape), **fields, extras=extras)
    tau = DT * _steps(beta)
    fields |= {"r": _full(gain * _steps(beta), shape), "v_leak": _full(0.0, shape)}
    if alpha is None:
        return (LIF if spiking else LI)(tau=_full(tau, shape), **fields, extras=extras)
    fields |= {"tau_syn": _full(DT * _steps(alpha), shape), "w_in": _full(_steps(alpha), shape)}
    return (CubaLIF if spiking else CubaLI)(tau_mem=_full(tau, shape), **fields, extras=extras)


def _steps(decay: Array) -> Array:
    """Return the time constant of an Euler decay in steps: ``1/(1 - decay)``."""
    with np.errstate(divide="ignore"):
        return np.where(decay == 1, NO_LEAK_STEPS, 1 / (1 - decay))


def _full(value: Any, shape: Shape) -> Array:
    """Return *value* with the shape of the population; equal values stay one number in memory."""
    return np.broadcast_to(_thin(value), shape)


def _thin(value: Any) -> Array:
    """Return one number where all of *value* are equal."""
    array = np.asarray(value, np.float64)
    return array.reshape(-1)[0] if array.size and np.all(array == array.reshape(-1)[0]) else array


def _reset_fields(kind: str, mechanism: str, delayed: bool) -> dict[str, Any]:
    """Return the profile fields of a neuron's reset, ``reset_when`` resolved."""
    if mechanism == "none":
        return {"reset": "none"}
    if not delayed:
        return {"reset": "subtract_once" if mechanism == "subtract" else "to_zero", "reset_when": "after_spike"}
    if mechanism == "subtract":
        return {"reset": "subtract", "reset_when": "next_step"}
    return {"reset": "to_zero", "reset_when": "next_step_keep_input" if kind == "Leaky" else "next_step_drop_input"}


def _feedback(module: Any, path: str, shape: Shape) -> Op | None:
    """Return what the spikes of a recurrent neuron pass through."""
    recurrent = getattr(module, "recurrent", None)
    if recurrent is None:
        return None
    if not module.all_to_all:
        # The module's buffer V may differ from the one that the forward uses, after .double() for instance.
        return Scale(_full(per_neuron(recurrent.V, "V", module, path, shape), shape))
    op, out = connection(recurrent, f"{path}.recurrent", shape)
    if out != shape:
        raise refusal(
            "E027", f"{path}.recurrent", f"the recurrent {class_name(recurrent)} gives {out}, its population has {shape}",
            "use an odd kernel_size, and as many channels or features as the layer has", got=out, expected=shape,
        )  # fmt: skip
    return op


def profile(graph: Graph, readings: Mapping[str, NeuronReading]) -> Profile:
    """Return the profile of *graph*: the commonest reset for all, the others' own as overrides."""
    kinds = Counter((r.fields["reset"], r.fields.get("reset_when") == "after_spike") for r in readings.values())
    (reset, at_once), _ = kinds.most_common(1)[0]
    word = {"to_zero": "zero", "none": "none"}.get(reset, "subtract")
    base = parse_profile(f"snntorch:{word},dt={DT!r}" + (",reset_delay=no" if at_once else ""))
    whole = nx.DiGraph((e.source, e.target) for e in graph.edges)
    loops = {p for c in nx.strongly_connected_components(whole) if len(c) > 1 for p in c} | set(nx.nodes_with_selfloops(whole))
    done = base
    for path, reading in sorted(readings.items()):
        fields = dict(reading.fields)
        if fields.get("reset_when", base.reset_when) == _resolved(base, graph, path, loops, fields["reset"]):
            fields.pop("reset_when", None)
        if fields["reset"] == base.reset:
            fields.pop("reset")
        if fields:
            done = done.with_overrides(path, **fields)
    return done


def _resolved(base: Profile, graph: Graph, path: str, loops: set[str], reset: str) -> str:
    """Return the ``reset_when`` that the base profile comes to at a node."""
    op = graph[path].op
    if base.reset_when != "next_step" or reset != "to_zero" or not isinstance(op, Neuron):
        return base.reset_when
    return "next_step_drop_input" if op.has_current or path in loops else "next_step_keep_input"


LIBRARY = Library("snntorch", owns, refusals, state_arguments, results, input_shape, read, profile, reset=reset, hidden=hidden)
