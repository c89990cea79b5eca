"""Energy of Loihi 1, each counting rule by hand: access, update, spike, packet, hop, synapse; sums within one cost set.

The networks are so small that all events can be counted on paper; costs are written out, not read from the target.
"""

import dataclasses

import numpy as np
import pytest
from mapped import PROFILE, dense, limited

from spikeport.backends.counting import count
from spikeport.compiler.mapping import map_graph
from spikeport.hw_profiles.target import load_target
from spikeport.ir.network import build_network
from spikeport.ir.reference import run_reference
from spikeport.ir.trace import Counts, Recording, Trace
from spikeport.runtime import energy
from spikeport.runtime.report import price

PJ = 1e-12
ACCESS, UPDATE, SPIKE, OUT = 51.2 * PJ, 21.6 * PJ, 69.3 * PJ, 111 * PJ
ACTIVE, INACTIVE = 81 * PJ, 52 * PJ


def trace(hidden, out, steps=1, entering=None, **states):
    """A run of 3-4-2: spikes of each neuron, and events of each input."""
    entering = np.zeros(3, int) if entering is None else np.array(entering)
    hidden, out = np.array(hidden), np.array(out)
    activity = {"in": entering, "fc0": np.zeros(4), "lif0": hidden, "fc1": np.zeros(2), "lif1": out}
    counts = {
        "fc0": Counts(events=int(entering.sum()), synops=4 * int(entering.sum())),
        "lif0": Counts(spikes=int(hidden.sum()), updates=4 * steps),
        "fc1": Counts(events=int(hidden.sum()), synops=2 * int(hidden.sum())),
        "lif1": Counts(spikes=int(out.sum()), updates=2 * steps),
    }
    return Trace(states.get("spikes", {}), {}, states.get("v", {}), counts, activity, 1, steps)


def priced(run, target=None):
    target = load_target("loihi1") if target is None else target
    report = price(map_graph(dense(3, 4, 2), PROFILE, target), run, target)
    sets = {s.name: {a.name: a.total for a in s.energy} for s in report.cost_sets}
    return report, sets["published"], sets["calibrated"]


def test_a_silent_step_costs_an_access_of_every_neuron():
    """Six neurons, nothing happens: from idle to updated, since nobody recorded their membranes."""
    report, published, calibrated = priced(trace([0] * 4, [0] * 2))
    assert (calibrated["soma"].low, calibrated["soma"].value) == pytest.approx((6 * ACCESS, 6 * (ACCESS + UPDATE)))
    assert (published["soma"].low, published["soma"].value) == pytest.approx((6 * INACTIVE, 6 * ACTIVE))
    assert (report.line("soma").total.low, report.line("soma").total.high) == pytest.approx((6 * ACCESS, 6 * ACTIVE))


def test_a_spike_costs_its_access_and_update_too():
    """One spike of a hidden neuron: 51.2 + 21.6 + 69.3 = 142.1 pJ at its soma, and a packet for the one core behind it."""
    before, after = priced(trace([0] * 4, [0] * 2)), priced(trace([1, 0, 0, 0], [0] * 2))
    assert after[2]["soma"].value - before[2]["soma"].value == pytest.approx(SPIKE)
    assert after[2]["soma"].low - before[2]["soma"].low == pytest.approx(UPDATE + SPIKE)
    assert after[2]["network"].value == pytest.approx(OUT)
    assert after[2]["synapse"].value == pytest.approx(2 * 35.5 * PJ)
    assert after[1]["network"].value == pytest.approx(1.7 * PJ)
    assert after[1]["synapse"].value == pytest.approx(2 * 23.6 * PJ)


def test_a_spike_that_nobody_listens_to_makes_no_packet():
    _, _, calibrated = priced(trace([0] * 4, [1, 0]))
    assert calibrated["network"].value == 0
    assert calibrated["soma"].value == pytest.approx(6 * (ACCESS + UPDATE) + SPIKE)


def test_an_input_event_is_sent_by_no_core():
    """It pays arrival (0 pJ calibrated, 1.7 pJ published) and its four synapses."""
    _, published, calibrated = priced(trace([0] * 4, [0] * 2, entering=[1, 0, 0]))
    assert calibrated["network"].value == 0
    assert published["network"].value == pytest.approx(1.7 * PJ)
    assert calibrated["synapse"].value == pytest.approx(4 * 35.5 * PJ)


def test_a_packet_leaves_for_every_core_with_synapses():
    """A neuron in front of 15 neurons on five cores: five packets, three within its tile of four, two a hop to the east."""
    target = limited("loihi1", neurons=3)
    graph = dense(1, 1, 15)
    program = map_graph(graph, PROFILE, target)
    assert len(program.slices_of("lif1")) == 5
    counts = {"fc0": Counts(0, 0, 0), "lif0": Counts(spikes=1, updates=1), "fc1": Counts(events=1, synops=15),
              "lif1": Counts(spikes=0, updates=15)}  # fmt: skip
    activity = {"in": np.zeros(1), "fc0": np.zeros(1), "lif0": np.ones(1), "fc1": np.zeros(15), "lif1": np.zeros(15)}
    report = price(program, Trace({}, {}, {}, counts, activity, 1, 1), target)
    sets = {s.name: {a.name: a.total.value for a in s.energy} for s in report.cost_sets}
    assert sets["calibrated"]["network"] == pytest.approx(5 * OUT + 2 * 3.0 * PJ)
    assert sets["published"]["network"] == pytest.approx(5 * 1.7 * PJ + 2 * 3.0 * PJ)


def test_neurons_are_idle_where_the_membranes_say_so():
    """Three steps. Neuron 0 of lif0 is charged in step 1 and empty in step 2: busy in both. Neuron 0 of lif1 spikes from 0."""
    v = {"lif0": np.zeros((1, 3, 4)), "lif1": np.zeros((1, 3, 2))}
    spikes = {path: np.zeros(a.shape, int) for path, a in v.items()}
    v["lif0"][0, 1, 0] = 0.3
    spikes["lif1"][0, 2, 0] = 1
    run = trace([0] * 4, [1, 0], steps=3, v=v, spikes=spikes)
    _, published, calibrated = priced(run)
    busy = 3
    assert calibrated["soma"].value == pytest.approx(18 * ACCESS + busy * UPDATE + SPIKE)
    assert published["soma"].value == pytest.approx(busy * ACTIVE + (18 - busy) * INACTIVE)
    assert (calibrated["soma"].low, published["soma"].low) == (calibrated["soma"].value, published["soma"].value)


def test_busy_neurons_are_those_of_the_reference():
    """A run that records everything narrows the interval; the count is that of a loop over neurons and steps."""
    graph, target = dense(3, 4, 2), load_target("loihi1")
    x = np.zeros((2, 6, 3))
    x[:, 2, 0] = 1
    full = run_reference(build_network(graph, PROFILE), {"in": x}, Recording(("lif0", "lif1"), True))
    program = map_graph(graph, PROFILE, target)
    found = count(program, full, target).active
    busy = 0
    for path in ("lif0", "lif1"):
        for sample in range(2):
            for neuron in range(full.v[path].shape[2]):
                before = 0.0
                for step in range(6):
                    after = full.v[path][sample, step, neuron]
                    busy += bool(before != 0 or after != 0 or full.spikes[path][sample, step, neuron])
                    before = after
    assert found.sum() == busy
    assert 0 < busy < 2 * 6 * 6


def test_without_records_of_all_layers_nobody_is_known_to_be_idle():
    run = trace([0] * 4, [0] * 2, v={"lif0": np.zeros((1, 1, 4))}, spikes={"lif0": np.zeros((1, 1, 4), int)})
    target = load_target("loihi1")
    assert count(map_graph(dense(3, 4, 2), PROFILE, target), run, target).active is None


def test_a_sum_takes_its_lines_from_one_cost_set():
    """Soma is dearer by the published set, synapses and packets by the calibrated one: the ends of the sum mix neither."""
    report, published, calibrated = priced(trace([1, 1, 0, 0], [1, 0], steps=10, entering=[1, 1, 1]))
    total = report.energy_dynamic.total
    assert total.value == pytest.approx(published["dynamic"].value)
    ends = sorted(
        (published["dynamic"].low, published["dynamic"].value, calibrated["dynamic"].low, calibrated["dynamic"].value)
    )
    assert (total.low, total.high) == (ends[0], ends[-1])
    lines = [report.line(n).total for n in ("synapse", "soma", "network")]
    assert sum(q.high for q in lines) > total.high
    for lines_of_set in (published, calibrated):
        parts = [lines_of_set[n].value for n in ("synapse", "soma", "network")]
        assert lines_of_set["dynamic"].value == pytest.approx(sum(parts))


def test_neurocores_stand_apart_from_the_rest_of_the_chip():
    """Management (x86) is in the sum of the known lines, not in the neurocores'; barrier, static and host I/O are unknown."""
    report, *_ = priced(trace([1] * 4, [1] * 2, entering=[1, 1, 1]))
    management = report.line("management").total
    assert report.energy_known.total.value == pytest.approx(report.energy_dynamic.total.value + management.value)
    assert report.energy_known.total.low == pytest.approx(report.energy_dynamic.total.low + management.low)
    for name in ("barrier", "static", "host_io"):
        assert report.line(name).total.value is None
        assert report.line(name).total.source
    assert report.energy_total.total.value is None


def test_sets_of_a_target_with_one_are_its_lines():
    target = load_target("loihi2")
    report = price(map_graph(dense(3, 4, 2), PROFILE, target), trace([1] * 4, [0] * 2), target)
    (only,) = report.cost_sets
    assert {a.name: a.total.value for a in only.energy if a.name != "dynamic"} == {
        n: report.line(n).total.value for n in ("synapse", "soma", "network")
    }


def test_a_line_that_a_set_does_not_price_leaves_the_sum_to_the_lines():
    """A set without packets cannot bound the sum: its own is smaller for want of a line, not of energy."""
    target = load_target("loihi1")
    first, second = target.costs
    short = dataclasses.replace(second, energy={k: q for k, q in second.energy.items() if not k.startswith(("packet", "hop"))})
    cut = dataclasses.replace(target, costs=(first, short))
    run = trace([1] * 4, [0] * 2)
    report = price(map_graph(dense(3, 4, 2), PROFILE, cut), run, cut)
    assert "network" not in {a.name for a in report.cost_sets[1].energy}
    published = report.cost_sets[0].energy[-1].total
    assert (report.energy_dynamic.total.low, report.energy_dynamic.total.high) == (published.low, published.value)


def test_a_set_alone_gives_the_interval_of_its_own_range():
    parts = {"soma": energy.total({"soma": priced(trace([0] * 4, [0] * 2))[1]["soma"]}, strict=True)}
    assert energy.dynamic(parts, {}) == energy.total(parts, strict=True)
