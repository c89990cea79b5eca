"""What a network asks of a chip beyond capacity: constructs, and whether a target has them.

For each construct a target says *native*, *rewritten exactly* (and how) or *refused* (and why); one table in its TOML
file, complete, so that nothing is left unspoken. An approximation is never made silently.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from spikeport.ir.diagnostics import Diagnostic
from spikeport.ir.graph import Graph, Node
from spikeport.ir.loihi import INPUT_NOTE
from spikeport.ir.ops import Conv1d, Conv2d, Delay, Input, Neuron, Threshold
from spikeport.ir.profile import Profile
from spikeport.ir.schedule import schedule

Status = Literal["native", "rewritten", "refused"]
STATUSES: tuple[str, ...] = get_args(Status)

#: Every construct that a target must speak about, in the order in which it is printed.
CONSTRUCTS: dict[str, str] = {
    "reset_to_zero": "reset of the membrane to 0",
    "reset_to_value": "reset of the membrane to v_reset",
    "reset_subtract": "reset by subtraction of the threshold",
    "reset_subtract_once": "snnTorch's subtraction without reset delay",
    "reset_multi": "several spikes a step, each subtracting the threshold",
    "no_reset": "spikes without reset",
    "reset_next_step_keep": "reset to a value in the next update, its input kept",
    "reset_next_step_drop": "reset to a value in the next update, its input dropped",
    "subtract_next_step": "subtraction in the next update",
    "reset_at_crossing": "reset at the instant of the crossing, within the step",
    "compare_strict": "spike where v > threshold",
    "compare_ge": "spike where v >= threshold",
    "synaptic_current": "a decaying synaptic current in front of the membrane",
    "old_current": "the membrane takes the current of the step before",
    "clamp_low": "a lower bound of the membrane",
    "integrator": "neurons that do not spike (I, LI, CubaLI)",
    "values_sent": "the membrane of a neuron that does not spike, sent to other neurons",
    "threshold_node": "spikes without memory (Threshold)",
    "refractory": "refractory steps after a spike",
    "graded_spikes": "spikes with a value other than 1",
    "graded_input": "input values other than 0 and 1",
    "delays": "delays of more than one step",
    "per_neuron_parameters": "parameters that differ between the neurons of a layer",
    "initial_state": "a state other than 0 before the first step",
    "recurrent": "recurrent connections",
    "shared_kernels": "convolution kernels stored once for many neurons",
    "bias": "a constant input",
}


@dataclass(frozen=True, slots=True)
class Support:
    """Whether a target has a construct.

    Parameters
    ----------
    status : {"native", "rewritten", "refused"}
        ``rewritten`` gives the same spikes by other means.
    how : str
        The means, or the reason of a refusal.
    """

    status: Status
    how: str = ""


def constructs(graph: Graph, profile: Profile) -> dict[str, tuple[str, ...]]:
    """Return the constructs that *graph* under *profile* needs, each with the paths of the layers that need it."""
    found: dict[str, list[str]] = {}
    plan = schedule(graph, profile)
    loops = {path for group in plan.groups if plan.is_recurrent(group) for path in group}
    for node in graph:
        if isinstance(node.op, Neuron):
            for name in _of_neuron(node.op, profile.at(node.path, node.op.kind), node.path in loops):
                found.setdefault(name, []).append(node.path)
            if not node.op.is_spiking and _reaches_neurons(graph, node.path):
                found.setdefault("values_sent", []).append(node.path)
        elif isinstance(node.op, Threshold):
            found.setdefault("threshold_node", []).append(node.path)
        elif isinstance(node.op, (Conv1d, Conv2d)):
            found.setdefault("shared_kernels", []).append(node.path)
        elif input_range(node) not in (None, (0, 1)):
            found.setdefault("graded_input", []).append(node.path)
        if np.any(getattr(node.op, "bias", 0)):
            found.setdefault("bias", []).append(node.path)
        if isinstance(node.op, Delay) and np.any(node.op.steps(profile.dt) > 1):
            found.setdefault("delays", []).append(node.path)
    found.setdefault("delays", []).extend(sorted({e.target for e, d in plan.delays.items() if d > 1}))
    return {name: tuple(dict.fromkeys(found[name])) for name in CONSTRUCTS if found.get(name)}


def input_range(node: Node) -> tuple[int, int] | None:
    """Return the least and the largest integer that enters at an Input node; None where nothing says so."""
    note = node.notes.get(INPUT_NOTE)
    if type(node.op) is not Input or not isinstance(note, Mapping):
        return None
    return int(note["least"]), int(note["most"])


def _reaches_neurons(graph: Graph, path: str) -> bool:
    """Whether what leaves *path* enters neurons, through stateless nodes or none."""
    pending, seen = [path], {path}
    while pending:
        for edge in graph.out_of(pending.pop()):
            if isinstance(graph[edge.target].op, (Neuron, Threshold)):
                return True
            if edge.target not in seen:
                seen.add(edge.target)
                pending.append(edge.target)
    return False


def _of_neuron(op: Neuron, profile: Profile, in_loop: bool) -> Iterator[str]:
    if in_loop:
        yield "recurrent"
    if op.has_current:
        yield "synaptic_current"
        if profile.order == "old_current":
            yield "old_current"
    if profile.clamp_low is not None:
        yield "clamp_low"
    if any(a.size > 1 and np.any(a != a.flat[0]) for a in op.arrays().values()):
        yield "per_neuron_parameters"
    extras = op.extras
    if any(a is not None and np.any(a) for a in (extras.v_init, extras.i_init, extras.held_init)):
        yield "initial_state"
    if extras.refractory_steps is not None and np.any(extras.refractory_steps):
        yield "refractory"
    if extras.spike_amplitude is not None and np.any(extras.spike_amplitude != 1):
        yield "graded_spikes"
    if not op.is_spiking:
        yield "integrator"
        return
    yield "compare_ge" if profile.compare == ">=" else "compare_strict"
    yield _reset(op, profile, in_loop)


def _reset(op: Neuron, profile: Profile, in_loop: bool) -> str:
    """Return the construct that the reset of a spiking neuron needs."""
    when, to_value = profile.reset_when, profile.reset in ("to_zero", "to_v_reset")
    if when == "next_step":
        # snnTorch: Leaky keeps the input of the step in which it resets, its other classes drop it.
        when = "next_step_drop_input" if op.has_current or in_loop else "next_step_keep_input"
    plain = {"none": "no_reset", "multi_subtract": "reset_multi", "subtract_once": "reset_subtract_once"}
    if profile.reset in plain:
        return plain[profile.reset]
    if when == "at_crossing":
        return "reset_at_crossing"
    if when == "next_step_keep_input":
        return "reset_next_step_keep" if to_value else "subtract_next_step"
    if when == "next_step_drop_input":
        return "reset_next_step_drop" if to_value else "subtract_next_step"
    if profile.reset == "subtract":
        return "reset_subtract"
    zero = profile.reset == "to_zero" or not np.any(op.arrays()["v_reset"])
    return "reset_to_zero" if zero else "reset_to_value"


def beside_the_chip(name: str, graph: Graph) -> tuple[Diagnostic, ...]:
    """Return a warning E522 for every layer of weights that no neuron follows: no core holds it, and no price has it."""
    return tuple(
        Diagnostic(
            "E522", node.path, f"no neuron follows this {node.op.kind}: it lies on no core of {name} but beside it, on the "
            "host, and neither limits nor prices count it",
            "put a neuron behind it (LI reads out a sum without spikes) to have it on the chip", {}, "warning",
        )
        for node in graph
        if node.op.is_weighted and not _reaches_neurons(graph, node.path)
    )  # fmt: skip


def longest_refractory(graph: Graph) -> dict[str, int]:
    """Return the most refractory steps of every layer that has some."""
    steps = {n.path: n.op.extras.refractory_steps for n in graph if isinstance(n.op, Neuron)}
    return {path: int(held.max()) for path, held in steps.items() if held is not None and held.size and held.any()}


def refusals(name: str, table: Mapping[str, Support], graph: Graph, profile: Profile) -> tuple[Diagnostic, ...]:
    """Return what the target *name* refuses of *graph* (E520 errors) and what it rewrites (E521 notes)."""
    out = []
    for construct, paths in constructs(graph, profile).items():
        support = table[construct]
        shown = ", ".join(paths[:3]) + (f" and {len(paths) - 3} more" if len(paths) > 3 else "")
        facts = {"construct": construct, "paths": list(paths)}
        if support.status == "refused":
            out.append(
                Diagnostic(
                    "E520", paths[0], f"{name} does not have {CONSTRUCTS[construct]} (needed by {shown}): {support.how}",
                    f"`spikeport targets {name}` lists what it has", facts,
                )
            )  # fmt: skip
        elif support.status == "rewritten":
            out.append(
                Diagnostic(
                    "E521", paths[0], f"{CONSTRUCTS[construct]} (in {shown}) is rewritten exactly on {name}: {support.how}",
                    "", facts, "note",
                )
            )  # fmt: skip
    return tuple(out)
