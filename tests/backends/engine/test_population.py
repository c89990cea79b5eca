import dataclasses

import numpy as np
import pytest
from graphs import lif, networks
from hypothesis import given, settings

from spikeport.backends.engine import neurons as k
from spikeport.backends.engine.layout import Packing, blocks_of, packed
from spikeport.backends.engine.population import population
from spikeport.backends.engine.vec import LANES
from spikeport.ir import parse_profile
from spikeport.ir.dynamics import discretise
from spikeport.ir.network import build_network

COLUMNS = {
    k.BETA: "beta", k.GAIN: "mem_gain", k.LEAK: "leak", k.THRESHOLD: "threshold", k.RESET: "v_reset", k.FLOOR: "clamp_low",
    k.ALPHA: "alpha", k.INJECT: "syn_gain", k.REFRACTORY: "refractory_steps", k.SYN_LEAK: "syn_leak", k.OFFSET: "offset",
}  # fmt: skip


def _model(**changes):
    """Return the plainest model of 70 neurons, reset by subtraction, with *changes*."""
    return dataclasses.replace(discretise(lif(70), parse_profile("norse:subtract"), (70,)), **changes)


@settings(max_examples=50)
@given(networks())
def test_every_parameter_stands_where_the_kernels_read_it(drawn):
    graph, profile, _ = drawn
    for model in build_network(graph, profile).models.values():
        for packing in (None, Packing(1, int(np.prod(model.shape)))):
            own = population(model, packing, np.float32)
            n = int(np.prod(model.shape))
            table = own.parameters.reshape(k.PARAMETERS, blocks_of(n) * LANES)
            for column, name in COLUMNS.items():
                value = getattr(model, name)
                if value is not None:
                    assert np.array_equal(table[column, :n], packed(value, packing).astype(np.float32)), name
            # Padding never spikes, whatever the test.
            assert np.isposinf(table[k.THRESHOLD, n:]).all()
            assert not table[np.arange(k.PARAMETERS) != k.THRESHOLD, n:].any()
            start = own.start.reshape(k.STATES, -1)
            assert np.array_equal(start[k.V, :n], packed(model.v_init, packing).astype(np.float32))
            assert np.array_equal(start[k.CURRENT, :n], packed(model.i_init, packing).astype(np.float32))
            held = np.zeros(model.shape) if model.held_init is None else model.held_init
            assert np.array_equal(start[k.WAIT, :n], packed(held, packing).astype(np.float32))
            assert not start[k.WAIT, n:].any()


def test_a_feature_map_lies_channels_innermost():
    values = np.arange(70.0).reshape(7, 10)
    model = dataclasses.replace(_model(), shape=(7, 10), **dict.fromkeys(("beta", "threshold", "v_init"), values))
    model = dataclasses.replace(model, mem_gain=values, leak=values, v_reset=values, i_init=values)
    own = population(model, Packing(7, 10), np.float64)
    assert np.array_equal(own.parameters[:70], values.T.reshape(-1))
    assert np.array_equal(own.start[:70], values.T.reshape(-1))


ZERO = np.zeros(70)
SYNAPSE = {"alpha": ZERO, "syn_gain": ZERO}
#: What a model has beside a leak and a reset, the flags that the kernels get for it, and whether it stays plain.
TERMS = {
    "nothing": ({}, 0, True),
    "another test": ({"compare": ">="}, k.AT_THRESHOLD, True),
    "reset to a value": ({"reset": "to_v_reset"}, 0, True),
    "no reset": ({"reset": "none"}, 0, True),
    "no reset, late": ({"reset": "none", "reset_when": "next_step_keep_input"}, 0, True),
    "no test": ({"threshold": None, "v_reset": None, "reset": "none"}, 0, True),
    "synapse": (SYNAPSE, k.SYNAPSE, False),
    "decaying input": (SYNAPSE | {"decay_input": True}, k.SYNAPSE | k.DECAY_INPUT, False),
    "leak of the synapse": (SYNAPSE | {"syn_leak": ZERO}, k.SYNAPSE | k.PULL, False),
    "old current": (SYNAPSE | {"old_current": True}, k.SYNAPSE | k.OLD_CURRENT, False),
    "bias at the membrane": ({"offset": ZERO}, k.SHIFT, False),
    "floor": ({"clamp_low": ZERO}, k.CLAMP, False),
    "refractory period": ({"refractory_steps": np.zeros(70, np.int64)}, k.WAITS, False),
    "late reset": ({"reset_when": "next_step_keep_input"}, k.NEXT_STEP, False),
    "late reset without input": ({"reset_when": "next_step_drop_input"}, k.NEXT_STEP | k.DROP_INPUT, False),
    "reset at the crossing": ({"reset_when": "at_crossing"}, k.CROSSING, False),
    "snnTorch's subtraction": ({"reset": "subtract_once"}, 0, False),
    "several spikes": ({"reset": "multi_subtract"}, 0, False),
}


@pytest.mark.parametrize("name", TERMS)
def test_each_term_has_its_flag_and_most_leave_the_plain_path(name):
    changes, flags, is_plain = TERMS[name]
    own = population(_model(**changes), None, np.float64)
    assert (own.flags, own.is_plain) == (flags, is_plain)


def test_most_spikes_of_a_step():
    assert population(_model(reset="multi_subtract", max_spikes=3), None, np.float64).most == 3
