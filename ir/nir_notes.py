"""What NIR cannot say, as one JSON string in a graph's metadata, and what an untrusted string may say.

The string holds, only where plain NIR would lose it: the profile, notes, edge delays and ranks, what neurons carry
beyond NIR (with every bit of their coefficients), and the form of parameters (one number for all, number type).
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from spikeport.ir.diagnostics import Diagnostic, ImportModelError, ProfileError
from spikeport.ir.graph import Edge, Graph, Node
from spikeport.ir.nir_tree import refuse
from spikeport.ir.ops import Array, Discrete, Extras, Neuron, Op
from spikeport.ir.profiles import parse_profile

#: Key of the string in the graph's metadata.
KEY = "spikeport"
VERSION = 1
_TEXT_LIMIT = 2**30


# ------------------------------------------------------------------------------------------------------------ writing


def encode(graph: Graph, plain: Graph, ways: Mapping[Edge, str]) -> str | None:
    """Return what *graph* says and *plain*, its NIR form read back, does not; None where nothing is lost.

    Parameters
    ----------
    graph : Graph
        What is written.
    plain : Graph
        What NIR alone gives back.
    ways : Mapping[Edge, str]
        For a second edge between the same two nodes, the node that stands for it in NIR.
    """
    told: dict[str, Any] = {}
    if graph.profile is not None:
        told["profile"] = str(graph.profile)
    if graph.notes:
        told["notes"] = dict(graph.notes)
    if ways or set(graph.edges) != set(plain.edges):
        told["edges"] = [[e.source, e.target, e.delay, e.rank, ways.get(e)] for e in graph.edges]
    nodes = {node.path: own for node in graph if (own := _node(node, plain[node.path]))}
    if nodes:
        told["nodes"] = nodes
    return json.dumps({KEY: VERSION, **told}, sort_keys=True, allow_nan=False) if told else None


def _node(node: Node, plain: Node) -> dict[str, Any]:
    told: dict[str, Any] = {}
    if node.notes:
        told["notes"] = dict(node.notes)
    forms = {
        name: form
        for name, value in node.op.parameters().items()
        if name != "extras" and (form := _form(value, getattr(plain.op, name)))
    }
    if forms:
        told["forms"] = forms
    if isinstance(node.op, Neuron) and not node.op.extras.is_empty():
        told["extras"] = _extras(node.op.extras)
    if "forms" in told or "extras" in told:
        told["plain"] = _seal(plain)
    return told


def _seal(plain: Node) -> str:
    """Return a digest by which a changed node is known."""
    return Graph((dataclasses.replace(plain, notes={}),), ()).digest


def _form(value: Any, plain: Any) -> dict[str, Any]:
    if value is None:
        return {} if plain is None else {"none": True}
    if not isinstance(value, np.ndarray):
        return {}
    form: dict[str, Any] = {}
    if value.shape != plain.shape:
        form["scalar"] = True
    if value.dtype != plain.dtype:
        form["dtype"] = value.dtype.str
    return form


def _extras(extras: Extras) -> dict[str, Any]:
    found = {f.name: getattr(extras, f.name) for f in dataclasses.fields(extras)}
    told: dict[str, Any] = {k: _packed(v) for k, v in found.items() if isinstance(v, np.ndarray)}
    if extras.discrete is not None:
        exact = extras.discrete
        told["discrete"] = {"dt": exact.dt.hex(), "scheme": exact.scheme, "gain": exact.gain} | {
            f.name: _packed(v) for f in dataclasses.fields(exact) if isinstance(v := getattr(exact, f.name), np.ndarray)
        }
    return told


def _packed(array: Array) -> dict[str, Any]:
    """Return *array* as JSON with all its bits."""
    flat = array.reshape(-1)
    one = flat.size > 1 and flat[:1].tobytes() * flat.size == flat.tobytes()
    data = flat[:1] if one else flat
    return {"dtype": array.dtype.str, "shape": list(array.shape), "data": base64.b64encode(data.tobytes()).decode("ascii")}


# ------------------------------------------------------------------------------------------------------------ reading


def decode(text: Any) -> dict[str, Any]:
    """Return the validated outer form of the string.

    Raises
    ------
    ImportModelError
        E008 where it is not what spikeport writes.
    """
    if not isinstance(text, str) or len(text) > _TEXT_LIMIT:
        raise bad("", "expected one JSON string")
    try:
        told = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise bad("", f"cannot be read as JSON ({type(error).__name__})") from None
    if not isinstance(told, dict) or told.pop(KEY, None) != VERSION:
        raise bad("", f"expected version {VERSION} of spikeport's metadata", "read it with a newer spikeport")
    kinds = {"profile": str, "notes": dict, "edges": list, "nodes": dict}
    for name, value in told.items():
        if name not in kinds:
            raise bad(name, "unknown entry", "read it with a newer spikeport")
        if not isinstance(value, kinds[name]):
            raise bad(name, f"expected {kinds[name].__name__}, got {type(value).__name__}")
    for path, own in told.get("nodes", {}).items():
        if not isinstance(own, dict) or not set(own) <= {"notes", "forms", "extras", "plain"}:
            raise bad(f"nodes.{path}", "expected notes, forms, extras, plain")
        for name in ("notes", "forms", "extras"):
            if not isinstance(own.get(name, {}), dict):
                raise bad(f"nodes.{path}.{name}", f"expected dict, got {type(own[name]).__name__}")
    return told


def _no_constant(name: str) -> None:
    raise ValueError(name)


def bad(where: str, message: str, hint: str = "") -> ImportModelError:
    """Return the refusal of the metadata at *where*."""
    hint = hint or f"remove the entry {KEY!r} from the metadata, or write the file anew"
    return refuse("E008", f"metadata.{KEY}" + (f".{where}" if where else ""), message, hint)


def restore(plain: Graph, told: Mapping[str, Any], warnings: list[Diagnostic]) -> Graph:
    """Return *plain*, the graph as NIR alone gives it, with all that *told* adds.

    What no longer fits since another tool changed the file is left out with a warning (E016): exact coefficients of a
    node whose parameters are others now would silently win over them.

    Raises
    ------
    ImportModelError
        E008 where an entry is not what spikeport writes.
    """
    own: Mapping[str, Any] = told.get("nodes", {})
    gone = sorted(set(own) - {n.path for n in plain})
    warnings += [_stale(path, "the metadata tells of a node that is not in the graph any more") for path in gone]
    edges, ways = _edges(plain, told.get("edges"), warnings)
    nodes = [_restored(n, own[n.path], warnings) if n.path in own else n for n in plain if n.path not in ways]
    try:
        profile = parse_profile(told["profile"]) if "profile" in told else None
    except ProfileError as error:
        raise bad("profile", str(error)) from None
    return Graph(tuple(nodes), edges, {**plain.notes, **told.get("notes", {})}, profile)


def _stale(path: str, message: str) -> Diagnostic:
    return Diagnostic("E016", path, message, "import the model from its source again, if this is not meant", severity="warning")


def _edges(plain: Graph, rows: Any, warnings: list[Diagnostic]) -> tuple[tuple[Edge, ...], frozenset[str]]:
    """Return the edges with delays and ranks, and the nodes that only stood for a second edge."""
    if rows is None:
        return plain.edges, frozenset()
    found: dict[Edge, str | None] = {}
    for row in rows:
        if not (isinstance(row, list) and len(row) == 5 and _fits(row, (str, str, (int, type(None)), int, (str, type(None))))):
            raise bad("edges", f"expected [source, target, delay, rank, way], got {row!r}"[:200])
        found[Edge(*row[:4])] = row[4]
    ways = frozenset(way for way in found.values() if way is not None)
    written = {(e.source, way or e.target) for e, way in found.items()}
    written |= {(way, e.target) for e, way in found.items() if way is not None}
    identity = all(way in plain and _is_identity(plain[way].op) for way in ways)
    if identity and written == {(e.source, e.target) for e in plain.edges}:
        return tuple(found), ways
    warnings.append(_stale("", "the edges are not those that spikeport wrote: ranks follow the file's order now"))
    delays = {(e.source, e.target): e.delay for e, way in found.items() if way is None}
    return tuple(dataclasses.replace(e, delay=delays.get((e.source, e.target))) for e in plain.edges), frozenset()


def _fits(row: list[Any], kinds: tuple[Any, ...]) -> bool:
    return all(isinstance(v, k) and not isinstance(v, bool) for v, k in zip(row, kinds, strict=True))


def _is_identity(op: Op) -> bool:
    return op.kind == "Scale" and bool(np.all(op.parameters()["scale"] == 1))


def _restored(node: Node, own: Mapping[str, Any], warnings: list[Diagnostic]) -> Node:
    op, where = node.op, f"nodes.{node.path}"
    same = "plain" not in own or own["plain"] == _seal(node)
    extras = _read_extras(own["extras"], f"{where}.extras") if "extras" in own else None
    if not same:
        warnings.append(
            _stale(node.path, f"the parameters of this {op.kind} are not those that spikeport wrote: "
                   "exact coefficients and other additions to them are left out")
        )  # fmt: skip
    else:
        changed = {name: _read_form(op, name, form, where) for name, form in own.get("forms", {}).items()}
        if extras is not None:
            if not isinstance(op, Neuron):
                raise bad(f"{where}.extras", f"a {op.kind} carries none")
            changed["extras"] = extras
        op = dataclasses.replace(op, **changed) if changed else op
    return Node(node.path, op, {**node.notes, **own.get("notes", {})})


def _read_form(op: Op, name: str, form: Any, where: str) -> Any:
    value = op.parameters().get(name)
    if name == "extras" or not isinstance(form, dict) or not set(form) <= {"none", "scalar", "dtype"}:
        raise bad(f"{where}.forms.{name}", "expected none, scalar or dtype")
    if "none" in form:
        if name != "input_shape":
            raise bad(f"{where}.forms.{name}", f"{name} of a {op.kind} cannot be left out")
        return None
    if not isinstance(value, np.ndarray):
        raise bad(f"{where}.forms.{name}", f"a {op.kind} has no array {name}")
    if "dtype" in form:
        cast = value.astype(_dtype(form["dtype"], f"{where}.forms.{name}"))
        value = cast if np.array_equal(cast.astype(value.dtype), value) else value
    if "scalar" in form and value.size and bool((value == value.reshape(-1)[0]).all()):
        value = value.reshape(-1)[0].reshape(())
    return value


def _read_extras(told: Any, where: str) -> Extras:
    names = {f.name for f in dataclasses.fields(Extras)}
    if not set(told) <= names:
        raise bad(where, f"unknown entries {sorted(set(told) - names)}")
    found: dict[str, Any] = {k: _unpacked(v, f"{where}.{k}") for k, v in told.items() if k != "discrete"}
    exact = told.get("discrete")
    if exact is not None:
        fields = {f.name for f in dataclasses.fields(Discrete)}
        words = ("dt", "scheme", "gain")
        if not isinstance(exact, dict) or not {*words, "beta", "mem_gain"} <= set(exact) <= fields:
            raise bad(f"{where}.discrete", f"expected {', '.join(sorted(fields))}")
        if not all(isinstance(exact[w], str) for w in words):
            raise bad(f"{where}.discrete", "expected texts for dt, scheme and gain")
        try:
            dt = float.fromhex(exact["dt"])
        except (ValueError, OverflowError):
            dt = math.nan
        if not (math.isfinite(dt) and dt > 0):
            raise bad(f"{where}.discrete.dt", f"expected seconds above 0, got {exact['dt']!r}"[:200])
        arrays = {k: _unpacked(v, f"{where}.discrete.{k}") for k, v in exact.items() if k not in words}
        found["discrete"] = Discrete(dt, exact["scheme"], exact["gain"], **arrays)
    return Extras(**found)


def _dtype(text: Any, where: str) -> Any:
    try:
        dtype = np.dtype(text if isinstance(text, str) else "O")
    except (TypeError, ValueError, SyntaxError):
        dtype = np.dtype("O")
    if dtype.kind not in "biuf" or dtype.itemsize > 8 or dtype.str != text:
        raise bad(where, f"expected a number type such as '<f8', got {text!r}"[:200])
    return dtype


def _unpacked(told: Any, where: str) -> Array:
    if not isinstance(told, dict) or set(told) != {"dtype", "shape", "data"}:
        raise bad(where, "expected dtype, shape and data")
    dtype, shape = _dtype(told["dtype"], where), told["shape"]
    if not isinstance(shape, list) or len(shape) > 8 or not _fits(shape, (int,) * len(shape)) or min(shape, default=0) < 0:
        raise bad(where, f"expected a shape, got {shape!r}"[:200])
    try:
        data = base64.b64decode(told["data"], validate=True)
    except (TypeError, ValueError, binascii.Error):
        raise bad(where, "expected base64") from None
    size = math.prod(shape)
    if len(data) not in (dtype.itemsize, size * dtype.itemsize) or size > 2**40 or (not size and data):
        raise bad(where, f"expected {size * dtype.itemsize} bytes for shape {tuple(shape)}, got {len(data)}")
    array = np.frombuffer(data, dtype)
    return np.broadcast_to(array, shape) if array.size != size else array.reshape(shape)
