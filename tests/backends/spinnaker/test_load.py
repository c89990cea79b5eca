"""Cycles of cores: counted by hand, and a report that says whether they keep pace."""

import numpy as np
import pytest

import spikeport
from spikeport.backends.registry import get_backend
from spikeport.backends.spinnaker.load import Pace, pace_of
from spikeport.hw_profiles.target import load_target
from spikeport.ir import Edge, Graph, Node
from spikeport.ir.ops import LIF, Input, Linear, Output
from spikeport.runtime.report_text import format_reports


def layer(inputs, neurons, dt=1e-3):
    rng = np.random.default_rng(0)
    full = np.full(neurons, 1.0)
    weight = np.where(rng.random((neurons, inputs)) < 0.5, 1.0, 0.0)
    lif = LIF(tau=20 * dt * full, r=full, v_leak=0 * full, v_threshold=1e3 * full, v_reset=0 * full)
    nodes = [Node("in", Input((inputs,))), Node("fc", Linear(weight)), Node("lif", lif), Node("out", Output((neurons,)))]
    return Graph(tuple(nodes), (Edge("in", "fc"), Edge("fc", "lif"), Edge("lif", "out"))), weight


def run(graph, x, dt=1e-3):
    program = spikeport.compile(graph, "spinnaker1", f"norse:zero,dt={dt}", arith="spinnaker1", data={"in": x})
    return program, spikeport.run(program, x, "spinnaker", steps=x.shape[1])


def test_events_and_neurons_by_hand():
    graph, weight = layer(5, 6)
    x = np.zeros((1, 3, 5))
    x[0, 1] = [1, 0, 1, 0, 0]
    _, result = run(graph, x)
    load = result.trace.meta["load"]
    events = int(np.count_nonzero(weight[:, [0, 2]]))
    assert load["events"] == events
    assert load["most_cycles"] == 31 * events + 165 * 6
    assert load["mean_cycles"] == pytest.approx(31 * events / 3 + 165 * 6)
    assert load["packets"] == 2
    assert (load["late"], load["places"]) == (0, 3)
    assert "real time: every core ends its steps in time" in format_reports([result.report])


def test_too_much_for_a_step_is_said_with_what_it_takes():
    graph, _ = layer(800, 256, dt=1e-4)
    x = np.ones((1, 4, 800))
    _, result = run(graph, x, dt=1e-4)
    text = format_reports([result.report])
    assert "time-scale factor 10" in text
    assert "steps of cores are too long" in text
    assert result.trace.meta["load"]["late"] > 0


def test_the_pace_is_the_target_s():
    step = load_target("spinnaker1").step
    assert pace_of("spinnaker1") == Pace(step.fixed.value, step.budget, step.cycles.neuron.value, step.cycles.synapse.value)
    assert pace_of("spinnaker2") is None
    assert pace_of("mine") is None


def test_saturation_is_counted_and_said():
    graph, _ = layer(400, 3)
    calm = np.zeros((2, 6, 400))
    calm[:, :, :8] = 1
    program = spikeport.compile(graph, "spinnaker1", "norse:zero,dt=1e-3", arith="spinnaker1", data={"in": calm})
    # By the data alone: ring buffers hold what eight inputs send, or the largest weight.
    full = spikeport.run(program, np.ones((1, 6, 400)), "spinnaker")
    assert full.trace.meta["ring_buffers"]["lif"]["saturated"][0] > 0
    assert "E561 at lif" in format_reports([full.report])
    assert spikeport.run(program, calm, "spinnaker").trace.meta["ring_buffers"]["lif"]["saturated"] == [0, 0]


def test_what_is_computed_does_not_hang_on_where_it_lies():
    graph, _ = layer(30, 300)
    x = (np.random.default_rng(1).random((2, 10, 30)) < 0.3).astype(float)
    arrays = []
    for options in ({}, {"chips": 2}):
        program = spikeport.compile(graph, "spinnaker1", "norse:zero,dt=1e-3", arith="spinnaker1", data={"in": x}, **options)
        arrays.append(spikeport.run(program, x, "spinnaker", record="all", record_state=True).arrays())
    bare = spikeport.compile(graph, None, "norse:zero,dt=1e-3", arith="spinnaker1", data={"in": x})
    arrays.append(spikeport.run(bare, x, "spinnaker", record="all", record_state=True).arrays())
    for other in arrays[1:]:
        assert all(np.array_equal(arrays[0][k], other[k]) for k in arrays[0] if k != "meta")


def test_the_backend_says_what_it_is():
    backend = get_backend("spinnaker")
    assert backend.arithmetics == ("spinnaker1", "spinnaker2")
    assert {backend.fidelity_for(a) for a in backend.arithmetics} == {"fixed_point"}
