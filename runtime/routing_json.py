"""Routing as plain data and arrays, and back: bounds, sizes and references are checked before anything is used."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

import numpy as np

from spikeport.ir.diagnostics import ArtifactError, Diagnostic
from spikeport.ir.graph import Graph
from spikeport.ir.ops import Array
from spikeport.ir.program import Slice
from spikeport.ir.routing import LINK_BITS, MAX_PROCESSORS, Machine, Routing, Sender, Tables, Trees, key_bits, opposite
from spikeport.ir.shapes import infer_shapes

#: Most chips of a machine that is read, and rows of all its trees or tables together.
MAX_CHIPS, MAX_ROWS = 1 << 18, 1 << 27
_KEY = (1 << 32) - 1
_ROUTE = (1 << (LINK_BITS + MAX_PROCESSORS)) - 1
_MACHINE = ("xy", "cores", "links", "board")
_TREES = ("start", "chip", "arrives", "route")
_TABLES = ("start", "key", "mask", "route", "defaultable")


def routing_to_json(routing: Routing | None, number: Callable[[Array], int]) -> dict[str, Any] | None:
    """Return *routing* as plain data; *number* stores an array and says under which number."""
    if routing is None:
        return None
    machine = routing.machine

    def stored(value: Any, names: tuple[str, ...]) -> dict[str, int]:
        return {n: number(np.ascontiguousarray(getattr(value, n), np.int64)) for n in names}

    return {
        "machine": {
            "name": machine.name, "width": machine.width, "height": machine.height, "stride": machine.stride,
            **stored(machine, _MACHINE),
        },
        "senders": [
            [s.path, [list(b) for b in s.box], s.core, s.key, s.mask, s.slice, list(s.delay_blocks), s.delay_steps]
            for s in routing.senders
        ],
        "trees": stored(routing.trees, _TREES),
        "tables": stored(routing.tables, _TABLES),
        "compressed": stored(routing.compressed, _TABLES),
    }  # fmt: skip


def arrays_of(data: Any) -> set[int]:
    """Return the numbers of arrays that the routing in *data* names; whatever else stands there is not looked at."""
    parts = [data.get(k) for k in ("machine", "trees", "tables", "compressed")] if isinstance(data, dict) else []
    names = {*_MACHINE, *_TREES, *_TABLES}
    return {v for p in parts if isinstance(p, dict) for k, v in p.items() if k in names and type(v) is int}


def routing_from_json(data: Any, arrays: Mapping[int, Array], graph: Graph, slices: tuple[Slice, ...]) -> Routing | None:
    """Return the routing that *data* and *arrays* say, for a program of *slices*.

    Raises
    ------
    ArtifactError
        E707 for anything out of bounds, or at odds with the rest of the program.
    """
    if data is None:
        return None
    d = _shaped(data, ("machine", "senders", "trees", "tables", "compressed"), "routing")
    machine = _machine(d["machine"], arrays)
    senders = _senders(d["senders"], machine, graph, slices)
    t = _columns(d["trees"], _TREES, arrays, "routing.trees")
    _csr(t["start"], len(senders), [t[n] for n in _TREES[1:]], "routing.trees")
    _within(t["chip"], 0, machine.chips - 1, "routing.trees.chip")
    _within(t["arrives"], -1, 5, "routing.trees.arrives")
    _within(t["route"], 0, _ROUTE, "routing.trees.route")
    rooted = np.flatnonzero(np.diff(t["start"]))
    first = t["start"][rooted]
    at = np.array([s.chip for s in senders], np.int64)[rooted]
    if (t["chip"][first] != at).any() or not np.array_equal(np.flatnonzero(t["arrives"] < 0), first):
        raise _wrong("routing.trees: a tree does not begin at its sender")
    trees = Trees(t["start"], t["chip"], t["arrives"], t["route"])
    return Routing(machine, senders, trees, *(_tables(d[n], arrays, machine, f"routing.{n}") for n in ("tables", "compressed")))


def _wrong(message: str) -> ArtifactError:
    return ArtifactError(Diagnostic("E707", message.partition(":")[0], message, "compile the model anew"))


def _shaped(value: Any, keys: tuple[str, ...], where: str) -> dict[str, Any]:
    if not isinstance(value, dict) or set(value) != set(keys):
        raise _wrong(f"{where}: expected {', '.join(keys)}")
    return value


def _whole(value: Any, low: int, high: int, where: str) -> int:
    if type(value) is not int or not low <= value <= high:
        raise _wrong(f"{where}: {value!r:.40} is no whole number from {low} to {high}")
    return value


def _columns(
    data: Any, names: tuple[str, ...], arrays: Mapping[int, Array], where: str, more: tuple[str, ...] = ()
) -> dict[str, Array]:
    d = _shaped(data, (*names, *more), where)
    out = {}
    for name in names:
        array = arrays.get(d[name]) if type(d[name]) is int else None
        if array is None or array.dtype != np.int64:
            raise _wrong(f"{where}.{name}: expected the number of an array of int64")
        out[name] = array
    return out


def _within(array: Array, low: int, high: int, where: str) -> None:
    if array.size and not (low <= int(array.min()) and int(array.max()) <= high):
        raise _wrong(f"{where}: a value is not between {low} and {high}")


def _csr(start: Array, parts: int, columns: list[Array], where: str) -> None:
    rows = columns[0].shape[0] if columns[0].ndim == 1 else -1
    good = start.shape == (parts + 1,) and 0 <= rows <= MAX_ROWS and all(c.shape == (rows,) for c in columns)
    if not good or start[0] != 0 or start[-1] != rows or (np.diff(start) < 0).any():
        raise _wrong(f"{where}: its columns do not fit each other")


def _machine(data: Any, arrays: Mapping[int, Array]) -> Machine:
    where = "routing.machine"
    c = _columns(data, _MACHINE, arrays, where, ("name", "width", "height", "stride"))
    if type(data["name"]) is not str or len(data["name"]) > 200:
        raise _wrong(f"{where}.name: expected a short text")
    width, height = (_whole(data[k], 1, 1 << 16, f"{where}.{k}") for k in ("width", "height"))
    stride = _whole(data["stride"], 1, MAX_PROCESSORS - 1, f"{where}.stride")
    n = len(c["cores"]) if c["cores"].ndim == 1 else 0
    shapes = {"xy": (n, 2), "cores": (n,), "links": (n, 6), "board": (n,)}
    if not 1 <= n <= MAX_CHIPS or any(c[k].shape != shape for k, shape in shapes.items()):
        raise _wrong(f"{where}: its columns do not fit each other")
    _within(c["xy"], 0, max(width, height) - 1, f"{where}.xy")
    _within(c["cores"], 0, (1 << MAX_PROCESSORS) - 2, f"{where}.cores")
    _within(c["links"], -1, n - 1, f"{where}.links")
    _within(c["board"], 0, n - 1, f"{where}.board")
    if (c["cores"] & 1).any():
        raise _wrong(f"{where}.cores: a monitor is given to the program")
    for link in range(6):
        alive = np.flatnonzero(c["links"][:, link] >= 0)
        if (c["links"][c["links"][alive, link], opposite(link)] != alive).any():
            raise _wrong(f"{where}.links: a link leads one way only")
    return Machine(data["name"], width, height, c["xy"], c["cores"], c["links"], c["board"], stride)


def _senders(data: Any, machine: Machine, graph: Graph, slices: tuple[Slice, ...]) -> tuple[Sender, ...]:
    shapes = infer_shapes(graph)[0].output
    if type(data) is not list:
        raise _wrong("routing.senders: expected a list")
    out: list[Sender] = []
    for entry in data:
        if type(entry) is not list or len(entry) != 8 or type(entry[0]) is not str or entry[0] not in graph:
            raise _wrong(f"routing.senders: no sender {entry!r:.80}")
        path, box, core, key, mask, index, blocks, steps = entry
        where = f"routing.senders: {path}"
        shape = shapes[path]
        if type(box) is not list or len(box) != len(shape) or type(blocks) is not list or len(blocks) > 64:
            raise _wrong(f"{where}: no box {box!r:.80}, or blocks {blocks!r:.40}")
        ranges = []
        for pair, extent in zip(box, shape, strict=True):
            if type(pair) is not list or len(pair) != 2:
                raise _wrong(f"{where}: no range {pair!r:.40}")
            low = _whole(pair[0], 0, extent - 1, where)
            ranges.append((low, _whole(pair[1], low + 1, extent, where)))
        blocks = [_whole(b, 1, 64, where) for b in blocks]
        steps = _whole(steps, 1 if blocks else 0, (1 << 20) if blocks else 0, where)
        core = _whole(core, 0, machine.chips * machine.stride - 1, where)
        key, mask = _whole(key, 0, _KEY, where), _whole(mask, 0, _KEY, where)
        index = _whole(index, -1, len(slices) - 1, where)
        chip, processor = machine.place(core)
        s = Sender(path, tuple(ranges), chip, processor, core, key, mask, index, tuple(blocks), steps)
        span = (_KEY & ~mask) + 1
        room = 1 << key_bits(s.box, s.delay_blocks)
        if key & ~mask or span & (span - 1) or room > span or blocks != sorted(set(blocks)):
            raise _wrong(f"{where}: key {key:#x} and mask {mask:#x} do not number its {s.size:,} neurons")
        if not int(machine.cores[chip]) >> processor & 1:
            raise _wrong(f"{where}: lies on a core that does not work")
        if index >= 0 and (slices[index].path, slices[index].box) != (path, s.box):
            raise _wrong(f"{where}: sends for another slice")
        if index >= 0 and not blocks and slices[index].core != core:
            raise _wrong(f"{where}: lies on another core than its slice")
        out.append(s)
    order = sorted(out, key=lambda s: s.key)
    apart = all(a.key + (_KEY & ~a.mask) < b.key for a, b in pairwise(order))
    if not apart or len({s.core for s in out}) != len(out):
        raise _wrong("routing.senders: two of them share keys, or a core")
    if sorted(s.slice for s in out if s.slice >= 0 and not s.delay_blocks) != list(range(len(slices))):
        raise _wrong("routing.senders: a slice sends nothing, or twice")
    return tuple(out)


def _tables(data: Any, arrays: Mapping[int, Array], machine: Machine, where: str) -> Tables:
    t = _columns(data, _TABLES, arrays, where)
    _csr(t["start"], machine.chips, [t[n] for n in _TABLES[1:]], where)
    for name, high in (("key", _KEY), ("mask", _KEY), ("route", _ROUTE), ("defaultable", 1)):
        _within(t[name], 0, high, f"{where}.{name}")
    return Tables(t["start"], t["key"], t["mask"], t["route"], t["defaultable"] != 0)
