"""Samples in copies of the populations: dealt out and collected as if one had run after the other."""

import numpy as np
import pytest

from spikeport.backends.brian2 import Brian2Backend
from spikeport.backends.brian2.copies import collect, deal, how_many, rounds
from spikeport.backends.brian2.results import Course, Heard
from spikeport.backends.testing import cases
from spikeport.ir.network import build_network
from spikeport.ir.trace import Recording


@pytest.mark.parametrize(("samples", "copies"), [(5, 2), (4, 4), (3, 8), (7, 1)])
def test_what_is_dealt_out_is_collected(samples, copies):
    course, n = Course(samples, 6, 0, True), 3
    x = np.random.default_rng(0).integers(0, 3, (course.total, n)).astype(float)
    dealt = deal({"x": x}, course, copies)["x"]
    assert dealt.shape == (rounds(course, copies).total, copies * n)
    steps, neurons = np.nonzero(dealt)
    found = collect(Heard({"g": (steps, neurons, dealt[steps, neurons])}, {"g": dealt}, {"g": copies * n}), course, copies)
    again = np.zeros_like(x)
    again[found.events["g"][0], found.events["g"][1]] = found.events["g"][2]
    assert np.array_equal(again, x)
    assert np.array_equal(found.states["g"], x)


def test_compiled_modes_and_carried_state_have_none():
    (case,) = [c for c in cases() if c.name == "boundary/carry, 4 samples of 9 steps"]
    network = build_network(case.graph, case.profile)
    assert how_many(network, "numpy", 4) == 1
    (case,) = [c for c in cases() if c.name == "boundary/reset, 4 samples of 9 steps"]
    network = build_network(case.graph, case.profile)
    assert [how_many(network, mode, 4) for mode in ("numpy", "cython", "cpp_standalone")] == [4, 1, 1]


def test_a_run_in_copies_gives_each_sample_what_it_gets_alone():
    pytest.importorskip("brian2")
    (case,) = [c for c in cases() if c.name == "loop/convolution"]
    with Brian2Backend().emit(case.program("float64")) as executable:
        together = executable.run(case.inputs, Recording(None, True))
        samples = next(iter(case.inputs.values())).shape[0]
        assert samples > 1
        for sample in range(samples):
            alone = executable.run({p: x[sample : sample + 1] for p, x in case.inputs.items()}, Recording(None, True))
            for name, array in alone.arrays().items():
                assert np.array_equal(array[0], together.arrays()[name][sample]), name
