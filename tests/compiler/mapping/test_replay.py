"""The replay against the obvious walk, and against errors planted in good tables."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from mapped import PROFILE, dense
from routed import mapped_at_random, routing_of, slow_walk, wanted

from spikeport.compiler.mapping import map_graph
from spikeport.compiler.mapping.replay import VERDICTS, Replay, replay
from spikeport.compiler.mapping.routes import Wires
from spikeport.hw_profiles.target import load_target
from spikeport.ir.program import Program
from spikeport.ir.routing import Tables

SPINNAKER = load_target("spinnaker1")
PROGRAM = mapped_at_random(4, 48, SPINNAKER)


def run(program: Program, tables: Tables) -> Replay:
    """Replay *program* through *tables*, its destinations from the synapses."""
    routing = routing_of(program)
    pairs = [(i, core) for i, cores in enumerate(wanted(program)) for core in sorted(cores)]
    source, core = (np.array(column, np.int64) for column in zip(*pairs, strict=True))
    wires = Wires.of(len(routing.senders), source, core, routing.machine)
    chip = np.array([s.chip for s in routing.senders], np.int64)
    return replay(routing.machine, tables, chip, wires, [s.keys() for s in routing.senders])


def changed(tables: Tables, row: int, **values: int) -> Tables:
    """*tables* with another key, mask or route in one row."""
    parts = {name: getattr(tables, name).copy() for name in values}
    for name, value in values.items():
        parts[name][row] = value
    return dataclasses.replace(tables, **parts)


def without(tables: Tables, row: int) -> Tables:
    """*tables* without a row."""
    start = tables.start - (tables.start > row)
    columns = {n: np.delete(getattr(tables, n), row) for n in ("key", "mask", "route", "defaultable")}
    return Tables(start=start, **columns)


def faults_by_hand(program: Program, tables: Tables) -> set[int]:
    """Senders of which a packet goes wrong, by the slow walk over every key."""
    routing, wrong = routing_of(program), set()
    for index, (sender, cores) in enumerate(zip(routing.senders, wanted(program), strict=True)):
        for key in sender.keys().tolist() if cores else []:
            try:
                places = slow_walk(routing.machine, tables, sender.chip, key)
            except ValueError:
                wrong.add(index)
            else:
                lives = all(p in routing.machine.processors(c) for c, p in places)
                if not lives or sorted(routing.machine.number(*p) for p in places) != sorted(cores):
                    wrong.add(index)
    return wrong


def found_by(result: Replay, program: Program) -> set[int]:
    """Senders of the keys that *result* names."""
    senders = routing_of(program).senders
    return {i for key, _ in result.wrong.tolist() for i, s in enumerate(senders) if key & s.mask == s.key}


def test_good_tables_pass_and_their_packets_visit_the_trees():
    routing = routing_of(PROGRAM)
    for tables in (routing.tables, routing.compressed):
        result = run(PROGRAM, tables)
        assert result.ok
        assert str(result) == f"{result.packets:,} keys right"
        assert np.array_equal(result.visits, routing.trees.visits())
    assert not faults_by_hand(PROGRAM, routing.compressed)


@pytest.mark.parametrize("seed", range(40))
def test_planted_errors_are_found_where_the_slow_walk_finds_them(seed):
    """An entry removed, a link swapped, a mask widened or narrowed, a key moved, two entries exchanged."""
    rng, routing = np.random.default_rng(seed), routing_of(PROGRAM)
    tables = routing.compressed
    row = int(rng.integers(len(tables.key)))
    kind = seed % 6
    if kind == 0:
        bad = without(tables, row)
    elif kind == 1:
        bad = changed(tables, row, route=int(tables.route[row]) ^ 1 << int(rng.integers(6)))
    elif kind == 2:
        mask = int(tables.mask[row]) & ~(1 << int(rng.integers(16)))
        bad = changed(tables, row, mask=mask, key=int(tables.key[row]) & mask)
    elif kind == 3:
        bad = changed(tables, row, mask=int(tables.mask[row]) | 1)
    elif kind == 4:
        bad = changed(tables, row, route=int(tables.route[row]) ^ 1 << 6 + int(rng.integers(1, 18)))
    else:
        chip = int(np.searchsorted(tables.start, row, side="right")) - 1
        other = int(rng.integers(tables.start[chip], tables.start[chip + 1]))
        bad = changed(changed(tables, row, route=int(tables.route[other])), other, route=int(tables.route[row]))
    assert found_by(run(PROGRAM, bad), PROGRAM) == faults_by_hand(PROGRAM, bad)


def test_each_kind_of_error_has_its_verdict():
    """A layer on two chips: from (0, 0) east to (1, 0), which is not the way back by chance."""
    program = map_graph(dense(4, 256 * 20, 256 * 20), PROFILE, SPINNAKER)
    routing = routing_of(program)
    tables = routing.compressed
    chip = routing.senders[0].chip
    row = int(tables.start[chip])
    said = {}
    for name, bad in {
        "gone": without(tables, row),
        "into nothing": changed(tables, row, route=int(tables.route[row]) | 1 << 3),
        "dead core": changed(tables, row, route=int(tables.route[row]) | 1 << 6),
    }.items():
        result = run(program, bad)
        assert not result.ok
        assert "senders wrong, the first with key 0x0" in str(result)
        said[name] = {VERDICTS[v] for v in result.wrong[:, 1].tolist()}
    assert any(v in said["gone"] for v in (VERDICTS[5], VERDICTS[1], VERDICTS[2]))
    assert VERDICTS[4] in said["into nothing"]
    assert VERDICTS[6] in said["dead core"]


def test_a_loop_is_found():
    """Three chips that send a packet around in a triangle: east, north, south-west."""
    routing = routing_of(PROGRAM)
    machine = routing.machine
    chip = np.array([s.chip for s in routing.senders], np.int64)
    sender = 0
    route = {0: 1 << 0, 1: 1 << 2, 2: 1 << 4}
    at = int(chip[sender])
    start, key, mask, way = [0], [], [], []
    ring = [at, int(machine.links[at, 0]), int(machine.links[machine.links[at, 0], 2])]
    if min(ring) < 0 or machine.links[ring[2], 4] != at:
        raise AssertionError("the triangle is dead on this machine: take another seed")
    for c in range(machine.chips):
        if c in ring:
            key.append(0)
            mask.append(0)
            way.append(route[ring.index(c)])
        start.append(len(key))
    columns = [np.array(v, np.int64) for v in (start, key, mask, way)]
    result = run(PROGRAM, Tables(*columns, np.zeros(len(key), bool)))
    first = {int(k): v for k, v in result.wrong.tolist()}
    assert VERDICTS[first[routing.senders[sender].key]] == "on a chip twice"


def test_entries_that_tell_the_neurons_of_a_slice_apart_are_walked_key_by_key():
    """An entry for the odd neurons of a slice alone, with the same way, is right; with another way it is wrong."""
    program = map_graph(dense(4, 100, 3), PROFILE, SPINNAKER)
    routing = routing_of(program)
    tables, sender = routing.compressed, next(s for s in routing.senders if s.path == "lif0")
    way = next(e.route for e in tables.of(sender.chip) if sender.key & e.mask == e.key)
    split = Tables(
        np.r_[0, tables.start[1:] + 1], np.r_[sender.key | 1, tables.key], np.r_[sender.mask | 1, tables.mask],
        np.r_[way, tables.route], np.r_[False, tables.defaultable],
    )  # fmt: skip
    assert run(program, split).ok
    result = run(program, changed(split, 0, route=way ^ 1 << 6 + 5))
    assert result.wrong.tolist() == [[sender.key | 1, 2]]
