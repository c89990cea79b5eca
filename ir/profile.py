"""Execution profiles: the time semantics that a ``.nir`` file leaves open, stated field by field.

A profile is written ``NAME[:RESET][,field=value...][,@PATH:field=value...]``, for example ``snntorch:subtract``,
``norse:zero`` or ``spinnaker2:subtract,dt=1e-4,@readout:reset=none``. RESET is ``zero``, ``value`` (to v_reset),
``subtract`` (as that framework does it) or ``none``. ``@%KIND:field=value`` sets a field for every node of a kind (LIF,
IF, CubaLIF, ...); a node's own path wins over its kind. It prints back in full and is part of the graph's digest.
The named profiles and what they were established on stand in ``ir.profiles``.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

from spikeport.ir.diagnostics import Diagnostic, ProfileError, did_you_mean

Override = tuple[str, str, Any]

#: Longest delay of an edge or a profile, in steps.
MAX_STEPS = 4096
#: Allowed words of each field that takes words.
CHOICES: dict[str, tuple[str, ...]] = {
    "scheme": ("euler", "exponential"),
    "syn_scheme": ("scheme", "euler", "exponential"),
    "gain": ("nir", "unit", "scaled", "r"),
    "syn_gain": ("nir", "unit", "scaled", "decay"),
    "reset": ("to_v_reset", "to_zero", "subtract", "subtract_once", "multi_subtract", "none"),
    "reset_when": ("after_spike", "at_crossing", "next_step", "next_step_keep_input", "next_step_drop_input"),
    "leak": ("nir", "unit", "both"),
    "order": ("new_current", "old_current"),
    "compare": (">", ">="),
    "latency_at": ("source", "synapse", "current"),
    "bias_at": ("input", "membrane"),
}
#: Fields that one node may set for itself.
PER_NODE = frozenset(
    ("scheme", "syn_scheme", "gain", "syn_gain", "leak", "reset", "reset_when", "order", "compare", "clamp_low",
     "max_spikes", "output_delay", "v_threshold", "v_reset")
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Profile:
    """How a graph's differential equations become steps.

    Parameters
    ----------
    name : str
        The named profile that it started from.
    dt : float
        Step, in the unit of the graph's time constants (seconds).
    scheme : {"euler", "exponential"}
        Decay ``1 - dt/tau`` or ``exp(-dt/tau)``.
    syn_scheme : {"scheme", "euler", "exponential"}
        The same for the synaptic current; ``scheme`` follows the membrane.
    gain : {"nir", "unit", "scaled", "r"}
        Factor of the membrane's input: NIR's ``r*dt/tau`` (``r*(1-exp(-dt/tau))`` under ``exponential``, ``r*dt`` for
        IF); 1, r ignored; ``dt/tau`` (dt for IF) whatever the scheme, r ignored; r alone.
    syn_gain : {"nir", "unit", "scaled", "decay"}
        Factor of the synapse's input: NIR's ``w_in*dt/tau_syn`` (``w_in*(1-exp(-dt/tau_syn))``); 1; ``dt/tau_syn``;
        ``i = alpha*(i + x)``, the input decaying in its own step.
    leak : {"nir", "unit", "both"}
        Where v_leak acts: pulling the membrane; added whole each step; pulling membrane and synaptic current.
    reset : str
        ``to_v_reset``, ``to_zero``, ``subtract``, ``subtract_once`` (snnTorch without reset delay),
        ``multi_subtract`` (several spikes a step) or ``none``.
    reset_when : str
        ``after_spike`` (at the end of the step); ``at_crossing`` (within the step, at the instant of the crossing, the
        rest of the step recharging: for input that is constant within a step, and where ``crossing`` knows a closed
        form, else E337); ``next_step_keep_input``;
        ``next_step_drop_input``; ``next_step`` leaves the choice of the two to the kind of node, as snnTorch's classes do.
    boundary : str
        Between samples: ``reset``, ``carry`` or ``silence(k)`` (k steps without input, then carry).
    order : {"new_current", "old_current"}
        Whether this step's synaptic current enters this step's membrane update.
    compare : {">", ">="}
        Spike test against the threshold.
    latency : (int, int)
        Delay in steps of edges from the input, and of edges between nodes, where the edge has none of its own.
    latency_at : {"source", "synapse", "current"}
        Whether that delay is counted where a spike or an input leaves, after each weighted node (Lava's processes), or
        where a neuron with a synaptic current is entered (Nengo's filters).
    output_delay : int
        Steps after which a neuron's spikes are visible outside and in the raster.
    feedback : int
        Delay in steps of recurrent edges that have none of their own.
    bias_at_0 : bool
        Whether a recurrent affine is evaluated (so its bias acts) at step 0.
    bias_at : {"input", "membrane"}
        Whether an affine bias enters with the weighted input, or at the membrane at its synaptic steady state.
    clamp_low : float, "-v_threshold" or None
        Lower bound of the membrane, applied after the reset.
    max_spikes : int or None
        Most spikes of a neuron in a step under ``multi_subtract``.
    overrides : tuple of (path, field, value)
        Fields that single nodes set for themselves.
    """

    name: str
    dt: float = 1e-4
    scheme: str = "euler"
    syn_scheme: str = "scheme"
    gain: str = "nir"
    syn_gain: str = "nir"
    leak: str = "nir"
    reset: str = "to_v_reset"
    reset_when: str = "after_spike"
    boundary: str = "reset"
    order: str = "new_current"
    compare: str = ">"
    latency: tuple[int, int] = (0, 0)
    latency_at: str = "source"
    output_delay: int = 0
    feedback: int = 1
    bias_at_0: bool = True
    bias_at: str = "input"
    clamp_low: float | str | None = None
    max_spikes: int | None = None
    overrides: tuple[Override, ...] = ()

    def __str__(self) -> str:
        fields = [f"{f.name}={_show(getattr(self, f.name))}" for f in dataclasses.fields(self)[1:-1]]
        nodes = [f"@{path}:{name}={_show(value)}" for path, name, value in self.overrides]
        return ",".join([self.name, *fields, *nodes])

    def at(self, path: str, kind: str) -> Profile:
        """Return the profile as the node *path* of *kind* sees it, without overrides."""
        own: dict[str, Any] = {}
        for where in (f"%{kind}", path):
            own.update({n: v for p, n, v in self.overrides if p == where and n not in ("v_threshold", "v_reset")})
        return dataclasses.replace(self, **own, overrides=())

    def parameter(self, path: str, kind: str, name: str) -> float | None:
        """Return the ``v_threshold`` or ``v_reset`` that the profile sets for the node *path*, or None."""
        found = {p: v for p, n, v in self.overrides if n == name}
        value: float | None = found.get(path, found.get(f"%{kind}"))
        return value

    def with_overrides(self, path: str, **fields: Any) -> Profile:
        """Return the profile with *fields* set for the node *path*."""
        added = tuple((path, name, value) for name, value in sorted(fields.items()))
        kept = tuple(o for o in self.overrides if (o[0], o[1]) not in {(p, n) for p, n, _ in added})
        return dataclasses.replace(self, overrides=kept + added)

    @property
    def silence(self) -> int:
        """Steps without input between samples (``boundary=silence(k)``), else 0."""
        return int(self.boundary[8:-1]) if self.boundary.startswith("silence(") else 0


def _show(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return "/".join(str(v) for v in value)
    return repr(value) if isinstance(value, float) else str(value)


def _fail(code: str, message: str, hint: str, **facts: Any) -> ProfileError:
    return ProfileError(Diagnostic(code, "", message, hint, facts))


def parse_value(name: str, text: str) -> Any:
    """Return the value of the field *name* written as *text*.

    Raises
    ------
    ProfileError
        E332 for an unknown field or a value that it does not take.
    """
    text = text.strip()
    if name in CHOICES:
        if text not in CHOICES[name]:
            close = did_you_mean(text, CHOICES[name])
            raise _fail(
                "E332", f"profile field {name} takes {' | '.join(CHOICES[name])}, not {text!r}{close}",
                "write one of these words",
            )  # fmt: skip
        return text
    try:
        return _NUMBERS[name](text)
    except KeyError:
        known = [f.name for f in dataclasses.fields(Profile)[1:-1]] + ["reset_delay"]
        hint = f"known fields: {', '.join(known)}"
        if name in ("tau_ref", "min_voltage"):
            hint = "Nengo's tau_ref other than 0 (with its correction of the spike's time) is not implemented; " + hint
        raise _fail("E332", f"unknown profile field {name!r}{did_you_mean(name, known)}", hint) from None
    except ValueError as error:
        raise _fail("E332", f"profile field {name} cannot be {text!r}: {error}", "see `spikeport explain E332`") from None


def _positive(text: str) -> float:
    value = float(text)
    if not (math.isfinite(value) and value > 0):
        raise ValueError("expected a number of seconds above 0")
    return value


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError("expected a finite number")
    return value


def _steps(text: str) -> int:
    value = int(text)
    if not 0 <= value <= MAX_STEPS:
        raise ValueError(f"expected a number of steps between 0 and {MAX_STEPS}")
    return value


def _latency(text: str) -> tuple[int, int]:
    parts = [_steps(t) for t in text.split("/")]
    if len(parts) > 2:
        raise ValueError("expected STEPS or INPUT/BETWEEN")
    return parts[0], parts[-1]


def _flag(text: str) -> bool:
    words = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}
    if text.lower() not in words:
        raise ValueError("expected yes or no")
    return words[text.lower()]


def _boundary(text: str) -> str:
    if text in ("reset", "carry"):
        return text
    if text.startswith("silence(") and text.endswith(")"):
        return f"silence({_steps(text[8:-1])})"
    raise ValueError("expected reset, carry or silence(STEPS)")


def _clamp(text: str) -> float | str | None:
    if text == "none":
        return None
    return text if text == "-v_threshold" else _finite(text)


def _max_spikes(text: str) -> int | None:
    if text == "none":
        return None
    value = int(text)
    if not 1 <= value < 2**31:
        raise ValueError("expected none, or a number of spikes from 1 to 2147483647")
    return value


_NUMBERS: dict[str, Any] = {
    "dt": _positive, "boundary": _boundary, "latency": _latency, "output_delay": _steps, "feedback": _steps,
    "bias_at_0": _flag, "clamp_low": _clamp, "max_spikes": _max_spikes, "reset_delay": _flag,
    "v_threshold": _finite, "v_reset": _finite,
}  # fmt: skip
