"""The machine of a program as sPyNNaker's configuration says it: the kind of board, and what of it is dead."""

from __future__ import annotations

from collections.abc import Iterator

from spikeport.ir.diagnostics import Diagnostic, UsageError
from spikeport.ir.routing import LINKS, Machine, opposite

#: Chips of a SpiNN-3 board.
SMALL = 4
#: Processors of a chip that sPyNNaker's virtual boards have for programs; chips in `FEWER` have one less.
PROCESSORS = 17
FEWER = frozenset({(1, 1), (1, 3), (3, 1), (3, 3), (3, 5), (5, 2), (5, 4), (5, 6)})


def options_of(machine: Machine) -> tuple[str, ...]:
    """Return the configuration of a virtual *machine*, ``SECTION.OPTION=VALUE`` each.

    Raises
    ------
    UsageError
        E554 for dead chips, cores or links of several boards, which PACMAN would count otherwise, and for a dead chip 0,0.
    """
    found = {"down_chips": list(_chips(machine)), "down_cores": list(_cores(machine)), "down_links": list(_links(machine))}
    if machine.boards > 1 and any(found.values()):
        raise UsageError(
            Diagnostic(
                "E554", "--oracle", f"parts of a machine of {machine.boards} boards are dead; the oracle can be told of one "
                "board's only", "compile it without them, or for one board", {"boards": machine.boards},
            )
        )  # fmt: skip
    if _is_dead(machine, 0):
        raise UsageError(
            Diagnostic(
                "E554", "--oracle", "chip 0,0 is dead; sPyNNaker's virtual boards are reached by it",
                "leave it alive for the oracle",
            )
        )  # fmt: skip
    is_small = machine.chips == SMALL
    dead = tuple(f"Machine.{name}={':'.join(parts)}" for name, parts in found.items() if parts)
    return ("Machine.version=3", *dead) if is_small else dead


def _is_dead(machine: Machine, chip: int) -> bool:
    return not machine.cores[chip] and not any(end >= 0 for end in machine.links[chip])


def _chips(machine: Machine) -> Iterator[str]:
    for chip, (x, y) in enumerate(machine.xy):
        if _is_dead(machine, chip):
            yield f"{x},{y}"


def _cores(machine: Machine) -> Iterator[str]:
    for chip, (x, y) in enumerate(machine.xy):
        has = PROCESSORS - (machine.chips > SMALL and (int(x), int(y)) in FEWER)
        works = set(machine.processors(chip))
        if not _is_dead(machine, chip):
            yield from (f"{x},{y},{p}" for p in range(1, has + 1) if p not in works)


def _links(machine: Machine) -> Iterator[str]:
    for chip, (x, y) in enumerate(machine.xy):
        for link, (dx, dy) in enumerate(LINKS):
            wraps = machine.chips == SMALL
            end = machine.at((x + dx) % machine.width, (y + dy) % machine.height) if wraps else machine.at(x + dx, y + dy)
            dead = end is not None and machine.links[chip, link] < 0
            # Named once; links of dead chips are dead with them.
            if (
                dead
                and end is not None
                and link < opposite(link)
                and not _is_dead(machine, chip)
                and not _is_dead(machine, end)
            ):
                yield f"{x},{y},{link}"


__all__ = ["options_of"]
