"""A network as a Lava program of its own: short, readable, with its arrays beside it, and nothing of ours to import."""

from __future__ import annotations

import ast
import builtins
import keyword
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from spikeport.backends.course import Course
from spikeport.backends.lava import script_text as text
from spikeport.backends.lava.environment import WORKER
from spikeport.backends.lava.plan import Place, Plan, Process, make_plan
from spikeport.ir.loihi import INPUT_NOTE
from spikeport.ir.network import StepNetwork
from spikeport.ir.ops import Array

#: Names that the script itself uses.
_TAKEN = {*dir(builtins), *keyword.kwlist, *text.OWN.split()}


def script_files(network: StepNetwork, inputs: Mapping[str, Array], title: str, conv: str = "conv") -> dict[str, Any]:
    """Return the files of a program by name: text of ``run.py`` and ``README.md``, arrays of ``network.npz`` and ``input.npz``.

    Parameters
    ----------
    network : StepNetwork
        What to write; ``findings`` found nothing in it.
    inputs : Mapping[str, array, shape (samples, steps, *shape)]
        What the program runs on when it is given no other.
    title : str
        Says what it is and where it comes from.
    conv : {"conv", "sparse"}
        What convolutions become.
    """
    entering = network.entering(inputs)
    graded = frozenset(p for p, x in entering.items() if _most(network, p) > 1 or not np.all((x == 0) | (x == 1)))
    plan = make_plan(network, graded, conv)
    named = "\n".join(_plain(line) for line in title.splitlines())
    arrays = {key: _narrow(value) for key, value in plan.arrays.items()}
    arrays |= {f"{path}.order": _narrow(place.order) for path, place in plan.places.items() if len(place.shape) > 1}
    return {
        "run.py": _program(network, plan, named),
        "README.md": _readme(network, plan, named),
        "network.npz": arrays,
        "input.npz": dict(inputs),
    }


def _most(network: StepNetwork, path: str) -> float:
    note = network.graph[path].notes.get(INPUT_NOTE, {})
    return max(abs(float(note.get("least", 0))), abs(float(note.get("most", 1))))


def _narrow(value: Array) -> Array:
    return value.astype(np.int32) if value.dtype == np.int64 else value


def _plain(words: str) -> str:
    """Return *words*, which may hold whatever a model's file calls its layers, as they can stand in a comment or docstring."""
    return re.sub(r"[^\x20-\x7e]", "?", words).replace("\\", "/").replace('"', "'")


def _program(network: StepNetwork, plan: Plan, title: str) -> str:
    kinds = sorted({p.kind for p in plan.processes} - {"Source"})
    own = ""
    if "LIFRefractory" in kinds:
        own = _refractory("PyLifRefractoryModelFixed" if plan.models == "fixed_pt" else "PyLifRefractoryModelEach")
    course = Course.of(network, 1, 1)
    fields = {
        "TITLE": title,
        "IMPORTS": _imports(kinds, plan),
        "REFRACTORY": own,
        "MODELS": plan.models,
        "DTYPE": "np.int32" if plan.models == "fixed_pt" else "np.float64",
        "RESET": str(course.is_reset),
        "SILENCE": str(course.silence),
        "INPUTS": _inputs(network, plan),
        "LAYERS": _layers(network, plan),
        "BUILD": _build(plan),
        "MODEL_MAP": "{LIFRefractory: PyLifRefractoryModel}" if own else "None",
    }
    done = text.PROGRAM
    for name, value in fields.items():
        done = done.replace(f"@{name}@", value)
    return done


def _refractory(name: str) -> str:
    """Return the model *name*, which Lava lacks, as the worker has it."""
    source = (WORKER / "lava_models.py").read_text("utf-8")
    (found,) = (n for n in ast.parse(source).body if isinstance(n, ast.ClassDef) and n.name == name)
    code = ast.get_source_segment(source, found) or ""
    return f"\n\n{code.replace(name, 'PyLifRefractoryModel')}"


def _imports(kinds: list[str], plan: Plan) -> str:
    where = {"LIF": "lif", "LIFRefractory": "lif", "Dense": "dense", "DelayDense": "dense", "Sparse": "sparse",
             "DelaySparse": "sparse", "Conv": "conv"}  # fmt: skip
    by_module: dict[str, list[str]] = {}
    for kind in kinds:
        by_module.setdefault(where[kind], []).append(kind)
    lines = [f"from lava.proc.{module}.process import {', '.join(names)}" for module, names in sorted(by_module.items())]
    if "LIFRefractory" in kinds:
        needed = "PyLifModelBitAcc" if plan.models == "fixed_pt" else "AbstractPyLifModelFloat, PyLifRefractoryModelFloat"
        lines.append(f"from lava.proc.lif.models import {needed}")
    if any("sign_mode" in p.args for p in plan.processes):
        lines.append("from lava.utils.weightutils import SignMode")
    return "\n".join(lines)


def _inputs(network: StepNetwork, plan: Plan) -> str:
    lines = []
    for path, place in plan.places.items():
        if path not in network.models:
            note = network.graph[path].notes.get(INPUT_NOTE, {"scale": 1.0, "least": 0, "most": 1})
            bounds = (float(note["scale"]), int(note["least"]), int(note["most"]))
            what = bounds if plan.models == "fixed_pt" else None
            lines.append(f"    {path!r}: {(place.shape, what)!r},")
    return "\n".join(lines)


def _layers(network: StepNetwork, plan: Plan) -> str:
    lines = []
    for path, model in network.models.items():
        kind = "v" if model.threshold is None else "s_out"
        lines.append(f"    {path!r}: {(kind, plan.places[path].shape, model.shape)!r},")
    return "\n".join(lines)


def _build(plan: Plan) -> str:
    names = _names(plan.processes)
    shapes = _shapes(plan)
    lines = []
    for index, process in enumerate(plan.processes):
        lines.append(f"    {names[index]} = {_call(process)}")
        if process.kind == "Source":
            lines.append(f"    {names[index]}.name = {process.name!r}")
        if "refractory_period" in {*process.args, *process.arrays}:
            value = _value(process, "refractory_period")
            lines.append(f'    {names[index]}.proc_params.overwrite("refractory_period", {value})')
        if "held_init" in {*process.args, *process.arrays}:
            value = f"np.broadcast_to({_value(process, 'held_init')}, {shapes[index]!r})"
            lines.append(f"    {names[index]}.refractory_period_end.init = {value}")
        for source, target in plan.wires:
            # A process of synapses stands between populations that all stand before it.
            if index == target and shapes[target] is None:
                out = shapes[source] or ()
                into = tuple(process.args.get("input_shape", (int(np.prod(out)),)))
                lines.append(f"    {names[source]}.s_out{_reshaped(out, into)}.connect({names[index]}.s_in)")
            elif index == source and shapes[source] is None:
                into = shapes[target] or ()
                out = into if process.kind == "Conv" else (int(np.prod(into)),)
                lines.append(f"    {names[index]}.a_out{_reshaped(out, into)}.connect({names[target]}.a_in)")
    populations = [f"{p.name!r}: {names[i]}" for i, p in enumerate(plan.processes) if p.kind in ("LIF", "LIFRefractory")]
    lines.append("    return {" + ", ".join(populations) + "}")
    return "\n".join(lines)


def _shapes(plan: Plan) -> list[tuple[int, ...] | None]:
    """Return the shape of each population and source; None for synapses."""
    of: dict[int, Place] = {place.index: place for place in plan.places.values()}
    return [of[i].shape if i in of else None for i in range(len(plan.processes))]


def _reshaped(out: tuple[int, ...], into: tuple[int, ...]) -> str:
    return "" if tuple(out) == tuple(into) else f".reshape(new_shape={tuple(into)})"


def _names(processes: tuple[Process, ...]) -> list[str]:
    found: list[str] = []
    for process in processes:
        name = re.sub(r"[^A-Za-z0-9_]", "_", process.name)
        name = name if name[:1].isalpha() else f"n{name}"
        while name in _TAKEN or name in found:
            name += "_"
        found.append(name)
    return found


def _call(process: Process) -> str:
    if process.kind == "Source":
        return f"RingBuffer(data=data[{process.name!r}])"
    words = [f"name={process.name!r}"]
    names = [name for name in (*process.args, *process.arrays) if name not in ("refractory_period", "held_init")]
    words += [f"{name}={_value(process, name)}" for name in names]
    return f"{process.kind}({', '.join(words)})"


def _value(process: Process, name: str) -> str:
    if name in process.arrays:
        key = process.arrays[name]
        return f"sparse({key!r})" if process.kind.endswith("Sparse") else f"p[{key!r}]"
    value = process.args[name]
    if name == "sign_mode":
        return f"SignMode.{value}"
    if name == "delays" and process.kind == "DelaySparse":
        return f"sparse({process.arrays['weights']!r}, {value})"
    if isinstance(value, list):
        return repr(tuple(value))
    return "np.inf" if value == np.inf else repr(value)


def _readme(network: StepNetwork, plan: Plan, title: str) -> str:
    rows = [f"| `{_plain(p.name)}` | {p.kind} | {_about(p, plan)} |" for p in plan.processes if p.kind != "Source"]
    inputs = [f"| `{_plain(path)}` | {_about_input(network, path)} |" for path in plan.places if path not in network.models]
    outputs = [f"`{_plain(path)}`" for path in network.graph.outputs]
    done = text.README
    for name, value in {
        "TITLE": title.splitlines()[0], "ROWS": "\n".join(rows), "INPUTS": "\n".join(inputs),
        "OUTPUTS": ", ".join(outputs) or "none", "MODELS": plan.models, "REFRACTORY": _about_refractory(plan),
    }.items():  # fmt: skip
        done = done.replace(f"@{name}@", value)
    return done


def _about(process: Process, plan: Plan) -> str:
    shown = [f"{name} {value}" for name, value in process.args.items() if not isinstance(value, str)]
    shown += [f"{name} by neuron" if process.kind.startswith("LIF") else name for name in process.arrays]
    return _plain(", ".join(shown))


def _about_input(network: StepNetwork, path: str) -> str:
    note = network.graph[path].notes.get(INPUT_NOTE)
    if note is None or network.arithmetic.name != "loihi":
        return f"{network.shapes.output[path]} | spikes, 0 or 1" if network.arithmetic.name == "loihi" else (
            f"{network.shapes.output[path]} | any numbers"
        )  # fmt: skip
    return f"{network.shapes.output[path]} | times {float(note['scale']):g}: integers from {note['least']} to {note['most']}"


def _about_refractory(plan: Plan) -> str:
    if plan.models == "floating_pt" or all(p.kind != "LIFRefractory" for p in plan.processes):
        return ""
    return text.ABOUT_REFRACTORY


__all__ = ["script_files"]
