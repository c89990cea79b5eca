"""Both ways to sum a fully connected layer, by events and rows together, give the reference's bits."""

import numpy as np
import pytest
from graphs import lif
from traces import differences

from spikeport.backends.engine.dense import DENSE_ABOVE
from spikeport.backends.engine.execute import EngineExecutable
from spikeport.backends.testing.sketch import chain
from spikeport.ir import parse_profile
from spikeport.ir.network import build_network
from spikeport.ir.ops import Affine, Linear
from spikeport.ir.reference import run_reference
from spikeport.ir.trace import Recording

PROFILE = parse_profile("norse:subtract")
#: One narrow block; a whole one; a pair; a pair and a narrow block; a pair and a whole block; two pairs and a narrow block.
WIDTHS = (1, 16, 17, 63, 64, 65, 80, 81, 128, 129, 144, 145, 192, 272)


def _layer(n_out, n_in, rng, v_threshold):
    weight = rng.normal(0.2, 1.0, (n_out, n_in)) / np.sqrt(n_in)
    return Affine(weight, rng.normal(0, 0.1, n_out)), lif(n_out, threshold=v_threshold)


def _both(network, inputs, rows=4096):
    """Return what differs from the reference where sums stay in registers, and where membranes make them go to memory."""
    engine = EngineExecutable(network, 1, rows)
    kept = (Recording(None), Recording(None, state=True), Recording(("0", "1")))
    return [line for r in kept for line in differences(engine.run(inputs, r), run_reference(network, inputs, r))]


@pytest.mark.parametrize("arithmetic", ["float64", "float32"])
@pytest.mark.parametrize("n_out", WIDTHS)
def test_layers_of_every_width_and_density(n_out, arithmetic):
    rng = np.random.default_rng(n_out)
    network = build_network(chain(*_layer(n_out, 70, rng, 0.5), shape=(70,)), PROFILE, arithmetic)
    for density in (0.1, 0.6, 1.0):
        on = rng.random((3, 7, 70)) < density
        assert _both(network, {"input": on}) == []
        assert _both(network, {"input": np.where(on, rng.normal(0.5, 1.0, on.shape), 0.0)}) == []


@pytest.mark.parametrize(("samples", "steps"), [(1, 1), (1, 3), (1, 4), (1, 6), (4, 1), (5, 3), (3, 5), (2, 8)])
@pytest.mark.parametrize("rows", [2, 5, 4096])
def test_rows_that_do_not_make_fours(samples, steps, rows):
    rng = np.random.default_rng(7)
    network = build_network(chain(*_layer(80, 33, rng, 0.5), *_layer(145, 80, rng, 0.1), shape=(33,)), PROFILE)
    assert _both(network, {"input": np.ones((samples, steps, 33), np.uint8)}, rows) == []


@pytest.mark.parametrize("active", [0, 1, 2, 3, 4])
def test_density_is_that_of_the_whole_chunk(active):
    """Rows that are full beside rows that are empty, up to the very limit."""
    rng = np.random.default_rng(8)
    network = build_network(chain(*_layer(66, 40, rng, 0.5), shape=(40,)), PROFILE)
    x = np.zeros((1, 4, 40))
    x[:, :active] = 1.0
    assert _both(network, {"input": x}) == []
    x[:, 0, : round(40 * DENSE_ABOVE)] = -2.5
    assert _both(network, {"input": x}) == []


@pytest.mark.parametrize("delay", [1, 5, 30])
def test_full_rows_that_come_out_of_the_history(delay):
    profile = parse_profile(f"norse:subtract,latency={delay}/{delay}")
    rng = np.random.default_rng(9)
    network = build_network(chain(*_layer(70, 20, rng, 0.2), *_layer(20, 70, rng, 0.1), shape=(20,)), profile)
    for rows in (4, 9, 4096):
        assert _both(network, {"input": rng.random((2, 43, 20)) < 0.9}, rows) == []


@pytest.mark.parametrize("n", [5, 20, 64, 130])
def test_values_that_overflow_make_no_events_behind_the_last_neuron(n):
    """There infinity times a weight of 0 leaves NaN, which is not 0 either."""
    weight = np.random.default_rng(0).random((n, n)) + 1.0
    row = np.zeros((n, n))
    row[0] = 1.0  # held sparse, where it is wide
    network = build_network(chain(*(Linear(w) for w in (weight, weight, row, weight)), shape=(n,)), PROFILE, "float32")
    x = np.full((1, 6, n), 3e38)
    x[:, 1::2] = 0.01
    with EngineExecutable(network, 1) as engine, np.errstate(all="ignore"):
        found, expected = engine.run({"input": x}), run_reference(network, {"input": x})
    finite = np.isfinite(expected.out["output"])
    assert not finite.all()
    assert (np.isfinite(found.out["output"]) == finite).all()
    assert (found.out["output"][finite] == expected.out["output"][finite]).all()
    for path in ("0", "1", "2"):  # the last layer's events are those of the sparse one: without its weights of 0, so fewer
        assert (found.counts[path].events, found.counts[path].synops) == (
            expected.counts[path].events, expected.counts[path].synops,
        )  # fmt: skip
    assert found.counts["3"].events <= expected.counts["3"].events


@pytest.mark.parametrize("x", [np.zeros((1, 4, 20)), np.ones((1, 4, 20))])
def test_a_bias_of_minus_zero_gives_the_sign_of_the_reference(x):
    """In the reference w*0 is added where no event is: the sum is +0, whether rows are taken by events or together."""
    network = build_network(chain(Affine(np.zeros((20, 20)), np.full(20, -0.0)), lif(20), shape=(20,)), PROFILE)
    recording = Recording(("0",))
    ours, expected = (run(network, {"input": x}, recording) for run in (_run, run_reference))
    assert not np.signbit(expected.out["0"]).any()
    assert np.array_equal(np.signbit(ours.out["0"]), np.signbit(expected.out["0"]))


def _run(network, inputs, recording):
    return EngineExecutable(network, 1).run(inputs, recording)
