"""Faults of the network that cannot be done to a program are refused by name, and nothing is left out."""

import dataclasses

import numpy as np
import pytest
from fault_oracle import program_of
from fault_parts import on_cores, spikes, two_layers
from hil_parts import X, network
from mapped import PROFILE

from spikeport.ir.diagnostics import UnsupportedError
from spikeport.ir.graph import Edge, Graph
from spikeport.ir.ops import Extras
from spikeport.runtime.hil.faults.network import inject
from spikeport.runtime.hil.faults.spec import parse_faults

UNMAPPED, MAPPED = two_layers(), on_cores(two_layers(), ("one", 0, 6, 0), ("two", 0, 3, 5))


@pytest.mark.parametrize(
    ("program", "text", "said"),
    [
        (UNMAPPED, "dead_core:p=0", "mapped on no chip"),
        (UNMAPPED, "dead_link:n=0", "mapped on no chip"),
        (MAPPED, "dead_core:core=3", "the program does not use that core"),
        (MAPPED, "dead_core:n=3", "there are 2 cores, not 3"),
        (MAPPED, "dead_link:from=5,to=0", "no spikes go that way"),
        (MAPPED, "dead_link:n=2", "there are 1 links, not 2"),
        (UNMAPPED, "stuck:n=10", "there are 9 neurons that spike, not 10"),
        (UNMAPPED, "stuck:p=0,layer=on", "did you mean 'one'?"),
        (UNMAPPED, "stuck:p=0,layer=in", "'in' is no layer that spikes"),
        (UNMAPPED, "stuck:neuron=6,layer=one", "one has the shape (6,)"),
        (UNMAPPED, "stuck:neuron=0.0,layer=one", "one has the shape (6,)"),
        (UNMAPPED, "spike_drop:p=0,layer=a", "'a' sends no spikes"),
        (UNMAPPED, "bit_flip:p=0,layer=one", "'one' is no layer with weights"),
        (UNMAPPED, "bit_flip:n=1000", "there are 336 bits of weights, not 1,000"),
        (UNMAPPED, "late:p=0.1,steps=4096/late:p=0.1,steps=4096", "spikes would wait 8,192 steps"),
        (dataclasses.replace(UNMAPPED, arithmetic="spinnaker2"), "bit_flip:p=0.1", "arithmetic spinnaker2"),
        (dataclasses.replace(UNMAPPED, profile=dataclasses.replace(PROFILE, reset="multi_subtract")), "stuck:p=1,at=1",
         "fires several times in a step"),
        (dataclasses.replace(UNMAPPED, profile=dataclasses.replace(PROFILE, boundary="carry")), "late:p=1,layer=in",
         "would belong to the next sample"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_refused_by_name(program, text, said):
    with pytest.raises(UnsupportedError) as found:
        inject(program, parse_faults(text))
    assert {d.code for d in found.value.diagnostics} == {"E887"}
    assert said in str(found.value)


def test_spikes_of_other_values_and_lost_scales_are_refused():
    graph = network()
    twice = dataclasses.replace(graph["lif"].op, extras=Extras(spike_amplitude=2.0))
    graded = graph.map_ops(lambda n: twice if n.path == "lif" else n.op)
    with pytest.raises(UnsupportedError, match="other values than 1"):
        inject(program_of(graded, "norse"), parse_faults("spike_drop:p=0.1"))
    program = on_cores(two_layers(), ("one", 0, 3, 0), ("one", 3, 6, 1), ("two", 0, 3, 2))
    largest = int(np.argmax(program.graph["b"].op.weight.max(axis=0))) // 3
    whole = dataclasses.replace(program, arithmetic="spinnaker2")
    with pytest.raises(UnsupportedError, match="the largest weight into the population behind b is lost"):
        inject(whole, parse_faults(f"dead_link:from={largest},to=2"))
    inject(whole, parse_faults(f"dead_link:from={1 - largest},to=2"))


def test_a_graph_has_no_place_for_a_second_node_of_a_name():
    nodes = [dataclasses.replace(n, path="fault.lif.0.gate") if n.path == "fc" else n for n in network().nodes]
    rename = {"fc": "fault.lif.0.gate"}
    edges = [Edge(rename.get(e.source, e.source), rename.get(e.target, e.target)) for e in network().edges]
    program = program_of(Graph(nodes, edges), "norse")
    found = spikes(program, "spike_drop:p=0", X)
    np.testing.assert_array_equal(found["lif"], spikes(program_of(network(), "norse"), "", X)["lif"])
