"""Keys, trees and tables by hand, and the length of ways around dead links."""

from __future__ import annotations

import numpy as np
import pytest

from spikeport.compiler.mapping.keys import FULL, allocate
from spikeport.compiler.mapping.machine import machine_for
from spikeport.compiler.mapping.routes import Wires, route
from spikeport.compiler.mapping.tables import entries
from spikeport.hw_profiles.records import Dead
from spikeport.hw_profiles.target import load_target
from spikeport.ir.diagnostics import CapacityError
from spikeport.ir.routing import Machine

SPINNAKER = load_target("spinnaker1")
BOARD = machine_for(SPINNAKER, 48)


def one_tree(machine: Machine, start: tuple[int, int], *ends: tuple[int, int]):
    """The tree of a sender at *start* to processor 1 of chips *ends*, as {(x, y): route}."""
    chip = np.array([machine.at(*start)])
    cores = np.array([machine.number(machine.at(*end), 1) for end in ends])
    trees = route(machine, np.zeros(1, np.int64), chip, Wires.of(1, np.zeros(len(ends), np.int64), cores, machine))
    return {tuple(machine.xy[c].tolist()): int(r) for c, r in zip(trees.chip, trees.route, strict=True)}


def test_a_straight_way():
    assert one_tree(BOARD, (0, 0), (3, 0)) == {(0, 0): 1, (1, 0): 1, (2, 0): 1, (3, 0): 1 << 7}


def test_the_longest_dimension_comes_first():
    """From (0, 0) to (1, 3): two steps north and one to the north-east."""
    assert one_tree(BOARD, (0, 0), (1, 3)) == {(0, 0): 4, (0, 1): 4, (0, 2): 2, (1, 3): 1 << 7}


def test_an_end_on_the_way_is_reached_by_the_same_packet():
    assert one_tree(BOARD, (0, 0), (3, 0), (1, 0)) == {(0, 0): 1, (1, 0): 1 | 1 << 7, (2, 0): 1, (3, 0): 1 << 7}


def test_a_torus_is_crossed_the_short_way():
    torus = machine_for(SPINNAKER, 144)
    assert one_tree(torus, (0, 0), (11, 0)) == {(0, 0): 1 << 3, (11, 0): 1 << 7}


@pytest.mark.parametrize("seed", range(20))
def test_around_dead_links_no_way_is_longer_than_the_shortest_from_the_tree(seed):
    """With one end the way is a shortest one over living links, by a breadth-first search of the test's own."""
    rng = np.random.default_rng(seed)
    dead = [(*BOARD.xy[c].tolist(), int(link)) for c, link in np.argwhere(BOARD.links >= 0) if rng.random() < 0.15]
    machine = machine_for(SPINNAKER.without(Dead(links=tuple(dead))), 48)
    alive = [c for c in range(48) if machine.processors(c)]
    start, end = (int(c) for c in rng.permutation(alive)[:2])
    far, front = {start: 0}, [start]
    while front:
        found = {int(e): far[c] + 1 for c in front for e in machine.links[c] if e >= 0 and int(e) not in far}
        far |= found
        front = list(found)
    a, b = (tuple(machine.xy[c].tolist()) for c in (start, end))
    assert len(one_tree(machine, a, b)) == far[end] + 1


def test_slices_of_a_population_on_two_chips_share_what_lies_behind():
    """Both chips send to (5, 1): behind the nearer one the packets of all go the same way, one entry does for them."""
    chip = np.array([BOARD.at(0, 0), BOARD.at(1, 0)])
    cores = np.array([BOARD.number(BOARD.at(4, 0), 1)] * 2)
    trees = route(BOARD, np.zeros(2, np.int64), chip, Wires.of(2, np.arange(2), cores, BOARD))
    keys = allocate(np.zeros(2, np.int64), np.array([8, 8]))
    tables = entries(BOARD, np.zeros(2, np.int64), keys, trees)
    far = tables.of(BOARD.at(3, 0))
    assert [(e.key, e.mask, e.route, e.defaultable) for e in far] == [(0, FULL - 511, 1, True)]
    near = tables.of(BOARD.at(1, 0))
    # It is the root of one and a straight way of the other: not to be left to the default.
    assert [(e.key, e.mask, e.route, e.defaultable) for e in near] == [(0, FULL - 511, 1, False)]


def test_keys_of_a_population_share_a_prefix_and_blocks_do_not_meet():
    group = np.array([0, 0, 0, 1, 2, 2])
    keys = allocate(group, np.array([8, 7, 8, 3, 0, 0]))
    assert keys.key.tolist() == [0, 256, 512, 1024, 1032, 1033]
    assert keys.mask.tolist() == [FULL - 255] * 3 + [FULL - 7] + [FULL] * 2
    assert keys.group_key.tolist() == [0, 1024, 1032]
    assert keys.group_mask.tolist() == [FULL - 1023, FULL - 7, FULL - 1]


def test_keys_that_fit_only_without_gaps_go_largest_first():
    keys = allocate(np.arange(3), np.array([30, 31, 30]))
    assert keys.key.tolist() == [1 << 31, 0, 3 << 30]


def test_too_many_keys():
    with pytest.raises(CapacityError, match="4,294,967,297 of the") as found:
        allocate(np.arange(2), np.array([32, 0]))
    assert found.value.diagnostics[0].code == "E413"
