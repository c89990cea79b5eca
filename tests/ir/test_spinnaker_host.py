"""From time constants to registers: against the exact exponential, and back."""

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikeport.ir.spinnaker_host import FULL, LEAST, ONE, SERIES, exponential, membrane, ratio, synapse, tau_m_of, tau_syn_of

TAUS = st.integers(200, 2**30)


def test_known_values():
    # e^-1, e^-2 and e^-13 in u0.32, rounded: the table of stdfix-exp.c.
    assert [exponential(-ONE * z) for z in (0, 1, 2, 10)] == [FULL, 1580030169, 581260615, 194991]
    assert exponential(LEAST - 1) == 0
    assert membrane(20 * ONE, ONE) == 31170
    assert synapse(5 * ONE, ONE)[0] == exponential(-ratio(ONE, 5 * ONE))


@given(st.integers(LEAST, 0))
def test_the_exponential_is_off_by_the_polynomial_s_error_at_most(n):
    exact = math.exp(Fraction(n, ONE)) * FULL
    assert abs(exact - exponential(n)) <= SERIES[0] + 1


@given(st.integers(LEAST, -1))
def test_it_falls(n):
    assert exponential(n) >> 17 <= exponential(n + 1) >> 17


@given(TAUS, st.sampled_from([ONE, 3277, 5 * ONE]))
def test_every_membrane_that_there_is_has_its_time_constant_back(tau, step):
    made = membrane(tau, step)
    if made < ONE:
        assert membrane(tau_m_of(made, step), step) == made


@given(st.integers(200, 500 * ONE))
def test_every_synapse_that_there_is_has_its_time_constant_back(tau):
    made = synapse(tau, ONE)
    assert synapse(tau_syn_of(*made, ONE), ONE) == made


@pytest.mark.parametrize("exp_tc", [32767, ONE])
def test_a_membrane_that_no_time_constant_gives(exp_tc):
    assert tau_m_of(exp_tc, ONE) is None
