"""Spyx' files: r is beta, gains are 1 whatever r says; weights may be transposed, and inputs enter at recurrent weights."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping

import numpy as np

from spikeport.compiler.importers.dialects.base import (
    Dialect,
    Filled,
    Question,
    Reading,
    common,
    has,
    mended,
    near,
    neurons,
    with_ops,
)
from spikeport.ir import Diagnostic, Graph
from spikeport.ir.ops import Affine, Linear, Op
from spikeport.ir.shapes import infer_shapes

_NAME = re.compile(r"layer_\d+(\..*)?|(.*/)?(linear|conv2_d|IF|LI|LIF|CuBaLIF)(_\d+)?")


def evidence(graph: Graph, filled: Filled) -> str | None:
    """Return what shows Spyx: names as it gives them, and ``r = beta = 1 - dt/tau`` with one dt for several tau."""
    dt = shown_dt(graph)
    found = neurons(graph)
    if dt is None or not all(_NAME.fullmatch(path) for path in found):
        return None
    return f"r is 1 - dt/tau with one dt = {dt:g} for several tau, and its neurons are called as Spyx calls them"


def shown_dt(graph: Graph) -> float | None:
    """Return the dt that r shows, or None where it shows several, or where there is one tau: any r gives a dt then."""
    shown, taus = [], []
    for p in neurons(graph, "LIF", "LI", "CubaLIF", "CubaLI").values():
        if p["v_leak"].any() or not np.all((p["r"] > 0) & (p["r"] < 1)):
            return None
        taus.append(np.ravel(p["tau" if "tau" in p else "tau_mem"]))
        shown.append(taus[-1] * (1 - np.ravel(p["r"])))
    flat = np.concatenate(taus) if taus else np.zeros(0)
    if not flat.size or near(flat, flat[0], 1e-3):
        return None
    return common(shown, 2e-5)


def read(graph: Graph, stated: Mapping[str, str], filled: Filled) -> Reading:
    """Return the graph with weights the right way round, and inputs of recurrent layers at their neurons."""
    found: list[Diagnostic] = []
    graph = _rewired(_untransposed(graph, found), found)
    dt = shown_dt(graph)
    fields = {"gain": "unit", "syn_gain": "unit"} | ({} if dt is None else {"dt": repr(dt)})
    return Reading(graph, fields, tuple(found))


def _untransposed(graph: Graph, found: list[Diagnostic]) -> Graph:
    """Turn all dense weights, as its haiku versions wrote them (inputs first), where only that fits."""
    dense = {n.path: n.op for n in graph if isinstance(n.op, (Linear, Affine)) and n.op.weight.ndim == 2}
    turned: dict[str, Op] = {path: dataclasses.replace(op, weight=op.weight.T) for path, op in dense.items()}
    if not dense or not infer_shapes(graph)[1] or infer_shapes(with_ops(graph, turned))[1]:
        return graph
    found += [
        mended(path, f"the weight {op.weight.shape} has inputs first, as Spyx wrote it on haiku; taken transposed")
        for path, op in dense.items()
    ]
    return with_ops(graph, turned)


def _rewired(graph: Graph, found: list[Diagnostic]) -> Graph:
    """Lead into its neurons what enters a recurrent layer at its recurrent weights."""
    edges = []
    for edge in graph.edges:
        op = graph[edge.target].op if edge.target in graph else None
        behind = graph.out_of(edge.target)
        loop = [e.target for e in behind if any(back.source == e.target for back in graph.into(edge.target))]
        if isinstance(op, (Linear, Affine)) and len(behind) == len(loop) == 1 and edge.source != loop[0]:
            rank = max(e.rank for e in graph.into(loop[0])) + 1
            edges.append(dataclasses.replace(edge, target=loop[0], rank=rank))
            text = f"the input from {edge.source} enters at these recurrent weights, as Spyx writes it; taken into {loop[0]}"
            found.append(mended(edge.target, text))
        else:
            edges.append(edge)
    return graph.replace(edges=edges)


DIALECT = Dialect(
    "spyx", "Spyx", "spyx:subtract", evidence, read,
    (
        Question(
            ("dt",), "dt, which r shows where there are several time constants: dt=1 (its default)", "dt=1",
            lambda graph: has("LIF", "LI", "CubaLIF", "CubaLI")(graph) and shown_dt(graph) is None,
        ),
    ),
)  # fmt: skip
