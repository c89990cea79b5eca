"""Reports as a table of plain text, one column each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from spikeport.ir.units import Quantity, format_si, si_prefix
from spikeport.runtime.report_records import Amount, Io
from spikeport.runtime.report_value import ENERGY_LINES, Report

Row = tuple[str, ...]

#: How the class of a number is marked behind it.
MARKS = {"measured": "m", "published": "p", "modelled": "", "estimated": "e"}
_SHARE_WARNING = 0.9


def format_reports(reports: Sequence[Report]) -> str:
    """Return *reports* side by side: energy and time of a sample, spikes, resources, then notes.

    An ``e`` behind a number marks it as estimated, an ``m`` as measured; the others are modelled from published ones. What is
    unknown says so, with the reason among the notes.
    """
    if not reports:
        return "no reports"
    head = ("", *(_title(r) for r in reports))
    sections = [(title, rows) for title, rows in _sections(reports) if rows]
    every = [head, *(row for _, rows in sections for row in rows)]
    widths = [max(len(row[i]) for row in every) for i in range(len(head))]
    lines = [_line(head, widths), "-" * (sum(widths) + 2 * len(widths) - 2)]
    for title, rows in sections:
        lines += ["", *([title] if title else []), *(_line(row, widths) for row in rows)]
    return "\n".join([*(lines[:2] + lines[3:]), "", _notes(reports)])


def _line(row: Row, widths: list[int]) -> str:
    cells = "  ".join(f"{cell:>{w}s}" for cell, w in zip(row[1:], widths[1:], strict=True))
    return f"{row[0]:{widths[0]}s}  {cells}".rstrip()


def _title(report: Report) -> str:
    return report.target or "no target"


def _sections(reports: Sequence[Report]) -> Iterator[tuple[str, list[Row]]]:
    yield (
        "",
        [
            ("chips", *(_chips(r) for r in reports)),
            ("cores", *(_count(r.cores) for r in reports)),
            ("neurons", *(_count(r.neurons) for r in reports)),
            ("synapses", *(_count(r.synapses) for r in reports)),
            ("samples x steps", *(f"{r.samples:,} x {r.steps:,}" for r in reports)),
            ("backend", *(r.backend or ("stated rates" if r.kind == "stated_rates" else "unknown") for r in reports)),
            ("arithmetic", *(r.arithmetic for r in reports)),
        ],
    )
    names = [n for n in ENERGY_LINES if any(a.name == n for r in reports for a in r.energy)]
    energy = [(f"  {n}", *(_cell(next((a for a in r.energy if a.name == n), None)) for r in reports)) for n in names]
    sums = (("dynamic", "energy_dynamic"), ("known lines", "energy_known"), ("total", "energy_total"))
    energy += [(f"  {label}", *(_cell(getattr(r, f)) for r in reports)) for label, f in sums if names]
    yield "energy a sample (dynamic: neurocores and their network; total: all of the chip)", energy
    yield "dynamic energy and chip time of a sample, by cost set", list(_sets(reports))
    times = (("host time", "host_time"), ("model time", "model_time"), ("chip time", "chip_time"))
    yield (
        "time a sample",
        [
            *((f"  {label}", *(_cell(getattr(r, f)) for r in reports)) for label, f in times),
            *_parts(reports),
            ("  known energy x delay", *(_number(r.edp) for r in reports)),
            ("  bound of a step", *(r.bounded_by.partition(" on core ")[0] for r in reports)),
            ("    where", *(_where(r.bounded_by) for r in reports)),
        ],
    )
    yield "input and output, a mean step", list(_io(reports))
    yield "spikes a sample (rate of a neuron)", list(_layers(reports))
    yield "NeuroBench", list(_neurobench(reports))
    yield "used of limit, at the fullest place", list(_used(reports))


def _sets(reports: Sequence[Report]) -> Iterator[Row]:
    """Rows of each cost set, where a target has several: the ends of the intervals."""
    several = [r for r in reports if len(r.cost_sets) > 1]
    for name in dict.fromkeys(s.name for r in several for s in r.cost_sets):
        found = [next((s for s in r.cost_sets if s.name == name and r in several), None) for r in reports]
        for label, field, line in (("energy", "energy", "dynamic"), ("time", "time", "chip")):
            amounts = [next((a for a in getattr(s, field) if a.name == line), None) if s else None for s in found]
            yield f"  {name} {label}", *(_cell(a) for a in amounts)


def _parts(reports: Sequence[Report]) -> Iterator[Row]:
    """Rows of what the chip time is made of."""
    for name in dict.fromkeys(a.name for r in reports for a in r.time):
        yield f"    {name}", *(_cell(next((a for a in r.time if a.name == name), None)) for r in reports)


def _io(reports: Sequence[Report]) -> Iterator[Row]:
    if any(r.io for r in reports):
        yield "  events in (inputs)", *(_flow(r.io, "values_in", "inputs") for r in reports)
        yield "  values out (outputs)", *(_flow(r.io, "values_out", "outputs") for r in reports)
        answer = {True: "yes", False: "no", None: "unknown"}
        yield "  they set the step", *("-" if r.io is None else answer[r.io.sets_step] for r in reports)


def _flow(found: Io | None, flow: str, size: str) -> str:
    if found is None:
        return "-"
    value = getattr(found, flow)
    return f"{'unknown' if value is None else f'{value:,.1f}'} ({getattr(found, size):,})"


def _chips(report: Report) -> str:
    boards = f" ({report.boards} boards)" if report.boards and report.boards > 1 else ""
    return f"{_count(report.chips)}{boards}"


def _count(value: float | None) -> str:
    return "unknown" if value is None else f"{value:,.0f}"


def _cell(found: Amount | None) -> str:
    if found is None:
        return "-"
    return f"in {found.within}" if found.within else _number(found.per_sample)


def _number(q: Quantity) -> str:
    if q.value is None:
        return "unknown"
    mark = MARKS[q.kind]
    text = f"{format_si(q.value, q.unit)}{' ' + mark if mark else ''}"
    if q.low is not None and q.high is not None and q.low != q.high:
        # Both ends with the prefix of the value, whose unit then stands once.
        factor = si_prefix(q.value)[0]
        text += f" [{format_si(q.low / factor, '1')} .. {format_si(q.high / factor, '1')}]"
    return text


def _where(bounded_by: str) -> str:
    _, on, place = bounded_by.partition(" on core ")
    return f"core {place}" if on else "-"


def _layers(reports: Sequence[Report]) -> Iterator[Row]:
    paths = list(dict.fromkeys(layer.path for r in reports for layer in r.layers))
    for path in paths:
        cells = []
        for r in reports:
            layer = next((x for x in r.layers if x.path == path), None)
            if layer is None:
                cells.append("-")
            elif layer.spikes_per_sample is None:
                cells.append("no spikes" if layer.kind != "Input" else "unknown")
            else:
                cells.append(f"{layer.spikes_per_sample:,.1f} ({format_si(layer.rate_hz, 'Hz', 3)})")
        yield f"  {path}", *cells
    yield (
        "  synaptic operations",
        *(format_si(sum(x.synops_per_sample or 0.0 for x in r.layers), "1") if r.target else "-" for r in reports),
    )


def _neurobench(reports: Sequence[Report]) -> Iterator[Row]:
    for name in dict.fromkeys(name for r in reports for name in r.neurobench):
        values = [r.neurobench.get(name) for r in reports]
        if any(isinstance(v, dict) for v in values):
            yield f"  {name}", *("" for _ in values)
            for inner in dict.fromkeys(k for v in values if isinstance(v, dict) for k in v):
                yield f"    {inner}", *(_plain(v.get(inner) if isinstance(v, dict) else None) for v in values)
        else:
            yield f"  {name}", *(_plain(v) for v in values)


def _plain(value: object) -> str:
    if isinstance(value, (int, float)):
        return f"{value:,.0f}" if float(value).is_integer() and abs(value) >= 1 else f"{value:.4g}"
    return "unknown"


def _used(reports: Sequence[Report]) -> Iterator[Row]:
    for name in dict.fromkeys(u.resource for r in reports for u in r.usage):
        cells = []
        for r in reports:
            u = next((u for u in r.usage if u.resource == name), None)
            if u is None:
                cells.append("-")
                continue
            limit = "unknown" if u.limit is None else f"{u.limit:,}"
            full = f" {100 * u.used / u.limit:.0f} %" if u.limit else ""
            place = f", {u.layer}" if u.layer and u.limit and u.used > _SHARE_WARNING * u.limit else ""
            cells.append(f"{u.used:,} of {limit}{full}{place}")
        yield f"  {name}", *cells


def _notes(reports: Sequence[Report]) -> str:
    lines = [f"profile: {profile}" for profile in dict.fromkeys(r.profile for r in reports)]
    for r in reports:
        blank = [a for a in r.energy if a.total.value is None and not a.within]
        lines += [f"{_title(r)}: {a.name} energy unknown: {a.total.source}" for a in blank]
        if r.target and r.chip_time.total.value is None:
            lines.append(f"{_title(r)}: chip time unknown: {r.chip_time.total.source}")
        lines += [f"{_title(r)}: input and output: {r.io.why}"] if r.io and r.io.sets_step is not False else []
        lines += [f"{_title(r)}: {a.name} beside the sum: {_number(a.per_sample)} a sample" for a in r.apart]
        lines += [f"{_title(r)}: {note}" for note in r.notes]
    key = "e estimated, m measured, unmarked modelled; [low .. high] over cost sets, in the unit in front"
    return "\n".join([*dict.fromkeys(lines), key])
