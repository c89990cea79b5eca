"""The machine: chips on a grid, six links each, boards in triads on a torus, and what of it is dead."""

from __future__ import annotations

import math
from collections import deque

import numpy as np

from spikeport.hw_profiles.target import Target
from spikeport.ir.diagnostics import CapacityError, Diagnostic
from spikeport.ir.ops import Array
from spikeport.ir.routing import LINKS, MAX_PROCESSORS, Machine, opposite

#: Origins of the three boards of a triad, on a grid of 12 by 12 chips; they fill it where it wraps around.
TRIAD: tuple[tuple[int, int], ...] = ((0, 0), (4, 8), (8, 4))
#: Extent of a triad in chips.
TRIAD_SIDE = 12
#: Most boards of a machine: more than the million-core machine has, 1200.
MAX_BOARDS = 2400
#: Chips of the small board (SpiNN-3), 2 by 2, whose links wrap around.
SMALL = 4


def machine_for(target: Target, chips: int, *, wrap: bool = True) -> Machine:
    """Return the smallest machine of *target* with room for *chips* chips, without what is dead.

    One chip; up to 4 chips SpiNN-3; up to a board SpiNN-5; more are boards in triads, on a torus.

    Parameters
    ----------
    target : Target
        Gives places of a board's chips, cores and what is dead.
    chips : int
        At least 1.
    wrap : bool
        Whether triads form a torus; without, the outermost links of the boards lead nowhere.

    Raises
    ------
    CapacityError
        E410 where nothing of it works, or the machine would be larger than any; E411 for something dead that is not there.
    """
    fabric = target.fabric
    places = fabric.positions
    if not places or chips == 1:
        side = math.ceil(math.sqrt(chips))
        return _build(target, f"{chips} chip{'s' * (chips > 1)}", [(i % side, i // side) for i in range(chips)], None)
    if chips <= SMALL:
        return _build(target, "SpiNN-3 board", [(x, y) for x in range(2) for y in range(2)], (2, 2))
    boards = math.ceil(chips / len(places))
    if boards == 1:
        return _build(target, "SpiNN-5 board", list(places), None)
    triads = math.ceil(boards / 3)
    if boards > MAX_BOARDS:
        raise CapacityError(
            Diagnostic("E410", "", f"{chips:,} chips are {boards:,} boards; the largest machine that we map on has "
                       f"{MAX_BOARDS:,}", "make the network smaller", {"need": boards, "limit": MAX_BOARDS})
        )  # fmt: skip
    wide = math.ceil(math.sqrt(triads))
    high = math.ceil(triads / wide)
    size = (wide * TRIAD_SIDE, high * TRIAD_SIDE)
    grid = []
    for tx in range(wide):
        for ty in range(high):
            for bx, by in TRIAD:
                x0, y0 = tx * TRIAD_SIDE + bx, ty * TRIAD_SIDE + by
                grid += [((x0 + x) % size[0], (y0 + y) % size[1]) if wrap else (x0 + x, y0 + y) for x, y in places]
    name = f"{3 * wide * high} SpiNN-5 boards, {wide} x {high} triads{' on a torus' if wrap else ''}"
    return _build(target, name, grid, size if wrap else None)


def _build(target: Target, name: str, grid: list[tuple[int, int]], torus: tuple[int, int] | None) -> Machine:
    fabric = target.fabric
    at = {place: number for number, place in enumerate(grid)}
    width, height = torus or (max(x for x, _ in grid) + 1, max(y for _, y in grid) + 1)
    cores = np.array([_all_cores(fabric.cores_of(chip)) for chip in range(len(grid))], np.int64)
    links = np.full((len(grid), len(LINKS)), -1, np.int64)
    for (x, y), number in at.items():
        for link, (dx, dy) in enumerate(LINKS):
            end = ((x + dx) % width, (y + dy) % height) if torus else (x + dx, y + dy)
            links[number, link] = at.get(end, -1)
    per_board = len(fabric.positions) if len(grid) > SMALL and fabric.positions else len(grid)
    board = np.arange(len(grid), dtype=np.int64) // per_board
    _take_out(target, at, cores, links)
    alive = _joined(cores, links)
    if not alive.any():
        raise CapacityError(
            Diagnostic("E410", "", f"no chip of {name} works: all of them, or all of their cores, are dead",
                       "leave out some of what --dead-chips, --dead-cores and the target's file take away")
        )  # fmt: skip
    cores[~alive], links[~alive] = 0, -1
    # Shared arrays of a frozen value.
    xy = np.array(grid, np.int64)
    for array in (xy, cores, links, board):
        array.flags.writeable = False
    return Machine(name, width, height, xy, cores, links, board, fabric.stride)


def _all_cores(number: int) -> int:
    """Return the bits of processors 1 to *number*: processor 0 is the monitor."""
    return ((1 << min(number, MAX_PROCESSORS - 1)) - 1) << 1


def _take_out(target: Target, at: dict[tuple[int, int], int], cores: Array, links: Array) -> None:
    """Take what is dead out of *cores* and *links*; a link that is dead one way is not used the other way either."""
    dead, missing = target.fabric.dead, []
    for x, y in dead.chips:
        if (chip := at.get((x, y))) is None:
            missing.append(f"chip {x},{y}")
            continue
        cores[chip] = 0
        for link in range(len(LINKS)):
            _cut(links, chip, link)
    for x, y, p in dead.cores:
        if (chip := at.get((x, y))) is None or not 0 <= p < MAX_PROCESSORS:
            missing.append(f"core {x},{y},{p}")
        else:
            cores[chip] &= ~(1 << p)
    for x, y, link in dead.links:
        if (chip := at.get((x, y))) is None or not 0 <= link < len(LINKS):
            missing.append(f"link {x},{y},{link}")
        else:
            _cut(links, chip, link)
    if missing:
        raise CapacityError(
            Diagnostic("E411", "", f"dead, but not on the machine of {len(at)} chips: {', '.join(missing[:5])}",
                       "chips are x,y, cores x,y,p with p 1 to 17, links x,y,l with l 0 (east) to 5 (south); larger "
                       "machines have more chips: --chips", {"missing": missing[:100]})
        )  # fmt: skip


def _cut(links: Array, chip: int, link: int) -> None:
    end = links[chip, link]
    links[chip, link] = -1
    if end >= 0:
        links[end, opposite(link)] = -1


def _joined(cores: Array, links: Array) -> Array:
    """Return which chips belong to the largest part of the machine that hangs together, by its working cores."""
    part = np.full(len(cores), -1)
    for first in range(len(cores)):
        if part[first] >= 0:
            continue
        queue = deque([first])
        part[first] = first
        while queue:
            for end in links[queue.popleft()]:
                if end >= 0 and part[end] < 0:
                    part[end] = first
                    queue.append(int(end))
    room = {int(f): sum(int(c).bit_count() for c in cores[part == f]) for f in np.unique(part)}
    best = max(room, key=lambda f: (room[f], -f))
    return np.asarray((part == best) & (room[best] > 0))
