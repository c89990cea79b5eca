"""Units of neurons: one gain a channel, the same dynamics, and 1 wherever none is needed or to be had."""

import numpy as np
import pytest

from spikeport.compiler.integer.neurons import Dynamics
from spikeport.compiler.integer.unit import in_unit, unit_of


def population(gain, threshold=1.0):
    gain = np.asarray(gain, float)
    full = np.ones(gain.shape)
    threshold = None if threshold is None else threshold * full
    return Dynamics(gain.shape, None, 0.5 * full, gain, 0.25 * full, threshold, True, 0.125 * full, 0 * full, None, 0, None)


def test_a_channel_gets_the_gain_of_its_first_neuron_to_the_last_bit():
    dyn = population([[0.1, 0.3, 0.7], [-2.0, -0.3, -1.1]])
    unit = unit_of(dyn)
    assert np.allclose(unit, [[1, 3, 7], [1, 0.15, 0.55]])
    done = in_unit(dyn, unit)
    assert done.gain.tolist() == [[0.1] * 3, [-2.0] * 3]
    for name in ("constant", "threshold", "v_init", "i_init"):
        assert np.array_equal(getattr(done, name), getattr(dyn, name) / unit)
    assert np.array_equal(done.beta, dyn.beta)


@pytest.mark.parametrize(
    "dyn",
    [
        population([1.0, 2.0, 3.0]),  # a flat layer
        population([[1.0, 1.0], [2.0, 2.0]]),
        population([[1.0, 2.0]], threshold=None),  # an integrator
        population([[1.0, 0.0]]),
        population([[1.0, -1.0]]),
    ],
)
def test_others_keep_theirs(dyn):
    unit = unit_of(dyn)
    assert np.all(unit == 1)
    assert in_unit(dyn, unit) is dyn


def test_the_membrane_is_the_same_in_any_unit():
    rng = np.random.default_rng(0)
    dyn = population(rng.uniform(0.1, 3, (2, 5)))
    unit = unit_of(dyn)
    other = in_unit(dyn, unit)
    v, w = dyn.v_init, other.v_init
    for _ in range(20):
        x = rng.normal(1, 1, dyn.shape)
        v, w = (d.beta * m + d.gain * x + d.constant for d, m in ((dyn, v), (other, w)))
        assert np.allclose(w * unit, v, rtol=1e-12)
        v, w = (np.where(m >= d.threshold, 0, m) for d, m in ((dyn, v), (other, w)))
