"""Random networks of the house in Brian2, every mode spike-exact to the float64 reference, states within 1e-12 relative."""

import functools

import pytest
from brian2_networks import WHOLE, assert_equal, draw, network_of

from spikeport.backends.brian2 import MODES
from spikeport.backends.brian2.backend import Brian2Executable
from spikeport.backends.brian2.layout import lay_out

pytest.importorskip("brian2")

NUMBER, PORTION = 300, 20
networks = functools.cache(lambda: draw(NUMBER))


def check(numbers, mode):
    for number in numbers:
        drawn = networks()[number]
        network = network_of(drawn)
        with Brian2Executable(network, mode) as executable:
            assert_equal(network, drawn[2], executable.run(drawn[2], WHOLE))


def test_they_are_300_of_many_forms():
    assert len(networks()) == NUMBER
    forms = {lay_out(network_of(drawn), WHOLE).form.digest() for drawn in networks()}
    assert len(forms) > 100


@pytest.mark.parametrize(("mode", "numbers"), [("numpy", range(0, NUMBER, 20)), ("cpp_standalone", range(160, 163))])
def test_a_sample(mode, numbers):
    check(numbers, mode)


@pytest.mark.slow
@pytest.mark.parametrize("begin", range(0, NUMBER, PORTION))
@pytest.mark.parametrize("mode", MODES)
def test_all(mode, begin):
    check(range(begin, begin + PORTION), mode)
