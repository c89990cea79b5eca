"""Recordings and trained networks through Brian2: no bit differs."""

import numpy as np
import pytest

import spikeport
from spikeport.backends.brian2 import MODES
from spikeport.models import digits, digits_conv, digits_dense, digits_rows

pytest.importorskip("brian2")


@pytest.mark.parametrize("mode", [m if m != "cython" else pytest.param(m, marks=pytest.mark.slow) for m in MODES])
@pytest.mark.parametrize(("net", "reset"), [("bias_zero", "zero"), ("noBias_subtract", "subtract")])
def test_braille(anchors, net, reset, mode):
    folder = anchors / "braille"
    x, recorded = np.load(folder / "braille_test_sample0_input.npy"), np.load(folder / f"snntorch_activity_noDelay_{net}.npy")
    result = spikeport.run(
        folder / f"braille_noDelay_{net}.nir", x, "brian2", profile=f"snntorch:{reset},reset_delay=false", record="all",
        backend_options={"mode": mode},
    )  # fmt: skip
    assert recorded.sum() > 100
    assert np.count_nonzero(result.spikes["lif1.lif"] != recorded) == 0


@pytest.mark.parametrize("mode", [m if m == "cpp_standalone" else pytest.param(m, marks=pytest.mark.slow) for m in MODES])
@pytest.mark.parametrize("network", [digits_conv, digits_dense, digits_rows], ids=lambda m: m.__name__.rpartition(".")[2])
def test_digits_have_the_engines_predictions_on_the_whole_test_set(root, network, mode):
    pytest.importorskip("sklearn")
    x = network.encode(digits.split()[2])
    model = root / "models" / f"{network.__name__.rpartition('.')[2]}.nir"
    expected = spikeport.run(model, x, record="all")
    found = spikeport.run(model, x, "brian2", record="all", backend_options={"mode": mode})
    assert len(x) == 899
    assert spikeport.compare(expected, found).equal
