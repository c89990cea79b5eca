"""Number systems: int8 weights by py-spinnaker2's rule, and a name that is not there."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from spikeport.ir.arithmetic import ARITHMETICS, arithmetic, int8_scale, int8_weights
from spikeport.ir.diagnostics import UsageError

WEIGHTS = arrays(
    np.float64, st.tuples(st.integers(1, 4), st.integers(1, 4)), elements=st.floats(-1e3, 1e3, allow_subnormal=False)
)


@given(WEIGHTS, WEIGHTS)
def test_one_scale_for_all_weights_into_a_population(one, other):
    scale = int8_scale([one, other])
    largest = max(np.abs(one).max(), np.abs(other).max())
    for weight in (one, other):
        found = int8_weights(weight, scale)
        assert np.array_equal(found, np.trunc(found))
        assert np.abs(found).max() <= 127
        assert np.all(np.abs(found) <= np.abs(weight * scale))  # truncated towards 0, never rounded up
        assert np.all(np.abs(weight * scale - found) < 1)
    if largest:
        assert np.isclose(scale * largest, 127)


def test_weights_too_small_for_a_scale_in_single_precision_keep_their_proportions():
    weight = np.array([1e-40, -1e-40, 0], np.float32)
    assert int8_weights(weight, int8_scale([weight])).tolist() == [127, -127, 0]


def test_truncation_not_rounding():
    weight = np.array([1.0, -1.0, 0.9999, -0.0079, 0.0078])
    assert int8_weights(weight, int8_scale([weight])).tolist() == [127, -127, 126, -1, 0]


def test_weights_of_zeros_have_a_scale():
    assert int8_scale([np.zeros((2, 2)), np.zeros((0, 3))]) == 1
    assert int8_scale([]) == 1


def test_names():
    assert set(ARITHMETICS) == {"float64", "float32", "loihi", "spinnaker1", "spinnaker2"}
    assert arithmetic(ARITHMETICS["float32"]) is ARITHMETICS["float32"]
    with pytest.raises(UsageError, match=r"E603: unknown arithmetic 'flaot32' \(did you mean 'float32'\?\)"):
        arithmetic("flaot32")
