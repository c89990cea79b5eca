"""Rewrites a graph under its profile into the graph from which a library's importer builds the same network."""

from __future__ import annotations

from typing import Any

import numpy as np

from spikeport.compiler.exporters.layers import layer_for
from spikeport.compiler.exporters.libraries import Library
from spikeport.compiler.exporters.unit import Cannot, Unit
from spikeport.compiler.exporters.wiring import Wiring
from spikeport.ir import Diagnostic, Graph
from spikeport.ir.diagnostics import UnsupportedError
from spikeport.ir.network import StepNetwork
from spikeport.ir.ops import Neuron


def rewrite(network: StepNetwork, library: Library) -> tuple[Graph, tuple[Diagnostic, ...]]:
    """Return what is written for *library*, notes about layers that look different there (E585), warnings of roundings (E586).

    Parameters
    ----------
    network : StepNetwork
        The graph under its profile.
    library : Library
        For whom.

    Raises
    ------
    UnsupportedError
        E580 for all that its importer does not read correctly, each with the layer, why, and what to do.
    """
    wiring = Wiring(network)
    refused: dict[tuple[str, str, str], list[str]] = {}
    notes: list[Diagnostic] = []

    def refuse(path: str, cannot: Cannot) -> None:
        refused.setdefault((cannot.what, cannot.why, cannot.remedy), []).append(path)

    def note(path: str, text: str) -> None:
        if text:
            notes.append(Diagnostic("E585", path, text, severity="note"))

    def attempt(path: str, action: Any, *args: Any) -> Any:
        try:
            return action(*args)
        except Cannot as cannot:
            refuse(path, cannot)
            return None

    attempt("", wiring.check_borders)
    for path, cannot in wiring.late():
        refuse(path, cannot)
    plan = network.schedule
    loops = [g for g in plan.groups if plan.is_recurrent(g)]
    if loops and not library.loops:
        refuse(loops[0][0], Cannot("a recurrent layer", "its importer runs a layer over all steps before the next one",
                                   "--dialect norse, snntorch or spikingjelly"))  # fmt: skip
    elif not refused:
        for path, text in attempt(loops[0][0] if loops else "", wiring.turn_loops, library.longer_loops) or ():
            note(path, text)
    for path, op in list(wiring.ops.items()):
        if not isinstance(op, Neuron) and op.kind not in ("Input", "Output"):
            shape = network.shapes.input[path] if path in network.shapes.input else wiring.shape(wiring.into(path)[0].source)
            layer = attempt(path, layer_for, library, op, shape)
            if layer is not None:
                wiring.ops[path] = layer[0]
                note(path, layer[1])
    for path, op in list(wiring.ops.items()):
        if isinstance(op, Neuron):
            unit = attempt(path, Unit, op, network.models[path])
            written = None if unit is None else attempt(path, library.neuron, unit)
            if written is None:
                continue
            wiring.ops[path] = written.op
            if written.offset is not None and np.any(written.offset):
                attempt(path, wiring.add_to_input, path, written.offset)
            if written.factor is not None:
                layer, by = attempt(path, wiring.scale_inputs, path, written.factor) or ("", 0.0)
                if by:
                    notes.append(_rounded(library, path, layer, by))
            note(path, written.note)
    made: Graph | None = None
    if not refused:
        made = attempt("", lambda: wiring.graph(library.input_name, runs_depth_first=library.runs_depth_first))
    if made is None:
        raise UnsupportedError([_refusal(library, *why, paths) for why, paths in refused.items()])
    return made, tuple(notes)


def _rounded(library: Library, path: str, layer: str, by: float) -> Diagnostic:
    """Return the warning that the inputs of *path* are not exactly those of the model (E586)."""
    return Diagnostic(
        "E586", path, f"{library.label} takes one threshold and gain for all: the weights of {layer} are multiplied by what is "
        f"left, and rounded in float32 by up to {by:.2g} of themselves: spikes of membranes right at the threshold may differ",
        "train with one threshold for the layer, or with powers of two, for an exact file", {"layer": layer, "rounding": by},
        "warning",
    )  # fmt: skip


def _refusal(library: Library, what: str, why: str, remedy: str, paths: list[str]) -> Diagnostic:
    needed = f" (needed by {', '.join(paths)})" if len(paths) > 1 else ""
    hint = remedy or "--dialect spikeport writes a file that loses nothing"
    facts = {"dialect": library.name, "construct": what, "paths": paths}
    return Diagnostic("E580", paths[0], f"{library.label} cannot take {what}: {why}{needed}", hint, facts)
