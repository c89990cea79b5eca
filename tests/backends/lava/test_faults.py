"""Faults of the network in Lava's own fixed_pt: those that it can have are the engine's, the others are refused by name."""

import dataclasses

import numpy as np
import pytest
from fault_oracle import program_of, sliced
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from loihi import loihi_networks

from spikeport.backends.engine.execute import EngineExecutable
from spikeport.backends.lava.backend import LavaExecutable
from spikeport.backends.registry import get_backend
from spikeport.ir.network import build_network
from spikeport.ir.trace import Recording
from spikeport.runtime.hil.faults.network import inject
from spikeport.runtime.hil.faults.spec import parse_faults


@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    case=loihi_networks(features={"dense", "cuba", "heterogeneous", "negative", "refractory"}), seed=st.integers(0, 2**32 - 1)
)
def test_rewritten_parameters(case, seed, worker):
    graph, profile, inputs = case
    assume(graph.spiking)
    program = program_of(graph, profile, "loihi")
    shapes = build_network(graph, profile, "loihi").shapes.output
    program = dataclasses.replace(program, slices=sliced(program, shapes, np.random.default_rng(seed)))
    faulted = inject(
        program, parse_faults(f"stuck:p=0.3,seed={seed}/bit_flip:p=0.02,seed={seed}/saturate:bits=6/dead_core:p=0.2")
    )
    network = build_network(faulted.program.graph, faulted.program.profile, "loihi")
    recording = Recording(graph.spiking, True)
    with LavaExecutable(network, worker.place, "conv", worker.get()) as lava, EngineExecutable(network) as engine:
        found, ours = lava.run(inputs, recording).arrays(), engine.run(inputs, recording).arrays()
    for key, array in ours.items():
        np.testing.assert_array_equal(found[key], array, err_msg=key)


@settings(max_examples=10)
@given(case=loihi_networks(features={"dense"}))
@pytest.mark.parametrize("text", ["stuck:p=1,at=1", "spike_drop:p=0.1", "late:p=0.1"])
def test_what_lava_cannot_have_is_found(case, text):
    graph, profile, _ = case
    assume(graph.spiking)
    found = get_backend("lava").check(inject(program_of(graph, profile, "loihi"), parse_faults(text)).program)
    assert {"E544", "E545"} & {d.code for d in found if d.severity == "error"}
