"""The border to NIR: files and ``nir.NIRGraph`` objects in, files and fresh ``nir.NIRGraph`` objects out, exactly.

``from_nir(to_nir(g)) == g`` and ``load(save(g)) == g``, by digest. What NIR cannot say travels as one JSON string in the
graph's metadata (``ir.nir_notes``), since nir drops or changes other metadata; a file that stock nir reads is a correct
model without it, edge delays aside.

NIR has no order of sums. The canonical rule: edges that enter a node have the order of the file's (or object's) edge
list, which nir keeps when it reads, so that reading through nir and reading the file give equal graphs.
"""

from __future__ import annotations

import dataclasses
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from spikeport.ir import nir_notes
from spikeport.ir.diagnostics import Diagnostic, UnsupportedError, UsageError, did_you_mean, fail_on_errors
from spikeport.ir.graph import Edge, Graph, Node
from spikeport.ir.nir_read import tree_to_graph
from spikeport.ir.nir_tree import Tree, read_nir_tree, refuse
from spikeport.ir.ops import OPS, Neuron, Op, Shape
from spikeport.ir.shapes import infer_shapes


def from_nir(nir_graph: Any, warnings: list[Diagnostic] | None = None) -> Graph:
    """Return a ``nir.NIRGraph`` as a graph of ours: deep copies; the argument is neither changed nor shared.

    Raises
    ------
    ImportModelError
        As :func:`tree_to_graph`.
    """
    return tree_to_graph({"node": _tree(nir_graph, "node")}, warnings)


def _tree(node: Any, key: str) -> Tree:
    import nir

    kind = type(node).__name__
    if kind == "NIRGraph" and isinstance(node, nir.NIRGraph):
        nodes = {str(name): _tree(child, str(name)) for name, child in node.nodes.items()}
        edges = [tuple(edge) for edge in node.edges]
        return {"type": kind, "nodes": nodes, "edges": edges, "metadata": _metadata(node)}
    if kind not in OPS or not isinstance(node, getattr(nir, kind)):
        raise refuse("E006", key, f"unknown node type {kind!r}{did_you_mean(kind, OPS)}", f"NIR has {', '.join(OPS)}")
    tree: Tree = {"type": kind, "metadata": _metadata(node)}
    for f in dataclasses.fields(OPS[kind]):
        if f.name == "shape":
            types = node.input_type if kind == "Input" else node.output_type
            value = (types or {}).get("input" if kind == "Input" else "output")
        elif f.name == "extras":
            continue
        else:
            value = getattr(node, f.name)
        if value is not None:
            tree[f.name] = value if isinstance(value, str) else np.array(value)
    return tree


def _metadata(node: Any) -> Any:
    return node.metadata if isinstance(node.metadata, dict) else {}


def to_nir(graph: Graph) -> Any:
    """Return *graph* as a fresh ``nir.NIRGraph`` that shares no array with it, every parameter of full shape.

    A second edge between the same two nodes, which NIR has not, goes through a Scale of ones.

    Raises
    ------
    UnsupportedError
        E590 for what NIR or HDF5 cannot hold: paths with "/", parameters of unknown shape, populations without axes.
    """
    import nir

    shapes = infer_shapes(graph)[0]
    found = [d for node in graph for d in _unwritable(node)]
    ways = _ways(graph)
    found += [
        _no(edge.source, "its shape is unknown, and a second edge from it needs a Scale of that shape")
        for edge in ways
        if edge.source not in shapes.output
    ]
    found += [
        _no(node.path, f"the shape of this {node.op.kind} is unknown, and NIR wants it in full")
        for node in graph
        if node.path not in shapes.input and _open(node.op)
    ]
    fail_on_errors(UnsupportedError, found)
    nodes = {node.path: _nir_node(nir, node.op, shapes.input.get(node.path, ())) for node in graph}
    pairs = []
    for edge in sorted(graph.edges, key=lambda e: (e.target, e.rank, e.source)):
        if edge in ways:
            nodes[ways[edge]] = nir.Scale(np.ones(shapes.output[edge.source]))
            pairs += [(edge.source, ways[edge]), (ways[edge], edge.target)]
        else:
            pairs.append((edge.source, edge.target))
    # Unchecked: nir computes wrong types for grouped and non-square convolutions, and would add nodes of its own.
    made = nir.NIRGraph(nodes=nodes, edges=pairs, type_check=False)
    text = nir_notes.encode(graph, from_nir(made), ways)
    made.metadata = {} if text is None else {nir_notes.KEY: text}
    return made


def _no(path: str, message: str, hint: str = "") -> Diagnostic:
    return Diagnostic("E590", path, f"cannot be written as NIR: {message}", hint)


def _unwritable(node: Node) -> list[Diagnostic]:
    found = []
    path = node.path
    try:
        path.encode("utf8")
    except UnicodeEncodeError:
        found.append(_no(repr(path), "the path is no valid text", "rename the node"))
    if not path or "/" in path or "\0" in path or path == ".":
        found.append(_no(path, f"the path {path!r} cannot be the name of an HDF5 group", "rename the node"))
    for name, value in node.op.parameters().items():
        if isinstance(value, np.ndarray) and (value.dtype.kind not in "biuf" or value.dtype.itemsize > 8):
            found.append(_no(path, f"{name} has the type {value.dtype}", "write integers or floats up to 64 bits"))
        elif isinstance(value, np.ndarray) and not value.size:
            found.append(_no(path, f"{name} has the shape {value.shape} without a value"))
        elif name == "shape" and (not value or min(value) < 1):
            found.append(_no(path, f"the shape {value} has no axes, or an empty one", "use (1,) for a single value"))
    return found


def _open(op: Op) -> bool:
    """Whether the op needs its input shape to be written in full."""
    return any(getattr(op, name, 0) is None for name in ("input_shape",)) or any(
        isinstance(v, np.ndarray) and not v.ndim for v in op.parameters().values()
    )


def _ways(graph: Graph) -> dict[Edge, str]:
    """Return a name for the node that stands for each further edge between the same two nodes."""
    seen: set[tuple[str, str]] = set()
    ways: dict[Edge, str] = {}
    taken = {n.path for n in graph}
    for edge in sorted(graph.edges, key=lambda e: (e.target, e.rank, e.source)):
        if (edge.source, edge.target) not in seen:
            seen.add((edge.source, edge.target))
            continue
        number = 2
        while (name := f"{edge.target}.way{number}") in taken:
            number += 1
        taken.add(name)
        ways[edge] = name
    return ways


def _nir_node(nir: Any, op: Op, shape: Shape) -> Any:
    """Return a NIR node with fresh arrays for *op* on an input of *shape*."""
    values: dict[str, Any] = {}
    for name, value in op.parameters().items():
        if name == "extras":
            continue
        full = isinstance(op, Neuron) or (isinstance(value, np.ndarray) and not value.ndim and not op.is_weighted)
        if isinstance(value, np.ndarray):
            values[name] = np.array(np.broadcast_to(value, shape) if full and shape else value)
        else:
            values[name] = value
    kind = op.kind
    if kind in ("Input", "Output"):
        border = kind.lower()
        return getattr(nir, kind)({border: np.array(values["shape"], np.int64)})
    if kind == "Flatten":
        return nir.Flatten({"input": np.array(shape, np.int64) if shape else None}, **values)
    if kind in ("SumPool2d", "AvgPool2d"):
        values = {name: np.array(value, np.int64) for name, value in values.items()}
    if "input_shape" in values and values["input_shape"] is None:
        values["input_shape"] = shape[1] if kind == "Conv1d" else tuple(shape[1:])
    return getattr(nir, kind)(**values)


def save_nir(graph: Graph, path: str | os.PathLike[str]) -> None:
    """Write *graph* to a ``.nir`` file; what stood there before stays whole until the new file is complete.

    Raises
    ------
    UnsupportedError
        E590, as :func:`to_nir`.
    UsageError
        E690 where the file cannot be written.
    """
    import nir

    made = to_nir(graph)
    where = Path(path)
    hold: Path | None = None
    try:
        handle, name = tempfile.mkstemp(prefix=f".{where.name[:64]}.", suffix=".tmp", dir=where.parent)
        os.close(handle)
        hold = Path(name)
        nir.write(hold, made)
        mode = os.umask(0)
        os.umask(mode)
        hold.chmod(0o666 & ~mode)
        with hold.open("rb") as done:
            os.fsync(done.fileno())
        hold.replace(where)
    except OSError as error:
        reason = error.strerror or str(error)
        raise UsageError(Diagnostic("E690", str(path), f"cannot be written: {reason}", "choose another place")) from error
    finally:
        if hold is not None:
            hold.unlink(missing_ok=True)


def read_as_nir(path: str | os.PathLike[str]) -> Any:
    """Return what stock nir itself reads from the file at *path*: what other libraries' importers are handed."""
    import nir

    return nir.read(path)


__all__ = ["from_nir", "read_as_nir", "read_nir_tree", "save_nir", "to_nir", "tree_to_graph"]
