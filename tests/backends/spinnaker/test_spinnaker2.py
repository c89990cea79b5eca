"""SpiNNaker 2: digits and both Braille networks on its 152 cores, with int8 weights, in the engine and in backend spinnaker."""

import numpy as np
import pytest
import rasters

import spikeport
from spikeport.models import digits, digits_conv, digits_dense


def both(program, x):
    """Return the run in backend spinnaker, which must be the engine's bit for bit."""
    ours, theirs = (spikeport.run(program, x, backend, record="all", record_state=True) for backend in ("spinnaker", "engine"))
    a, b = ours.arrays(), theirs.arrays()
    assert set(a) == set(b)
    assert all(np.array_equal(a[key], b[key]) for key in a if key != "meta")
    return ours


@pytest.mark.parametrize(("net", "reset"), [("bias_zero", "zero"), ("noBias_subtract", "subtract")])
def test_braille_as_py_spinnaker2_recorded_it(anchors, net, reset):
    x = np.load(anchors / "braille" / "braille_test_sample0_input.npy")
    file = anchors / "braille" / f"braille_noDelay_{net}.nir"
    program = spikeport.compile(file, "spinnaker2", f"spinnaker2:{reset}", arith="spinnaker2")
    assert program.cores == (0, 1)
    spikes = both(program, x).spikes
    for layer, path in (("hidden", "lif1.lif"), ("output", "lif2")):
        name = f"spinnaker2/{net}/{layer}"
        if name in rasters.names():
            assert np.array_equal(spikes[path], rasters.raster(name)), name
    assert f"spinnaker2/{net}/hidden" in rasters.names()


@pytest.mark.parametrize("module", [digits_conv, digits_dense])
def test_digits(root, module):
    name = module.__name__.rsplit(".", 1)[-1]
    program = spikeport.compile(root / "models" / f"{name}.nir", "spinnaker2", arith="spinnaker2")
    assert program.chips == 1
    assert max(program.cores) < 152
    _, _, x, y = digits.split()
    result = both(program, module.encode(x[:200]))
    (counts,) = (out.sum(axis=1) for out in result.out.values())
    assert np.count_nonzero(digits.winners(counts)[0] == y[:200]) >= 195
