"""Distances against elephant and PySpike, and against their definitions."""

import math
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikeport.runtime.hil import metrics

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # elephant and quantities import what is deprecated
    import elephant.spike_train_dissimilarity as dissimilarity
    import neo
    import pyspike
    import quantities as pq

STEPS = 40
seeds = st.integers(0, 2**32 - 1)


def raster(seed, rate=0.15, shape=(3,), samples=2, most=1):
    rng = np.random.default_rng(seed)
    return (rng.random((samples, STEPS, *shape)) < rate) * rng.integers(1, most + 1, (samples, STEPS, *shape))


def trains(a, b):
    """Each pair of trains as times."""
    for sample in range(a.shape[0]):
        for neuron in np.ndindex(a.shape[2:]):
            x, y = (r[(sample, slice(None), *neuron)] for r in (a, b))
            yield (sample, *neuron), *(np.repeat(np.arange(STEPS), t).astype(float) for t in (x, y))


def by_elephant(function, x, y, **arguments):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pair = [neo.SpikeTrain(t * pq.ms, t_start=0 * pq.ms, t_stop=STEPS * pq.ms) for t in (x, y)]
        return function(pair, sort=True, **arguments)[0, 1]


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("tau", [0.7, 5.0, 60.0])
def test_van_rossum_is_elephants(seed, tau):
    a, b = raster(seed, 0.05 * (seed % 4), most=1 + seed % 2), raster(seed + 100, most=1 + seed % 2)
    found = metrics.van_rossum(a, b, tau)
    for where, x, y in trains(a, b):
        expected = by_elephant(dissimilarity.van_rossum_distance, x, y, time_constant=tau * pq.ms)
        assert found[where] == pytest.approx(expected, abs=1e-7)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("cost", [0.0, 0.1, 0.6, 3.0])
def test_victor_purpura_is_elephants(seed, cost):
    a, b = raster(seed, 0.05 * (seed % 4), most=1 + seed % 2), raster(seed + 100, most=1 + seed % 2)
    found = metrics.victor_purpura(a, b, cost)
    for where, x, y in trains(a, b):
        expected = by_elephant(dissimilarity.victor_purpura_distance, x, y, cost_factor=cost / pq.ms)
        assert found[where] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("seed", range(20))
def test_synchrony_is_pyspikes(seed):
    a, b = raster(seed, 0.05 * (1 + seed % 4)), raster(seed + 100, 0.1)
    found = metrics.synchrony(a, b)
    for where, x, y in trains(a, b):
        pair = [pyspike.SpikeTrain(t, [0.0, STEPS]) for t in (x, y)]
        # Two trains without a spike are alike; PySpike says so too, by another branch of its code.
        assert found[where] == pytest.approx(pyspike.spike_sync(*pair), abs=1e-12), (x, y)


def test_a_spike_without_a_partner_costs_one():
    one, none = np.zeros((1, STEPS, 1), int), np.zeros((1, STEPS, 1), int)
    one[0, 7, 0] = 1
    for tau in (0.5, 10, math.inf):
        assert metrics.van_rossum(one, none, tau) == pytest.approx(1)
    assert metrics.victor_purpura(one, none, 1.0) == 1
    assert metrics.synchrony(one, none) == 0
    assert metrics.synchrony(none, none) == 1


@given(seeds, seeds, st.floats(0.01, 100), st.floats(0, 4))
def test_they_are_distances(first, second, tau, cost):
    a, b, c = raster(first, most=2), raster(second, most=2), raster(first ^ second, 0.1)
    for distance in (lambda x, y: metrics.van_rossum(x, y, tau), lambda x, y: metrics.victor_purpura(x, y, cost)):
        assert not distance(a, a).any()
        np.testing.assert_allclose(distance(a, b), distance(b, a), atol=1e-9)
        assert (distance(a, c) <= distance(a, b) + distance(b, c) + 1e-9).all()
    np.testing.assert_array_equal(metrics.victor_purpura(a, b, 0), np.abs(a.sum(1) - b.sum(1)))
    union = np.maximum(a, b).sum(1) - np.minimum(a, b).sum(1)
    np.testing.assert_array_equal(metrics.victor_purpura(a, b, 3), union)


@given(seeds, st.integers(-4, 4))
def test_a_shift_is_found(seed, steps):
    a = raster(seed, 0.3)
    a[:, :5] = a[:, -5:] = 0
    assert metrics.best_shift(a, np.roll(a, steps, axis=1), 4) == (steps, 0)


def test_a_shift_hides_nothing():
    a, b = np.zeros((1, STEPS, 1), int), np.zeros((1, STEPS, 1), int)
    a[0, 0], b[0, -1] = 1, 1
    assert metrics.best_shift(a, b, 3) == (0, 2)
    assert metrics.best_shift(a[:, :1], b[:, :1], 3) == (0, 1)  # a run of one step cannot be shifted


def test_tables_are_cut_where_memory_would_not_do(monkeypatch):
    a, b = raster(1, 0.3, (40,)), raster(2, 0.3, (40,))
    whole = metrics.victor_purpura(a, b, 0.4)
    monkeypatch.setattr(metrics, "_CELLS", 50)
    np.testing.assert_array_equal(metrics.victor_purpura(a, b, 0.4), whole)


def test_membranes():
    assert metrics.membrane_error(np.array([1.0, 2.0]), np.array([1.0, -1.0])) == (3.0, pytest.approx(math.sqrt(4.5)))
    assert metrics.membrane_error(np.zeros(0), np.zeros(0)) == (0.0, 0.0)


def test_wilson():
    # Newcombe 1998, doi:10.1002/(SICI)1097-0258(19980430)17:8<857::AID-SIM777>3.0.CO;2-E, table I, method 3.
    for same, samples, low, high in (
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ):
        assert metrics.wilson(same, samples) == (pytest.approx(low, abs=5e-5), pytest.approx(high, abs=5e-5))
    assert metrics.wilson(0, 0) == (0.0, 1.0)
