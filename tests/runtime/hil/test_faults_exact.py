"""Each fault of the network on small networks, with what has to come out written down by hand."""

import dataclasses

import numpy as np
import pytest
from fault_oracle import program_of
from fault_parts import INPUT, equal, on_cores, spikes, two_layers
from hil_parts import network
from mapped import PROFILE, chain, conv, dense, lif

import spikeport
from spikeport.ir.graph import Edge, Node
from spikeport.ir.ops import LI, Affine, Delay, Input, Linear, Output
from spikeport.ir.program import Slice
from spikeport.runtime.hil.faults.draws import uniform
from spikeport.runtime.hil.faults.network import inject
from spikeport.runtime.hil.faults.neurons import links_of
from spikeport.runtime.hil.faults.spec import parse_faults


def test_all_spikes_dropped_are_weights_of_0_downstream():
    found, expected = spikes(two_layers(), "spike_drop:p=1,layer=one"), spikes(two_layers(np.zeros((3, 6))))
    equal(found, expected)
    assert not spikes(two_layers(), "spike_drop:p=1")["out"].any()
    assert spikes(two_layers(), "spike_drop:p=1,layer=two")["two"].any()  # its own raster shows what it fired
    equal(spikes(two_layers(), "spike_drop:p=1,layer=in", np.ones_like(INPUT)) | {"any": np.ones(1)},
          spikes(two_layers(), "", np.zeros_like(INPUT)) | {"any": np.ones(1)})  # fmt: skip


def test_all_spikes_late_are_a_delay_on_their_way():
    program = two_layers()
    graph = program.graph
    late = Node("wait", Delay(np.full(6, 3 * program.profile.dt)))
    edges = [e for e in graph.edges if e.source != "one"] + [Edge("one", "wait"), Edge("wait", "b")]
    delayed = dataclasses.replace(program, graph=graph.replace(nodes=[*graph.nodes, late], edges=edges))
    equal(spikes(program, "late:p=1,steps=3,layer=one"), spikes(delayed))
    shifted = np.concatenate([np.zeros_like(INPUT[:, :2]), INPUT[:, :-2]], axis=1)
    equal(spikes(program, "late:p=1,steps=2,layer=in"), spikes(program, "", shifted))
    # Beyond the end of the run nothing comes.
    assert not spikes(program, "late:p=1,steps=30,layer=one")["two"].any()


def test_what_arrives_late_adds_to_what_is_sent_then():
    program = program_of(dense(1, 1, weight=0.06), PROFILE)
    x = np.zeros((1, 6, 1))
    x[0, 1:4] = 1
    faulted = inject(program, parse_faults("late:p=0.5,layer=in,seed=3"))
    late = uniform(parse_faults("late:p=0.5,seed=3")[0], "in", (6, 1)) < 0.5
    expected = np.zeros(7)
    for t in range(6):
        expected[t + late[t, 0]] += x[0, t, 0]
    assert expected.max() == 2  # two packets of one neuron in one step
    np.testing.assert_array_equal(faulted.inputs({"in": x})["in"][0, :, 0], expected[:6])


def test_stuck_neurons_are_silent_or_always_on():
    for at in (0, 1):
        found = spikes(two_layers(), f"stuck:neuron=2,layer=one,at={at}")
        sound = spikes(two_layers())
        assert (found["one"][..., 2] == at).all()
        others = [0, 1, 3, 4, 5]
        np.testing.assert_array_equal(found["one"][..., others], sound["one"][..., others])
        # The second layer hears exactly that raster.
        second = program_of(
            chain(("in", Input((6,))), ("b", two_layers().graph["b"].op), ("two", lif((3,))), ("out", Output((3,)))), PROFILE
        )
        np.testing.assert_array_equal(found["two"], spikes(second, "", found["one"])["two"])
    assert spikes(two_layers(), "stuck:p=1,at=1,layer=two")["out"].all()
    found = spikes(two_layers(), "stuck:n=3")
    dead = sum(int((~found[path].any(axis=(0, 1))).sum()) for path in ("one", "two"))
    assert dead >= 3


def test_the_profiles_thresholds_do_not_shield_a_neuron():
    profile = PROFILE.with_overrides("one", v_threshold=0.2).with_overrides("%LIF", v_threshold=0.05)
    program = dataclasses.replace(two_layers(), profile=profile)
    sound, found = spikes(program), spikes(program, "stuck:neuron=0,layer=one")
    assert sound["one"][..., 0].any()
    assert not found["one"][..., 0].any()
    np.testing.assert_array_equal(found["one"][..., 1:], sound["one"][..., 1:])


def test_a_dead_core_is_silent_neurons():
    program = on_cores(two_layers(), ("one", 0, 2, 0), ("one", 2, 6, 4), ("two", 0, 3, 1))
    found, sound = spikes(program, "dead_core:core=4"), spikes(program)
    assert sound["one"][..., 2:].any(axis=(0, 1)).all()
    assert not found["one"][..., 2:].any()
    np.testing.assert_array_equal(found["one"][..., :2], sound["one"][..., :2])
    equal(found, spikes(program, "/".join(f"stuck:neuron={n},layer=one" for n in range(2, 6))))
    # A dead core wins over a neuron that is stuck at 1, in whatever order they stand.
    equal(found, spikes(program, "dead_core:core=4/stuck:neuron=3,layer=one,at=1"))
    assert not any(a.any() for a in spikes(program, "dead_core:p=1").values())
    silent = [p for n in range(20) for p in [spikes(program, f"dead_core:n=1,seed={n}")] if not p["two"].any()]
    assert silent


def test_an_integrator_on_a_dead_core_reads_0():
    op = LI(np.full(3, 0.02), np.ones(3), np.full(3, 0.5))
    graph = chain(("in", Input((4,))), ("a", Affine(np.ones((3, 4)), np.ones(3))), ("li", op), ("out", Output((3,))))
    program = dataclasses.replace(program_of(graph, PROFILE), slices=(Slice("li", ((0, 1),), 0), Slice("li", ((1, 3),), 1)))
    sound, found = spikes(program), spikes(program, "dead_core:core=1")
    assert sound["out"].all()
    np.testing.assert_array_equal(found["out"], np.where([True, False, False], sound["out"], 0))


def test_a_dead_link_is_weights_of_0_between_its_cores():
    program = on_cores(two_layers(), ("one", 0, 2, 0), ("one", 2, 6, 4), ("two", 0, 1, 1), ("two", 1, 3, 2))
    assert links_of(program) == ((0, 1), (0, 2), (4, 1), (4, 2))
    weight = np.array(program.graph["b"].op.weight)
    weight[1:3, 2:6] = 0
    faulted = inject(program, parse_faults("dead_link:from=4,to=2"))
    np.testing.assert_array_equal(faulted.program.graph["b"].op.weight, weight)
    assert not faulted.has_more_nodes
    equal(spikes(program, "dead_link:from=4,to=2"), spikes(two_layers(weight)))
    equal(spikes(program, "dead_link:p=1"), spikes(two_layers(np.zeros((3, 6)))))
    two = inject(program, parse_faults("dead_link:n=2,seed=1")).program.graph["b"].op.weight
    assert 0 < np.count_nonzero(two) < 18


def test_a_dead_link_of_shared_weights_leaves_the_other_neurons_bits_alone():
    program = spikeport.compile(conv(), "spinnaker2", PROFILE)
    x = np.random.default_rng(2).random((2, 12, 2, 12, 10))
    pieces = {path: [s for s in program.slices if s.path == path] for path in ("n0", "n1")}
    a, b = pieces["n0"][0], pieces["n1"][0]
    found, sound = spikes(program, f"dead_link:from={a.core},to={b.core}", x), spikes(program, "", x)
    np.testing.assert_array_equal(found["n0"], sound["n0"])
    elsewhere = np.ones((4, 2, 3), np.bool_)
    for piece in pieces["n1"]:
        if piece.core == b.core:
            elsewhere[piece.where] = False
    np.testing.assert_array_equal(found["n1"][:, :, elsewhere], sound["n1"][:, :, elsewhere])
    assert (found["n1"][:, :, ~elsewhere] != sound["n1"][:, :, ~elsewhere]).any()


def test_a_flipped_bit_changes_exactly_its_weight():
    w = np.array([[127.0, -3.0, 0.4], [64.0, -127.0, 10.6]]) / 100
    program = program_of(chain(("in", Input((3,))), ("a", Linear(w)), ("one", lif((2,))), ("out", Output((2,)))), PROFILE)
    byte = np.rint(w * 100).astype(int)
    for seed in range(30):
        new = inject(program, parse_faults(f"bit_flip:n=1,seed={seed}")).program.graph["a"].op.weight
        (where,) = np.argwhere(new != w)
        flipped = round(float(new[tuple(where)]) * 100) & 255 ^ byte[tuple(where)] & 255
        assert flipped.bit_count() == 1
        np.testing.assert_allclose(new[tuple(where)] * 100, np.rint(new[tuple(where)] * 100), atol=1e-9)
        new = inject(program, parse_faults(f"bit_flip:n=1,format=ieee,seed={seed}")).program.graph["a"].op.weight
        (where,) = np.argwhere(new != w)
        old, now = (np.float32(a[tuple(where)]).view(np.uint32) for a in (w, new))
        assert int(old ^ now).bit_count() == 1
    every = inject(program, parse_faults("bit_flip:p=1")).program.graph["a"].op.weight
    np.testing.assert_allclose(every * 100, ~byte, atol=1e-9)  # all eight bits of two's complement: -b - 1


def test_a_single_that_would_be_no_number_is_the_largest():
    program = program_of(network(), "norse")
    weight = inject(program, parse_faults("bit_flip:p=1,format=ieee")).program.graph["fc"].op.weight
    exact = (~np.asarray(program.graph["fc"].op.weight, np.float32).view(np.uint32)).view(np.float32)
    np.testing.assert_array_equal(weight, np.where(np.isfinite(exact), exact, np.copysign(np.finfo(np.float32).max, exact)))
    one = program_of(
        chain(("in", Input((1,))), ("a", Linear(np.ones((1, 1)))), ("n", lif((1,))), ("out", Output((1,)))), PROFILE
    )
    found = {float(inject(one, parse_faults(f"bit_flip:n=1,format=ieee,seed={s}")).program.graph["a"].op.weight[0, 0])
             for s in range(400)}  # fmt: skip
    assert len(found) == 32
    assert np.finfo(np.float32).max in found  # 1 with the highest bit of its exponent: infinity in IEEE


def test_saturation_clips_to_the_bits():
    w = np.array([[127.0, -128.0, 3.0, -9.0]]) / 128
    program = program_of(chain(("in", Input((4,))), ("a", Linear(w)), ("n", lif((1,))), ("out", Output((1,)))), PROFILE)
    for bits in range(2, 9):
        low, high = -(2 ** (bits - 1)) / 127, (2 ** (bits - 1) - 1) / 127
        found = inject(program, parse_faults(f"saturate:bits={bits}")).program.graph["a"].op.weight
        np.testing.assert_array_equal(found, np.clip(w, low, high))


def test_biases_keep_their_values():
    graph = network()
    graph = graph.map_ops(lambda n: dataclasses.replace(n.op, bias=n.op.bias + 0.5) if n.path == "fc" else n.op)
    for text in ("bit_flip:p=1", "saturate:bits=2"):
        after = inject(program_of(graph, "norse"), parse_faults(text)).program.graph["fc"].op
        np.testing.assert_array_equal(after.bias, graph["fc"].op.bias)
        assert (after.weight != graph["fc"].op.weight).any()


@pytest.mark.parametrize("text", ["spike_drop:p=0.3", "late:p=0.3,steps=2", "spike_drop:p=0.3,layer=in/late:p=0.2,layer=in"])
def test_samples_keep_their_faults_however_they_are_shared_out(text):
    program = two_layers()
    whole = spikes(program, text)
    for backend in ("engine", "reference"):
        parts = [spikes(program, text, INPUT[a:b], backend, a) for a, b in ((0, 1), (1, 3))]
        equal({path: np.concatenate([p[path] for p in parts]) for path in whole}, whole)
    shorter = spikes(program, text, INPUT[:, :11])
    equal(shorter, {path: a[:, :11] for path, a in whole.items()})
    again = spikes(program, text, np.repeat(INPUT[:1], 3, axis=0))
    assert (again["one" if "layer" in text else "out"][0] != again["one" if "layer" in text else "out"][1]).any()


def test_what_fails_at_a_low_rate_fails_at_a_higher_one_and_as_often_as_it_says():
    low, high = parse_faults("spike_drop:p=0.1")[0], parse_faults("spike_drop:p=0.3")[0]
    a, b = (uniform(f, "layer", (400, 100)) for f in (low, high))
    np.testing.assert_array_equal(a, b)
    assert abs((a < 0.1).mean() - 0.1) < 4 * np.sqrt(0.09 / 40_000)
    assert a.min() >= 0
    assert a.max() < 1
    drawn = [uniform(low, "layer", (50,)), uniform(low, "other", (50,)), uniform(low, "layer", (50,), 1),
             uniform(low.with_seed(1), "layer", (50,)), uniform(parse_faults("late:p=0.1")[0], "layer", (50,))]  # fmt: skip
    assert len({d.tobytes() for d in drawn}) == len(drawn)
    np.testing.assert_array_equal(uniform(low, "layer", (20, 2)), uniform(low, "layer", (40,)).reshape(20, 2))


def test_the_counts_of_a_run_are_those_of_the_network():
    from spikeport.backends.registry import get_backend

    faulted = inject(two_layers(), parse_faults("spike_drop:p=1,layer=one"))
    values = faulted.inputs({"in": INPUT})
    with get_backend("engine").emit(faulted.program) as executable:
        trace = faulted.trace(executable.run(values), values)
    assert set(trace.counts) == {"a", "b", "one", "two"}
    assert set(trace.activity) == {"in", "one", "two"}
    assert trace.counts["one"].spikes > 0
    assert trace.counts["b"].synops == 0  # nothing arrives
    assert trace.meta["binary_inputs"] == ("in",)
