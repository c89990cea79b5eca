"""Pricing: hand-computed energies and times, what is unknown, the published schema, and the table."""

import dataclasses
import json
from importlib.resources import files

import jsonschema
import numpy as np
import pytest
from mapped import PROFILE, chain, changed, conv, dense, lif, limited, recurrent

from spikeport.compiler.mapping import map_graph
from spikeport.hw_profiles.target import load_target, target_names
from spikeport.ir.diagnostics import UsageError
from spikeport.ir.network import build_network
from spikeport.ir.ops import Delay, Input, Linear, Output
from spikeport.ir.reference import run_reference
from spikeport.ir.trace import Counts, Trace
from spikeport.runtime.neurobench import binary_inputs, metrics
from spikeport.runtime.report import Report, StatedRates, price
from spikeport.runtime.report_text import format_reports

SCHEMA = json.loads(files("spikeport.runtime").joinpath("report.schema.json").read_text())
SAMPLES, STEPS = 2, 10


def tiny_trace(**meta):
    """3 inputs, 4 hidden neurons, 2 outputs; 2 samples of 10 steps; 8 events enter, 5 and 3 spikes."""
    activity = {
        "in": np.array([5, 3, 0]),
        "fc0": np.zeros(4),
        "lif0": np.array([2, 0, 2, 1]),
        "fc1": np.zeros(2),
        "lif1": np.array([3, 0]),
    }
    counts = {
        "fc0": Counts(events=8, synops=32), "lif0": Counts(spikes=5, updates=80), "fc1": Counts(events=5, synops=10),
        "lif1": Counts(spikes=3, updates=40),
    }  # fmt: skip
    return Trace({}, {}, {}, counts, activity, SAMPLES, STEPS, {"run": 0.5}, {"backend": "test", **meta})


def tiny(name, **options):
    target = load_target(name) if isinstance(name, str) else name
    return price(map_graph(dense(3, 4, 2), PROFILE, target, **options), tiny_trace(), target)


def ran(graph, seed=0):
    rng = np.random.default_rng(seed)
    x = (rng.random((2, 8, *graph["in"].op.shape)) < 0.4).astype(float)
    return run_reference(build_network(graph, PROFILE), {"in": x})


# ------------------------------------------------------------------------------------------------- energy by hand


def test_loihi1_energy_by_hand():
    """Published: 42 synaptic operations, 120 updates, 8 + 5 packets within the tile. The other set gives the interval."""
    report = tiny("loihi1")
    synapse, soma, network = (report.line(n).total for n in ("synapse", "soma", "network"))
    assert synapse.value == pytest.approx(42 * 23.6e-12)
    assert (synapse.low, synapse.high) == pytest.approx((42 * 23.6e-12, 42 * 35.5e-12))
    assert soma.value == pytest.approx(120 * 81e-12)
    calibrated = 120 * (51.2e-12 + 21.6e-12) + 8 * 69.3e-12
    assert soma.low == pytest.approx(min(8 * 81e-12 + 112 * 52e-12, calibrated))
    assert soma.high == pytest.approx(max(120 * 81e-12, calibrated))
    assert network.value == pytest.approx(13 * 1.7e-12)
    assert network.high == pytest.approx(5 * 111e-12)
    assert report.line("synapse").per_sample.value == pytest.approx(21 * 23.6e-12)
    assert report.energy_dynamic.total.value == pytest.approx(42 * 23.6e-12 + 120 * 81e-12 + 13 * 1.7e-12)
    assert synapse.kind == "modelled"


def test_an_idle_neuron_is_accessed_but_not_updated_at_the_low_end():
    """Nothing happens in 20 steps of 6 neurons: 52 pJ each by the published set, 51.2 pJ by the other, 81 pJ as priced."""
    counts = {"fc0": Counts(events=0, synops=0), "lif0": Counts(spikes=0, updates=80), "fc1": Counts(events=0, synops=0),
              "lif1": Counts(spikes=0, updates=40)}  # fmt: skip
    still = {path: np.zeros(n) for path, n in (("in", 3), ("fc0", 4), ("lif0", 4), ("fc1", 2), ("lif1", 2))}
    target = load_target("loihi1")
    report = price(map_graph(dense(3, 4, 2), PROFILE, target), Trace({}, {}, {}, counts, still, SAMPLES, STEPS), target)
    soma = report.line("soma").total
    assert (soma.value, soma.low) == pytest.approx((120 * 81e-12, 120 * 51.2e-12))


def test_loihi1_time_by_hand():
    """Flat: updates bound the step, 4 on the fuller core, and a barrier over one tile; x86 runs all the while."""
    report = tiny("loihi1")
    published = 20 * (4 * 8.4e-9 + 113e-9)
    calibrated = 20 * (4 * (6.0e-9 + 3.7e-9) + 5 / 20 * (30e-9 + 5.1e-9) + 600e-9)
    assert report.chip_time.total.value == pytest.approx(published)
    assert report.chip_time.total.high == pytest.approx(calibrated)
    assert report.line("management").total.value == pytest.approx(0.070 * published)
    assert report.bounded_by == "neuron updates on core 0 (lif0)"
    assert "mean step" in report.chip_time.total.source
    assert any("busy steps take longer" in n for n in report.notes)
    assert report.model_time.per_sample.value == pytest.approx(10 * 1e-3)
    assert report.host_time.total == dataclasses.replace(report.host_time.total, value=0.5, kind="measured")


def test_a_step_takes_the_maximum_over_cores_not_the_sum():
    """All 40 events in one step of 4: their arrival and 400 synaptic operations bound that step, updates the others."""
    graph = dense(10, 10)
    target = load_target("loihi1")
    program = map_graph(graph, PROFILE, target)
    activity = {"in": np.full(10, 4), "fc0": np.zeros(10), "lif0": np.zeros(10)}
    course = np.array([[0, 0, 400, 0]])
    peaked = {"fc0": Counts(events=40, synops=400, synops_per_step=course), "lif0": Counts(spikes=0, updates=40)}
    flat = {"fc0": Counts(events=40, synops=400), "lif0": Counts(spikes=0, updates=40)}
    times = [
        price(program, Trace({}, {}, {}, c, activity, 1, 4), target).chip_time.total.value for c in (peaked, flat)
    ]  # fmt: skip
    updates, barrier = 10 * 8.4e-9, 113e-9
    assert times[0] == pytest.approx(40 * 2.1e-9 + 400 * 3.5e-9 + 3 * updates + 4 * barrier)
    assert times[1] == pytest.approx(4 * (10 * 2.1e-9 + 100 * 3.5e-9 + barrier))


def test_steady_shares_of_several_cores_are_said():
    graph = recurrent()
    trace = ran(graph)
    said = [
        any("steady share" in n for n in price(map_graph(graph, PROFILE, t), trace, t).notes)
        for t in (load_target("loihi1"), limited("loihi1", neurons=3), limited("spinnaker1", neurons=3))
    ]
    assert said == [False, True, False]


def test_spinnaker1_energy_law_by_hand():
    """Three cores (the input has one) for 20 ms at 34 mW, a chip at 0.35 W, 13 packets of 1 nJ at one router each.

    The step is 1 ms by the timer.
    """
    report = tiny("spinnaker1")
    assert report.chip_time.total.value == pytest.approx(0.020)
    assert report.line("core").total.value == pytest.approx(0.034 * 3 * 0.020)
    assert report.line("static").total.value == pytest.approx(0.35 * 0.020)
    assert report.line("static").total.high == pytest.approx(26.84 * 0.020)
    assert report.line("network").total.value == pytest.approx(13e-9)
    assert report.line("synapse").within == report.line("soma").within == "core"
    assert report.line("management").within == "static"
    assert report.energy_known.total.value == pytest.approx(0.034 * 3 * 0.020 + 0.35 * 0.020 + 13e-9)
    assert {a.name: a.total.value for a in report.apart} == pytest.approx({"box": 5.04 * 0.020, "frame": 117 * 0.020})
    assert report.boards == 1


def test_all_boards_of_a_machine_are_kept_on():
    """49 chips are a machine of a triad, which is three boards, though two would have as many chips."""
    report = tiny("spinnaker1", chips=49)
    assert report.boards == 3
    assert report.line("static").total.high == pytest.approx(3 * 26.84 * 0.020)


def test_edp_is_energy_times_delay_of_a_sample():
    report = tiny("spinnaker1")
    assert report.edp.unit == "J s"
    assert report.edp.value == pytest.approx(report.energy_known.per_sample.value * report.chip_time.per_sample.value)


# -------------------------------------------------------------------------------------------------------- unknown


def test_unknown_is_none_never_zero():
    report = tiny("loihi1")
    static = report.line("static").total
    assert (static.value, static.low, static.high) == (None, None, None)
    assert static.source == "no static power of the neurocores alone is published"
    assert report.energy_total.total.value is None
    assert "static (no static power" in report.energy_total.total.source
    assert report.line("barrier").total.source.startswith("no energy of a barrier is published")
    assert "without barrier, static, host_io" in report.energy_known.total.source


def test_spinnaker2_has_no_time_and_no_total():
    report = tiny("spinnaker2")
    assert report.line("synapse").total.value == pytest.approx(42 * 450e-12)
    assert report.line("soma").total.kind == "estimated"
    for unknown in (report.chip_time.total, report.energy_total.total, report.line("network").total, report.edp):
        assert unknown.value is None
        assert unknown.source


def test_loihi2_is_estimated_throughout():
    report = tiny("loihi2")
    assert {a.total.kind for a in report.energy} == {"estimated"}
    assert report.chip_time.total.kind == "estimated"


def test_a_chip_without_costs_prices_nothing():
    bare = dataclasses.replace(load_target("loihi1"), costs=(), power={})
    report = tiny(bare)
    assert all(a.total.value is None for a in report.energy)
    assert report.chip_time.total.value is None
    assert report.energy_known.total.value is None


def test_without_a_target_there_are_counts_only():
    program = map_graph(dense(3, 4, 2), PROFILE, load_target("loihi1"))
    report = price(dataclasses.replace(program, target="", slices=(), projections=(), chips=0, usage={}), tiny_trace(), None)
    assert report.target is None
    assert report.energy == ()
    assert report.chip_time.total.value is None
    assert report.host_time.total.value == 0.5
    jsonschema.Draft202012Validator(SCHEMA).validate(report.to_json())
    assert "no target" in format_reports([report])


def test_a_program_of_another_target_is_refused():
    program = map_graph(dense(3, 4, 2), PROFILE, load_target("loihi1"))
    with pytest.raises(UsageError, match="E644: mapped on loihi1, to be priced for loihi2"):
        price(program, tiny_trace(), load_target("loihi2"))


# --------------------------------------------------------------------------------------------- counts and metrics


def test_layers_and_rates():
    layers = {x.path: x for x in tiny("loihi1").layers}
    assert list(layers) == ["in", "lif0", "lif1"]
    assert layers["lif0"].spikes == 5
    assert layers["lif0"].spikes_per_sample == 2.5
    assert layers["lif0"].rate_hz == pytest.approx(5 / (4 * 20 * 1e-3))
    assert layers["lif0"].synops_per_sample == 16
    assert layers["lif1"].synops_per_sample == 5
    assert (layers["lif0"].synapses, layers["lif0"].cores) == (12, 1)


def test_neurobench_by_hand():
    found = tiny("loihi1").neurobench
    assert found["ParameterCount"] == 12 + 8
    assert found["ConnectionSparsity"] == 0.0
    assert found["ActivationSparsity"] == pytest.approx(1 - 8 / (6 * 20))
    assert found["SynapticOperations"] == {"Effective_MACs": 16.0, "Effective_ACs": 5.0, "Dense": 200.0}
    assert found["MembraneUpdates"] == 60


def test_membrane_updates_are_those_that_change_where_membranes_are_recorded():
    """NeuroBench 2.3: all neurons in the first step, then those whose membrane is another than a step before."""
    target = load_target("loihi1")
    program = map_graph(dense(3, 4, 2), PROFILE, target)
    v = {"lif0": np.zeros((SAMPLES, STEPS, 4)), "lif1": np.zeros((SAMPLES, STEPS, 2))}
    v["lif0"][0, 3:, 1] = 0.5  # one change, and then it stays
    v["lif1"][1, 4, :] = 0.2  # up and down again, two neurons
    trace = dataclasses.replace(tiny_trace(), v=v)
    exact, bound = price(program, trace, target), price(program, tiny_trace(), target)
    assert exact.neurobench["MembraneUpdates"] == (2 * 6 + 1 + 4) / 2
    assert [any("MembraneUpdates counts every neuron" in n for n in r.notes) for r in (exact, bound)] == [False, True]


def test_footprint_does_not_depend_on_how_a_constant_is_held():
    """20 weights of 8 bytes, and five constants a layer of neurons, whether a file spells them out or not."""
    graph = dense(3, 4, 2)
    spelt = graph.map_ops(
        lambda n: type(n.op)(*(np.array(a) for a in n.op.arrays().values())) if n.path.startswith("lif") else n.op
    )
    assert [metrics(g, tiny_trace())["Footprint"] for g in (graph, spelt)] == [20 * 8 + 2 * 5 * 8] * 2


def test_spikes_behind_a_delay_are_spikes():
    graph = chain(("in", Input((3,))), ("fc0", Linear(np.ones((4, 3)))), ("lif0", lif((4,))),
                  ("wait", Delay(np.full(4, 2e-3))), ("fc1", Linear(np.ones((2, 4)))), ("lif1", lif((2,))),
                  ("out", Output((2,))))  # fmt: skip
    found = metrics(graph, tiny_trace())["SynapticOperations"]
    assert (found["Effective_MACs"], found["Effective_ACs"]) == (16.0, 5.0)


def test_binary_input_makes_accumulates():
    x = {"in": np.array([0.0, 1.0, -1.0]), "b": np.array([0.5, 1.0])}
    assert binary_inputs(x) == ("in",)
    target = load_target("loihi1")
    report = price(map_graph(dense(3, 4, 2), PROFILE, target), tiny_trace(binary_inputs=("in",)), target)
    assert report.neurobench["SynapticOperations"]["Effective_ACs"] == 21.0


@pytest.mark.parametrize(("name", "said"), [("loihi1", True), ("loihi2", False)])
def test_values_that_are_no_spikes_are_said(name, said):
    target = load_target(name)
    program = map_graph(dense(3, 4, 2), PROFILE, target)
    texts = [price(program, tiny_trace(binary_inputs=b), target).notes for b in ((), ("in",))]
    assert any("in: its values are not spikes" in n for n in texts[0]) is said
    assert not any("not spikes" in n for n in texts[1])


def test_usage_names_the_fullest_place():
    used = {u.resource: u for u in tiny("loihi1").usage}
    assert (used["neurons"].used, used["neurons"].limit, used["neurons"].where, used["neurons"].layer) == (
        4,
        1024,
        "core 0",
        "lif0",
    )
    assert (used["cores"].used, used["cores"].limit) == (2, 128)
    assert used["fan_in"].limit is None


def test_synops_of_the_report_are_those_of_the_run():
    graph = recurrent()
    trace = ran(graph)
    target = limited("loihi1", neurons=3)
    report = price(map_graph(graph, PROFILE, target), trace, target)
    done = sum(x.synops_per_sample or 0 for x in report.layers) * trace.samples
    assert done == trace.counts["fc"].synops + trace.counts["rec"].synops


def test_notes_say_what_a_reader_must_know():
    notes = "\n".join(tiny("spinnaker1").notes)
    assert "the run is float64, not spinnaker1's own arithmetic" in notes
    assert "rewritten exactly on spinnaker1" in notes


def test_stated_rates_say_so():
    target = load_target("loihi2")
    report = price(map_graph(conv(), PROFILE, target), StatedRates(20.0, 100), target)
    assert report.kind == "stated_rates"
    assert report.host_time.total.value is None
    assert "nothing was run: every input and neuron is taken to send 20 events/s, evenly" in report.notes
    layers = {x.path: x for x in report.layers}
    assert layers["n0"].rate_hz == pytest.approx(20.0, rel=0.01)


# --------------------------------------------------------------------------------------------------- value and text


def reports():
    graph = conv(zeros=0.2)
    trace = ran(graph)
    return [price(map_graph(graph, PROFILE, t), trace, t) for t in map(load_target, target_names())]


def test_reports_follow_the_published_schema_and_come_back():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    for report in reports():
        data = json.loads(json.dumps(report.to_json(), allow_nan=False))
        jsonschema.Draft202012Validator(SCHEMA).validate(data)
        back = Report.from_json(data)
        assert back == Report.from_json(json.dumps(data))
        assert back.to_json() == data
        assert back.energy == report.energy


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.pop("edp"), "missing \\['edp'\\]"),
        (lambda d: d.update(extra=1), "unknown \\['extra'\\]"),
        (lambda d: d.update(format="spikeport report 9"), "its format is not"),
        (lambda d: d.update(chips="many"), "expected int \\| None, got 'many'"),
        (lambda d: d["energy"][0].update(name=3), "energy\\[0\\].name: expected str"),
        (lambda d: d["edp"].update({"class": "guessed"}), "class of a quantity"),
        (lambda d: d.update(layers={}), "layers: expected a list"),
    ],
)
def test_what_is_no_report_is_refused(change, message):
    data = tiny("loihi1").to_json()
    change(data)
    with pytest.raises(UsageError, match=message) as caught:
        Report.from_json(data)
    assert caught.value.diagnostics[0].code == "E643"


@pytest.mark.parametrize("text", ["", "[]", "null", '{"format": NaN}', "[" * 100_000])
def test_what_is_no_json_is_refused(text):
    with pytest.raises(UsageError, match="E643"):
        Report.from_json(text)


def test_the_schema_refuses_what_it_should():
    validator = jsonschema.Draft202012Validator(SCHEMA)
    good = tiny("loihi1").to_json()
    for change in ({"kind": "dream"}, {"dt_s": 0}, {"samples": -1}, {"edp": None}):
        assert not validator.is_valid({**good, **change})


def test_table_side_by_side():
    text = format_reports([tiny("loihi1"), tiny("spinnaker1"), tiny("spinnaker2")])
    lines = text.splitlines()
    assert lines[0].split() == ["loihi1", "spinnaker1", "spinnaker2"]
    rows = {line[:24].strip(): line for line in lines if line.startswith("  ")}
    assert rows["static"].split()[1] == "unknown"
    assert "in core" in rows["synapse"]
    assert rows["total"].split() == ["total", "unknown", "unknown", "unknown"]
    assert "loihi1: static energy unknown: no static power of the neurocores alone is published" in lines
    assert rows["neurons"].split()[:4] == ["neurons", "4", "of", "1,024"]
    assert "known energy x delay" in rows


def test_three_reports_fit_120_columns_with_the_unit_of_an_interval_once():
    text = format_reports([tiny(name) for name in ("loihi1", "loihi2", "spinnaker1")])
    table = text.partition("\nprofile")[0].splitlines()
    assert max(map(len, table)) <= 120
    (static,) = (line for line in table if line.startswith("  static "))
    assert static.endswith("3.5 mJ [3.5 .. 268.4]")
    assert "[low .. high] over cost sets, in the unit in front" in text
    at = next(i for i, line in enumerate(table) if line.startswith("  bound of a step"))
    assert table[at].split()[4:6] == ["neuron", "updates"]
    assert table[at + 1].split()[:3] == ["where", "core", "0"]


def test_estimates_are_marked():
    line = next(x for x in format_reports([tiny("loihi2")]).splitlines() if x.startswith("  synapse "))
    assert line.endswith("495.6 pJ e")


def test_other_costs_give_another_price():
    cheap = changed("loihi2", ("synop = { value = 23.6", "synop = { value = 2.36"))
    assert tiny(cheap).line("synapse").total.value == pytest.approx(tiny("loihi2").line("synapse").total.value / 10)
