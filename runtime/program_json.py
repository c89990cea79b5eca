"""A program as plain data and arrays, and back: every value is checked before it is used.

What is read has to be exactly what would be written for it: after an op has been built it is encoded again and held
against the file, so that nothing is silently converted, dropped or filled in.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from spikeport.ir.arithmetic import ARITHMETICS
from spikeport.ir.diagnostics import ArtifactError, Diagnostic, SpikeportError
from spikeport.ir.graph import Edge, Graph, Node
from spikeport.ir.ops import OPS, Array, Discrete, Extras, Op
from spikeport.ir.profile import Profile
from spikeport.ir.profiles import parse_profile
from spikeport.ir.program import Program, Projection, Slice
from spikeport.ir.shapes import infer_shapes
from spikeport.ir.verify import verify
from spikeport.runtime.routing_json import arrays_of, routing_from_json, routing_to_json
from spikeport.runtime.strict_json import dump_json

#: Most elements of an array, broadcast ones included, of which the verifier may hold a byte each.
MAX_ELEMENTS = 2**28
#: Most neurons whose slices are held against each other, a byte each.
MAX_NEURONS = 2**28

_RECORDS: dict[str, Any] = {"Extras": Extras, "Discrete": Discrete}


def program_to_json(program: Program) -> tuple[dict[str, Any], list[Array]]:
    """Return *program* as plain data and the arrays that it refers to by number; equal arrays are stored once.

    Times of passes are left out: the same program gives the same data.
    """
    store = _Store()
    graph = program.graph
    structure = {
        "graph": {
            "nodes": [{"path": n.path, "op": store.encode_op(n.op), "notes": dict(n.notes)} for n in graph],
            "edges": [[e.source, e.target, e.delay, e.rank] for e in graph.edges],
            "notes": dict(graph.notes),
            "profile": None if graph.profile is None else str(graph.profile),
        },
        "profile": str(program.profile),
        "arithmetic": program.arithmetic,
        "target": program.target,
        "chips": program.chips,
        "slices": [[s.path, [list(b) for b in s.box], s.core, dict(s.usage)] for s in program.slices],
        "projections": [[p.source, p.target, list(p.through), p.delay] for p in program.projections],
        "usage": {name: list(pair) for name, pair in program.usage.items()},
        "passes": [{k: v for k, v in record.items() if k != "seconds"} for record in program.passes],
        "notes": dict(program.notes),
        "routing": routing_to_json(program.routing, store.number),
    }
    return structure, store.arrays


class _Store:
    """Encodes values; collects their arrays."""

    def __init__(self) -> None:
        self.arrays: list[Array] = []
        self.numbers: dict[tuple[str, tuple[int, ...], bytes], int] = {}

    def encode_op(self, op: Any) -> dict[str, Any]:
        """Return an op, or a record within one, as plain data; empty extras are left out."""
        fields = {f.name: self.encode(getattr(op, f.name)) for f in dataclasses.fields(op)}
        return {"kind": type(op).__name__, "fields": {k: v for k, v in fields.items() if v is not None}}

    def encode(self, value: Any) -> Any:
        """Return a parameter as plain data; None for one that is not set."""
        if isinstance(value, Extras) and value.is_empty():
            return None
        if dataclasses.is_dataclass(value):
            return self.encode_op(value)
        if isinstance(value, np.ndarray):
            constant = value.size > 1 and not any(value.strides)
            number = self.number(value.reshape(-1)[:1].reshape(()) if constant else value)
            return {"array": number, "shape": list(value.shape)} if constant else {"array": number}
        return list(value) if isinstance(value, tuple) else value

    def number(self, array: Array) -> int:
        """Return the number under which *array* is stored."""
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self.numbers:
            self.numbers[key] = len(self.arrays)
            self.arrays.append(array)
        return self.numbers[key]


def _wrong(path: str, message: str, code: str = "E707") -> ArtifactError:
    return ArtifactError(Diagnostic(code, path, message, "compile the model anew"))


def _shaped(value: Any, keys: set[str], where: str) -> dict[str, Any]:
    if not isinstance(value, dict) or set(value) != keys:
        got = sorted(value) if isinstance(value, dict) else type(value).__name__
        raise _wrong(where, f"{where}: expected {', '.join(sorted(keys))}, got {got!s:.200}")
    return value


def _typed(value: Any, kind: type, where: str) -> Any:
    # type() and not isinstance: True is no number here.
    if type(value) is not kind:
        raise _wrong(where, f"{where}: expected {kind.__name__}, got {value!r:.60}")
    return value


def _row(value: Any, kinds: tuple[type, ...], where: str) -> list[Any]:
    if type(value) is not list or len(value) != len(kinds):
        raise _wrong(where, f"{where}: expected a list of {len(kinds)}, got {value!r:.60}")
    return [_typed(v, k, where) for v, k in zip(value, kinds, strict=True)]


def _whole(value: Any, low: int, high: int, where: str) -> int:
    if _typed(value, int, where) not in range(low, high + 1):
        raise _wrong(where, f"{where}: {value} is not between {low} and {high}")
    return int(value)


def program_from_json(data: Any, arrays: Mapping[int, Array], digest: Any) -> Program:
    """Return the program that *data* and *arrays* say.

    Raises
    ------
    ArtifactError
        E707 for content that contradicts itself, E708 for a graph that does not verify.
    """
    keys = {f.name for f in dataclasses.fields(Program)}
    d = _shaped(data, keys, "program")
    try:
        graph = _graph(d["graph"], arrays, arrays_of(d["routing"]))
        profile = parse_profile(_typed(d["profile"], str, "profile"))
        if str(profile) != d["profile"]:
            raise _wrong("profile", f"the profile {d['profile']!r:.80} does not print back")
        if graph.digest != digest:
            raise _wrong("graph", f"the graph's digest is {graph.digest}, the manifest says {digest!r:.80}")
        verify(graph, profile)
        _check_sizes(graph)
    except ArtifactError:
        raise
    except SpikeportError as error:
        raise ArtifactError(
            [Diagnostic("E708", f.path, f"{f.code}: {f.message}", "compile the model anew", f.facts) for f in error.diagnostics]
        ) from error
    except (ValueError, TypeError, OverflowError, RecursionError, ArithmeticError, AttributeError, IndexError) as error:
        # What the constructors and rules of ir/ answer to parameters that no importer would give them.
        raise _wrong("graph", f"the graph cannot be built: {type(error).__name__}: {error}") from error
    if _typed(d["arithmetic"], str, "arithmetic") not in ARITHMETICS:
        raise _wrong("arithmetic", f"unknown arithmetic {d['arithmetic']!r:.60}")
    slices = _slices(d["slices"], graph)
    return Program(
        graph, profile, d["arithmetic"], _typed(d["target"], str, "target"), _whole(d["chips"], 0, 2**31, "chips"),
        slices, _projections(d["projections"], graph), _usage(d["usage"]), _passes(d["passes"]), _notes(d["notes"]),
        routing_from_json(d["routing"], arrays, graph, slices),
    )  # fmt: skip


def _check_sizes(graph: Graph) -> None:
    for path, shape in infer_shapes(graph)[0].output.items():
        if math.prod(shape) > MAX_ELEMENTS:
            raise _wrong(path, f"{path} has the shape {shape!s:.80}, more than {MAX_ELEMENTS:,} values")


def _graph(data: Any, arrays: Mapping[int, Array], elsewhere: set[int]) -> Graph:
    d = _shaped(data, {"nodes", "edges", "notes", "profile"}, "graph")
    nodes: list[Node] = []
    used: set[int] = set()
    budget = [MAX_ELEMENTS * 4]
    store = _Store()
    # The same numbering as when written: re-encoding then gives the same references.
    for number in range(len(arrays)):
        if store.number(arrays[number]) != number:
            raise _wrong(f"arrays/{number}.npy", "the same array is stored twice")
    for entry in _typed(d["nodes"], list, "graph.nodes"):
        n = _shaped(entry, {"path", "op", "notes"}, "graph.nodes")
        path = _typed(n["path"], str, "graph.nodes")
        op = _decode_record(n["op"], arrays, path, used, budget, OPS)
        if not isinstance(op, Op) or dump_json(store.encode_op(op)) != dump_json(n["op"]):
            raise _wrong(path, f"the parameters of {path} are not as this spikeport writes them")
        nodes.append(Node(path, op, _typed(n["notes"], dict, path)))
    if used | (elsewhere & set(arrays)) != set(arrays):
        raise _wrong("arrays", f"{len(set(arrays) - used)} arrays belong to no node")
    edges = []
    for entry in _typed(d["edges"], list, "graph.edges"):
        if type(entry) is not list or len(entry) != 4:
            raise _wrong("graph.edges", f"expected [source, target, delay, rank], got {entry!r:.80}")
        source, target, rank = _row([entry[0], entry[1], entry[3]], (str, str, int), "graph.edges")
        delay = None if entry[2] is None else _whole(entry[2], 0, 4096, "graph.edges")
        edges.append(Edge(source, target, delay, rank))
    stated: Profile | None = None if d["profile"] is None else parse_profile(_typed(d["profile"], str, "graph.profile"))
    return Graph(nodes, edges, _typed(d["notes"], dict, "graph.notes"), stated)  # type: ignore[arg-type]


def _decode_record(
    data: Any, arrays: Mapping[int, Array], where: str, used: set[int], budget: list[int], kinds: Mapping[str, Any]
) -> Any:
    d = _shaped(data, {"kind", "fields"}, where)
    kind = _typed(d["kind"], str, where)
    if kind not in kinds:
        raise _wrong(where, f"{where}: unknown kind {kind!r:.60}")
    fields = {f.name: f for f in dataclasses.fields(kinds[kind])}
    given = _typed(d["fields"], dict, where)
    if not set(given) <= set(fields):
        raise _wrong(where, f"{where}: {kind} has no {', '.join(sorted(set(given) - set(fields)))!s:.80}")
    values = {k: _decode(v, arrays, where, used, budget) for k, v in given.items()}
    for name, f in fields.items():
        if f.default is dataclasses.MISSING:
            values.setdefault(name, None)
    return kinds[kind](**values)


def _decode(value: Any, arrays: Mapping[int, Array], where: str, used: set[int], budget: list[int]) -> Any:
    if isinstance(value, list):
        return tuple(value)
    if not isinstance(value, dict):
        return value
    if "kind" in value:
        return _decode_record(value, arrays, where, used, budget, _RECORDS)
    number = value.get("array")
    if type(number) is not int or number not in arrays or not set(value) <= {"array", "shape"}:
        raise _wrong(where, f"{where}: no array {value!r:.60}")
    used.add(number)
    array = arrays[number]
    if "shape" in value:
        shape = tuple(_whole(n, 0, MAX_ELEMENTS, where) for n in _typed(value["shape"], list, where))
        budget[0] -= math.prod(shape)
        if array.shape != () or len(shape) > 32 or budget[0] < 0 or math.prod(shape) > MAX_ELEMENTS:
            raise _wrong(where, f"{where}: an array of shape {shape!s:.80} is too large, or no repeated number")
        array = np.broadcast_to(array, shape)
    return array


def _slices(data: Any, graph: Graph) -> tuple[Slice, ...]:
    """Return the slices, once each population that has any is known to be covered once and whole."""
    shapes = infer_shapes(graph)[0].output
    held: dict[str, Any] = {}
    room = MAX_NEURONS
    slices = []
    for entry in _typed(data, list, "slices"):
        path, box, core, usage = _row(entry, (str, list, int, dict), "slices")
        if path not in graph:
            raise _wrong("slices", f"a slice of {path!r:.80}, which is not in the graph")
        shape = shapes[path]
        if len(box) != len(shape):
            raise _wrong(path, f"the slice {box!s:.80} does not fit the population of shape {shape}")
        ranges = [_row(r, (int, int), path) for r in box]
        if any(not 0 <= a < b <= size for (a, b), size in zip(ranges, shape, strict=True)):
            raise _wrong(path, f"the slice {box!s:.80} leaves the population of shape {shape}")
        for resource, amount in usage.items():
            _whole(amount, 0, 2**62, f"{path}: usage of {resource!s:.40}")
        piece = Slice(path, tuple((a, b) for a, b in ranges), _whole(core, 0, 2**31, path), usage)
        if path not in held:
            room -= math.prod(shape)
            if room < 0:
                raise _wrong(path, f"the slices hold more than {MAX_NEURONS:,} neurons")
            held[path] = np.zeros(shape, np.bool_)
        taken = held[path]
        if taken[piece.where].any():
            raise _wrong(path, f"two slices of {path} hold the same neuron")
        taken[piece.where] = True
        slices.append(piece)
    for path, taken in held.items():
        if not taken.all():
            raise _wrong(path, f"{int((~taken).sum())} neurons of {path} lie on no core")
    return tuple(slices)


def _projections(data: Any, graph: Graph) -> tuple[Projection, ...]:
    out = []
    for entry in _typed(data, list, "projections"):
        source, target, through, delay = _row(entry, (str, str, list, int), "projections")
        for path in (source, target, *through):
            if type(path) is not str or path not in graph:
                raise _wrong("projections", f"a projection names {path!r:.80}, which is not in the graph")
        out.append(Projection(source, target, tuple(through), _whole(delay, 0, 2**20, "projections")))
    return tuple(out)


def _usage(data: Any) -> dict[str, tuple[int, int | None]]:
    out: dict[str, tuple[int, int | None]] = {}
    for name, pair in _typed(data, dict, "usage").items():
        if type(pair) is not list or len(pair) != 2:
            raise _wrong("usage", f"usage of {name!r:.40}: expected [used, limit], got {pair!r:.60}")
        limit = None if pair[1] is None else _whole(pair[1], 0, 2**62, "usage")
        out[name] = (_whole(pair[0], 0, 2**62, "usage"), limit)
    return out


def _passes(data: Any) -> tuple[Mapping[str, Any], ...]:
    for record in _typed(data, list, "passes"):
        for key in ("name", "text", "before", "after"):
            _typed(_typed(record, dict, "passes").get(key), str, f"passes.{key}")
        for key in ("nodes", "synapses"):
            _row(record.get(key), (int, int), f"passes.{key}")
        if any(type(path) is not str for path in _typed(record.get("touched"), list, "passes.touched")):
            raise _wrong("passes", "touched holds something else than paths")
    return tuple(data)


def _notes(data: Any) -> dict[str, Any]:
    """Return the notes, those that we read ourselves checked."""
    notes: dict[str, Any] = _typed(data, dict, "notes")
    for key in ("pipeline", "source_digest"):
        _typed(notes.get(key, ""), str, f"notes.{key}")
    for where in ("warnings", "mapping"):
        for finding in _typed(notes.get(where, []), list, f"notes.{where}"):
            d = _shaped(finding, {"code", "severity", "path", "message", "hint", "facts"}, f"notes.{where}")
            for key, value in d.items():
                _typed(value, dict if key == "facts" else str, f"notes.{where}.{key}")
            if d["severity"] not in ("error", "warning", "note"):
                raise _wrong(f"notes.{where}", f"unknown severity {d['severity']!r:.40}")
    for text in _typed(notes.get("lowering", []), list, "notes.lowering"):
        _typed(text, str, "notes.lowering")
    return notes
