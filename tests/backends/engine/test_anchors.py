"""The recordings of other tools, run by the engine: no bit off in either precision."""

import numpy as np
import pytest

import spikeport

BRAILLE = {
    "bias_zero": ("noDelay_bias_zero", "snntorch:zero,reset_delay=false"),
    "noBias_subtract": ("noDelay_noBias_subtract", "snntorch:subtract,reset_delay=false"),
}


@pytest.mark.parametrize("arith", ["float64", "float32"])
@pytest.mark.parametrize("net", BRAILLE)
def test_braille_has_no_mismatching_bit(anchors, net, arith):
    name, profile = BRAILLE[net]
    x = np.load(anchors / "braille" / "braille_test_sample0_input.npy")
    recorded = np.load(anchors / "braille" / f"snntorch_activity_{name}.npy")
    result = spikeport.run(anchors / "braille" / f"braille_{name}.nir", x, profile=profile, arith=arith, record="lif1.lif")
    assert recorded.sum() in (118, 119)
    assert np.array_equal(result.spikes["lif1.lif"], recorded)


@pytest.mark.parametrize(
    ("recorded", "graph", "profile"),
    [
        ("lif_exact", "lif_norse", "exact"), ("lif_norse", "lif_norse", "norse"),
        ("lif_lava_cpu_float", "lif_norse", "lava_float"), ("lif_rockpool", "lif_rockpool", "rockpool"),
    ],
)  # fmt: skip
def test_lif_spikes_and_membranes_agree_with_the_recording(anchors, recorded, graph, profile):
    x, v, s = np.loadtxt(anchors / "lif" / f"{recorded}.csv", delimiter=",").T
    result = spikeport.run(anchors / "lif" / f"{graph}.nir", x[:, None], profile=profile, record="all", record_state=True)
    (path,) = result.spikes
    assert np.array_equal(result.spikes[path][:, 0], s)
    assert np.abs(result.v[path][:, 0] - v).max() < 1e-6
