"""What enters and leaves in a step: counted by hand, and when it sets the step time."""

import dataclasses

import numpy as np
import pytest
from mapped import PROFILE, chain, changed, dense, lif

from spikeport.compiler.mapping import map_graph
from spikeport.hw_profiles.target import load_target
from spikeport.ir.graph import Edge, Graph, Node
from spikeport.ir.loihi import INPUT_NOTE
from spikeport.ir.ops import LI, Flatten, Input, Linear, Output
from spikeport.ir.trace import Counts, Trace
from spikeport.runtime import api
from spikeport.runtime.injected import as_injected, input_spikes
from spikeport.runtime.report import Report, StatedRates, price
from spikeport.runtime.report_text import format_reports


def stated(graph, name="loihi1", rate=100.0, steps=10):
    target = load_target(name) if isinstance(name, str) else name
    return price(map_graph(graph, PROFILE, target), StatedRates(rate, steps), target)


def test_events_and_spikes_of_a_mean_step():
    """A rate of 0.1 a step: 0.5 of 5 inputs enter, 0.2 of 2 output spikes leave."""
    found = stated(dense(5, 4, 2)).io
    assert (found.inputs, found.outputs) == (5, 2)
    assert (found.values_in, found.values_out) == pytest.approx((0.5, 0.2))


def test_membranes_that_are_read_leave_at_every_step():
    """Two outputs: three spiking neurons, and four integrators behind them through a flattening."""
    li = LI(*(np.full((2, 2), v) for v in (0.02, 1.0, 0.0)))
    nodes = [Node("in", Input((3,))), Node("n", lif((3,))), Node("fc", Linear(np.ones((3, 3)))), Node("s", Output((3,)))]
    graph = Graph(nodes, [Edge("in", "fc"), Edge("fc", "n"), Edge("n", "s")])
    both = chain(("in", Input((4,))), ("li", LI(*(a.reshape(-1) for a in li.arrays().values()))), ("out", Output((4,))))
    assert stated(graph).io.outputs == 3
    assert (stated(both).io.values_out, stated(both).io.outputs) == (4.0, 4)
    flat = chain(("in", Input((2, 2))), ("li", li), ("flat", Flatten(0, -1)), ("out", Output((4,))))
    assert stated(flat).io.values_out == 4.0


def test_input_and_output_set_the_step_of_a_small_network():
    """Cores and barrier take less than the 337 us of the fastest network that was fed and read at every step."""
    report = stated(dense(5, 4, 2))
    assert report.io.sets_step is True
    assert "input and output set the step, unless they are buffered" in report.io.why
    assert "337.3 us to 877.2 us" in report.io.why
    assert (report.io.step.value, report.io.step.low, report.io.step.high) == (None, 337.3e-6, 877.2e-6)
    assert report.io.step.kind == "measured"
    assert "390 inputs and 29 outputs: 337.3 us" in report.io.step.source


@pytest.mark.parametrize(("shortest", "longest", "sets"), [(1e-3, 2e-3, True), (1e-9, 1e-3, None), (1e-9, 2e-9, False)])
def test_what_sets_the_step_by_the_measured_span(shortest, longest, sets):
    target = load_target("loihi1")
    cases = [
        dataclasses.replace(c, step=dataclasses.replace(c.step, value=v))
        for c, v in zip(target.io.measured, (shortest, longest), strict=True)
    ]
    report = stated(dense(50, 40, 20), dataclasses.replace(target, io=dataclasses.replace(target.io, measured=tuple(cases))))
    assert report.io.sets_step is sets
    assert report.io.why


def test_what_nobody_measured_is_unknown_with_a_reason():
    found = stated(dense(5, 4, 2), "loihi2").io
    assert (found.sets_step, found.step.value, found.step.low) == (None, None, None)
    assert found.step.source == found.why == "no step with input and output was measured on loihi2"
    assert (found.limit_in, found.limit_out) == (None, None)


def test_a_timer_sets_the_step_whatever_enters():
    found = stated(dense(5, 4, 2), "spinnaker1").io
    assert (found.sets_step, found.why) == (False, "a timer sets the step")


def test_limits_count_for_every_chip_in_use():
    unknown = 'values_out = { unknown = "no limit of the chip is published", unit = "1" }'
    target = changed("loihi1", (unknown, 'values_out = { value = 7, unit = "1", class = "estimated", source = "literature" }'))
    assert stated(dense(2, 1024 * 129), target).io.limit_out == 14


def test_the_table_and_the_value_tell_it():
    report = stated(dense(5, 4, 2))
    text = format_reports([report])
    rows = [line.split() for line in text.splitlines()]
    assert ["events", "in", "(inputs)", "0.5", "(5)"] in rows
    assert ["values", "out", "(outputs)", "0.2", "(2)"] in rows
    assert ["they", "set", "the", "step", "yes"] in rows
    assert any(line.startswith("loihi1: input and output: a mean step takes the cores") for line in text.splitlines())
    assert Report.from_json(report.to_json()).io == report.io


def test_every_core_is_in_the_value():
    report = stated(dense(5, 4, 2))
    assert [(c.core, c.layers, c.used["neurons"], c.used["in_axons"]) for c in report.by_core] == [
        (0, "lif0", 4, 5), (1, "lif1", 2, 4),
    ]  # fmt: skip
    fullest = {u.resource: u.used for u in report.usage}
    for resource in ("neurons", "in_axons", "out_axons", "synapse_memory", "neuron_configs", "synapse_configs"):
        assert max(c.used[resource] for c in report.by_core) == fullest[resource]


# ------------------------------------------------------------------------------------------------ values that are no spikes


def graph_with(note=None):
    nodes = [Node("in", Input((3,)), {} if note is None else {INPUT_NOTE: note}), Node("fc", Linear(np.ones((2, 3)))),
             Node("n", lif((2,))), Node("out", Output((2,)))]  # fmt: skip
    return Graph(nodes, [Edge("in", "fc"), Edge("fc", "n"), Edge("n", "out")])


def test_a_value_n_is_n_spikes():
    x = np.array([[[0, 3, 1], [2, 0, -4]]], float)
    assert input_spikes(graph_with(), {"in": x})["in"].tolist() == [2, 3, 5]
    scaled = graph_with({"scale": 4.0, "least": -4, "most": 4})
    assert input_spikes(scaled, {"in": x / 4})["in"].tolist() == [2, 3, 5]


@pytest.mark.parametrize("x", [[0.0, 1.0, 1.0], [0.5, 1.0, 0.0], [-1.0, 1.0, 0.0], [2.0, 0.25, 0.0]])
def test_spikes_and_values_that_are_not_whole_stay_events(x):
    assert input_spikes(graph_with(), {"in": np.array([[x]])}) == {}


def test_boolean_inputs_are_spikes():
    assert input_spikes(graph_with(), {"in": np.ones((1, 2, 3), bool)}) == {}


def valued(**meta):
    activity = {"in": np.array([1, 1, 0]), "fc": np.zeros(2), "n": np.zeros(2)}
    counts = {"fc": Counts(events=2, synops=4), "n": Counts(spikes=0, updates=2)}
    return Trace({}, {}, {}, counts, activity, 1, 1, {}, {"binary_inputs": (), **meta})


@pytest.mark.parametrize(("name", "events"), [("loihi1", 8), ("spinnaker1", 8), ("loihi2", 2)])
def test_loihi1_injects_n_spikes_and_loihi2_a_graded_one(name, events):
    """Values of 3 and 5 at two inputs, two neurons behind them."""
    target = load_target(name)
    run = valued(input_spikes={"in": np.array([3, 5, 0])})
    assert as_injected(run, target).activity["in"].sum() == events
    report = price(map_graph(graph_with(), PROFILE, target), run, target)
    assert report.io.values_in == events
    assert {x.path: x.synops_per_sample for x in report.layers}["n"] == 2 * events
    assert any("in: a value n is priced as n spikes (8.0 a step)" in n for n in report.notes) is (name != "loihi2")


def test_values_that_are_not_whole_are_priced_as_one_event_and_said_so():
    target = load_target("loihi1")
    report = price(map_graph(graph_with(), PROFILE, target), valued(), target)
    assert report.io.values_in == 2
    assert any("in: its values are not spikes" in n for n in report.notes)


def test_a_run_counts_its_values():
    """From the front door: four steps of 3 at each of three inputs are 36 spikes on Loihi 1 and 12 events on Loihi 2."""
    model = dense(3, 4, 2)
    x = np.full((1, 4, 3), 3.0)
    found = {}
    for name in ("loihi1", "loihi2"):
        program = api.compile(model, name, profile=str(PROFILE))
        found[name] = api.run(program, x).report.io.values_in
    assert found == {"loihi1": 9.0, "loihi2": 3.0}
