"""A network as a Brian2 script of its own: readable, with its arrays beside it, and nothing of ours to import."""

from __future__ import annotations

import builtins
import inspect
import json
import keyword
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from spikeport.backends.brian2 import functions
from spikeport.backends.brian2.form import Call, Form, Group, Projection
from spikeport.backends.brian2.layout import Layout, lay_out
from spikeport.backends.brian2.results import Course
from spikeport.ir.network import StepNetwork
from spikeport.ir.ops import Array
from spikeport.ir.trace import Recording

#: What the variables of a neuron are.
_LEGEND = {
    "v": "membrane", "y": "what leaves in this step", "beta": "membrane decay of a step", "gain": "factor of the input",
    "leak": "what the leak adds a step", "threshold": "spike threshold", "v_reset": "membrane after a reset",
    "alpha": "synaptic decay of a step", "syn_gain": "factor of the synapse's input", "syn_leak": "added to the current a step",
    "I_syn": "synaptic current", "offset": "constant current", "held": "steps that the membrane is still held",
    "hold_steps": "refractory steps", "amplitude": "value of a spike", "v_min": "lower bound of the membrane",
    "v_init": "membrane before the first step", "I_syn_init": "current before the first step", "lag": "steps of delay",
    "held_init": "steps of a sample before the membrane moves",
    "scale": "factor", "k": "kernel, then biases",
}  # fmt: skip
#: Names that the script itself uses.
_OWN = """np sys Path clock parameters given objects network namespace monitors function choice at totals conv2d pool2d
delay_line second prefs Clock Function Network NeuronGroup SpikeMonitor Synapses BrianLogger linked_var here inputs source saved
steps if_else whole owner variable key path monitor amplitude late neuron value count shown raster step
t dt i j N xi v y x s u w"""
_TAKEN = {*dir(builtins), *keyword.kwlist, *_OWN.split()}
_LIKE_OURS = re.compile(r"^(kernel|sum|into|given|past|conv|pool)_|_(late\d+|events|v|step)$")


def script_files(network: StepNetwork, inputs: Mapping[str, Array], title: str) -> dict[str, Any]:
    """Return the files of a script by name: text of ``run.py``, arrays of ``network.npz`` and ``input.npz``.

    Parameters
    ----------
    network : StepNetwork
        What to write.
    inputs : Mapping[str, array, shape (samples, steps, *shape)]
        What the script runs on when it is given no other.
    title : str
        Says what it is and where it comes from.
    """
    names: dict[str, str] = {}

    def name_of(path: str, number: int) -> str:
        if path not in names:
            name = re.sub(r"[^A-Za-z0-9_]", "_", path) or "node"
            name = f"n{name}" if not name[0].isalpha() else name
            name += "_n" if _LIKE_OURS.search(name) else ""
            while name in _TAKEN or name in names.values():
                name += "_"
            names[path] = name
        return names[path]

    layout = lay_out(network, Recording(), name_of)
    used = {name: value for name, value in layout.values.items() if name in layout.form.parameters}
    return {"run.py": _text(network, layout, title), "network.npz": used, "input.npz": dict(inputs)}


def _text(network: StepNetwork, layout: Layout, title: str) -> str:
    form = layout.form
    parts = [
        _HEAD.replace("@TITLE@", "\n".join(_plain(line) for line in title.splitlines())).replace(
            "@DT@", repr(network.profile.dt)
        )
    ]
    parts.append(_course(network))
    parts.append(_FUNCTIONS)
    kinds = {call.kind for g in form.groups for call in g.calls}
    for kind, needed in (("delay", functions.delay_line), ("conv", functions.conv2d), ("pool", functions.pool2d)):
        if kind in kinds:
            text = (
                inspect.getsource(needed).replace(": Any", "").replace(" -> Any", "").replace(": int", "").replace(": bool", "")
            )
            parts.append(text.strip().replace("  # fmt: skip", ""))
    parts.append(_GROUPS_TITLE)
    parts += [_group(g) for g in form.groups]
    parts.append(_SYNAPSES_TITLE)
    parts += [_synapses(p, form) for p in form.projections]
    parts += [_links_and_calls(form, layout), _ending(network, layout)]
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


def _plain(text: str) -> str:
    """Return *text*, which may hold whatever a model's file calls its layers, as it can stand in a comment or docstring."""
    return re.sub(r"[^\x20-\x7e]", "?", text).replace("\\", "/").replace('"', "'")


def _course(network: StepNetwork) -> str:
    course = Course.of(network, 1, 1)
    what = "every sample starts anew" if course.is_reset else f"state is carried over, {course.silence} silent steps after each"
    return (
        f"SILENCE = {course.silence}  # {what}\n"
        f"IS_RESET = {course.is_reset}\n"
        f"TOTAL = SAMPLES * (STEPS + SILENCE)\nPERIOD = STEPS if IS_RESET else TOTAL  # steps until the state starts anew\n"
    )


def _group(group: Group) -> str:
    lines = [f"# {_plain(group.what)}"]
    equations = [f"    {v} : 1{_comment(v)}" for v in group.variables]
    equations += [f"    {v} : 1 (linked)  # y of {other}" for v, other in group.links]
    if group.code:
        equations.append("    period : integer (shared)  # steps of a sample")
    threshold = 'threshold="y != 0", ' if group.emits else ""
    lines += [f'{group.name} = NeuronGroup({group.size}, """', *equations, f'""", {threshold}clock=clock, name="{group.name}")']
    if group.code:
        lines += [f'{group.name}.run_regularly("""', *(f"    {c}" for c in group.code)]
        lines += [f'""", clock=clock, when="{group.slot}", order={group.order})']
    if group.emits:
        lines.append(f'at({group.name}.thresholder["spike"], "{group.slot}", {group.order + 1})')
    return "\n".join(lines)


def _comment(variable: str) -> str:
    if re.fullmatch(r"a\d+", variable):
        return f"  # sum of weighted events, connection {variable[1:]}"
    if re.fullmatch(r"bias\d+", variable):
        return f"  # where the sum of connection {variable[4:]} starts"
    return f"  # {_LEGEND[variable]}" if variable in _LEGEND else ""


def _synapses(projection: Projection, form: Form) -> str:
    (size,) = [g.size for g in form.groups if g.name == projection.source]
    n_in, n_out = projection.n_in, projection.n_out
    pattern = "" if n_in == size else f'j="k for k in range((i // {n_in}) * {n_out}, (i // {n_in} + 1) * {n_out})"'
    return "\n".join([
        f"# {_plain(projection.what)}: {n_out} x {n_in}" + ("" if n_in == size else f" in {size // n_in} blocks"),
        f'{projection.name} = Synapses({projection.source}, {projection.target}, "w : 1", '
        f'on_pre="{projection.variable}_post += w * y_pre", clock=clock, name="{projection.name}")',
        f"{projection.name}.connect({pattern})",
        f'at({projection.name}.pre, "{projection.slot}", {projection.order})',
    ])  # fmt: skip


def _links_and_calls(form: Form, layout: Layout) -> str:
    names = [g.name for g in form.groups] + [p.name for p in form.projections]
    lines = ["# ---- wiring, numbers and functions", "", f"objects = {{o.name: o for o in ({', '.join(names)},)}}"]
    for group in form.groups:
        lines += [f'{group.name}.{variable} = linked_var({other}, "y")' for variable, other in group.links]
    lines += ["for key in parameters.files:", '    owner, variable = key.split(".")']
    lines += ["    setattr(objects[owner], variable, parameters[key])"]
    lines += [f"{g.name}.period = PERIOD" for g in form.groups if g.code]
    given = {name: (path, delay) for name, path, delay in layout.given}
    for group in form.groups:
        for call in group.calls:
            lines.append(f'namespace["{call.name}"] = function({_call(call, given)}, {len(functions.arguments(call))})')
    return "\n".join(lines)


def _call(call: Call, given: Mapping[str, tuple[str, int]]) -> str:
    sizes = call.sizes
    if call.kind == "input":
        return "given({!r}, {})".format(*given[call.name])
    if call.kind == "delay":
        return f"delay_line({sizes['depth']}, {sizes['n']})"
    x = f"{call.source}.variables['y'].get_value().reshape({(1, *sizes['input'])})"

    def shown(*names: str) -> str:
        return ", ".join(str(tuple(v) if isinstance(v, (list, tuple)) else v) for v in (sizes[name] for name in names))

    if call.kind == "pool":
        return f"lambda i: pool2d({x}, {shown('kernel', 'stride', 'padding', 'output')}, {bool(sizes['mean'])}).ravel()"
    cut, k = int(np.prod(sizes["kernel"])), f"parameters['{call.store}.k']"
    return (
        f"lambda i, k={k}: conv2d(\n    {x},\n    k[:{cut}].reshape({tuple(sizes['kernel'])}), k[{cut}:],\n    "
        f"{shown('stride', 'dilation', 'padding', 'groups', 'output')}).ravel()"
    )


def _ending(network: StepNetwork, layout: Layout) -> str:
    graph, rows = network.graph, []
    for path in graph.spiking:
        model = network.models.get(path)
        group = layout.places[path]
        amplitude = f'parameters["{group}.amplitude"]' if model is not None and model.amplitude is not None else "1"
        late = 0 if model is None else model.output_delay
        rows.append(f'    {json.dumps(path)}: (SpikeMonitor({group}, variables="y", when="end"), {amplitude}, {late}),')
    return _ENDING.replace("@ROWS@", "\n".join(rows)).replace("@NAMES@", "objects.values()")


_HEAD = '''"""@TITLE@

    python run.py [INPUT.npz [RASTERS.npz]]

runs the network on INPUT.npz (by default the input.npz beside this file; for every input an array (samples, steps, *shape)),
prints the spikes of every layer, and writes them to RASTERS.npz. Needs Brian2 2.9 and numpy; parameters are in network.npz.

A step visits the groups in the order of their `order`: spikes cross the whole network within a step, unless a connection is
said to be late. Each group's statements are one step of its neurons, resets included; `y` is what leaves it, and `y != 0` are
the events that synapses see. Sums start at the bias and take the events by ascending presynaptic index, so that the results
are the same bit for bit wherever the script runs.
"""

import sys
from pathlib import Path

import numpy as np
from brian2 import Clock, Function, Network, NeuronGroup, SpikeMonitor, Synapses, linked_var, prefs, second
from brian2.utils.logger import BrianLogger

prefs.codegen.target = "numpy"
prefs.codegen.loop_invariant_optimisations = False  # sums stay in the order in which they are written
BrianLogger.suppress_hierarchy("brian2.groups.neurongroup.only_threshold")  # resets are part of the statements

here = Path(__file__).parent
parameters = np.load(here / "network.npz")
inputs = np.load(sys.argv[1] if len(sys.argv) > 1 else here / "input.npz")
SAMPLES, STEPS = inputs[inputs.files[0]].shape[:2]
DT = @DT@  # seconds
clock = Clock(dt=DT * second, name="steps")'''

_FUNCTIONS = '''# ---- functions that Brian2's statements lack


def function(f, arguments):
    made = Function(f, arg_units=[1] * arguments, arg_types=["any"] * arguments, return_unit=1, return_type="float",
                    stateless=False)
    made.implementations.add_implementation("numpy", f)
    return made


def choice(f):
    made = Function(f, arg_units=[1] * 3, arg_types=["boolean", "any", "any"], return_unit=1, return_type="float")
    made.implementations.add_implementation("numpy", f)
    return made


namespace = {"if_else": choice(np.where), "whole": function(np.trunc, 1)}


def given(path, late):
    """Return a function (step, i) that reads the input of *path*, *late* steps later."""
    x = np.asarray(inputs[path], float).reshape(SAMPLES, STEPS, -1)
    x = np.concatenate([x, np.zeros((SAMPLES, SILENCE, x.shape[2]))], axis=1).reshape(TOTAL // PERIOD, PERIOD, -1)
    x = np.concatenate([np.zeros_like(x[:, :late]), x[:, : max(PERIOD - late, 0)]], axis=1).reshape(TOTAL, -1)
    return lambda step, i: x[int(np.max(step))][i]


def at(part, when, order):
    """Set the place of *part* within a step."""
    part.when, part.order = when, order'''

_GROUPS_TITLE = "# ---- groups, in the order of a step"
_SYNAPSES_TITLE = "# ---- connections with weights of their own; they deliver right after their source has fired"

_ENDING = """# ---- run, and count

monitors = {  # layer: its spikes, the value of one, steps until they are visible
@ROWS@
}
network = Network(*@NAMES@, *(monitor for monitor, _, _ in monitors.values()))
network.schedule = ["start", "groups", "end"]
with np.errstate(all="ignore"):
    network.run(TOTAL * DT * second, namespace=namespace)

saved = {}
for path, (monitor, amplitude, late) in monitors.items():
    step = np.rint(np.asarray(monitor.t_) / DT).astype(int)
    neuron, value = np.asarray(monitor.i), np.asarray(monitor.y)
    count = np.rint(value / np.broadcast_to(amplitude, monitor.source.N)[neuron]).astype(int)
    shown = step % PERIOD + late < PERIOD
    raster = np.zeros((TOTAL, monitor.source.N), np.int64)
    raster[step[shown] + late, neuron[shown]] = count[shown]
    saved[path] = raster.reshape(SAMPLES, STEPS + SILENCE, -1)[:, :STEPS]
    print(path, int(saved[path].sum()))
if len(sys.argv) > 2:
    np.savez(sys.argv[2], **saved)
"""

__all__ = ["script_files"]
