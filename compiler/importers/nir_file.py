"""The importer of ``.nir`` files: current ones, and in older ones what has only one reading.

Each repair is a warning with a code and a path. What has two readings is refused here; all that remains (dangling edges,
negative time constants, boolean biases, shapes that clash) is for ``spikeport.ir.verify``, which finds it all at once.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator
from typing import Any

import numpy as np

from spikeport.compiler.importers.dialects.reading import in_dialect, parse_dialect
from spikeport.compiler.importers.nir_edges import mended_tree
from spikeport.ir import Diagnostic, Edge, Graph, Node
from spikeport.ir.diagnostics import ImportModelError
from spikeport.ir.nir_io import read_nir_tree, tree_to_graph
from spikeport.ir.ops import Conv1d, Conv2d, Delay, Flatten, Input, Neuron, Op, Output, Scale, Shape, ShapeError, Threshold
from spikeport.ir.shapes import infer_shapes

#: Kinds whose output has the shape of their input.
_SAME_SHAPE = (Neuron, Scale, Threshold, Delay, Input)


def load_nir(path: str | os.PathLike[str], dialect: str | None = None) -> tuple[Graph, tuple[Diagnostic, ...]]:
    """Read a ``.nir`` file.

    Parameters
    ----------
    path : path
        File of nir (any version so far) or of spikeport.
    dialect : str or None
        The library that wrote it, ``NAME[:RESET][,field=value]``, with what its files do not show; None leaves that to the
        marks that the file bears.

    Returns
    -------
    Graph
        To be verified by ``spikeport.ir.verify``; its profile is None unless spikeport wrote the file or a dialect gives it.
    tuple of Diagnostic
        Warnings, one for each repair: E009 to E018, E044, E046; notes of the dialect: E040, and E338 where it leaves
        something open.

    Raises
    ------
    ImportModelError
        E001 to E008 for a file that cannot be read as a graph, E017 where a population's size has two readings, E042 where
        the file bears the marks of another library than *dialect*.
    UsageError
        E041 for an unknown dialect.
    """
    found: list[Diagnostic] = []
    tree = read_nir_tree(path)
    if "spikeport" in (tree["node"].get("metadata") or {}):
        if dialect is not None:
            parse_dialect(dialect)
            text = f"spikeport wrote this file, which says what it means: the dialect {dialect} is not used"
            found.append(Diagnostic("E047", "", text, "leave the dialect out", severity="warning"))
        return tree_to_graph(tree, found), tuple(found)
    graph = tree_to_graph(mended_tree(tree, found), found)
    graph = _without_batch(graph, found)
    graph = _mended_flatten(graph, found)
    _refuse_two_readings(graph)
    graph = _full_outputs(graph, found)
    graph = in_dialect(_full_parameters(graph, found), dialect, found)
    return graph, tuple(found)


def _repair(code: str, path: str, message: str, **facts: Any) -> Diagnostic:
    return Diagnostic(code, path, message, "write the file with a current exporter to be rid of this warning", facts, "warning")


def _with(graph: Graph, changed: dict[str, Op]) -> Graph:
    return graph.map_ops(lambda node: changed.get(node.path, node.op))


# ------------------------------------------------------------------------------------------------- the batch axis of 1


def _without_batch(graph: Graph, found: list[Diagnostic]) -> Graph:
    """Strip a leading axis of 1 (E012) where every Input has it and the layers behind do not take it."""
    inputs = [graph[p] for p in graph.inputs]
    if not inputs or not all(len(n.op.shape) > 1 and n.op.shape[0] == 1 for n in inputs if isinstance(n.op, Input)):
        return graph
    if not infer_shapes(graph)[1]:
        return graph
    changed: dict[str, Op] = {}
    notes = []
    for node in graph:
        op = node.op
        if isinstance(op, Input) and len(op.shape) > 1 and op.shape[0] == 1:
            changed[node.path] = dataclasses.replace(op, shape=op.shape[1:])
            text = f"the shape {op.shape} of this {op.kind} starts with a batch axis; taken as {op.shape[1:]}"
            notes.append(_repair("E012", node.path, text, before=op.shape, after=op.shape[1:]))
        elif isinstance(op, (Neuron, Scale, Threshold, Delay)):
            arrays = {k: v for k, v in op.parameters().items() if isinstance(v, np.ndarray)}
            if all(v.ndim > 1 and v.shape[0] == 1 for v in arrays.values()):
                stripped: dict[str, Any] = {k: v[0] for k, v in arrays.items()}
                changed[node.path] = dataclasses.replace(op, **stripped)
                shape = next(iter(arrays.values())).shape
                text = f"the parameters of this {op.kind} have the shape {shape}, with a batch axis; taken as {shape[1:]}"
                notes.append(_repair("E012", node.path, text, before=shape, after=shape[1:]))
    mended = _with(graph, changed)
    # Kept only where it helps: the layers behind must take the inputs without the axis.
    if _clashes(mended) >= _clashes(graph):
        return graph
    found += notes
    return mended


def _clashes(graph: Graph) -> int:
    """Return how many nodes have no settled shape, those behind a clash among them."""
    shapes, clashes = infer_shapes(graph)
    return len(graph) - len(shapes.output) + len(clashes)


# ------------------------------------------------------------------------------------------------------------- Flatten


def _mended_flatten(graph: Graph, found: list[Diagnostic]) -> Graph:
    """Shift a Flatten whose axes count a batch axis (E013), where the layer behind takes only the shifted reading."""
    for path in [n.path for n in graph if isinstance(n.op, Flatten)]:
        shapes = infer_shapes(graph)[0]
        op = graph[path].op
        sources = [shapes.output[e.source] for e in graph.into(path) if e.source in shapes.output]
        if not isinstance(op, Flatten) or not sources:
            continue
        shape = sources[0]
        taken = {t for e in graph.out_of(path) if (t := _takes(graph, e.target, set())) is not None}
        if not taken:
            continue
        shifted = Flatten(op.start_dim - (op.start_dim > 0), op.end_dim - (op.end_dim > 0))
        if _flat(op, shape) in taken or {_flat(shifted, shape)} != taken:
            continue
        graph = _with(graph, {path: shifted})
        text = (
            f"Flatten({op.start_dim}, {op.end_dim}) counts a batch axis: its input is {shape} and the layer behind takes "
            f"{next(iter(taken))}; taken as Flatten({shifted.start_dim}, {shifted.end_dim})"
        )
        found.append(_repair("E013", path, text, before=op.start_dim, after=shifted.start_dim))
    return graph


def _flat(op: Flatten, shape: Shape) -> Shape | None:
    try:
        return op.output_shape(shape)
    except ShapeError:
        return None


def _takes(graph: Graph, path: str, passed: set[str]) -> Shape | None:
    """Return the input shape that a node's parameters fix; through scalar nodes that of the one behind."""
    hint = graph[path].op.input_shape_hint() if path in graph and not isinstance(graph[path].op, Output) else None
    if hint is not None or path not in graph or path in passed or not isinstance(graph[path].op, _SAME_SHAPE):
        return hint
    passed.add(path)
    behind = (_takes(graph, e.target, passed) for e in graph.out_of(path))
    return next((shape for shape in behind if shape is not None), None)


# --------------------------------------------------------------------------------- scalar parameters, missing shapes


def _refuse_two_readings(graph: Graph) -> None:
    """Refuse a population of scalar parameters whose size nothing but an Input or Output tells (E017).

    Old exporters wrote the number of time steps there: 1000 neurons or 1000 steps of one neuron are the same file.
    """
    found = []
    for node in graph:
        if not (isinstance(node.op, Neuron) and node.op.shape == ()):
            continue
        near = list(_alike(graph, node.path))
        told = any(not isinstance(n.op, _SAME_SHAPE) or _has_shape(n.op) for n in near)
        sizes = [n.op.shape for n in near if isinstance(n.op, Input)]
        if not told and any(s != (1,) for s in sizes):
            size = next(s for s in sizes if s != (1,))
            found.append(
                Diagnostic("E017", node.path, f"the parameters of this {node.op.kind} are single numbers, and only an Input or "
                           f"Output tells its shape, {size}: that may be neurons, or the time steps of one neuron",
                           f"write its parameters with the shape {size}, or make the Input's and Output's shape [1]",
                           {"shape": size})
            )  # fmt: skip
    if found:
        raise ImportModelError(found)


def _alike(graph: Graph, path: str) -> Iterator[Node]:
    """Yield the nodes that share *path*'s shape, and the first others that touch them."""
    seen, frontier = {path}, [path]
    while frontier:
        here = frontier.pop()
        if here not in graph:
            continue
        yield graph[here]
        if isinstance(graph[here].op, _SAME_SHAPE):
            ends: list[Edge] = [*graph.into(here), *graph.out_of(here)]
            new = {end for e in ends for end in (e.source, e.target)} - seen
            seen |= new
            frontier += sorted(new)


def _has_shape(op: Op) -> bool:
    return not isinstance(op, Input) and any(isinstance(v, np.ndarray) and v.ndim for v in op.parameters().values())


def _full_outputs(graph: Graph, found: list[Diagnostic]) -> Graph:
    """Give an Output the shape that reaches it (E015) where the two differ in axes of 1 only."""
    shapes = infer_shapes(graph)[0]
    changed: dict[str, Op] = {}
    for path in graph.outputs:
        op = graph[path].op
        got = {shapes.output[e.source] for e in graph.into(path) if e.source in shapes.output}
        if len(got) != 1 or not isinstance(op, Output) or op.shape in got:
            continue
        shape = got.pop()
        if _squeezed(shape) == _squeezed(op.shape):
            changed[path] = Output(shape)
            text = f"this Output has the shape {op.shape}, and {shape} reaches it; taken as {shape}"
            found.append(_repair("E015", path, text, before=op.shape, after=shape))
    return _with(graph, changed)


def _squeezed(shape: Shape) -> Shape:
    return tuple(n for n in shape if n != 1)


def _full_parameters(graph: Graph, found: list[Diagnostic]) -> Graph:
    """Broadcast scalar parameters to the inferred shape (E011), and give convolutions their input shape (E014)."""
    shapes = infer_shapes(graph)[0]
    changed: dict[str, Op] = {}
    for node in graph:
        op, shape = node.op, shapes.input.get(node.path)
        if shape is None:
            continue
        if isinstance(op, Neuron):
            scalar = [name for name, value in op.arrays().items() if value.shape == () != shape]
            if scalar:
                changed[node.path] = op.broadcast(shape)
                text = f"{', '.join(scalar)} of this {op.kind} are single numbers; taken for all {shape} neurons"
                found.append(_repair("E011", node.path, text, shape=shape))
        elif isinstance(op, (Conv1d, Conv2d)) and op.input_shape is None:
            given: Any = shape[1] if isinstance(op, Conv1d) else shape[1:]
            changed[node.path] = dataclasses.replace(op, input_shape=given)
            found.append(_repair("E014", node.path, f"this {op.kind} has no input_shape; its input gives {given}", shape=shape))
    return _with(graph, changed)
