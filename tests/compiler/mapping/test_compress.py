"""Compression: the same ways for all that comes, never longer than one entry a population, shorter than PACMAN's."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikeport.compiler.mapping.compress import compress, shortened
from spikeport.ir.ops import Array
from spikeport.ir.routing import Tables

FULL = 0xFFFFFFFF

PACMAN = Path(__file__).parents[2] / "golden" / "pacman_tables.json"


def first_match(lines: Array, packet: int) -> int | None:
    return next((int(r) for k, m, r in lines.tolist() if packet & m == k), None)


@st.composite
def tables(draw):
    """Disjoint blocks of keys with few ways; some may be left to the default route."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n, ways, bits = draw(st.integers(1, 60)), draw(st.integers(1, 6)), draw(st.integers(0, 3))
    key = np.sort(rng.permutation(1 << 8)[:n]).astype(np.int64) << bits
    route = np.int64(1) << rng.integers(0, ways, n)
    optional = rng.random(n) < draw(st.sampled_from((0.0, 0.3, 0.9)))
    return key, np.full(n, FULL & ~((1 << bits) - 1)), route, optional, bits


@given(tables())
def test_every_packet_goes_its_way_or_the_default_way(table):
    key, mask, route, optional, bits = table
    lines = shortened(key, mask, route, optional)
    assert len(lines) <= (~optional).sum()
    for k, r, free in zip(key.tolist(), route.tolist(), optional.tolist(), strict=True):
        for packet in (k, k + (1 << bits) - 1):
            assert first_match(lines, packet) in ((r, None) if free else (r,))
    assert all(k & ~m == 0 for k, m, _ in lines.tolist())


@given(tables())
def test_no_fewer_than_the_ways_and_each_once_where_ways_lie_apart(table):
    key, mask, route, optional, _ = table
    lines = shortened(key, mask, route, optional)
    assert len(lines) >= len(set(route[~optional].tolist()))
    together = np.sort(route)  # each way has a range of keys of its own
    assert len(shortened(key, mask, together, np.zeros(len(key), bool))) <= 2 * len(set(together.tolist())) + 4


def test_the_order_of_lines_is_used():
    """Three of four keys go one way: a line for the fourth, then one for all."""
    lines = shortened(*(np.array(v, np.int64) for v in ([0, 1, 2, 3], [FULL] * 4, [8, 1, 8, 8])), np.zeros(4, bool))
    assert lines.tolist() == [[1, FULL, 1], [0, FULL - 3, 8]]


def test_what_goes_straight_on_needs_no_entry():
    key, mask, route = (np.array(v, np.int64) for v in ([0, 1, 2], [FULL] * 3, [1, 1, 2]))
    assert len(shortened(key, mask, route, np.ones(3, bool))) == 0
    assert shortened(key, mask, route, np.array([True, True, False])).tolist() == [[2, FULL, 2]]


def test_an_entry_that_must_stay_does_not_take_what_goes_straight_on_another_way():
    """Keys 0 and 3 go north; 1 and 2, between them, go straight on to the east: one line for 0 and 3 would take them."""
    key, mask, route = (np.array(v, np.int64) for v in ([0, 1, 2, 3], [FULL] * 4, [4, 1, 1, 4]))
    lines = shortened(key, mask, route, np.array([False, True, True, False]))
    assert len(lines) == 2
    assert all(first_match(lines, k) in ((4,) if k in (0, 3) else (1, None)) for k in range(4))


def test_all_chips_at_once_and_none():
    key, mask, route = (np.array(v, np.int64) for v in ([0, 1, 0], [FULL] * 3, [1, 1, 2]))
    short = compress(Tables(np.array([0, 2, 2, 3]), key, mask, route, np.zeros(3, bool)))
    assert short.sizes().tolist() == [1, 0, 1]
    empty = np.zeros(0, np.int64)
    assert compress(Tables(np.array([0, 0]), empty, empty, empty, np.zeros(0, bool))).sizes().tolist() == [0]


@pytest.mark.parametrize("n", [300, 1500])
def test_large_tables_of_many_ways_end(n):
    rng = np.random.default_rng(n)
    key = np.sort(rng.permutation(1 << 14)[:n]).astype(np.int64)
    route = np.int64(1) << rng.integers(0, 20, n)
    lines = shortened(key, np.full(n, FULL), route, np.zeros(n, bool))
    assert 20 <= len(lines) < n
    assert all(first_match(lines, k) == r for k, r in zip(key[::17].tolist(), route[::17].tolist(), strict=True))


@pytest.mark.parametrize("name", json.loads(PACMAN.read_text("utf-8")))
def test_no_chip_has_more_entries_than_pacman_makes_of_the_same_table(name):
    """Tables of random networks as PACMAN 7.4.1 made them, and the lengths to which its two compressors bring them."""
    found = json.loads(PACMAN.read_text("utf-8"))[name]
    total = {"ours": 0, "pair": 0, "covering": 0}
    for chip, rows in found["tables"].items():
        key, mask, route, optional = np.array(rows, np.int64).T.copy()
        lines = shortened(key, mask, route, optional != 0)
        for k, m, r, free in rows:
            assert first_match(lines, k) in ((r, None) if free else (r,))
            assert first_match(lines, k | FULL & ~m) in ((r, None) if free else (r,))
        assert len(lines) <= min(found["pair"].get(chip, 0), found["covering"].get(chip, 0))
        for side in ("pair", "covering"):
            total[side] += found[side].get(chip, 0)
        total["ours"] += len(lines)
    assert total["ours"] < 0.95 * min(total["pair"], total["covering"])
