"""Backend spinnaker: the reference's bits in every spike, membrane and current, wherever neurons are placed."""

import numpy as np
import pytest
from hypothesis import given, settings
from spinnaker import evaluate, spinnaker_networks
from traces import differences

from spikeport.backends.spinnaker.execute import CoresExecutable
from spikeport.ir.network import build_network
from spikeport.ir.reference import run_reference
from spikeport.ir.trace import Recording


def assert_same(case):
    graph, profile, inputs = case
    network = build_network(graph, profile, "spinnaker1")
    every = tuple(n.path for n in graph)
    with CoresExecutable(network) as cores:
        for recording in (Recording(every, True), Recording(None), Recording()):
            wanted, found = run_reference(network, inputs, recording), cores.run(inputs, recording)
            assert differences(found, wanted) == []
            assert set(found.i) == set(wanted.i)
            for path, current in wanted.i.items():
                assert np.array_equal(found.i[path], current), path


@settings(max_examples=60)
@given(spinnaker_networks())
def test_every_bit_is_the_reference_s(case):
    assert_same(case)


@pytest.mark.slow
@settings(max_examples=400)
@given(spinnaker_networks())
def test_every_bit_of_many_networks(case):
    assert_same(case)


@settings(max_examples=30)
@given(spinnaker_networks(max_steps=10))
def test_full_slots_are_counted(case):
    graph, profile, inputs = case
    network = build_network(graph, profile, "spinnaker1")
    with CoresExecutable(network) as cores:
        found = cores.run({"input": inputs["input"][:1]}).meta["ring_buffers"]
    steps = [{"input": [int(v) for v in row.flat]} for row in inputs["input"][0]]
    if profile.silence:
        steps += [{"input": [0] * inputs["input"][0, 0].size}] * profile.silence
    _, full = evaluate(network, steps)
    assert {path: sum(ring["saturated"]) for path, ring in found.items()} == full
