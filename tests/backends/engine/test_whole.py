"""In which floats arithmetic loihi runs, and that both are exact at the very edge."""

import numpy as np
import pytest
from graphs import Sketch
from hypothesis import given, settings
from loihi import GRID, loihi_networks, on_grid_cuba, on_grid_lif, with_input_range
from numba import njit
from traces import differences

from spikeport.backends.engine.execute import EngineExecutable
from spikeport.backends.engine.neurons import cut
from spikeport.backends.engine.vec import LANES, pointer, vload, vstore
from spikeport.backends.engine.whole import MOST_ENTERING, float_type
from spikeport.ir.network import build_network
from spikeport.ir.ops import Conv2d, Flatten, Input, Linear, Output
from spikeport.ir.reference import run_reference
from spikeport.ir.trace import Recording

EDGE = int(MOST_ENTERING) + 1


@njit
def _cut(value, factor, out):
    for k in range(0, len(value), LANES):
        product = cut(pointer(value), vload(pointer(value), k, LANES), vload(pointer(factor), k, LANES))
        vstore(pointer(out), k, product)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_cut_product_is_exact(dtype):
    """Random values of every size, and those at the edges with every factor."""
    rng = np.random.default_rng(0)
    edges = np.array([0, 1, 4095, 4096, 4097, 2**12 * 2047 + 4095, 2**23 - 1, 2**23, 2**24 - 1, 2**24])
    value, k = (a.reshape(-1) for a in np.meshgrid(np.concatenate([edges, -edges]), np.arange(4097)))
    size = 2 ** rng.integers(0, 25, 200_000)
    value = np.concatenate([value, rng.integers(-size, size + 1)])
    k = np.concatenate([k, rng.integers(0, 4097, 200_000)])
    rest = -len(value) % LANES
    value, k = np.pad(value, (0, rest)), np.pad(k, (0, rest))
    out = np.zeros(len(value), dtype)
    _cut(value.astype(dtype), (k / 4096).astype(dtype), out)
    wanted = np.sign(value) * (np.abs(value) * k >> 12)
    assert np.array_equal(out.astype(np.int64), wanted)


def _network(*weights, neuron=on_grid_lif, least=0, most=1, **registers):
    s = Sketch(GRID, np.random.default_rng(0))
    source = s.add("input", Input((weights[0].shape[1],)))
    for number, weight in enumerate(weights):
        front = s.add(f"fc{number}", Linear(weight), source)
        source = s.add(f"lif{number}", neuron((len(weight),), **registers), front)
    s.add("output", Output((len(weights[-1]),)), source)
    graph = with_input_range(s.graph(), "input", least, most)
    return build_network(graph, GRID, "loihi")


def _row(*signs):
    """Return a row of weights of 2^14, of which eight are too many."""
    return 2.0**14 * np.array([signs], np.float64)


PLUS, BOTH = (1,), (1, -1)


@pytest.mark.parametrize(
    ("network", "is_single"),
    [(_network(_row(*PLUS * 7)), True),
     (_network(_row(*PLUS * 8)), False),
     (_network(_row(*PLUS * 7), _row(1)), True),
     (_network(_row(*PLUS * 2), most=3), True),
     (_network(_row(*PLUS * 2), most=4), False),
     (_network(_row(*PLUS * 2), least=-4, most=0), False),
     (_network(-_row(*PLUS * 2), least=-3), True),
     # Of both signs: they are not all there at once, and a sum on its way is no larger than that of one sign.
     (_network(_row(*BOTH * 7)), True),
     (_network(_row(*BOTH * 8)), False),
     (_network(_row(*BOTH * 7), least=-1), False)],
)  # fmt: skip
def test_single_precision_is_taken_where_sums_fit(network, is_single):
    assert (float_type(network) == np.float32) == is_single


def test_the_bound_follows_what_leaves_layers():
    s = Sketch(GRID, np.random.default_rng(0))
    s.add("input", Input((2, 4, 4)))
    weight = np.full((3, 2, 3, 3), 2.0**12)
    conv = Conv2d(None, weight, 1, 0, 1, 1, np.zeros(3))  # 18 weights a sum
    s.add("lif", on_grid_lif((3, 2, 2)), s.add("conv", conv, "input"))
    s.add("readout", on_grid_lif((2,), threshold=None), s.add("fc", Linear(np.ones((2, 12))), s.add("flat", Flatten(), "lif")))
    s.add("output", Output((2,)), "readout")
    graph = s.graph()
    assert float_type(build_network(graph, GRID, "loihi")) == np.float32
    assert float_type(build_network(with_input_range(graph, "input", 0, 2), GRID, "loihi")) == np.float64
    # What an integrator sends may be as large as a membrane.
    s.add("last", on_grid_lif((1,)), s.add("fc2", Linear(np.ones((1, 2))), "readout"))
    s.add("output2", Output((1,)), "last")
    assert float_type(build_network(s.graph(), GRID, "loihi")) == np.float64


def test_other_arithmetics_keep_their_own():
    for arithmetic, dtype in (("float64", np.float64), ("float32", np.float32)):
        network = _network(_row(1))
        assert float_type(build_network(network.graph, GRID, arithmetic)) == dtype


@pytest.mark.parametrize("total", [EDGE - 1, EDGE, -EDGE, 1 - EDGE, EDGE + 1, -EDGE - 1, 3 * EDGE + 64])
@pytest.mark.parametrize("du", [None, 0, 4095])
def test_currents_at_the_edge_of_the_range(total, du):
    """-2^23 wraps to 2^23, which stays; a current that builds up passes it; a graded input gives any sum."""
    more = {} if du is None else {"du": du}
    neuron = on_grid_lif if du is None else on_grid_cuba
    low, high = min(total, 0), max(total, 0)
    network = _network(np.ones((70, 1)), neuron=neuron, least=low, most=high, dv=1, threshold=2**17 - 1, bias=63, **more)
    assert (float_type(network) == np.float32) == (abs(total) < EDGE)
    inputs = {"input": np.array([total, total, 0, total - np.sign(total), total, 0]).reshape(1, 6, 1)}
    expected = run_reference(network, inputs, Recording(None, True))
    engine = EngineExecutable(network)
    found = engine.run(inputs, Recording(None, True))
    assert differences(found, expected) == []
    assert np.array_equal(found.i["lif0"], expected.i["lif0"])
    assert differences(engine.run(inputs, Recording(None)), run_reference(network, inputs, Recording(None))) == []


@settings(max_examples=30)
@given(loihi_networks(max_steps=8))
def test_single_precision_and_doubles_agree(case):
    graph, profile, inputs = case
    network = build_network(graph, profile, "loihi")
    found = EngineExecutable(network).run(inputs, Recording(None, True))
    # A wider range of inputs is no other network, but asks for doubles.
    wide = with_input_range(graph, "input", -(2**40), 2**40, _scale(graph))
    other = EngineExecutable(build_network(wide, profile, "loihi"))
    if other._floats == np.float64:
        assert differences(other.run(inputs, Recording(None, True)), found) == []


def _scale(graph):
    return dict(graph["input"].notes).get("loihi_input", {"scale": 1.0})["scale"]
