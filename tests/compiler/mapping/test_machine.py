"""The machine: boards and their links, what is dead, and what is cut off by it."""

from __future__ import annotations

import numpy as np
import pytest

from spikeport.compiler.mapping.machine import machine_for
from spikeport.hw_profiles.records import Dead
from spikeport.hw_profiles.target import load_target
from spikeport.ir.diagnostics import CapacityError
from spikeport.ir.routing import LINKS, opposite

SPINNAKER = load_target("spinnaker1")


@pytest.mark.parametrize(
    ("chips", "name", "links", "cores"),
    [(1, "1 chip", 0, 17), (2, "SpiNN-3 board", 24, 68), (4, "SpiNN-3 board", 24, 68), (5, "SpiNN-5 board", 240, 808),
     (49, "3 SpiNN-5 boards, 1 x 1 triads on a torus", 864, 2424),
     (145, "6 SpiNN-5 boards, 2 x 1 triads on a torus", 1728, 4848)],
)  # fmt: skip
def test_sizes(chips, name, links, cores):
    """On a torus every chip has six links; a board alone has 240 ends of links; eight of its chips have 16 cores."""
    machine = machine_for(SPINNAKER, chips)
    assert machine.name == name
    assert int((machine.links >= 0).sum()) == links
    assert sum(len(machine.processors(c)) for c in range(machine.chips)) == cores


@pytest.mark.parametrize("chips", [4, 48, 144, 800])
def test_links_lead_to_neighbours_and_back(chips):
    machine = machine_for(SPINNAKER, chips)
    assert len({tuple(p) for p in machine.xy.tolist()}) == machine.chips
    for chip, link in np.argwhere(machine.links >= 0).tolist():
        end = int(machine.links[chip, link])
        step = (machine.xy[end] - machine.xy[chip] - LINKS[link]) % (machine.width, machine.height)
        assert step.tolist() == [0, 0]
        assert machine.links[end, opposite(link)] == chip


def test_boards_without_a_torus_end_at_their_edges():
    machine = machine_for(SPINNAKER, 144, wrap=False)
    assert (machine.width, machine.height, machine.boards) == (16, 16, 3)
    assert (machine.links >= 0).sum() < 864
    assert machine.at(15, 11) is not None
    assert machine.at(0, 15) is None


def test_cores_are_numbered_by_chip_and_processor():
    machine = machine_for(SPINNAKER, 48)
    assert machine.place(machine.number(5, 17)) == (5, 17)
    assert machine.number(0, 1) == 0
    assert machine.processors(machine.at(1, 1)) == tuple(range(1, 17))


def test_what_is_cut_off_is_not_used():
    """Chip (0, 0) has three links on a board; all dead, its cores are out of reach."""
    machine = machine_for(SPINNAKER.without(Dead(links=((0, 0, 0), (0, 0, 1), (0, 0, 2)))), 48)
    assert machine.processors(machine.at(0, 0)) == ()
    assert sum(len(machine.processors(c)) for c in range(48)) == 808 - 17


def test_nothing_left_is_an_error():
    dead = Dead(cores=tuple((0, 0, p) for p in range(1, 18)))
    with pytest.raises(CapacityError, match="no chip of 1 chip works") as found:
        machine_for(SPINNAKER.without(dead), 1)
    assert found.value.diagnostics[0].code == "E410"


def test_dead_parts_add_up_and_change_the_digest():
    one, two = Dead(chips=((1, 1),)), Dead(links=((0, 0, 1),))
    both = SPINNAKER.without(one).without(two)
    assert both.fabric.dead == Dead(((1, 1),), (), ((0, 0, 1),))
    assert both.digest != SPINNAKER.without(one).digest != SPINNAKER.digest
