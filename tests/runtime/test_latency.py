"""Chip time of Loihi 1 by hand: two sequences on a core, the busiest link, and the barrier over the tiles in use."""

import dataclasses

import numpy as np
import pytest
from mapped import PROFILE, dense, limited

from spikeport.compiler.mapping import map_graph
from spikeport.compiler.mapping.trees import busiest
from spikeport.hw_profiles.target import load_target
from spikeport.ir.trace import Counts, Trace
from spikeport.runtime.report import StatedRates, price

NS = 1e-9


def priced(graph, often, synops, target=None, steps=1, **states):
    """The report of a run in which every neuron of each layer spikes as often as *often* says."""
    target = load_target("loihi1") if target is None else target
    program = map_graph(graph, PROFILE, target)
    activity, counts = {}, {}
    for path, each in often.items():
        op = graph[path].op
        size = op.shape[0] if op.kind == "Input" else op.v_threshold.size
        activity[path] = np.full(size, each)
        if op.kind != "Input":
            counts[path] = Counts(spikes=each * size, updates=size * steps)
    for path, done in synops.items():
        counts[path] = Counts(events=1, synops=done)
        activity[path] = np.zeros(1)
    return price(program, Trace(states.get("spikes", {}), {}, states.get("v", {}), counts, activity, 1, steps), target)


def of_set(report, name):
    return {a.name: a.total.value for a in next(s for s in report.cost_sets if s.name == name).time}


def test_neurons_take_their_turns_and_then_their_packets():
    """Four neurons, all spiking, one core behind them: (6 + 3.7 + 30 + 5.1) ns each; the barrier over one tile follows."""
    report = priced(dense(3, 4, 2), {"in": 0, "lif0": 1, "lif1": 0}, {"fc0": 0, "fc1": 8})
    time = of_set(report, "calibrated")
    assert time["cores"] == pytest.approx(4 * (6.0 + 3.7 + 30 + 5.1) * NS)
    assert time["barrier"] == pytest.approx(0.6e-6)
    assert time["chip"] == pytest.approx(time["cores"] + time["barrier"])
    # By the published figures four packets with two synapses each arrive: 4 * 2.1 + 8 * 3.5 ns against 4 * 8.4.
    assert of_set(report, "published")["cores"] == pytest.approx(4 * (2.1 + 2 * 3.5) * NS)


def test_packets_arrive_one_after_the_other_with_their_synapses():
    """Three inputs into four neurons, none of which spikes: 3 * 16 + 12 * 3.8 ns of arrival against 4 * 9.7 of updates."""
    report = priced(dense(3, 4, 2), {"in": 1, "lif0": 0, "lif1": 0}, {"fc0": 12, "fc1": 0})
    assert of_set(report, "calibrated")["cores"] == pytest.approx((3 * 16 + 12 * 3.8) * NS)
    assert of_set(report, "published")["cores"] == pytest.approx(3 * (2.1 + 4 * 3.5) * NS)
    assert report.bounded_by == "incoming events on core 0 (lif0)"


def test_sending_and_receiving_run_beside_each_other():
    """Both at once: the longer of the two, not their sum."""
    report = priced(dense(3, 4, 2), {"in": 1, "lif0": 1, "lif1": 0}, {"fc0": 12, "fc1": 8})
    send, receive = 4 * (6.0 + 3.7 + 30 + 5.1), 3 * 16 + 12 * 3.8
    assert of_set(report, "calibrated")["cores"] == pytest.approx(max(send, receive) * NS)


def test_the_fullest_core_sets_the_step():
    """Four neurons on cores of three: two and two, beside a layer of two; the cores do not add up."""
    whole = of_set(priced(dense(3, 4, 2), {"in": 0, "lif0": 0, "lif1": 0}, {"fc0": 0, "fc1": 0}), "calibrated")
    split = of_set(
        priced(dense(3, 4, 2), {"in": 0, "lif0": 0, "lif1": 0}, {"fc0": 0, "fc1": 0}, limited("loihi1", neurons=3)),
        "calibrated",
    )
    assert (whole["cores"], split["cores"]) == pytest.approx((4 * 9.7 * NS, 2 * 9.7 * NS))


@pytest.mark.parametrize(("cores", "published", "calibrated"), [
    (1, 113, 600), (4, 113, 600), (5, 113 + (465 - 113) / 31, 1000), (16, 113 + 3 * (465 - 113) / 31, 1400),
    (128, 465, 1800),
])  # fmt: skip
def test_the_barrier_spans_the_tiles_in_use(cores, published, calibrated):
    """Four cores a tile; linear between the published ends, and between the calibrated points."""
    target = limited("loihi1", neurons=1)
    report = priced(dense(1, cores), {"in": 0, "lif0": 0}, {"fc0": 0}, target)
    assert of_set(report, "published")["barrier"] == pytest.approx(published * NS)
    assert of_set(report, "calibrated")["barrier"] == pytest.approx(calibrated * NS)


def test_idle_neurons_are_not_updated():
    """Membranes of 0 throughout: 6 ns an access calibrated, 5.3 ns published."""
    states = {
        "v": {"lif0": np.zeros((1, 2, 4)), "lif1": np.zeros((1, 2, 2))},
        "spikes": {"lif0": np.zeros((1, 2, 4), int), "lif1": np.zeros((1, 2, 2), int)},
    }
    report = priced(dense(3, 4, 2), {"in": 0, "lif0": 0, "lif1": 0}, {"fc0": 0, "fc1": 0}, steps=2, **states)
    assert of_set(report, "calibrated")["cores"] == pytest.approx(2 * 4 * 6.0 * NS)
    assert of_set(report, "published")["cores"] == pytest.approx(2 * 4 * 5.3 * NS)


def test_busiest_links_by_hand():
    """Streams of 5, 3 and 2 packets along X, then Y: the link (1,0)-(2,0) carries 8, the link (2,1)-(2,2) 7."""
    x0, y0, x1, y1 = (np.array(a) for a in ([0, 1, 2], [0, 0, 1], [2, 3, 2], [2, 0, 2]))
    found = busiest(x0, y0, x1, y1, np.array([5.0, 3.0, 2.0]))
    assert found["hop_ew"].tolist() == [True, True, False]
    assert found["hop_ns"].tolist() == [True, False, True]


def test_directions_of_a_link_do_not_add_up():
    x0, y0, x1, y1 = (np.array(a) for a in ([0, 3], [0, 0], [3, 0], [0, 0]))
    found = busiest(x0, y0, x1, y1, np.array([5.0, 4.0]))
    assert found["hop_ew"].tolist() == [True, False]
    assert found["hop_ns"].tolist() == [False, False]
    assert busiest(x0[:0], y0[:0], x1[:0], y1[:0], np.zeros(0))["hop_ew"].tolist() == []


def test_a_link_bounds_the_step_where_all_packets_cross_it():
    """A neuron sends to 127 cores of one neuron: those beyond the first tile cross its one link to the east."""
    target = limited("loihi1", neurons=1)
    report = priced(dense(1, 1, 124), {"in": 0, "lif0": 1, "lif1": 0}, {"fc0": 0, "fc1": 124}, target)
    beyond = 124 - 3 - 3 * 4  # less the rest of its own tile, and the three tiles to the south, which it reaches along Y
    published = of_set(report, "published")["cores"]
    assert published == pytest.approx(beyond * 4.1 * NS)
    assert report.bounded_by == "busiest link between east and west"


def test_lines_of_the_time_add_up():
    target = load_target("loihi1")
    report = price(map_graph(dense(30, 40, 20), PROFILE, target), StatedRates(50.0, 20), target)
    lines = {a.name: a.total for a in report.time}
    assert list(lines) == ["cores", "barrier", "host_io"]
    assert lines["cores"].value + lines["barrier"].value == pytest.approx(report.chip_time.total.value)
    assert lines["host_io"].value is None
    ends = [of_set(report, n)["chip"] for n in ("published", "calibrated")]
    assert (report.chip_time.total.low, report.chip_time.total.high) == pytest.approx((min(ends), max(ends)))


def test_a_timer_is_a_line_of_its_own():
    target = load_target("spinnaker1")
    report = price(map_graph(dense(3, 4, 2), PROFILE, target), StatedRates(50.0, 20), target)
    assert [(a.name, a.total.value) for a in report.time] == [("timer", pytest.approx(0.020)), ("host_io", None)]


def test_a_target_without_times_has_no_parts():
    target = dataclasses.replace(load_target("loihi1"), costs=())
    report = price(map_graph(dense(3, 4, 2), PROFILE, target), StatedRates(50.0, 20), target)
    assert [a.name for a in report.time] == ["host_io"]
    assert report.cost_sets == ()
