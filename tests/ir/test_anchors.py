"""The reference interpreter against what was recorded elsewhere: snnTorch, Norse, Lava, Rockpool, sinabs, Nengo, ..."""

from functools import lru_cache

import numpy as np
import pytest
import rasters

from spikeport.compiler.importers.nir_file import load_nir
from spikeport.ir import Recording, parse_profile, verify
from spikeport.ir.network import build_network
from spikeport.ir.reference import run_reference

NETS = ("bias_zero", "noBias_subtract")
PROFILE = {"spyx": "spyx:subtract"}


@lru_cache
def _graph(path):
    return load_nir(path)[0]


def run(path, profile, x, arith="float64", state=False):
    profile = parse_profile(profile)
    graph = _graph(path)
    verify(graph, profile)
    return run_reference(build_network(graph, profile, arith), {"input": np.asarray(x)[None]}, Recording(None, state))


def braille(anchors, net, profile, arith="float64"):
    x = np.load(anchors / "braille" / "braille_test_sample0_input.npy")
    return run(anchors / "braille" / f"braille_noDelay_{net}.nir", profile, x, arith)


def mismatches(trace, path, expected):
    got = trace.spikes[path][0]
    assert got.shape == expected.shape
    return int(np.count_nonzero(got != expected))


@pytest.mark.parametrize(("net", "reset"), [("bias_zero", "zero"), ("noBias_subtract", "subtract")])
def test_braille_has_no_mismatching_bit_against_snntorch(anchors, net, reset):
    recorded = np.load(anchors / "braille" / f"snntorch_activity_noDelay_{net}.npy")
    trace = braille(anchors, net, f"snntorch:{reset},reset_delay=false")
    assert recorded.sum() > 100
    assert mismatches(trace, "lif1.lif", recorded) == 0


def test_plain_subtraction_is_not_snntorch_s(anchors):
    recorded = np.load(anchors / "braille" / "snntorch_activity_noDelay_noBias_subtract.npy")
    trace = braille(anchors, "noBias_subtract", "snntorch:subtract,reset_delay=false,reset=subtract")
    assert mismatches(trace, "lif1.lif", recorded) == 46


@pytest.mark.parametrize("name", [n for n in rasters.names() if not n.startswith("cnn/")])
def test_braille_has_no_mismatching_bit_against_real_libraries(anchors, name):
    profile, net, layer = name.split("/")
    if profile == "spinnaker2":
        trace = braille(anchors, net, f"spinnaker2:{'zero' if net == 'bias_zero' else 'subtract'}", "spinnaker2")
    else:
        trace = braille(anchors, net, PROFILE.get(profile, profile))
    expected = rasters.raster(name)
    assert expected.any()
    assert mismatches(trace, "lif1.lif" if layer == "hidden" else "lif2", expected) == 0


def test_convolutional_network_spikes_as_in_sinabs(anchors):
    trace = run(anchors / "cnn" / "cnn_sinabs.nir", "sinabs", rasters.raster("cnn/input"))
    found = {n: rasters.raster(n) for n in rasters.names() if n.startswith("cnn/") and n != "cnn/input"}
    assert len(found) == 5
    assert {n: mismatches(trace, n.split("/")[1], expected) for n, expected in found.items()} == dict.fromkeys(found, 0)


@pytest.mark.parametrize(
    ("recorded", "graph", "profile", "steps"),
    [
        ("lif_exact", "lif_norse", "exact", [460, 510, 710, 760]),
        ("lif_norse", "lif_norse", "norse", [460, 510, 710, 760]),
        ("lif_lava_cpu_float", "lif_norse", "lava_float", [461, 511, 711, 761]),
        ("lif_rockpool", "lif_rockpool", "rockpool", [450, 500, 710, 760]),
        # Rockpool rescaled the weight to dt/tau: the file of Norse with that gain is the same network.
        ("lif_rockpool", "lif_norse", "rockpool,gain=scaled", [450, 500, 710, 760]),
        ("lif_rockpool", "lif_rockpool", "sinabs", [450, 500, 710, 760]),
    ],
)
def test_lif_spikes_and_voltage_agree_with_the_recording(anchors, recorded, graph, profile, steps):
    x, v, s = np.loadtxt(anchors / "lif" / f"{recorded}.csv", delimiter=",").T
    trace = run(anchors / "lif" / f"{graph}.nir", profile, x[:, None], state=True)
    (path,) = trace.spikes
    assert np.flatnonzero(s).tolist() == steps
    assert np.flatnonzero(trace.spikes[path][0, :, 0]).tolist() == steps
    assert np.abs(trace.v[path][0, :, 0] - v).max() < 1e-6


def test_the_wrong_profile_does_not_give_the_recording(anchors):
    x, v, _ = np.loadtxt(anchors / "lif" / "lif_exact.csv", delimiter=",").T
    trace = run(anchors / "lif" / "lif_norse.nir", "lava_float", x[:, None], state=True)
    (path,) = trace.v
    assert np.abs(trace.v[path][0, :, 0] - v).max() > 1e-3


def test_float32_differs_from_float64_in_ties_only(anchors):
    recorded = np.load(anchors / "braille" / "snntorch_activity_noDelay_bias_zero.npy")
    assert mismatches(braille(anchors, "bias_zero", "snntorch:zero,reset_delay=false", "float32"), "lif1.lif", recorded) == 0
