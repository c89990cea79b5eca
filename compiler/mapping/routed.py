"""Place and route where there are routing tables: cores, keys, trees, tables, compression, and the replay that proves them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from spikeport.compiler.mapping.chains import Chain
from spikeport.compiler.mapping.compress import compress
from spikeport.compiler.mapping.keys import allocate
from spikeport.compiler.mapping.machine import MAX_BOARDS, SMALL, machine_for
from spikeport.compiler.mapping.replay import Replay, replay
from spikeport.compiler.mapping.routes import Wires, route
from spikeport.compiler.mapping.tables import entries
from spikeport.compiler.mapping.traffic import traffic
from spikeport.compiler.mapping.vertices import Vertex, Wiring, wiring
from spikeport.hw_profiles.target import Target
from spikeport.ir.diagnostics import CapacityError, Diagnostic, InternalError
from spikeport.ir.ops import Array
from spikeport.ir.program import Program, Slice
from spikeport.ir.routing import Machine, Routing, Sender, key_bits
from spikeport.ir.shapes import Shapes


def place_and_route(
    draft: Program, into: Mapping[str, tuple[Chain, ...]], shapes: Shapes, target: Target, chips: int | None
) -> Program:
    """Return *draft*, whose slices have no cores yet, with cores and routing.

    Parameters
    ----------
    draft : Program
        Slices in the order of placement.
    into : Mapping[str, tuple of Chain]
        Chains by population.
    shapes : Shapes
        Of its graph.
    target : Target
        With ``fabric.tables``.
    chips : int or None
        Chips that the machine should have; a larger one is taken where that has no room. None begins with a board.

    Raises
    ------
    CapacityError
        E410, E411, E413, E415; whether the tables fit is for ``Target.check`` to say (E412).
    InternalError
        E419 where the replay finds a packet that goes astray.
    """
    wired = wiring(draft, target, traffic(draft, into, shapes, target))
    machine, cores = _placed(wired, target, chips)
    return _routed(draft, wired, machine, cores)


def _placed(wired: Wiring, target: Target, chips: int | None) -> tuple[Machine, Array]:
    """Return the smallest machine of at least *chips* chips that has room, and the core of every vertex."""
    memory = target.limit("sdram")
    for vertex in wired.vertices:
        if memory is not None and vertex.sdram > memory:
            raise _no_room(vertex, target)
    board = max(1, len(target.fabric.positions))
    least = -(-len(wired.vertices) // target.fabric.stride)
    size = max(board if chips is None else chips, min(least, board * MAX_BOARDS))
    while True:
        machine = machine_for(target, size)
        cores = place(wired.vertices, machine, memory)
        if cores is not None:
            return machine, cores
        size = SMALL if machine.chips < SMALL else max(board, machine.chips + 1)


def place(vertices: Sequence[Vertex], machine: Machine, memory: int | None) -> Array | None:
    """Return the core of each vertex, chip after chip in a winding line over every board; None where there is no room.

    A chip is left when its cores or its shared memory are used up. Cores that would be left over on the last chip are
    left free where that keeps a population on fewer chips: its packets then need fewer entries.
    """
    close = _in_line(vertices, machine, memory, 0)
    if close is None:
        return None
    chips = np.unique(close // machine.stride)
    spare = sum(len(machine.processors(int(chip))) for chip in chips) - len(vertices)
    apart = _in_line(vertices, machine, memory, spare)
    return close if apart is None or len(np.unique(apart // machine.stride)) > len(chips) else apart


def _in_line(vertices: Sequence[Vertex], machine: Machine, memory: int | None, spare: int) -> Array | None:
    """Place *vertices* one behind the other, leaving up to *spare* cores free."""
    length: dict[int, int] = {}
    start = 0
    for number in range(1, len(vertices) + 1):
        if number == len(vertices) or vertices[number].path != vertices[start].path:
            length[start], start = number - start, number
    x, y = machine.xy[:, 0], machine.xy[:, 1]
    # Up one column of chips and down the next: what follows each other stays close.
    winding = np.lexsort((np.where(x % 2 == 0, y, -y), x, machine.board))
    cores = np.empty(len(vertices), np.int64)
    free, shared = iter(winding.tolist()), 0
    seats: list[int] = []
    chip = -1
    for number, vertex in enumerate(vertices):
        run = length.get(number, 0)
        if seats and run > len(seats) and len(seats) <= spare:
            full = machine.stride
            if -(-run // full) < 1 + -(-(run - len(seats)) // full):
                spare -= len(seats)
                seats = []
        while not seats or (memory is not None and shared + vertex.sdram > memory):
            chip = next(free, -1)
            if chip < 0:
                return None
            seats, shared = list(machine.processors(chip)), 0
        cores[number] = machine.number(chip, seats.pop(0))
        shared += vertex.sdram
    return cores


def _no_room(vertex: Vertex, target: Target) -> CapacityError:
    return CapacityError(
        Diagnostic("E415", vertex.path, f"no chip has room for a slice of {vertex.path} with {vertex.sdram:,} bytes of shared "
                   f"memory; a chip has {target.limit('sdram'):,}", "leave fewer cores and chips dead",
                   {"need": vertex.sdram, "limit": target.limit("sdram")})
    )  # fmt: skip


def _routed(draft: Program, wired: Wiring, machine: Machine, cores: Array) -> Program:
    vertices = wired.vertices
    group, width = _groups(vertices), np.array([key_bits(v.box, v.blocks) for v in vertices], np.int64)
    chip = cores // machine.stride
    wires = Wires.of(len(vertices), wired.source, cores[wired.target], machine)
    trees = route(machine, group, chip, wires)
    keys = allocate(group, width)
    senders = tuple(
        Sender(v.path, v.box, *machine.place(core), core, key, mask, v.slice, v.blocks, v.steps)
        for v, core, key, mask in zip(vertices, cores.tolist(), keys.key.tolist(), keys.mask.tolist(), strict=True)
    )
    tables = entries(machine, group, keys, trees)
    short = compress(tables)
    routing = Routing(machine, senders, trees, tables, short)
    proof = replay(machine, short, chip, wires, [s.keys() for s in senders])
    _believe(proof, routing)
    slices: list[Slice] = list(draft.slices)
    for v, core in zip(vertices, cores.tolist(), strict=True):
        if v.slice >= 0 and not v.blocks:
            slices[v.slice] = dataclasses.replace(slices[v.slice], core=core)
    notes = {**draft.notes, "replay": {"packets": proof.packets, "entries": [len(tables.key), len(short.key)]}}
    used = len({c // machine.stride for c in cores.tolist()})
    return dataclasses.replace(draft, slices=tuple(slices), chips=used, routing=routing, notes=notes)


def _groups(vertices: Sequence[Vertex]) -> Array:
    """Return a number for each population's senders, and another for its delay slices, in the order of appearance."""
    numbers: dict[tuple[str, int], int] = {}
    return np.array([numbers.setdefault((v.path, v.steps), len(numbers)) for v in vertices], np.int64)


def _believe(proof: Replay, routing: Routing) -> None:
    """Raise InternalError E419 where the replay found a packet that goes astray."""
    if not proof.ok:
        key = int(proof.wrong[0, 0])
        path = next((s.path for s in routing.senders if key & s.mask == s.key), "")
        raise InternalError(Diagnostic("E419", path, f"the routing tables are wrong: {proof}", "report this network"))
