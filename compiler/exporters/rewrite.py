"""Rewrites a graph under its profile into the graph from which a library's importer builds the same network."""

from __future__ import annotations

from typing import Any

import numpy as np

from spikeport.compiler.exporters.libraries import Library
from spikeport.compiler.exporters.unit import Cannot, Unit
from spikeport.compiler.exporters.wiring import Wiring
from spikeport.ir import Diagnostic, Graph
from spikeport.ir.diagnostics import UnsupportedError
from spikeport.ir.network import StepNetwork
from spikeport.ir.ops import Affine, Conv1d, Conv2d, Linear, Neuron, Op, SumPool2d


def rewrite(network: StepNetwork, library: Library) -> tuple[Graph, tuple[Diagnostic, ...]]:
    """Return what is written for *library*, and notes about layers that look different there (E585).

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
        attempt(loops[0][0] if loops else "", wiring.turn_loops, library.longer_loops)
    wiring.scales_to_dense()
    wiring.count_axes_from_the_end()
    for path, op in list(wiring.ops.items()):
        if isinstance(op, Neuron):
            unit = attempt(path, Unit, op, network.models[path])
            written = None if unit is None else attempt(path, library.neuron, unit)
            if written is None:
                continue
            wiring.ops[path] = written.op
            if written.factor is not None:
                attempt(path, wiring.scale_inputs, path, written.factor)
            if written.note:
                notes.append(Diagnostic("E585", path, written.note, severity="note"))
        elif op.kind not in ("Input", "Output"):
            attempt(path, _check_stateless, op, library)
    for path, op in wiring.ops.items():
        wiring.ops[path] = _dense(op, library)
    made: Graph | None = None
    if not refused:
        made = attempt("", lambda: wiring.graph(library.input_name, runs_depth_first=library.runs_depth_first))
    if made is None:
        raise UnsupportedError([_refusal(library, *why, paths) for why, paths in refused.items()])
    return made, tuple(notes)


def _refusal(library: Library, what: str, why: str, remedy: str, paths: list[str]) -> Diagnostic:
    needed = f" (needed by {', '.join(paths)})" if len(paths) > 1 else ""
    hint = remedy or "--dialect spikeport writes a file that loses nothing"
    facts = {"dialect": library.name, "construct": what, "paths": paths}
    return Diagnostic("E580", paths[0], f"{library.label} cannot take {what}: {why}{needed}", hint, facts)


def _check_stateless(op: Op, library: Library) -> None:
    """Refuse what the importer does not read, or reads as something else."""
    if op.kind not in library.kinds | {"Linear"}:
        raise Cannot(f"a {op.kind}", library.missing)
    if isinstance(op, (Conv1d, Conv2d)) and op.groups != 1:
        raise Cannot(f"a {op.kind} of {op.groups} groups", "its importer builds convolutions without groups only",
                     "write the groups as one convolution with zeros")  # fmt: skip
    if isinstance(op, SumPool2d) and np.any(op.padding):
        raise Cannot("a SumPool2d with padding", "its importer ignores the padding", "pad in the convolution in front")
    if isinstance(op, (Linear, Affine)) and op.weight.ndim != 2:
        raise Cannot(f"dense weights of {op.weight.ndim} axes", "its importer takes two")


def _dense(op: Op, library: Library) -> Op:
    if isinstance(op, Linear) and library.dense == "Affine":
        return Affine(op.weight, np.zeros(op.weight.shape[0], op.weight.dtype))
    return op
