"""Why a neuron of sinabs cannot be imported: every option that a graph cannot say exactly, by name."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import sinabs.activation as sa
import sinabs.layers as sl
import torch
from torch import nn

from spikeport.compiler.importers.torch_layers import CONNECTIONS, layer_refusals
from spikeport.compiler.importers.torch_library import class_name, to_numpy
from spikeport.ir.diagnostics import Diagnostic
from spikeport.ir.ops import Array

KNOWN = (
    sl.IAF, sl.IAFRecurrent, sl.IAFSqueeze, sl.LIF, sl.LIFRecurrent, sl.LIFSqueeze, sl.ExpLeak, sl.ExpLeakSqueeze,
)  # fmt: skip
#: Methods that decide what a step computes.
_DECISIVE = (
    "forward", "alpha_mem_calculated", "alpha_syn_calculated", "squeeze_forward", "init_state_with_shape",
    "is_state_initialised", "state_has_shape", "has_trailing_dimension", "handle_state_batch_size_mismatch",
)  # fmt: skip
#: Layers that a recurrent connection may pass through on its way, where the population has one axis.
_PASSING = (nn.Flatten, nn.Identity, nn.Dropout)


def _base(module: Any) -> type | None:
    """Return the class of ours that *module* is or derives from; None where there is none."""
    return next((cls for cls in type(module).__mro__ if cls in KNOWN), None)


def refusals(module: Any, path: str) -> list[Diagnostic]:
    """Return why *module* cannot be imported."""
    base, name = _base(module), class_name(module)
    facts = {"class": name}
    if base is None:
        known = ", ".join(cls.__name__ for cls in KNOWN)
        hint = (
            "its threshold adapts to its spikes, which no graph can say: use LIF" if "ALIF" in name else f"use one of {known}"
        )
        return [Diagnostic("E020", path, f"{name} is not imported from sinabs", hint, facts)]
    found = [Diagnostic("E021", path, f"{name}: {text}", hint, facts) for text, hint in _inexpressible(module, base)]
    recurrent = getattr(module, "rec_connect", None)
    return found if recurrent is None else found + _recurrent_refusals(recurrent, path)


def _inexpressible(module: Any, base: type) -> list[tuple[str, str]]:
    """Return (what cannot be said, the way out) for every option of a neuron."""
    found = []
    changed = [n for n in _DECISIVE if getattr(type(module), n, None) is not getattr(base, n, None)]
    if changed:
        text = f"derives from sinabs.layers.{base.__name__} and overrides {', '.join(changed)}"
        found.append((text, f"use sinabs.layers.{base.__name__} itself"))
        return found
    with torch.no_grad():
        for name, alpha in (("mem", module.alpha_mem_calculated), ("syn", module.alpha_syn_calculated)):
            decay = np.zeros(1) if alpha is None else to_numpy(alpha)
            if not np.all((decay >= 0) & (decay <= 1)):
                text = f"its decay alpha_{name} is {_worst(decay):.7g}: no time constant gives a decay outside of 0 to 1"
                found.append((text, f"keep tau_{name} above 0, or alpha_{name} between 0 and 1"))
    if not module.spike_fn:
        if module.min_v_mem is not None:
            found.append(("min_v_mem bounds its state but not its output, which is the membrane before that", "leave it out"))
        return found
    if module.spike_threshold is None:
        found.append(("spike_threshold is None, and it spikes", "give spike_threshold a number, or set spike_fn=None"))
        return found
    most, threshold = most_spikes(module.spike_fn), to_numpy(module.spike_threshold)
    if most is None:
        found.append((f"spike_fn is {_called(module.spike_fn)}, of which only sinabs's own are known",
                      "use sinabs.activation.MultiSpike, SingleSpike or MaxSpike(n)"))  # fmt: skip
    elif most < math.inf and (most < 1 or most % 1):
        found.append((f"MaxSpike({most:g}) is no number of spikes a step", "use a whole number of 1 or more"))
    elif not _is_single_spike(module.spike_fn) and not np.all(threshold > 0):
        text = f"{_called(module.spike_fn)} divides by spike_threshold, which is {threshold.min():g}"
        found.append((text, "use a threshold above 0, or SingleSpike"))
    return found + _reset_inexpressible(module, most) + _bound_inexpressible(module)


def _reset_inexpressible(module: Any, most: float | None) -> list[tuple[str, str]]:
    kind, threshold = reset_kind(module.reset_fn), module.spike_threshold.detach()
    if kind is None:
        text = f"reset_fn is {_called(module.reset_fn)}, of which only sinabs's own are known"
        return [(text, "use sinabs.activation.MembraneSubtract() or MembraneReset()")]
    if kind == "zero":
        found = []
        if np.any(to_numpy(module.reset_fn.reset_value) != 0):
            found.append((
                f"MembraneReset({module.reset_fn.reset_value}) adds its reset_value in every step, to neurons that do not "
                "spike as well: no graph can say that", "use MembraneReset(0.0)",
            ))  # fmt: skip
        if most is not None and most > 1:
            found.append((
                f"{_called(module.spike_fn)} counts several spikes in a step and MembraneReset then sets the membrane to 0: a "
                "graph has several spikes a step with subtraction only",
                "use SingleSpike or MaxSpike(1), or MembraneSubtract()",
            ))  # fmt: skip
        return found
    value = module.reset_fn.subtract_value
    # As the module does it: spikes are float32, which decides the type of a product with one number.
    off = _differ(torch.ones(1) * (threshold if value is None else value), threshold)
    if value is None and off:
        return [("its threshold is one float64 number, which sinabs subtracts as float32 (its spikes are), and that is "
                 "another number", "give a threshold for each neuron, or convert the module with .float()")]  # fmt: skip
    if off:
        text = f"MembraneSubtract({value}) subtracts another value than spike_threshold ({to_numpy(threshold).min():g})"
        return [(text, "leave subtract_value out: a graph subtracts the threshold")]
    return []


def _bound_inexpressible(module: Any) -> list[tuple[str, str]]:
    low = module.min_v_mem
    if low is None or np.unique(to_numpy(low)).size == 1 or not _differ(-module.spike_threshold, low):
        return []
    return [("min_v_mem differs from neuron to neuron; a graph has one bound for all, or the negative threshold",
             "give one number")]  # fmt: skip


def _differ(a: Any, b: Any) -> bool:
    """Whether two tensors have other numbers, or shapes that do not go together."""
    a, b = (to_numpy(t).astype(np.float64) for t in (a, b))
    try:
        return bool(np.any(a != b))
    except ValueError:
        return True


def _worst(decay: Array) -> float:
    outside = decay[~((decay >= 0) & (decay <= 1))]
    return float(outside.reshape(-1)[0])


def _called(function: Any) -> str:
    """Return how a spike_fn or reset_fn is written."""
    name = getattr(function, "__name__", type(function).__name__)
    return f"MaxSpike({function.max_num_spikes_per_bin})" if isinstance(function, sa.MaxSpike) else str(name)


def _is_single_spike(function: Any) -> bool:
    return getattr(function, "forward", None) is sa.SingleSpike.forward


def most_spikes(function: Any) -> float | None:
    """Return the most spikes of a step (infinity where there is no bound); None for a function that is not sinabs's own."""
    if isinstance(function, sa.MaxSpike) and type(function).apply is sa.MaxSpike.apply:
        return math.inf if function.max_num_spikes_per_bin is None else float(function.max_num_spikes_per_bin)
    if getattr(function, "required_states", None) != ["v_mem"]:
        return None
    # A class that only brings its own gradient has the same forward.
    is_multi = getattr(function, "forward", None) is sa.MultiSpike.forward
    return 1.0 if _is_single_spike(function) else math.inf if is_multi else None


def reset_kind(function: Any) -> str | None:
    """Return ``subtract`` or ``zero``; None for a function that is not sinabs's own."""
    for kind, cls in (("subtract", sa.MembraneSubtract), ("zero", sa.MembraneReset)):
        if isinstance(function, cls) and type(function).__call__ is cls.__call__:
            return kind
    return None


def recurrent_part(recurrent: Any) -> Any:
    """Return the one connection in *recurrent*, beside layers that a population of one axis passes; None if there is none."""
    parts = list(recurrent) if type(recurrent) is nn.Sequential else [recurrent]
    parts = [p for p in parts if type(p) not in _PASSING or getattr(p, "start_dim", 1) not in (1, -1)]
    return parts[0] if len(parts) == 1 and type(parts[0]) in CONNECTIONS else None


def _recurrent_refusals(recurrent: Any, path: str) -> list[Diagnostic]:
    part, where = recurrent_part(recurrent), f"{path}.rec_connect"
    if part is not None:
        return layer_refusals(part, where)
    if type(recurrent) is nn.Identity:
        return []
    return [Diagnostic(
        "E021", where, f"this rec_connect is a {class_name(recurrent)}; a recurrent connection is one Linear, Conv1d or Conv2d",
        "use one of these, or add the feedback in a forward of one step", {"class": class_name(recurrent)},
    )]  # fmt: skip
