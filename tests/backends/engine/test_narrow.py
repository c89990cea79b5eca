"""Weights of one byte: every range of signs, more events than 16 bits hold at once, and who does not get them."""

import numpy as np
import pytest
from graphs import Sketch
from loihi import GRID, on_grid_cuba, on_grid_lif, with_input_range
from traces import differences

from spikeport.backends.engine import columns as col
from spikeport.backends.engine.connections import LANES, MOST_INPUTS, narrow
from spikeport.backends.engine.execute import EngineExecutable
from spikeport.backends.engine.narrow import HELD
from spikeport.backends.engine.plan import plan
from spikeport.ir.network import build_network
from spikeport.ir.ops import Affine, Input, Linear, Output
from spikeport.ir.reference import run_reference
from spikeport.ir.trace import Recording

#: Mantissas of 8 bits: least, most, step.
RANGES = {"mixed": (-256, 254, 2), "positive": (0, 255, 1), "negative": (-255, 0, 1), "none": (0, 0, 1)}


def _weights(name, n_out, n_in, exponent=0):
    low, high, step = RANGES[name]
    rng = np.random.default_rng(n_out + n_in)
    weight = rng.integers(low // step, high // step + 1, (n_out, n_in)) * step
    weight[0, 0], weight[0, -1], weight[-1, 0] = low, high, 0
    return (weight << exponent).astype(np.float64)


def _unpacked(held, n_out, n_in):
    """Return the weights that the bytes stand for."""
    flat = held.weights.view(np.int8).astype(np.int64)
    blocks = -(-n_out // LANES)
    widths = [2 * LANES] * held.pairs + [LANES] * (blocks - 2 * held.pairs)
    cuts = np.cumsum([w * n_in for w in widths])[:-1]
    rows = [part.reshape(n_in, w).T for part, w in zip(np.split(flat, cuts), widths, strict=True)]
    return held.unit * (np.concatenate(rows) + held.offset)


@pytest.mark.parametrize("name", RANGES)
@pytest.mark.parametrize(("n_out", "n_in"), [(1, 3), (64, 7), (65, 2), (128, 5), (200, 9)])
@pytest.mark.parametrize("exponent", [0, 7])
def test_bytes_stand_for_the_weights_and_for_nothing_behind_them(name, n_out, n_in, exponent):
    weight = _weights(name, n_out, n_in, exponent)
    held = narrow(Linear(weight))
    found = _unpacked(held, n_out, n_in)
    assert np.array_equal(found[:n_out], weight)
    assert not found[n_out:].any()


def test_what_takes_more_than_bytes_is_not_held_in_them():
    assert narrow(Linear(np.array([[-128.0, 129.0]]))) is None
    assert narrow(Linear(np.array([[256.0, 1.0]]))) is None
    assert narrow(Linear(np.zeros((1, MOST_INPUTS + 1)))) is None
    assert narrow(Affine(np.array([[256.0, 2.0]]), np.zeros(1))).unit == 2


def _network(weight, neuron=on_grid_lif, delay=None, **registers):
    n_out, n_in = weight.shape
    s = Sketch(GRID, np.random.default_rng(0))
    s.add("input", Input((n_in,)))
    s.add("lif", neuron((n_out,), **registers), s.add("fc", Linear(weight), "input"), delay=delay)
    s.add("output", Output((n_out,)), "lif")
    return s.graph()


@pytest.mark.parametrize("name", ["mixed", "positive", "negative"])
@pytest.mark.parametrize("exponent", [0, 4])
@pytest.mark.parametrize("threads", [1, 3])
def test_more_events_than_sixteen_bits_hold(name, exponent, threads):
    """All at one end of the range: 255 bytes of -128 are the least that 16 bits take. With the exponent, in doubles."""
    n_in = 2 * HELD
    low, high, _ = RANGES[name]
    weight = _weights(name, 200, n_in)
    weight[:3] = [[low], [high], [low]]
    registers = {"dv": 700, "threshold": 60, "bias": np.arange(200), "refractory_steps": np.arange(200) % 3}
    for neuron, more in ((on_grid_lif, {}), (on_grid_cuba, {"du": 3000})):
        network = build_network(_network(weight * 2.0**exponent, neuron, **registers, **more), GRID, "loihi")
        active = np.random.default_rng(1).random((2, 12, n_in)) < 0.5
        active[:, 3], active[:, 4], active[:, 5, HELD:], active[:, 6, HELD + 1 :] = True, False, False, False
        inputs = {"input": active.astype(np.uint8)}
        with EngineExecutable(network, threads, 5, -1.0) as engine:
            assert (engine._floats == np.float32) == (exponent == 0)
            for recording in (Recording(None), Recording(("fc",), True)):
                assert differences(engine.run(inputs, recording), run_reference(network, inputs, recording)) == []


def test_only_spikes_meet_bytes():
    """Graded values, and sums of several connections, are multiplied; they meet floats."""

    def kinds(graph, arithmetic="loihi"):
        every = {col.DENSE, col.DENSE_NEURON, col.NARROW_DENSE, col.SPARSE}
        return {stage.op for stage in plan(build_network(graph, GRID, arithmetic)).stages} & every

    graph = _network(_weights("mixed", 70, 20))
    assert kinds(graph) == {col.NARROW_DENSE}
    assert kinds(with_input_range(graph, "input", 0, 1, 255.0)) == {col.NARROW_DENSE}
    assert kinds(with_input_range(graph, "input", 0, 2)) == {col.DENSE}
    assert kinds(with_input_range(graph, "input", -1, 1)) == {col.DENSE}
    assert kinds(graph, "float32") == {col.DENSE}
    few = np.zeros((300, 300))
    few[7, 5] = 4
    assert kinds(_network(few)) == {col.SPARSE}


def test_neurons_are_stepped_with_sums_of_any_delay_but_not_in_loops():
    """Whoever counts what enters the layer, or reads its sums, still does so at the layer's own time."""

    def neurons(network, **options):
        return sum(stage.op == col.NEURON for stage in plan(network, **options).stages)

    weight = _weights("mixed", 70, 20)
    active = np.random.default_rng(1).random((2, 9, 20)) < 0.4
    for delay in (None, 1, 5, 12):
        network = build_network(_network(weight, delay=delay, dv=300, threshold=400), GRID, "loihi")
        assert (neurons(network), neurons(network, state=True), neurons(network, shown=("fc",))) == (0, 1, 1)
        for recording in (Recording(None), Recording(("fc",))):
            for rows in (3, 4096):
                found = EngineExecutable(network, 1, rows).run({"input": active}, recording)
                assert differences(found, run_reference(network, {"input": active}, recording)) == []
    s = Sketch(GRID, np.random.default_rng(0))
    s.add("input", Input((20,)))
    s.add("first", on_grid_lif((70,), dv=300, threshold=400), s.add("fc", Linear(weight), "input"))
    s.add("second", on_grid_lif((20,), threshold=200), s.add("fc2", Linear(_weights("positive", 20, 70)), "first"))
    s.connect(s.add("back", Linear(_weights("mixed", 70, 20)), "second"), "first")
    s.add("output", Output((20,)), "second")
    network = build_network(s.graph(), GRID, "loihi")
    assert neurons(network) == 2
    found = EngineExecutable(network, 2, 4, -1.0).run({"input": active}, Recording(None))
    assert differences(found, run_reference(network, {"input": active}, Recording(None))) == []
