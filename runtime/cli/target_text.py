"""A target as text and as plain data: limits, costs, and what it has, every number with class and source."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from spikeport.hw_profiles.support import CONSTRUCTS
from spikeport.hw_profiles.target import Target
from spikeport.ir.units import Quantity


def target_dict(value: Any) -> Any:
    """Return a target, or a part of one, as plain data."""
    if isinstance(value, Quantity):
        return value.as_dict()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: target_dict(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(k): target_dict(v) for k, v in value.items()}
    return [target_dict(v) for v in value] if isinstance(value, (list, tuple)) else value


def target_line(target: Target) -> str:
    """Return *target* in a line."""
    neurons, cores = target.core["neurons"], target.fabric.cores_per_chip
    return f"{target.name:14s} {target.title}: {cores} cores a chip, {neurons} neurons a core, {target.technology}"


def target_text(target: Target) -> str:
    """Return all that is known of *target*."""
    rows = [("", "", "", ""), *_numbers(target)]
    width = [max(len(row[i]) for row in rows) for i in range(3)]
    lines = [f"{target.name}: {target.title} ({target.technology})", ""]
    lines += [f"{a:{width[0]}s}  {b:>{width[1]}s}  {c:{width[2]}s}  {d}".rstrip() for a, b, c, d in rows[1:]]
    lines += ["", f"distances  {target.fabric.model}", "", "what it has:"]
    widest = max(map(len, CONSTRUCTS.values()))
    for name, meaning in CONSTRUCTS.items():
        support = target.support[name]
        status = "rewritten exactly" if support.status == "rewritten" else support.status
        lines.append(f"  {meaning:{widest}s}  {status}{': ' + support.how if support.how else ''}")
    return "\n".join([*lines, *(["", *target.notes] if target.notes else [])])


def _numbers(target: Target) -> Iterator[tuple[str, str, str, str]]:
    fabric = target.fabric
    yield _row("chip: cores", fabric.cores_per_chip)
    yield _row("chip: tiles in x", fabric.tiles[0])
    yield _row("chip: tiles in y", fabric.tiles[1])
    if fabric.chips_per_board is not None:
        yield _row("board: chips", fabric.chips_per_board)
    for group, table in (("core", target.core), ("chip", target.chip), ("power", target.power), ("apart", target.apart)):
        for name, number in table.items():
            yield _row(f"{group}: {name}", number)
    yield _row("longest delay, steps", target.max_delay)
    if target.delay_places is not None:
        yield _row("places of a ring buffer", target.delay_places)
    if target.delay_blocks is not None:
        yield _row("blocks of a delay slice", target.delay_blocks)
    if target.max_refractory is not None:
        yield _row("most refractory steps", target.max_refractory)
    yield _row("weight bits", target.weight_bits)
    for width in target.weight_widths:
        yield _row("weight bits in memory", width)
    for encoding in target.encodings:
        for field in dataclasses.fields(encoding):
            number = getattr(encoding, field.name)
            if isinstance(number, Quantity):
                yield _row(f"{encoding.name} weights: {field.name}", number)
    for costs in target.costs:
        for part, events in (("energy", costs.energy), ("time", costs.time)):
            for name, number in events.items():
                yield _row(f"{costs.name} {part}: {name}", number)
    if target.step.fixed is not None:
        yield _row("step, fixed", target.step.fixed)
    if target.step.cycles is not None:
        for field in dataclasses.fields(target.step.cycles):
            number = getattr(target.step.cycles, field.name)
            yield _row("clock of a core" if field.name == "clock" else f"cycles of a {field.name}", number)
    for name, points in target.step.barriers.items():
        for tiles, number in points:
            yield _row(f"{name} barrier over {tiles} tiles", number)
    yield _row("values that enter in a step", target.io.values_in)
    yield _row("values that leave in a step", target.io.values_out)
    for case in target.io.measured:
        yield _row(f"step with {case.values_in} inputs, {case.values_out} outputs", case.step)


def _row(name: str, number: Quantity) -> tuple[str, str, str, str]:
    return name, str(number), "" if number.value is None else number.kind, number.source
