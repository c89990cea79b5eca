"""A network as a PyNN program for sPyNNaker: short, readable, with its arrays beside it, and nothing of ours to import."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from spikeport.backends.course import Course
from spikeport.backends.spinnaker import script_text as text
from spikeport.backends.spinnaker.cells import Cell, Wire, cells_of, findings, wires_of
from spikeport.ir.diagnostics import Diagnostic, UnsupportedError, fail_on_errors
from spikeport.ir.network import StepNetwork
from spikeport.ir.ops import Array
from spikeport.ir.program import Program

#: Codes of what a lowering did otherwise: rewritten exactly, or changed on request or for want of bits.
REWRITTEN = ("E521", "E531", "E532", "E533", "E534", "E536")


def script_files(network: StepNetwork, program: Program, inputs: Mapping[str, Array], title: str) -> dict[str, Any]:
    """Return the files of a program by name: text of ``run.py``, ``spynnaker.cfg`` and ``README.md``, arrays of the rest.

    Parameters
    ----------
    network : StepNetwork
        What to write, on SpiNNaker's grid (arithmetic ``spinnaker1``).
    program : Program
        What it was built from; the mapping bounds the neurons of a core.
    inputs : Mapping[str, array, shape (samples, steps, *shape)]
        What the program runs on when it is given no other.
    title : str
        Says what it is and where it comes from.

    Raises
    ------
    UnsupportedError
        E550 for what sPyNNaker cannot be told.
    """
    fail_on_errors(UnsupportedError, (*findings(network, program), *_graded(network, inputs)))
    cells, wires = cells_of(network, program), wires_of(network)
    named = "\n".join(_plain(line) for line in title.splitlines())
    return {
        "run.py": _program(network, cells, wires, named),
        "spynnaker.cfg": text.CONFIG,
        "README.md": _readme(network, program, cells, wires, named),
        "network.npz": _arrays(cells, wires),
        "input.npz": {path: np.asarray(inputs[path], np.uint8) for path in network.graph.inputs},
    }


def _graded(network: StepNetwork, inputs: Mapping[str, Array]) -> Iterable[Diagnostic]:
    for path in network.graph.inputs:
        if not np.all((inputs[path] == 0) | (inputs[path] == 1)):
            yield Diagnostic(
                "E550", path, f"the input has values such as {_odd(inputs[path]):g}; a SpikeSourceArray sends spikes",
                "encode the input as spikes (--encode rate)",
            )  # fmt: skip


def _odd(x: Array) -> float:
    return float(x[(x != 0) & (x != 1)][0])


def _plain(words: str) -> str:
    """Return *words*, which may hold whatever a model's file calls its layers, as they can stand in a comment or docstring."""
    return re.sub(r"[^\x20-\x7e]", "?", words).replace("\\", "/").replace('"', "'")


def _arrays(cells: tuple[Cell, ...], wires: tuple[Wire, ...]) -> dict[str, Array]:
    found: dict[str, Array] = {}
    for cell in cells:
        values = {**cell.parameters, **cell.initial}
        found |= {f"{cell.path}.{name}": value for name, value in values.items() if not _same(value)}
    for wire in wires:
        parts = {"pre": wire.synapses.columns, "post": wire.synapses.rows}
        found |= {f"{wire.name}/{name}": value.astype(np.int32) for name, value in parts.items()}
        found[f"{wire.name}/weight"] = wire.synapses.values.astype(np.float64)
    return found


def _same(value: Array) -> bool:
    return bool(value.size) and bool(np.all(value == value[0]))


def _program(network: StepNetwork, cells: tuple[Cell, ...], wires: tuple[Wire, ...], title: str) -> str:
    course = Course.of(network, 1, 1)
    shapes = network.shapes.output
    fields = {
        "TITLE": title,
        "MODEL_MS": f"{network.profile.dt * 1e3:g}",
        "RESET": str(course.is_reset),
        "SILENCE": str(course.silence),
        "INPUTS": "\n".join(f"    {path!r}: {shapes[path]!r}," for path in network.graph.inputs),
        "LAYERS": "\n".join(f"    {c.path!r}: {('spikes' if c.spikes else 'v', c.shape)!r}," for c in cells),
        "BUILD": "\n".join(_build(network, cells, wires)),
    }
    done = text.PROGRAM
    for name, value in fields.items():
        done = done.replace(f"@{name}@", value)
    return done


def _build(network: StepNetwork, cells: tuple[Cell, ...], wires: tuple[Wire, ...]) -> Iterable[str]:
    for path in network.graph.inputs:
        size = int(np.prod(network.shapes.output[path]))
        source = f"sim.SpikeSourceArray(spike_times=times[{path!r}])"
        yield f"    n[{path!r}] = sim.Population({size}, {source}, label={path!r})"
    for cell in cells:
        words = ", ".join(f"{name}={_value(cell, name, value)}" for name, value in cell.parameters.items())
        # sPyNNaker shifts the ring buffers so that such a sum of weights just fits.
        sums = [0.75 * 2**shift for shift in cell.shifts]
        more = f'{{"max_expected_summed_weight": {sums}, "neurons_per_core": {cell.per_core}}}'
        yield f"    n[{cell.path!r}] = sim.Population("
        yield f"        {cell.size}, sim.{cell.model}({words}),"
        yield f"        label={cell.path!r}, additional_parameters={more},"
        yield "    )"
        start = {"v": cell.initial["v"], **{name: value for name, value in cell.initial.items() if np.any(value)}}
        yield f"    n[{cell.path!r}].initialize({', '.join(f'{k}={_value(cell, k, v)}' for k, v in start.items())})"
    for wire in wires:
        yield f"    join(n[{wire.source!r}], n[{wire.target!r}], {wire.name!r}, delay={wire.delay})"


def _value(cell: Cell, name: str, value: Array) -> str:
    return repr(float(value[0])) if _same(value) else f"p[{f'{cell.path}.{name}'!r}]"


def _readme(
    network: StepNetwork, program: Program, cells: tuple[Cell, ...], wires: tuple[Wire, ...], title: str
) -> str:  # fmt: skip
    rows = [f"| `{_plain(c.path)}` | {c.model} | {c.size} | {_about(c)} |" for c in cells]
    lines = [
        f"| `{_plain(w.name)}` | `{_plain(w.source)}` | `{_plain(w.target)}` | {w.synapses.values.size} | {w.delay} |"
        for w in wires
    ]  # fmt: skip
    inputs = [f"`{_plain(path)}` {network.shapes.output[path]}" for path in network.graph.inputs]
    done = text.README
    for name, value in {
        "TITLE": title.splitlines()[0], "ROWS": "\n".join(rows), "WIRES": "\n".join(lines), "INPUTS": ", ".join(inputs),
        "OUTPUTS": ", ".join(f"`{_plain(p)}`" for p in network.graph.outputs) or "none",
        "MODEL_MS": f"{network.profile.dt * 1e3:g}",
        "SLOWER": _slower(network), "SUBSTITUTED": "\n".join(_substituted(program, cells)),
        "BOUNDARY": text.BOUNDARY_RESET if Course.of(network, 1, 1).is_reset else text.BOUNDARY_CARRY,
    }.items():  # fmt: skip
        done = done.replace(f"@{name}@", value)
    return done


def _slower(network: StepNetwork) -> str:
    ratio = 1 / (network.profile.dt * 1e3)
    return (
        "in real time" if abs(ratio - 1) < 1e-9 else f"{ratio:g} times slower" if ratio > 1 else f"{1 / ratio:g} times faster"
    )


def _worst(program: Program) -> str:
    """Return the largest relative error of each parameter that the lowering's conversion table lists."""
    errors: dict[str, float] = {}
    for row in program.notes.get("conversion", ()):
        errors[row["parameter"]] = max(errors.get(row["parameter"], 0.0), float(row["error"]))
    return ", ".join(f"{_plain(name)} {error:.2g}" for name, error in errors.items())


def _about(cell: Cell) -> str:
    shown = []
    for name, value in cell.parameters.items():
        if name == "v_thresh" and not cell.spikes:
            shown.append("no spikes")
        else:
            span = f"{value.min():g}" if _same(value) else f"{value.min():g} to {value.max():g}"
            shown.append(f"{name} {span}")
    return ", ".join(shown)


def _substituted(program: Program, cells: tuple[Cell, ...]) -> Iterable[str]:
    """Yield a line for everything that sPyNNaker has otherwise than the model: what its lowering said, and what is left."""
    for said in program.notes.get("warnings", ()):
        if said["code"] in REWRITTEN:
            yield f"- {_plain(said['path'] + ': ' if said['path'] else '')}{_plain(said['message'])}."
    worst = _worst(program)
    if worst:
        yield f"- Numbers of the model and what they became, largest relative error of each kind: {worst}."
    quiet = [f"`{_plain(c.path)}`" for c in cells if not c.spikes]
    if quiet and not program.target:  # else the target's table said it
        yield f"- {', '.join(quiet)}: an integrator is a neuron whose threshold nothing reaches; its membrane is recorded."
    for cell in cells:
        if cell.off:
            by = ", ".join(f"{name} by {value:.2g}" for name, value in cell.off.items())
            yield f"- `{_plain(cell.path)}`: no time constant gives its registers exactly; the nearest differ, {by}."
        if cell.early:
            yield (
                f"- `{_plain(cell.path)}`: hears nothing for {cell.early} steps, and sPyNNaker holds no neuron: it starts so "
                "that it then is where the model starts, exactly; membranes recorded in these steps are not the model's."
            )
    yield "- All numbers are s16.15, decays of synapses u0.32, weights 16 bits of a scale for each population and sign."


__all__ = ["script_files"]
