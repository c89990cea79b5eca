"""Arithmetic spinnaker1 in the reference: bit for bit what Python's integers give, of any size and without numpy."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from spinnaker import evaluate, population, spinnaker_networks

from spikeport.ir import Edge, Graph, Node, parse_profile
from spikeport.ir.diagnostics import VerifyError
from spikeport.ir.network import build_network
from spikeport.ir.ops import Input, Linear, Output
from spikeport.ir.reference import run_reference
from spikeport.ir.spinnaker import NOTE, ONE
from spikeport.ir.trace import Recording


def assert_same(case):
    graph, profile, inputs = case
    profile = dataclasses.replace(profile, boundary="reset")
    network = build_network(graph, profile, "spinnaker1")
    every = tuple(network.models)
    trace = run_reference(network, inputs, Recording(every, True))
    x = inputs["input"]
    for sample in range(len(x)):
        steps = [{"input": [int(v) for v in x[sample, t].flat]} for t in range(x.shape[1])]
        wanted, _ = evaluate(network, steps)
        for path in every:
            rows = np.array(wanted[path], dtype=object)
            assert np.array_equal(trace.v[path][sample].reshape(len(steps), -1) * ONE, rows[..., 1].astype(float)), path
            assert np.array_equal(trace.i[path][sample].reshape(len(steps), -1) * ONE, rows[..., 2].astype(float)), path
            if path in graph.spiking:
                assert np.array_equal(trace.spikes[path][sample].reshape(len(steps), -1), rows[..., 0].astype(int)), path


@settings(max_examples=40)
@given(spinnaker_networks(max_steps=10))
def test_python_s_integers_give_the_same_bits(case):
    assert_same(case)


@pytest.mark.slow
@settings(max_examples=300)
@given(spinnaker_networks())
def test_python_s_integers_on_many_networks(case):
    assert_same(case)


def one_neuron(weight=1.0, shifts=(0, 0), delay=1, **registers):
    registers = {"exp_tc": 16384, "resistance": ONE, "v_rest": 0, "threshold": 10 * ONE, "v_reset": 0, **registers}
    nodes = [
        Node("in", Input((1,))), Node("w", Linear(np.full((1, 1), weight))), Node("out", Output((1,))),
        Node("n", population((1,), **registers), {NOTE: {"shifts": list(shifts), "scale": 1.0}}),
    ]  # fmt: skip
    return Graph(tuple(nodes), (Edge("in", "w", 0), Edge("w", "n", delay), Edge("n", "out", 0)))


PROFILE = parse_profile("spynnaker,dt=1e-3")


def test_a_step_by_hand():
    graph = one_neuron(weight=3.0, shifts=(1, 0))
    x = np.array([[[1.0], [0], [0], [0]]])
    trace = run_reference(build_network(graph, PROFILE, "spinnaker1"), {"in": x}, Recording(("n",), True))
    # v = A - b (A - v): 3 - 1.5, then halved; the last bit is cut downwards, so what is taken away is, too.
    assert (trace.v["n"][0, :, 0] * ONE).tolist() == [0, 49152, 24576, 12288]


def test_products_are_cut_downwards():
    graph = one_neuron(weight=2.0**-15)
    x = np.array([[[1.0], [1.0], [0], [0], [0]]])
    trace = run_reference(build_network(graph, PROFILE, "spinnaker1"), {"in": x}, Recording(("n",), True))
    # A = 1 bit: v = 1 - floor(1/2) = 1; then 0 - floor(-1/2) = 1: a membrane of one bit never falls at exp_TC 0.5.
    assert (trace.v["n"][0, :, 0] * ONE).tolist() == [0, 1, 1, 1, 1]


def test_a_spike_at_the_threshold_itself():
    graph = one_neuron(weight=1.0, threshold=16384, exp_tc=16384)
    x = np.array([[[1.0], [0], [0]]])
    trace = run_reference(build_network(graph, PROFILE, "spinnaker1"), {"in": x}, Recording(("n",), True))
    assert trace.spikes["n"][0, :, 0].tolist() == [0, 1, 0]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda g: dataclasses.replace(g, nodes=[dataclasses.replace(n, notes={}) for n in g.nodes]), "ring buffers are shift"),
        (lambda g: one_neuron(weight=0.3), "no 16-bit numbers shifted left by 0 and 0"),
        (lambda g: one_neuron(weight=3.0, delay=0), "SpiNNaker's take one at least"),
        (lambda g: one_neuron(shifts=(16, 0)), "shifted by 16 and 0 bits"),
        (lambda g: one_neuron(exp_tc=16384.5), "exp_TC"),
    ],
)  # fmt: skip
def test_what_is_off_the_grid_is_named(change, why):
    with pytest.raises(VerifyError, match=why) as error:
        build_network(change(one_neuron()), PROFILE, "spinnaker1")
    assert {d.code for d in error.value.diagnostics} == {"E560"}
