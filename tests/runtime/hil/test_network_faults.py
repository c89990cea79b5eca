"""Faults of the network, held against a run that works out step by step what each node hears."""

import dataclasses

import numpy as np
import pytest
from fault_oracle import Oracle, program_of, sliced
from graphs import FEATURES, networks
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from loihi import loihi_networks

from spikeport.backends.registry import get_backend
from spikeport.ir.diagnostics import UnsupportedError
from spikeport.ir.network import build_network
from spikeport.ir.trace import Recording
from spikeport.runtime.hil.faults.links import cut
from spikeport.runtime.hil.faults.network import inject
from spikeport.runtime.hil.faults.neurons import held_by
from spikeport.runtime.hil.faults.spec import parse_faults

# Weights that are summed on the way make links hard; loops and delays make ways hard.
SEEDS = st.integers(0, 2**32 - 1)


def run(faulted, inputs, backend="engine"):
    """Return all that a run of a program with faults shows, by name."""
    paths = faulted.sound.graph.spiking
    values = faulted.inputs(inputs)
    with get_backend(backend).emit(faulted.program) as executable:
        return faulted.trace(executable.run(values, Recording(paths, True)), values)


def same(found, expected, but=None):
    """Whether a trace shows what the oracle does, with the exception of the membranes of the neurons in *but*."""
    arrays = found.arrays()
    for key, array in expected.items():
        kind, _, path = key.partition("/")
        keep = ~but[path] if but and kind == "v" and path in but else np.ones(array.shape[2:], np.bool_)
        np.testing.assert_array_equal(np.where(keep, arrays[key], 0), np.where(keep, array, 0), err_msg=key)
    return True


def started_at_rest(drawn):
    """Return a network whose samples do not touch each other, for an oracle that starts each of them at rest."""
    graph, profile, inputs = drawn
    return graph, dataclasses.replace(profile, boundary="reset"), inputs


@settings(max_examples=30)
@given(networks(extras=False), st.data())
def test_spikes_on_their_way(drawn, data):
    graph, profile, inputs = started_at_rest(drawn)
    layer = data.draw(st.sampled_from([None, *graph.spiking, *graph.inputs]))
    where = "" if layer is None else f",layer={layer}"
    text = data.draw(st.sampled_from((
        "spike_drop:p=0.3{w}", "late:p=0.4,steps=3{w},seed=2", "late:p=0.5,steps=2{w}/spike_drop:p=0.2/late:p=0.3,seed=4",
    ))).format(w=where)  # fmt: skip
    assume(graph.spiking)
    program = program_of(graph, profile)
    faulted = inject(program, parse_faults(text))
    samples, steps = next(iter(inputs.values())).shape[:2]
    fates = {way.layer: way.fates(range(samples), steps) for way in faulted.ways}
    assert set(fates) == ({layer} if layer and "/" not in text else {*graph.spiking} | {layer or graph.spiking[0]})
    same(run(faulted, inputs), Oracle(build_network(graph, profile), samples, fates).run(inputs))


@settings(max_examples=30)
@given(networks(), st.data())
def test_stuck_neurons(drawn, data):
    graph, profile, inputs = started_at_rest(drawn)
    assume(graph.spiking)
    at = data.draw(st.sampled_from((0, 1)))
    fault = f"stuck:p=0.4,at={at},seed={data.draw(SEEDS)}"
    program = program_of(graph, profile)
    network = build_network(graph, profile)
    often = [p for p, m in network.models.items() if m.reset == "multi_subtract" and m.max_spikes != 1]
    amplitudes = [p for p, m in network.models.items() if m.amplitude is not None]
    assume(not amplitudes and not (at and often))
    faulted = inject(program, parse_faults(fault))
    after = build_network(faulted.program.graph, faulted.program.profile)
    masks = {}
    for path in graph.spiking:
        model, other = network.models.get(path), after.models.get(path)
        a = network.ops[path].threshold if model is None else model.threshold
        b = after.ops[path].threshold if other is None else other.threshold
        masks[path] = np.broadcast_to(np.asarray(a != b), network.shapes.output[path])
    samples = next(iter(inputs.values())).shape[0]
    oracle = Oracle(network, samples, forced={p: (m, at) for p, m in masks.items() if p in network.models})
    thresholds = {p: dataclasses.replace(network.ops[p], threshold=after.ops[p].threshold) for p in masks if p in after.ops}
    oracle.network = dataclasses.replace(network, ops={**network.ops, **thresholds})
    assert same(run(faulted, inputs), oracle.run(inputs), but=masks)


@settings(max_examples=30)
@given(networks(features=FEATURES, extras=False), SEEDS)
def test_dead_links(drawn, seed):
    graph, profile, inputs = started_at_rest(drawn)
    profile = dataclasses.replace(profile, bias_at="input")
    rng, network = np.random.default_rng(seed), build_network(graph, profile)
    program = program_of(graph, profile)
    program = dataclasses.replace(program, slices=sliced(program, network.shapes.output, rng))
    links = {(a, b) for a in range(3) for b in range(3) if a != b and rng.random() < 0.5}
    cores = {}
    for piece in program.slices:
        shape = network.shapes.output[piece.path]
        cores.setdefault(piece.path, np.zeros(shape, int))[held_by(program, piece.path, shape, {piece.core})] = piece.core
    faulted = dataclasses.replace(inject(program, ()), program=dataclasses.replace(program, graph=cut(program, links)))
    samples = next(iter(inputs.values())).shape[0]
    same(run(faulted, inputs), Oracle(network, samples, cores=cores, dead=links).run(inputs))


@settings(max_examples=30)
@given(networks(extras=False), SEEDS)
def test_engine_and_reference_agree_and_nothing_changes_at_rate_0(drawn, seed):
    graph, profile, inputs = drawn
    assume(graph.spiking)
    program = program_of(graph, profile)
    text = f"spike_drop:p=0.2,seed={seed}/late:p=0.2,seed={seed}/stuck:p=0.1/bit_flip:p=0.01/saturate:bits=7"
    faulted = inject(program, parse_faults(text))
    a, b = run(faulted, inputs), run(faulted, inputs, "reference")
    for key, array in b.arrays().items():
        np.testing.assert_array_equal(a.arrays()[key], array, err_msg=key)
    sound = run(inject(program, ()), inputs)
    none = "spike_drop:p=0/late:p=0,steps=3/stuck:p=0,at=1/bit_flip:n=0/saturate:bits=8"
    for key, array in run(inject(program, parse_faults(none)), inputs).arrays().items():
        np.testing.assert_array_equal(array, sound.arrays()[key], err_msg=key)
    assert {p: (c.spikes, c.synops) for p, c in sound.counts.items()} == {
        p: (c.spikes, c.synops) for p, c in run(inject(program, parse_faults(none)), inputs).counts.items()
    }


@settings(max_examples=30)
@given(loihi_networks(), SEEDS)
def test_loihis_integers_have_all_faults_too(drawn, seed):
    graph, profile, inputs = drawn
    profile = dataclasses.replace(profile, boundary="reset")
    assume(graph.spiking)
    program = program_of(graph, profile, "loihi")
    network = build_network(graph, profile, "loihi")
    program = dataclasses.replace(program, slices=sliced(program, network.shapes.output, np.random.default_rng(seed)))
    text = f"spike_drop:p=0.2,seed={seed}/late:p=0.2/stuck:p=0.1,at=1/bit_flip:p=0.01,seed={seed}/dead_core:p=0.3"
    faulted = inject(program, parse_faults(text))
    a, b = run(faulted, inputs), run(faulted, inputs, "reference")
    for key, array in b.arrays().items():
        np.testing.assert_array_equal(a.arrays()[key], array, err_msg=key)
    way = inject(program, parse_faults("late:p=0.3,steps=2/spike_drop:p=0.2,seed=5"))
    samples, steps = next(iter(inputs.values())).shape[:2]
    fates = {w.layer: w.fates(range(samples), steps) for w in way.ways}
    same(run(way, inputs), Oracle(network, samples, fates).run(network.entering(inputs)))


def test_faults_are_put_in_once():
    from hil_parts import network

    program = program_of(network(), "norse")
    faulted = inject(program, parse_faults("stuck:p=0.5/device_dies"))
    assert faulted.program.graph.notes["faults"] == ["stuck:p=0.5"]
    with pytest.raises(UnsupportedError, match=r"has faults in it already: stuck:p=0\.5"):
        inject(faulted.program, parse_faults("spike_drop:p=0.1"))
    assert inject(program, parse_faults("device_dies")).program is program
