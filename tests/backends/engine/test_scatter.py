"""Runs of every length, fed by spikes, counts and real values, from canonical and from packed sources."""

import numpy as np
import pytest
from graphs import Sketch, lif
from traces import differences

from spikeport.backends.engine.execute import EngineExecutable
from spikeport.ir import parse_profile
from spikeport.ir.network import build_network
from spikeport.ir.ops import Affine, AvgPool2d, Conv1d, Conv2d, Extras, Flatten, Input, Linear, Output, SumPool2d
from spikeport.ir.reference import run_reference
from spikeport.ir.trace import Recording

PROFILE = parse_profile("norse:subtract")


def _sketch(shape):
    s = Sketch(PROFILE, np.random.default_rng(3))
    s.add("input", Input(shape))
    return s


def _conv(s, path, source, channels, *, size=3, stride=1, pad=1, dilation=1, groups=1):
    inner = s.shape[source][0] // groups
    kernel = s.weights(channels, inner, *np.broadcast_to(size, 2), fan_in=9 * inner)
    return s.add(path, Conv2d(None, kernel, stride, pad, dilation, groups, s.rng.normal(0, 0.1, channels)), source)


def _neurons(s, path, source, **options):
    return s.add(path, lif(s.shape[source], threshold=0.2, **options), source)


def _differs(s, last, inputs=None, arithmetics=("float64", "float32")):
    """Return what differs from the reference, for spikes and for real values at the input."""
    s.add("output", Output(s.shape[last]), last)
    found, graph = [], s.graph()
    on = s.rng.random((2, 5, *s.shape["input"])) < 0.3
    for arithmetic in arithmetics:
        network = build_network(graph, PROFILE, arithmetic)
        engine = EngineExecutable(network, 1)
        for x in (on.astype(np.uint8), np.where(on, s.rng.normal(0.5, 1.0, on.shape), -0.0)):
            for recording in (Recording(None), Recording(tuple(n.path for n in graph), state=True)):
                expected = run_reference(network, {"input": x}, recording)
                found += differences(engine.run({"input": x}, recording), expected)
    assert any(expected.spikes[p].any() for p in graph.spiking), "a silent network shows nothing"
    return found


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 5, 7, 8, 9, 12, 15, 16, 17, 23, 31, 64, 65, 70])
def test_runs_of_every_length(channels):
    s = _sketch((2, 4, 3))
    assert _differs(s, _neurons(s, "lif", _conv(s, "conv", "input", channels))) == []


GEOMETRIES = {
    "stride beyond the kernel": {"size": 2, "stride": 3},
    "dilation beyond the input": {"size": 3, "dilation": 7, "pad": 7},
    "kernel beyond the input": {"size": 9, "pad": 4},
    "even kernel, same": {"size": (2, 4), "pad": "same"},
    "one row": {"size": (1, 5), "pad": (0, 2)},
    "one column, strided": {"size": (5, 1), "pad": (2, 0), "stride": (3, 2)},
    "padding beyond the kernel": {"size": 2, "pad": 5, "stride": 2},
    "groups": {"groups": 2},
    "depthwise": {"groups": 4, "stride": (2, 1), "dilation": (1, 2)},
}


@pytest.mark.parametrize("name", GEOMETRIES)
def test_a_deep_map_of_odd_geometry(name):
    """The second convolution reads a packed map; the third has to bring it into canonical order for weights again."""
    s = _sketch((4, 7, 6))
    first = _neurons(s, "a", _conv(s, "a.conv", "input", 4, **GEOMETRIES[name]))
    second = _neurons(s, "b", _conv(s, "b.conv", first, 8, **(GEOMETRIES[name] if "groups" in name else {})))
    flat = s.add("flat", Flatten(0, -1), second)
    assert _differs(s, _neurons(s, "c", s.add("fc", Linear(s.weights(9, s.shape[flat][0], fan_in=50)), flat))) == []


@pytest.mark.parametrize("stride", [1, 2, 5])
def test_along_one_axis(stride):
    s = _sketch((3, 13))
    kernel = s.weights(17, 3, 4, fan_in=12)
    conv = s.add("conv", Conv1d(13, kernel, stride, 3, 2, 1, s.rng.normal(0, 0.1, 17)), "input")
    assert _differs(s, _neurons(s, "lif", conv)) == []


POOLS = {
    "sum": SumPool2d(2, 2, 0), "overlapping sum": SumPool2d(3, 1, 1), "mean": AvgPool2d(3, 2, 1),
    "odd mean": AvgPool2d((1, 4), (2, 3), (0, 2)),
}  # fmt: skip


@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize("amplitude", [None, 0.3])
def test_pools_between_maps(pool, amplitude):
    s = _sketch((2, 6, 7))
    extras = Extras() if amplitude is None else Extras(spike_amplitude=np.array(amplitude))
    first = _neurons(s, "a", _conv(s, "a.conv", s.add("pool", POOLS[pool], "input"), 5), extras=extras)
    pooled = s.add("pool2", type(POOLS[pool])(2, 1, 1), first)
    assert _differs(s, _neurons(s, "b", _conv(s, "b.conv", pooled, 3))) == []


def test_a_map_beside_a_canonical_branch():
    s = _sketch((2, 5, 5))
    _neurons(s, "a", _conv(s, "a.conv", "input", 3))
    _conv(s, "b.conv", "a", 3)
    s.add("pool", SumPool2d(1, 1, 0), "a")
    s.add("both", lif((3, 5, 5), threshold=0.2), "b.conv", "pool", "a")
    s.connect("both", "both", 2)
    flat = s.add("flat", Flatten(0, -1), "both")
    s.add("c", lif(75, threshold=0.2), flat)
    s.connect(s.add("flat.pool", Flatten(0, -1), "pool"), "c")
    assert _differs(s, "c") == []


@pytest.mark.parametrize("density", [0.0, 0.01, 0.03])
def test_few_synapses(density):
    s = _sketch((90,))
    weight = np.where(s.rng.random((130, 90)) < density, s.rng.normal(1.0, 0.5, (130, 90)), 0.0)
    assert _differs(s, _neurons(s, "lif", s.add("fc", Affine(weight, s.rng.normal(0.3, 0.3, 130)), "input"))) == []


def test_leading_axes():
    s = _sketch((3, 2, 6))
    op = Affine(s.weights(3, 2, 5, 6, fan_in=6), s.rng.normal(0, 0.1, (3, 2, 5)))
    assert _differs(s, _neurons(s, "lif", s.add("fc", op, "input"))) == []
