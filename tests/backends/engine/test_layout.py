import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikeport.backends.engine.layout import (
    LINE,
    Packing,
    Pool,
    Room,
    aligned,
    blocks_of,
    packed,
    padded,
    permutation,
)  # fmt: skip
from spikeport.backends.engine.vec import LANES
from spikeport.ir.diagnostics import RunError

PACKINGS = st.builds(Packing, st.integers(1, 9), st.integers(1, 9))


@given(PACKINGS)
def test_channels_of_a_place_lie_side_by_side(packing):
    channel, at = np.divmod(packing.place, packing.positions)
    assert np.array_equal(packing.channel, channel)
    assert at.tolist() == sorted(at)
    assert sorted(packing.place) == list(range(packing.channels * packing.positions))


@given(PACKINGS)
def test_packed_keeps_every_value(packing):
    values = np.random.default_rng(0).normal(size=(packing.channels, packing.positions))
    assert np.array_equal(packed(values, packing), values.T.reshape(-1))
    assert np.array_equal(packed(values, None), values.reshape(-1))


@st.composite
def _two(draw):
    """Draw two orders of as many neurons."""
    n = draw(st.integers(1, 36))
    orders = [None, *(Packing(c, n // c) for c in range(1, n + 1) if n % c == 0)]
    return draw(st.sampled_from(orders)), draw(st.sampled_from(orders)), n


@given(_two())
def test_permutation_takes_one_order_to_the_other(drawn):
    source, target, n = drawn
    order = permutation(source, target, n)
    assert (order is None) is (source == target)
    if order is not None:
        assert np.array_equal(packed(np.arange(n), source)[order], packed(np.arange(n), target))


@given(st.integers(1, 3 * LANES))
def test_padded_fills_whole_blocks(n):
    found = padded(np.ones(n, np.float32), np.inf)
    assert found.size == blocks_of(n) * LANES
    assert found.size - n < LANES
    assert (found[:n] == 1).all()
    assert np.isinf(found[n:]).all()


@given(st.lists(st.integers(0, 200), max_size=6), st.sampled_from((np.float32, np.float64, np.int32)))
def test_a_pool_gives_back_all_of_it_at_cache_lines(sizes, dtype):
    pool, rng = Pool(dtype), np.random.default_rng(0)
    kept = [rng.integers(0, 1000, size).astype(dtype) for size in sizes]
    offsets = [pool.add(values) for values in kept]
    array = pool.array()
    for offset, values in zip(offsets, kept, strict=True):
        assert np.array_equal(array[offset : offset + values.size], values)
        assert (array.ctypes.data + offset * array.itemsize) % LINE == 0
        assert offset + values.size + LANES <= array.size  # a block behind the last value may be read


@given(st.lists(st.integers(0, 200), max_size=6), st.sampled_from((np.float32, np.float64, np.int64)))
def test_arrays_of_a_room_do_not_meet(sizes, dtype):
    room = Room(dtype)
    offsets = [room.take(size) for size in sizes]
    for offset, size, following in zip(offsets, sizes, [*offsets, room.size][1:], strict=True):
        assert offset + size <= following
    assert all(offset * np.dtype(dtype).itemsize % LINE == 0 for offset in offsets)


def test_aligned_begins_at_a_cache_line_with_zeros():
    for size in (1, 3, 1000):
        found = aligned(size, np.float64)
        assert found.size == size
        assert found.ctypes.data % LINE == 0
        assert not found.any()


def test_numbers_that_do_not_fit_the_pool_are_refused():
    with pytest.raises(RunError, match=r"E802: a connection has 2,147,483,648 weights or more"):
        Pool(np.int32).add(np.array([0, 2**31]))
