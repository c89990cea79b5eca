"""Reading a target's TOML file: untrusted data, a strict schema, every finding named by its key.

Each number is an inline table ``{ value = 23.6, unit = "pJ", class = "published", source = "davies2018" }``, its source a
key of ``[sources]``, or ``{ unknown = "why", unit = "pJ" }``. A bare number is refused: it has no class and no source.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Iterable, Mapping
from typing import Any

from spikeport.hw_profiles.records import (
    EVENTS,
    CostSet,
    Cycles,
    Dead,
    Encoding,
    Fabric,
    HostIo,
    IoCase,
    StepTime,
)
from spikeport.hw_profiles.support import CONSTRUCTS, STATUSES, Support
from spikeport.ir.diagnostics import Diagnostic, UsageError, did_you_mean
from spikeport.ir.routing import MAX_PROCESSORS
from spikeport.ir.units import KINDS, Quantity, parse_quantity

MAX_BYTES = 1 << 20
TOP = ("schema", "name", "title", "technology", "notes", "sources", "fabric", "core", "chip", "delay", "delay_places",
       "delay_blocks",
       "refractory", "weights", "state", "costs", "power", "apart", "step", "io", "support")  # fmt: skip


class Reader:
    """Takes values out of parsed TOML and keeps what is wrong with them."""

    def __init__(self, data: Mapping[str, Any], origin: str) -> None:
        self.data, self.origin = data, origin
        self.found: list[Diagnostic] = []
        self.sources = self.table(data, "sources", "")

    def wrong(self, key: str, message: str, hint: str = "", **facts: Any) -> None:
        """Keep a finding about *key*."""
        self.found.append(Diagnostic("E606", f"{self.origin}: {key}", message, hint, facts))

    def fail(self) -> None:
        """Raise UsageError E606 with all that was found, if anything was."""
        if self.found:
            raise UsageError(self.found)

    def known(self, table: Mapping[str, Any], allowed: Iterable[str], where: str) -> None:
        """Refuse keys other than *allowed*."""
        names = list(allowed)
        for key in table:
            if key not in names:
                self.wrong(f"{where}.{key}".lstrip("."), f"unknown key {key!r}{did_you_mean(key, names)}",
                           f"known here: {', '.join(names)}")  # fmt: skip

    def table(self, parent: Mapping[str, Any], key: str, where: str, *, needed: bool = True) -> Mapping[str, Any]:
        """Return the table *key* of *parent*; an empty one where it is missing or something else."""
        value = parent.get(key)
        if isinstance(value, Mapping):
            return value
        if value is not None or needed:
            self.wrong(f"{where}.{key}".lstrip("."), "expected a table" if value is not None else "missing table")
        return {}

    def text(self, parent: Mapping[str, Any], key: str, where: str = "", choices: tuple[str, ...] = ()) -> str:
        """Return the text *key* of *parent*."""
        value = parent.get(key)
        name = f"{where}.{key}".lstrip(".")
        if not isinstance(value, str) or not value.strip() or len(value) > 4000:
            self.wrong(name, f"expected a text, got {value!r:.60}")
            return choices[0] if choices else "?"
        if choices and value not in choices:
            self.wrong(name, f"{value!r} is none of {', '.join(choices)}{did_you_mean(value, choices)}")
            return choices[0]
        return value

    def quantity(self, value: Any, key: str, unit: str, *, whole: bool = False, above: float = 0.0) -> Quantity:
        """Return the number at *key* in SI *unit*; ``whole`` asks for an integer."""
        nothing = Quantity(None, unit, "estimated", "refused")
        if not isinstance(value, Mapping):
            self.wrong(key, f"{value!r:.60} has no unit, class and source",
                       'write { value = ..., unit = "...", class = "...", source = "..." }')  # fmt: skip
            return nothing
        if "unknown" in value:
            self.known(value, ("unknown", "unit"), key)
            return Quantity(None, unit, "estimated", self.text(value, "unknown", key))
        self.known(value, ("value", "unit", "class", "source"), key)
        missing = [k for k in ("value", "unit", "class", "source") if k not in value]
        if missing:
            self.wrong(key, f"a number without {' and '.join(missing)}", "every number has value, unit, class and source")
            return nothing
        number, kind = value["value"], self.text(value, "class", key, KINDS)
        source = self.sources.get(value["source"]) if isinstance(value["source"], str) else None
        if not isinstance(source, str):
            self.wrong(
                f"{key}.source",
                f"{value['source']!r:.60} is no key of [sources]{did_you_mean(str(value['source']), self.sources)}",
            )
            return nothing
        if isinstance(number, bool) or not isinstance(number, (int, float)) or not math.isfinite(number) or abs(number) > 1e18:
            self.wrong(f"{key}.value", f"expected a finite number, got {number!r:.60}")
            return nothing
        try:
            factor, base = parse_quantity(f"1 {self.text(value, 'unit', key)}")
        except ValueError as error:
            self.wrong(f"{key}.unit", str(error))
            return nothing
        if base != unit:
            self.wrong(f"{key}.unit", f"expected a number in {unit}, got {value['unit']!r}")
        result = number * factor
        if result < above or (whole and result != int(result)):
            self.wrong(
                f"{key}.value", f"expected {'a whole number' if whole else 'a number'} of at least {above:g}, got {number:g}"
            )
            return nothing
        return Quantity(int(result) if whole else float(result), unit, kind, source)  # type: ignore[arg-type]

    def count(self, parent: Mapping[str, Any], key: str, where: str, unit: str = "1", above: float = 1) -> Quantity:
        """Return the whole number *key* of *parent*, which must be known."""
        if key not in parent:
            self.wrong(f"{where}.{key}", "missing")
            return Quantity(None, unit, "estimated", "missing")
        found = self.quantity(parent[key], f"{where}.{key}", unit, whole=True, above=above)
        if found.value is None and found.source != "refused":
            self.wrong(f"{where}.{key}", "must be known: the mapper cannot do without it")
        return found

    def limits(self, key: str, resources: Mapping[str, tuple[str, str]]) -> dict[str, Quantity]:
        """Return the limits in the table *key*."""
        table = self.table(self.data, key, "", needed=key == "core")
        self.known(table, resources, key)
        return {
            n: self.quantity(v, f"{key}.{n}", resources[n][0], whole=True, above=1) for n, v in table.items() if n in resources
        }


def parse(text: bytes, origin: str) -> Mapping[str, Any]:
    """Return the TOML in *text*; raise UsageError E605 where there is none."""
    try:
        if len(text) > MAX_BYTES:
            raise ValueError(f"{len(text):,} bytes are more than {MAX_BYTES:,}")
        return tomllib.loads(text.decode())
    except (ValueError, RecursionError) as error:
        raise UsageError(
            Diagnostic("E605", origin, f"not a target's TOML file: {error}", "start from a copy of one that is shipped")
        ) from None


def read_fabric(r: Reader) -> Fabric:
    """Return the table ``[fabric]``."""
    t = r.table(r.data, "fabric", "")
    r.known(t, ("kind", "casting", "tiles_x", "tiles_y", "cores_per_tile", "cores_per_chip", "chips_per_board", "positions",
                "fewer_cores", "model", "tables", "dead_chips", "dead_cores", "dead_links"), "fabric")  # fmt: skip
    board = r.count(t, "chips_per_board", "fabric") if "chips_per_board" in t else None
    positions, fewer = (_places(r, t, key) for key in ("positions", "fewer_cores"))
    if board is not None and board.value is not None and len(positions) != board.value:
        r.wrong("fabric.positions", f"{len(positions)} places for the {board.value:g} chips of a board")
    kind, casting = r.text(t, "kind", "fabric", ("mesh",)), r.text(t, "casting", "fabric", ("unicast", "multicast"))
    tiles = (r.count(t, "tiles_x", "fabric"), r.count(t, "tiles_y", "fabric"))
    per_tile, per_chip = r.count(t, "cores_per_tile", "fabric"), r.count(t, "cores_per_chip", "fabric")
    room = (tiles[0].value or 0) * (tiles[1].value or 0) * (per_tile.value or 0)
    if per_chip.value is not None and room < per_chip.value:
        r.wrong("fabric.cores_per_chip", f"{per_chip.value:g} cores do not fit on tiles for {room:g}")
    tables = r.text(t, "tables", "fabric", ("none", "ternary")) if "tables" in t else "none"
    dead = Dead(
        _places(r, t, "dead_chips"), _numbers(r, t, "dead_cores", "[x, y, processor]"),
        _numbers(r, t, "dead_links", "[x, y, link]"),
    )  # fmt: skip
    fits = room == per_chip.value and 0 < int(per_chip.value or 0) < MAX_PROCESSORS
    if tables == "ternary" and not (fits and casting == "multicast"):
        r.wrong("fabric.tables", "tables are made for multicast chips of one tile with at most 17 cores beside the monitor")
    if dead and tables == "none":
        r.wrong("fabric.dead_chips", "only a fabric with routing tables can go around what is dead", 'say tables = "ternary"')
    return Fabric(kind, casting, tiles, per_tile, per_chip, board, positions, fewer, r.text(t, "model", "fabric"), tables, dead)  # type: ignore[arg-type]


def _places(r: Reader, t: Mapping[str, Any], key: str) -> tuple[tuple[int, int], ...]:
    value = t.get(key, [])
    good = isinstance(value, list) and len(value) <= 4096 and all(
        isinstance(p, list) and len(p) == 2 and all(type(c) is int and 0 <= c < 4096 for c in p) for p in value
    )  # fmt: skip
    if not good or len({tuple(p) for p in value}) != len(value):
        r.wrong(f"fabric.{key}", "expected a list of different [x, y] of small whole numbers")
        return ()
    return tuple((p[0], p[1]) for p in value)


def _numbers(r: Reader, t: Mapping[str, Any], key: str, form: str) -> tuple[tuple[int, int, int], ...]:
    value = t.get(key, [])
    good = isinstance(value, list) and len(value) <= 65536 and all(
        isinstance(p, list) and len(p) == 3 and all(type(c) is int and 0 <= c < 4096 for c in p) for p in value
    )  # fmt: skip
    if not good:
        r.wrong(f"fabric.{key}", f"expected a list of {form}, small whole numbers")
        return ()
    return tuple((p[0], p[1], p[2]) for p in value)


def read_encodings(r: Reader) -> tuple[Quantity, tuple[Quantity, ...], str, tuple[Encoding, ...]]:
    """Return the table ``[weights]``: bits of a weight, the widths there are, the memory of synapses, their encodings."""
    t = r.table(r.data, "weights", "")
    r.known(t, ("bits", "widths", "memory", "encoding"), "weights")
    widths = _widths(r, t)
    memory = r.text(t, "memory", "weights", ("synapse_memory", "local_memory", "sdram"))
    out = []
    entries = t.get("encoding")
    if not isinstance(entries, list) or not entries or not all(isinstance(e, Mapping) for e in entries):
        r.wrong("weights.encoding", "expected at least one [[weights.encoding]]")
        entries = []
    for number, e in enumerate(entries):
        where = f"weights.encoding[{number}]"
        r.known(e, ("name", "index_bits", "header_bits", "block", "word_bits", "row_bits", "delay_bits"), where)
        name = r.text(e, "name", where, ("dense", "sparse", "shared"))
        numbers = {k: r.count(e, k, where, above=k in ("block", "word_bits")) for k in
                   ("index_bits", "header_bits", "block", "word_bits", "row_bits")}  # fmt: skip
        delay = r.count(e, "delay_bits", where, above=0) if "delay_bits" in e else None
        out.append(Encoding(name, **numbers, delay_bits=delay))  # type: ignore[arg-type]
    if entries and not {e.name for e in out} & {"dense", "sparse"}:
        r.wrong("weights.encoding", "needs a dense or a sparse encoding: kernels alone cannot hold every connection")
    return r.count(t, "bits", "weights"), widths, memory, tuple(out)


def _widths(r: Reader, t: Mapping[str, Any]) -> tuple[Quantity, ...]:
    """Return the widths in which weights are stored, ascending; none where every width up to ``bits`` is."""
    given = t.get("widths", [])
    if not isinstance(given, list):
        r.wrong("weights.widths", "expected a list of numbers, each with unit, class and source")
        return ()
    out = [r.quantity(v, f"weights.widths[{i}]", "1", whole=True, above=1) for i, v in enumerate(given)]
    values = [q.value or 0 for q in out]
    if values != sorted(set(values)):
        r.wrong("weights.widths", "widths must ascend")
    return tuple(out)


def read_io(r: Reader) -> HostIo:
    """Return the table ``[io]``: values that enter and leave in a step, and steps that were measured."""
    t = r.table(r.data, "io", "", needed=False)
    r.known(t, ("values_in", "values_out", "measured"), "io")
    blank = {"unknown": "the target's file does not say", "unit": "1"}
    most = {k: r.quantity(t.get(k, blank), f"io.{k}", "1", whole=True, above=1) for k in ("values_in", "values_out")}
    cases, given = [], t.get("measured", [])
    if not isinstance(given, list):
        r.wrong("io.measured", "expected a list of { in = N, out = N, value = ..., ... }")
        given = []
    for number, case in enumerate(given):
        where = f"io.measured[{number}]"
        entering, leaving = (case.get(key) for key in ("in", "out")) if isinstance(case, Mapping) else (None, None)
        if not all(type(n) is int and 0 <= n <= 1 << 30 for n in (entering, leaving)):
            r.wrong(where, "expected { in = N, out = N, value = ..., unit = ..., class = ..., source = ... }")
            continue
        rest = {k: v for k, v in case.items() if k not in ("in", "out")}
        cases.append(IoCase(int(entering or 0), int(leaving or 0), r.quantity(rest, where, "s")))
    return HostIo(most["values_in"], most["values_out"], tuple(cases))


def read_costs(r: Reader) -> tuple[CostSet, ...]:
    """Return the cost sets, in the order of the file: the first gives the value, all of them the interval."""
    out = []
    table = r.table(r.data, "costs", "", needed=False)
    for name in table:
        t = r.table(table, name, "costs")
        r.known(t, ("energy", "time"), f"costs.{name}")
        parts = {}
        for part, unit in (("energy", "J"), ("time", "s")):
            events = r.table(t, part, f"costs.{name}", needed=False)
            where = f"costs.{name}.{part}"
            r.known(events, EVENTS, where)
            parts[part] = {e: r.quantity(v, f"{where}.{e}", unit) for e, v in events.items() if e in EVENTS}
        out.append(CostSet(name, parts["energy"], parts["time"]))
    return tuple(out)


def read_step(r: Reader, cost_sets: Iterable[str]) -> StepTime:
    """Return the table ``[step]``."""
    t = r.table(r.data, "step", "")
    r.known(t, ("fixed", "barrier", "cycles"), "step")
    barriers = {}
    table = r.table(t, "barrier", "step", needed=False)
    r.known(table, list(cost_sets), "step.barrier")
    for name, points in table.items():
        where, read = f"step.barrier.{name}", []
        if not isinstance(points, list) or not points:
            r.wrong(where, "expected a list of { tiles = N, value = ..., ... }")
            continue
        for number, point in enumerate(points):
            tiles = point.get("tiles") if isinstance(point, Mapping) else None
            if type(tiles) is not int or not 1 <= tiles <= 1 << 20:
                r.wrong(f"{where}[{number}].tiles", f"expected a number of tiles, got {tiles!r:.40}")
                continue
            rest = {k: v for k, v in point.items() if k != "tiles"}
            read.append((tiles, r.quantity(rest, f"{where}[{number}]", "s")))
        if [n for n, _ in read] != sorted({n for n, _ in read}):
            r.wrong(where, "tiles must ascend")
        barriers[name] = tuple(read)
    fixed = r.quantity(t["fixed"], "step.fixed", "s") if "fixed" in t else None
    return StepTime(fixed, barriers, _cycles(r, t, fixed) if "cycles" in t else None)


def _cycles(r: Reader, step: Mapping[str, Any], fixed: Quantity | None) -> Cycles:
    """Return the table ``[step.cycles]``, which speaks of a step that a timer sets."""
    if fixed is None:
        r.wrong("step.cycles", "there is no step.fixed that they would have to keep")
    where = "step.cycles"
    t = r.table(step, "cycles", "step")
    r.known(t, ("clock", "neuron", "synapse"), where)
    return Cycles(*(r.quantity(t.get(k), f"{where}.{k}", u) for k, u in (("clock", "Hz"), ("neuron", "1"), ("synapse", "1"))))


def read_support(r: Reader) -> dict[str, Support]:
    """Return the table ``[support]``: every construct has a line, none is left unspoken."""
    table = r.table(r.data, "support", "")
    r.known(table, CONSTRUCTS, "support")
    out = {}
    for name in CONSTRUCTS:
        t = r.table(table, name, "support")
        if not t:
            continue
        r.known(t, ("status", "how"), f"support.{name}")
        status = r.text(t, "status", f"support.{name}", STATUSES)
        how = r.text(t, "how", f"support.{name}") if "how" in t or status != "native" else ""
        out[name] = Support(status, how)  # type: ignore[arg-type]
    return out
