"""SpikingJelly 2.0: IFNode, LIFNode and ParametricLIFNode, read from the module; its layers are in ``spikingjelly_layers``.

With ``x`` the input, ``r = v_reset`` (0 where it is None) and ``q = 1/tau`` (ParametricLIFNode: ``sigmoid(w)``)::

    IFNode                      h = v + x
    LIFNode, decay_input        h = v + (x - (v - r))/tau
    LIFNode, decay_input=False  h = v - (v - r)/tau + x

    s = h >= v_threshold;  v = r where s, else h;  with v_reset=None: v = h - s*v_threshold

SpikingJelly has no dt: ours is 1e-3 s, ``tau = dt*tau`` and ``v_leak = r``, which under Euler's rule is the same step, written
``(1 - q)*v + q*x + q*r``. IFNode is equal bit by bit. The other two are equal up to the rounding of that sum, which decides a
spike only where a membrane comes as close to its threshold as that: so where an input is constant and its steady state is the
threshold itself. (With tau = 2, v_reset 0 and weights that are multiples of a power of two nothing is rounded until the
membrane fills its mantissa.) ParametricLIFNode's ``sigmoid(w)`` is taken in double precision.

A membrane starts where ``reset()`` puts it, v_reset as a rule, whatever a module still holds from its last run.
Source: the package's own ``activation_based`` and ``_ops``, version 2.0.0.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from spikingjelly.activation_based import base, layer, neuron

from spikeport.compiler.importers.spikingjelly_layers import (
    CONTAINERS,
    METHODS,
    changes,
    first_of,
    inside,
    plain,
    runs_steps_as_samples,
    with_state,
)
from spikeport.compiler.importers.torch_library import (
    STEP,
    TIME_FIRST,
    Lead,
    Library,
    NeuronReading,
    class_name,
    per_neuron,
    with_own_fields,
)
from spikeport.ir.diagnostics import Diagnostic
from spikeport.ir.graph import Graph
from spikeport.ir.ops import IF, LIF, Array, Discrete, Extras, Neuron, Shape
from spikeport.ir.profile import Profile
from spikeport.ir.profiles import parse_profile

#: SpikingJelly counts in steps; a step is this many seconds, the usual reading of its data sets' millisecond bins.
DT = 1e-3

KNOWN = (neuron.IFNode, neuron.LIFNode, neuron.ParametricLIFNode)
#: Parts of the package whose classes are forwards like a user's own, to be looked into.
_OPEN = tuple(f"spikingjelly.activation_based.{part}" for part in ("model.", "examples.", "ann2snn.sample_models.", "base"))
_WAYS_OUT = {
    "TLast": "put time first and use MultiStepContainer or SeqToANNContainer",
    "Simple": "use IFNode or LIFNode, which are the same neurons",
    "NonSpiking": "end in a spiking neuron, or in a Linear",
    "SynapseFilter": "leave the filter out: a graph's synaptic current belongs to a neuron, not to a connection",
    "MaxPool": "use MaxPool2d right behind a neuron, or AvgPool2d",
    "Pool": "use AvgPool2d or AdaptiveAvgPool2d",
    "WS": "put the weights of its get_weight() into a plain layer",
    "ConvTranspose": "use Conv2d", "Conv": "use Conv1d or Conv2d",
    "Encoder": "encode the data outside of the module",
    "DropConnect": "use Linear",
}  # fmt: skip

#: Constructs by text: exact or refused, and a remark; README's table. The tests try each of them.
CONSTRUCTS: tuple[tuple[str, str, str], ...] = (
    ("IFNode, LIFNode, ParametricLIFNode with all options", "exact", "v_threshold, tau, decay_input, surrogate_function, ..."),
    ("v_reset: a number, or None (subtraction)", "exact", "the membrane starts at v_reset, or at its set_reset_value"),
    ("step_mode 's' and 'm', functional.set_step_mode", "exact", ""),
    ("layer.Linear, Conv1d, Conv2d, AvgPool2d, AdaptiveAvgPool2d, Flatten, Dropout, Dropout2d", "exact", ""),
    ("layer.BatchNorm1d, BatchNorm2d, ThresholdDependentBatchNorm1d and 2d", "exact", "in eval mode"),
    ("layer.MaxPool2d", "exact", "over spikes"),
    ("layer.VotingLayer", "exact", "multiplies by 1/voting_size"),
    ("layer.SeqToANNContainer, MultiStepContainer, StepModeContainer", "exact", ""),
    ("layer.ElementWiseRecurrentContainer, LinearRecurrentContainer", "exact", "sums and scaling, feedback of one step"),
    ("functional.multi_step_forward and seq_to_ann_forward in a forward", "exact", ""),
    ("models: spiking_vgg, spiking_resnet, sew_resnet with ADD, parametric_lif_net", "exact", ""),
    ("all other neurons: QIFNode, EIFNode, KLIFNode, SimpleLIFNode, NonSpikingLIFNode, ...", "refused", ""),
    ("surrogate_function with spiking=False, with levels, or random", "refused", ""),
    ("neurons of one's own that override what a step does, or keep more than a membrane", "refused", ""),
    ("layer.SynapseFilter, Delay, NeuNorm and all others with a state", "refused", ""),
    ("layer.GroupNorm, Conv3d, ConvTranspose2d, AvgPool1d, WSConv2d, SpikingSelfAttention and all others", "refused", ""),
    ("layer.TLastMultiStepContainer, TLastSeqToANNContainer", "refused", "put time first"),
    ("sew_resnet with AND or IAND", "refused", "a product of two signals"),
)


def owns(module: Any) -> bool:
    """Whether *module* is a neuron of ours, or a layer that is refused."""
    if plain(module) is not None:
        return False
    if inside(module) is not None:
        return runs_steps_as_samples(module) and bool(with_state(module))
    if first_of(module, CONTAINERS) is not None:
        return False  # another forward, which says itself what it does
    own = next(cls for cls in type(module).__mro__ if cls.__module__.startswith("spikingjelly."))
    if own.__module__.startswith(_OPEN) or own is layer.PrintShapeModule:
        return isinstance(module, base.MemoryModule) and bool(module._memories)
    return own in KNOWN or not changes(module, own, ("forward",)) or isinstance(module, base.MemoryModule)


def state_arguments(module: Any) -> tuple[str, ...]:
    """Return the names of the states that a call takes: none."""
    return ()


def results(module: Any) -> tuple[str, ...]:
    """Return what a call returns."""
    return ("spikes",)


def input_shape(module: Any) -> Shape | None:
    """Return the shape that the module alone fixes: none."""
    return None


def lead(module: Any) -> Lead:
    """Return what stands in front of a neuron's axes: ``(time, batch)`` in multi-step mode."""
    return TIME_FIRST if getattr(module, "step_mode", "s") == "m" else STEP


def reset(module: Any) -> None:
    """Forget the state of *module*, if it keeps one."""
    if isinstance(module, base.MemoryModule):
        module.reset()


def hidden(module: Any) -> dict[str, str]:
    """Return the attributes that hold the state of the neuron *module*."""
    return {name: "mem" if name == "v" else "state" for name in getattr(module, "_memories", {})}


def refusals(module: Any, path: str) -> list[Diagnostic]:
    """Return why *module* cannot be imported."""
    kind, name = first_of(module, KNOWN), class_name(module)
    facts = {"class": name}
    if kind is None and runs_steps_as_samples(module):
        text = f"{name} runs all steps as samples of one, so that {', '.join(with_state(module))} in it would not keep a state"
        return [Diagnostic("E021", path, text, "use layer.MultiStepContainer (or stateful=True)", facts)]
    if kind is None:
        known = ", ".join(cls.__name__ for cls in KNOWN)
        names = (cls.__name__ for cls in type(module).__mro__ if cls.__module__.startswith("spikingjelly."))
        hints = (hint for own in names for word, hint in _WAYS_OUT.items() if word in own)
        text = f"{name} is not imported from SpikingJelly"
        return [Diagnostic("E020", path, text, next(hints, f"use one of the neurons {known}, and plain layers"), facts)]
    found = []

    def add(message: str, hint: str) -> None:
        found.append(Diagnostic("E021", path, f"{name}: {message}", hint, facts))

    changed = changes(module, kind, METHODS)
    if changed:
        text = f"derives from spikingjelly.{kind.__name__} and overrides {', '.join(changed)}"
        add(text, f"use spikingjelly.{kind.__name__} itself")
    more = [memory for memory in module._memories if memory != "v"]
    if more:
        add(f"keeps {', '.join(more)} beside its membrane", f"use spikingjelly.{kind.__name__} itself")
    start = module.get_reset_value("v")
    if not isinstance(start, (int, float)):
        add(f"its membrane starts from a {type(start).__name__}", "give set_reset_value('v', ...) a number")
    if module._neuron_precision is not None:
        add("it runs in a precision of its own, which a GPU has", "leave out precision.neuron")
    if not _is_step_function(module.surrogate_function):
        text = "surrogate_function gives other values than 1 where the membrane is at the threshold or above, and 0 below"
        add(text, "use one of spikingjelly.activation_based.surrogate with spiking=True")
    if kind is not neuron.IFNode:
        share = _share(module)
        wrong = share[~((share > 0) & (share <= 1))]
        if wrong.size:
            add(f"1/tau is {wrong[0]:g}", "give tau a finite number of 1 step or more")
    return found


def _is_step_function(surrogate: Any) -> bool:
    """Whether *surrogate* is 1 for numbers of 0 and more, and 0 below."""
    probe = torch.cat((torch.linspace(-8, 8, 257), torch.tensor([-1e3, -1e-30, -0.0, 1e-30, 1e3])))
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            return bool(torch.equal(surrogate(probe).to(probe.dtype), (probe >= 0).to(probe.dtype)))
    except Exception:  # the user's own function
        return False


def _share(module: Any) -> Array:
    """Return ``1/tau``, the part of its way that a membrane makes in a step."""
    if isinstance(module, neuron.ParametricLIFNode):
        with torch.no_grad():
            return np.asarray(module.w.cpu().double().sigmoid().numpy())
    with np.errstate(divide="ignore"):
        return np.asarray(1.0 / _number(module.tau))


def _number(value: Any) -> Array:
    """Return a number, or a tensor that a user has put in its place, in double precision."""
    return np.asarray(value.detach().cpu().double().numpy() if isinstance(value, torch.Tensor) else value, np.float64)


def read(module: Any, path: str, shape: Shape) -> NeuronReading:
    """Return what *module* means for a population of *shape*.

    Raises
    ------
    ImportModelError
        E027 where a parameter does not fit the population.
    """

    def full(value: Any, name: str) -> Array:
        return per_neuron(torch.from_numpy(np.array(value)), name, module, path, shape)

    rest = _thin(_number(0.0 if module.v_reset is None else module.v_reset))
    start = float(module.get_reset_value("v"))
    share, gain = np.zeros(()), np.ones(())
    fields: dict[str, Any] = {"v_threshold": full(_thin(_number(module.v_threshold)), "v_threshold")}
    fields["v_reset"] = full(rest, "v_reset")
    op: Neuron
    if isinstance(module, neuron.IFNode):
        op = IF(r=full(1 / DT, "r"), **fields)
    else:
        share = _thin(_share(module))
        gain = share if module.decay_input else gain
        op = LIF(tau=full(DT / share, "1/tau"), r=full(gain / share, "1/tau"), v_leak=full(rest, "v_reset"), **fields)
    beta, gain = (full(a, "1/tau") if a.ndim else a for a in (1.0 - share, gain))
    exact = Discrete(DT, "euler", "nir", beta=beta, mem_gain=gain)
    extras = Extras(discrete=exact, v_init=np.asarray(start) if start else None)
    kind = "subtract" if module.v_reset is None else "to_v_reset"
    follows = {"reset": kind, "reset_when": "after_spike", "compare": ">="}
    return NeuronReading(dataclasses.replace(op, extras=extras), follows)


def _thin(value: Any) -> Array:
    """Return one number where all of *value* are equal."""
    array = np.asarray(value, np.float64)
    return np.asarray(array.reshape(-1)[0]) if array.size and np.all(array == array.reshape(-1)[0]) else array


def profile(graph: Graph, readings: Mapping[str, NeuronReading]) -> Profile:
    """Return the profile of *graph*: the commonest reset for all, the others' own as overrides."""
    (reset_kind, _), *_ = Counter(r.fields["reset"] for r in readings.values()).most_common(1)
    word = "subtract" if reset_kind == "subtract" else "value"
    return with_own_fields(parse_profile(f"spikingjelly:{word},dt={DT!r}"), graph, readings)


LIBRARY = Library(
    "spikingjelly", owns, refusals, state_arguments, results, input_shape, read, profile, lead,
    plain=plain, inside=inside, reset=reset, hidden=hidden,
)  # fmt: skip
