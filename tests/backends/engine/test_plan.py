"""What a plan makes and what it leaves out: stages, ports and their forms, and the memory that it takes."""

import numpy as np
import pytest
from graphs import Sketch, lif
from hypothesis import given
from hypothesis import strategies as st

from spikeport.backends.engine import columns as col
from spikeport.backends.engine.plan import plan
from spikeport.ir import parse_profile
from spikeport.ir.network import build_network
from spikeport.ir.ops import Conv2d, CubaLIF, Delay, Flatten, Input, Linear, Output, Scale, SumPool2d

PROFILE = parse_profile("norse:subtract")
NAMES = {
    getattr(col, name): name
    for name in ("DENSE", "DENSE_NEURON", "SPARSE", "CONV", "POOL", "GATHER", "NEURON", "THRESHOLD", "SCALE", "LAG")
}
FORMS = ("words", "values", "stream")


def _sketch(shape):
    s = Sketch(PROFILE, np.random.default_rng(0))
    s.add("input", Input(shape))
    return s


def _fc(s, path, source, n):
    return s.add(path, Linear(s.weights(n, s.shape[source][0], fan_in=9)), source)


def _conv(s, path, source, channels):
    inner = s.shape[source][0]
    kernel = s.weights(channels, inner, 3, 3, fan_in=9 * inner)
    return s.add(path, Conv2d(None, kernel, 1, 1, 1, 1, np.zeros(channels)), source)


def _plan(s, shown=(), *, state=False, arithmetic="float32"):
    return plan(build_network(s.graph(), PROFILE, arithmetic), shown, state)


def _work(made):
    """Return the stages that compute, as (kind, path)."""
    return [(NAMES[s.op], s.target.path) for s in made.stages if s.op in NAMES]


def _forms(made):
    return {p.path: {form for form in FORMS if getattr(p, form)} for p in made.ports}


def _layer():
    s = _sketch((5,))
    s.add("lif", lif(7), _fc(s, "fc", "input", 7))
    return s


def test_weights_and_plain_neurons_are_one_stage():
    s = _layer()
    s.add("output", Output((7,)), "lif")
    assert _work(_plan(s)) == [("DENSE_NEURON", "lif")]


def _recorded_sums(s):
    return {"shown": ("fc",)}


def _recorded_membranes(s):
    return {"state": True}


def _sums_that_leave(s):
    s.add("sums", Output((7,)), "fc")


def _a_second_source(s):
    s.connect("lif", "lif", 1)


def _few_weights(s):
    s.nodes["fc"] = Linear(np.zeros((7, 5)))


def _synaptic_currents(s):
    one = np.ones(7)
    s.nodes["lif"] = CubaLIF(one * 1e-3, one * 1e-3, one, one * 0, one, one * 0, one)


def _a_late_edge(s):
    s.edges[-1] = type(s.edges[-1])("fc", "lif", 1, 0)


@pytest.mark.parametrize(
    "change",
    [
        _recorded_sums, _recorded_membranes, _sums_that_leave, _a_second_source, _few_weights, _synaptic_currents, _a_late_edge,
    ],
)  # fmt: skip
def test_sums_that_somebody_wants_are_a_stage_of_their_own(change):
    s = _layer()
    asked = change(s) or {}
    s.add("output", Output((7,)), "lif")
    kinds = dict(reversed(pair) for pair in _work(_plan(s, **asked)))
    assert kinds["fc"] == ("SPARSE" if change is _few_weights else "DENSE")
    assert kinds["lif"] == "NEURON"


def test_what_only_hands_on_gets_no_port():
    s = _sketch((2, 4, 4))
    s.add("flat", Flatten(0, -1), s.add("lif", lif((3, 4, 4)), _conv(s, "conv", "input", 3)), delay=2)
    s.add("output", Output((48,)), "flat", delay=1)
    made = _plan(s)
    assert {p.path for p in made.ports} == {"input", "conv", "lif"}
    port, behind = made.where("output")
    assert (port.path, behind) == ("lif", 3)
    assert made.lead == 3


def test_an_output_of_several_edges_is_a_sum():
    s = _layer()
    s.add("again", lif(7), "fc")
    s.add("output", Output((7,)), "lif", "again")
    made = _plan(s)
    assert _work(made)[-1] == ("GATHER", "output")
    assert made.where("output")[0].path == "output"
    assert len(made.edges) == 2


def test_forms_are_made_only_where_they_are_read():
    s = _sketch((5,))
    s.add("first", lif(7), _fc(s, "first.fc", "input", 7))
    s.add("second", lif(7), _fc(s, "second.fc", "first", 7))
    s.connect("first", "second")
    s.add("last", lif(3), _fc(s, "last.fc", "second", 3))
    s.add("output", Output((3,)), "last")
    forms = _forms(_plan(s))
    assert forms["input"] == {"stream"}  # read by weights alone
    assert forms["first"] == {"words", "stream", "values"}  # by weights, and as it is by the sum in front of "second"
    assert forms["second"] == {"words", "stream"}
    assert forms["last"] == {"words"}  # recorded alone
    assert "first.fc" not in forms  # never leaves the registers


def test_an_input_that_only_leaves_is_values():
    s = _layer()
    s.add("output", Output((7,)), "lif")
    s.add("input.seen", Output((5,)), s.add("input.other", Input((5,))))
    assert _forms(_plan(s))["input.other"] == {"values"}


def test_amounts_only_where_a_spike_is_not_one():
    s = _layer()
    s.add("scale", Scale(np.full(7, 0.5)), "lif")
    s.add("more", lif(2), _fc(s, "more.fc", "scale", 2))
    s.add("rest", lif(2), _fc(s, "rest.fc", "lif", 2))
    s.add("output", Output((2,)), "more", "rest")
    amounts = {p.path: p.amounts for p in _plan(s).ports if p.stream}
    assert amounts == {"input": True, "lif": False, "scale": True}


def test_a_feature_map_keeps_its_order_up_to_the_pool():
    s = _sketch((2, 4, 4))
    s.add("lif", lif((3, 4, 4)), s.add("scale", Scale(np.ones(())), _conv(s, "conv", "input", 3)))
    s.add("pool", SumPool2d(2, 2, 0), "lif")
    s.add("output", Output((3, 2, 2)), s.add("after", lif((3, 2, 2)), "pool"))
    packed = {p.path: p.packing is not None for p in _plan(s).ports}
    assert packed == {"input": False, "conv": True, "scale": True, "lif": True, "pool": False, "after": False}


def test_two_orders_meet_in_a_sum_that_names_the_place_of_every_neuron():
    s = _sketch((2, 4, 4))
    _conv(s, "conv", "input", 3)
    s.add("straight", lif((3, 4, 4)), _conv(s, "conv2", "input", 3))
    s.add("pool", SumPool2d(1, 1, 0), "straight")
    s.add("both", lif((3, 4, 4)), "conv", "pool")
    s.add("output", Output((3, 4, 4)), "both")
    made = _plan(s)
    of_conv, of_pool = (order for _, _, order in made.edges.tolist())
    assert of_conv == -1
    order = made.indices[of_pool : of_pool + 48]
    assert np.array_equal(order, np.arange(48).reshape(3, 16).T.reshape(-1))


def test_a_loop_is_a_group_that_is_taken_step_by_step():
    s = _layer()
    _fc(s, "back", "lif", 7)
    s.connect("back", "lif", 3)
    s.add("output", Output((7,)), "lif")
    made = _plan(s)
    loops = [{s.target.path for s in made.stages[a:b]} for a, b, is_loop in made.groups.tolist() if is_loop]
    assert loops == [{"back", "lif (sum)", "lif"}]
    assert made.lead == 3


@given(st.integers(0, 40), st.integers(0, 40), st.integers(0, 40))
def test_history_reaches_as_far_back_as_the_longest_delay(edge, lag, out):
    s = _sketch((3,))
    s.add("delay", Delay(np.array([0, lag, lag // 2]) * PROFILE.dt), "input", delay=edge)
    s.add("output", Output((3,)), s.add("lif", lif(3), "delay"), delay=out)
    assert _plan(s).lead == max(edge + lag, out)


@pytest.mark.parametrize("side", [16, 128])
def test_a_convolution_is_never_expanded(side):
    s = _sketch((2, side, side))
    s.add("output", Output((8, side, side)), s.add("lif", lif((8, side, side)), _conv(s, "conv", "input", 8)))
    made = _plan(s)
    inputs, outputs, kernel = 2 * side**2, 8 * side**2, 8 * 2 * 9
    # Neurons: 11 parameters and 3 states. The connection: its blank map with a margin, 4 numbers and a fan for each input.
    assert made.weights.size < 14 * outputs + 8 * (side + 2) ** 2 + 4 * kernel + 1000
    assert made.indices.size < 2 * 2 * outputs + 5 * inputs + 1000


def test_what_nobody_records_is_still_counted_by_step():
    s = _layer()
    s.add("output", Output((7,)), "lif")
    assert set(_plan(s).by_step) == {("lif", "spikes"), ("fc", "synops")}
