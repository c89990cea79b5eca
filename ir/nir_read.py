"""From the plain data of a ``.nir`` file or object to a graph: what each field must be, and what NIR fills in itself."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from spikeport.ir import nir_notes
from spikeport.ir.diagnostics import Diagnostic, ImportModelError, did_you_mean
from spikeport.ir.graph import Edge, Graph, Node
from spikeport.ir.nir_flatten import Border, flatten
from spikeport.ir.nir_tree import Tree, refuse
from spikeport.ir.ops import OPS, Shape
from spikeport.ir.shapes import infer_shapes

#: Fields that nir itself fills in where they are missing.
_OPTIONAL = {"v_reset": 0.0, "w_in": 1.0}
_NUMBERS = ("stride", "padding", "dilation", "groups", "input_shape", "kernel_size", "start_dim", "end_dim", "shape")
_PLAIN_METADATA = 10_000


def tree_to_graph(tree: Tree, warnings: list[Diagnostic] | None = None) -> Graph:
    """Return the graph that plain data (``read_nir_tree``) describes, nested graphs flattened to dotted paths.

    Parameters
    ----------
    tree : dict
        With the graph under ``"node"``.
    warnings : list of Diagnostic or None
        Takes what was repaired: E009 double edges, E010 fields that nir fills in, E016 metadata that no longer fits.

    Raises
    ------
    ImportModelError
        E004 missing or unknown fields, E005 wrong types, E006 unknown node types, E007 inner graphs whose connection the
        edges do not tell, E008 metadata that spikeport did not write; all of one kind at once where they are independent.
    """
    warnings = [] if warnings is None else warnings
    root = tree["node"]
    if root.get("type") != "NIRGraph":
        raise refuse(
            "E006", "node", f"this is a single {root.get('type')!r}, not a graph", "put it between an Input and an Output"
        )
    flat = flatten(root, warnings)
    nodes: list[Node] = []
    broken: list[Diagnostic] = []
    for path, node in flat.nodes.items():
        try:
            nodes.append(_node(path, node, warnings))
        except ImportModelError as error:
            broken += error.diagnostics
    if broken:
        raise ImportModelError(broken)
    ranks: dict[str, int] = {}
    edges = []
    for source, target in flat.edges:
        rank = ranks.get(target, 0)
        ranks[target] = rank + 1
        edges.append(Edge(source, target, None, rank))
    metadata = dict(root.get("metadata") or {})
    text = metadata.pop(nir_notes.KEY, None)
    told = None if text is None else nir_notes.decode(text)
    notes = {"metadata": _plain(metadata, "node.metadata")} if metadata else {}
    if flat.metadata:
        notes["inner_metadata"] = _plain(flat.metadata, "node.metadata")
    graph = Graph(tuple(nodes), tuple(edges), notes)
    _check_borders(graph, flat.borders)
    return graph if told is None else nir_notes.restore(graph, told, warnings)


def _node(path: str, node: Any, warnings: list[Diagnostic]) -> Node:
    kind = node.get("type") if isinstance(node, dict) else None
    if kind not in OPS:
        hint = f"NIR has {', '.join(OPS)}"
        raise refuse("E006", path, f"unknown node type {kind!r}{did_you_mean(str(kind), OPS)}", hint)
    cls = OPS[kind]
    names = [f.name for f in dataclasses.fields(cls) if f.name != "extras"]
    known = {*names, "type", "metadata", "input_type", "output_type"}
    if unknown := sorted(set(node) - known):
        raise refuse("E004", path, f"a {kind} has no field {', '.join(unknown)}", f"its fields are {', '.join(names)}")
    given: dict[str, Any] = {}
    missing = []
    for name in names:
        if name in node and node[name] is not None:
            given[name] = _value(path, kind, name, node[name])
        elif name == "input_shape":
            given[name] = None
        elif name not in _OPTIONAL:
            missing.append(name)
    if missing:
        raise refuse("E004", path, f"this {kind} lacks {', '.join(missing)}", "write the file with a current exporter")
    for name in (n for n in names if n not in given):
        # As nir does it: an array like the threshold's.
        like = given["v_threshold" if "v_threshold" in given else "v_leak"]
        given[name] = np.full(like.shape, _OPTIONAL[name], like.dtype)
        warnings.append(
            Diagnostic("E010", path, f"this {kind} has no {name}; taken as {_OPTIONAL[name]:g}, as NIR has it",
                       "", {"field": name}, "warning")
        )  # fmt: skip
    try:
        op = cls(**given)
    except (ValueError, TypeError, OverflowError) as error:
        raise refuse("E005", path, str(error), "write the file with a current exporter") from None
    metadata = node.get("metadata")
    return Node(path, op, {"metadata": _plain(metadata, f"{path}.metadata")} if metadata else {})


def _value(path: str, kind: str, name: str, value: Any) -> Any:
    """Return a parameter as the op takes it; E005 for one of another type."""
    if isinstance(value, str):
        if name == "padding":
            return value
        raise refuse("E005", path, f"{name} of a {kind} is the text {value[:40]!r}, not a number")
    array = np.asarray(value)
    if array.dtype.kind not in "biuf":
        raise refuse("E005", path, f"{name} of a {kind} is {type(value).__name__}, not a number or an array of numbers")
    if name not in _NUMBERS:
        return array
    if array.dtype.kind not in "iu" and not (array.size and np.array_equal(array, np.rint(array))):
        raise refuse("E005", path, f"{name} of a {kind} is {array.tolist()}; it takes whole numbers")
    array = array.astype(np.int64)
    if name == "shape":
        if array.ndim > 1 or not array.size or int(array.min()) < 1:
            raise refuse("E005", path, f"the shape of this {kind} is {array.tolist()}; every axis is 1 or more")
        return tuple(np.atleast_1d(array).tolist())
    if name in ("groups", "start_dim", "end_dim"):
        if array.size != 1:
            raise refuse("E005", path, f"{name} of a {kind} is one whole number, not {array.tolist()}")
        return int(array.reshape(-1)[0])
    return array


def _check_borders(graph: Graph, borders: tuple[Border, ...]) -> None:
    """Refuse inner graphs whose Input or Output has another shape than what passes through it (E007)."""
    shapes = infer_shapes(graph)[0].output if borders else {}
    found = []
    for border in borders:
        said = border.node.get("shape")
        if not isinstance(said, np.ndarray):
            continue
        shape = tuple(int(n) for n in said.ravel())
        for source in border.sources:
            got = shapes.get(source)
            if got is not None and _squeezed(got) != _squeezed(shape):
                found.append(
                    Diagnostic("E007", border.path, f"this {border.node['type']} of an inner graph has the shape {shape}, and "
                               f"{source} gives {got}", f"give it the shape {got} in the file, or {source} one of {shape}",
                               {"expected": shape, "got": got})
                )  # fmt: skip
    if found:
        raise ImportModelError(found)


def _squeezed(shape: Shape) -> Shape:
    return tuple(n for n in shape if n != 1)


def _plain(value: Any, key: str) -> Any:
    """Return metadata as JSON carries it; E008 for what it cannot."""
    if isinstance(value, Mapping):
        return {str(k): _plain(v, f"{key}.{k}") for k, v in value.items()}
    if isinstance(value, bytes):
        return value.decode("utf8", "replace")
    if isinstance(value, (np.ndarray, np.generic)) and value.size <= _PLAIN_METADATA:
        return _plain(value.tolist(), key)
    if isinstance(value, (list, tuple)):
        return [_plain(v, key) for v in value]
    if value is None or isinstance(value, (str, bool, int)) or (isinstance(value, float) and np.isfinite(value)):
        return value
    what = f"an array of {value.size:,} numbers" if isinstance(value, np.ndarray) else f"a {type(value).__name__}"
    raise refuse("E008", key, f"this metadata is {what}; notes are short plain data with finite numbers", "remove it")
