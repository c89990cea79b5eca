"""Norse 1.1's classes: which of them are imported, what they compute, and why a module of one is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import norse.torch as norse
import numpy as np
import torch
from norse.torch.functional import iaf, leaky_integrator, leaky_integrator_box, lif, lif_box, lif_refrac
from norse.torch.functional.reset import reset_subtract, reset_value
from norse.torch.functional.threshold import threshold

from spikeport.compiler.importers.torch_library import class_name, to_numpy
from spikeport.ir.diagnostics import Diagnostic


@dataclass(frozen=True, slots=True)
class Kind:
    """What a class of Norse computes.

    Parameters
    ----------
    step : function
        Its activation; the class's own forward calls it where None.
    start : {"v_leak", "v_reset"}
        Parameter that the membrane starts at.
    single : bool
        Whether it starts by ``torch.full``: one value for all, in float32 (or the input's type).
    in_time : bool
        Whether a call takes all steps.
    weights : tuple of str
        Connections that it holds: of the input, and of its own spikes.
    flat : bool
        Whether its population has one axis only.
    """

    step: Callable[..., Any] | None
    start: str = "v_leak"
    single: bool = False
    in_time: bool = False
    weights: tuple[str, ...] = ()
    flat: bool = False


_RECURRENT = ("input_weights", "recurrent_weights")
KINDS: dict[type, Kind] = {
    norse.LIFCell: Kind(lif.lif_feed_forward_step),
    norse.LIF: Kind(lif.lif_feed_forward_step, single=True, in_time=True),
    norse.LIFRecurrentCell: Kind(lif.lif_step, single=True, weights=_RECURRENT),
    norse.LIFRecurrent: Kind(lif.lif_step, single=True, in_time=True, weights=_RECURRENT),
    norse.LIFRefracCell: Kind(lif_refrac.lif_refrac_feed_forward_step, single=True),
    norse.LIFRefracRecurrentCell: Kind(lif_refrac.lif_refrac_step, weights=_RECURRENT, flat=True),
    norse.LIFRefracRecurrent: Kind(lif_refrac.lif_refrac_step, single=True, in_time=True, weights=_RECURRENT),
    norse.LIFBoxCell: Kind(lif_box.lif_box_feed_forward_step),
    norse.IAFCell: Kind(iaf.iaf_feed_forward_step, start="v_reset"),
    norse.IAF: Kind(iaf.iaf_feed_forward_step, start="v_reset", in_time=True),
    norse.LICell: Kind(leaky_integrator.li_feed_forward_step),
    norse.LI: Kind(leaky_integrator.li_feed_forward_step, single=True, in_time=True),
    norse.LILinearCell: Kind(None, weights=("input_weights",), flat=True),
    norse.LIBoxCell: Kind(leaky_integrator_box.li_box_feed_forward_step),
}  # fmt: skip
KNOWN = tuple(KINDS)
CONTAINERS = (norse.SequentialState, norse.RecurrentSequential, norse.Lift)

#: Word in a class's name -> the way out where it is refused.
_WAYS_OUT = {
    "LSNN": "its threshold adapts, which no graph says: use LIFRecurrent or LIFRecurrentCell",
    "AdEx": "its membrane has an exponential term and adapts, which no graph says: use LIF or LIFCell",
    "LIFEx": "its membrane has an exponential term, which no graph says: use LIF or LIFCell",
    "Izhikevich": "its membrane is quadratic and has a recovery variable, which no graph says: use LIF or LIFCell",
    "Coba": "its synapses are conductances, which no graph says: use LIFRecurrentCell",
    "LIFMC": "its compartments are coupled, which no graph says: use LIFRecurrentCell or LIFRefracRecurrentCell",
    "Correlation": "its weights learn as it runs: use LIFRecurrentCell",
    "Encoder": "encode outside of the module, and give it the spikes or currents",
    "Regularization": "leave it out for the import: it counts spikes and passes them on",
    "Decoder": "decode outside of the module, from its spikes",
    "ReceptiveField": "use torch.nn.Conv2d with the field as its weight",
    "LConv": "use torch.nn.Conv2d in norse.Lift",
    "ExpFilter": "use LIBoxCell, a leaky integrator",
}  # fmt: skip


def base_of(module: Any) -> type | None:
    """Return the class of ours that *module* is or derives from; None where there is none."""
    return next((cls for cls in type(module).__mro__ if cls in KINDS), None)


def kind_of(module: Any) -> Kind:
    """Return what the class of *module* computes; it is one of ours."""
    base = base_of(module)
    if base is None:  # refused before it is read
        raise TypeError(type(module))
    return KINDS[base]


def lif_parameters(module: Any) -> Any:
    """Return the parameters of the neuron itself; those of a refractory one hold them."""
    return getattr(module.p, "lif", module.p)


def owns(module: Any) -> bool:
    """Whether *module* is a layer of ``norse.torch.module``, its containers aside."""
    inside = any(cls.__module__.startswith("norse.torch.module.") for cls in type(module).__mro__)
    return inside and not isinstance(module, CONTAINERS)


def refusals(module: Any, path: str) -> list[Diagnostic]:
    """Return why *module* cannot be imported."""
    name, base = class_name(module), base_of(module)
    if base is None:
        known = ", ".join(cls.__name__ for cls in KNOWN)
        hint = next((h for word, h in _WAYS_OUT.items() if word in type(module).__name__), f"use one of {known}")
        return [Diagnostic("E020", path, f"{name} is not imported from Norse", hint, {"class": name})]
    found = []

    def add(message: str, hint: str) -> None:
        found.append(Diagnostic("E021", path, f"{name}: {message}", hint, {"class": name}))

    p, kind = lif_parameters(module), KINDS[base]
    changed = [n for n in ("forward", "initial_state") if getattr(type(module), n, None) is not getattr(base, n, None)]
    if changed:
        add(f"derives from norse.torch.{base.__name__} and overrides {', '.join(changed)}", f"use {base.__name__} itself")
    if kind.step is not None:
        _check_functions(module, base, add)
    if hasattr(p, "method"):
        _check_method(p, add)
    reset = getattr(p, "reset_method", reset_value)
    if reset not in (reset_value, reset_subtract):
        add(f"reset_method is {getattr(reset, '__name__', reset)!r}, which is not one of Norse's own",
            "use norse.torch.reset_value or norse.torch.reset_subtract")  # fmt: skip
    if kind.single and torch.as_tensor(p.v_leak).dim():
        add(f"v_leak has the shape {tuple(p.v_leak.shape)}; Norse 1.1.0 starts the membrane of a {base.__name__} by "
            "torch.full, which takes one number and fails here", "give v_leak one number, without axes")  # fmt: skip
    for field in ("tau_syn_inv", "tau_mem_inv"):
        if np.any(to_numpy(getattr(p, field, 0)) < 0):
            add(f"{field} is below 0: its time constant is negative", "give it a value of 0 or more")
    if not np.all(np.isfinite(to_numpy(getattr(module.p, "rho_reset", 0)))):
        add("rho_reset is not a finite number of steps", "give it a finite number")
    return found


def _check_functions(module: Any, base: type, add: Callable[[str, str], None]) -> None:
    """Refuse a cell whose functions are not those that its class sets."""
    kind = KINDS[base]
    adjoint = getattr(lif_parameters(module), "method", "") == "adjoint"  # refused as such, by _check_method
    if module.activation is not kind.step and not adjoint:
        name = getattr(module.activation, "__name__", type(module.activation).__name__)
        add(f"its activation is {name} in place of the class's own", f"make a new {base.__name__}")
    if getattr(module.state_fallback, "__func__", None) is not getattr(type(module), "initial_state", None):
        add("its state_fallback is not the class's own initial_state", f"make a new {base.__name__}")


def _check_method(p: Any, add: Callable[[str, str], None]) -> None:
    probe = torch.tensor([-2.0, -1e-6, 0.0, 1e-6, 2.0])
    try:
        with torch.no_grad():
            fired = threshold(probe, p.method, p.alpha)
    except ValueError:
        add(f"method {p.method!r} is none that Norse 1.1.0 can run: its threshold function raises an error",
            "use method='super'")  # fmt: skip
        return
    if not torch.equal(fired.to(torch.float32), (probe > 0).to(torch.float32)):
        add(f"method {p.method!r} gives other values than 1 above and 0 below the threshold", "use method='super'")
