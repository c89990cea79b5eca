"""The sequential mapper: laws of partition and placement, limits at their edge, refusals with a remedy."""

import dataclasses
import re

import numpy as np
import pytest
from graphs import networks
from hypothesis import given, settings
from mapped import PROFILE, chain, changed, conv, dense, lif, limited, recurrent

from spikeport.compiler.mapping import map_graph, remedies
from spikeport.compiler.mapping.chains import is_population
from spikeport.compiler.mapping.partition import cut, grids
from spikeport.hw_profiles.records import Dead
from spikeport.hw_profiles.target import load_target, target_names
from spikeport.ir.diagnostics import CapacityError, SpikeportError, UnsupportedError, UsageError
from spikeport.ir.ops import LIF, Conv2d, Delay, Extras, Input, Linear, Output
from spikeport.ir.profiles import parse_profile
from spikeport.ir.program import Slice
from spikeport.ir.shapes import infer_shapes

ALL = target_names()


def laws(program, target):
    """Slices partition every population, cores hold one slice each and exist, and no limit is exceeded."""
    shapes = infer_shapes(program.graph)[0].output
    for node in program.graph:
        slices = program.slices_of(node.path)
        assert bool(slices) == is_population(node.op)
        if slices:
            held = np.zeros(shapes[node.path], int)
            for s in slices:
                held[s.where] += 1
                assert s.size == held[s.where].size > 0
            assert (held == 1).all(), node.path
    cores = [s.core for s in program.slices]
    assert len(set(cores)) == len(cores)
    assert all(c % target.fabric.stride < target.fabric.cores_of(c // target.fabric.stride) for c in cores)
    if program.routing is None:
        assert max(cores) // target.fabric.stride == program.chips - 1
    else:
        assert program.chips == len({c // target.fabric.stride for c in program.routing.cores})
    for s in program.slices:
        for resource, used in s.usage.items():
            assert target.limit(resource) is None or used <= target.limit(resource)
    assert not [d for d in target.check(program) if d.severity == "error"]


def refusal(graph, target, **options):
    with pytest.raises(CapacityError) as caught:
        map_graph(graph, PROFILE, target, **options)
    return caught.value.diagnostics[0]


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize(
    "graph", [conv(), conv(zeros=0.7), recurrent(), dense(700, 1500, 300)], ids=["conv", "pruned", "rec", "dense"]
)
def test_laws(name, graph):
    target = load_target(name)
    laws(map_graph(graph, PROFILE, target), target)


@settings(max_examples=30)
@given(networks())
def test_laws_hold_for_any_network(drawn):
    graph, profile, _ = drawn
    target = limited("loihi1", neurons=5, in_axons=40, out_axons=60)
    try:
        program = map_graph(graph, profile, target)
    except SpikeportError as error:
        refused = {d.code for d in error.diagnostics}
    else:
        refused = set()
        laws(program, target)
    assert refused <= {"E401", "E403", "E520"}


def test_same_input_same_program():
    target = load_target("spinnaker1")
    a, b = (map_graph(conv(), PROFILE, target) for _ in range(2))
    assert a.slices == b.slices


def test_grids_are_partitions_with_fewest_tiles_first():
    found = grids((6, 7, 5), 4)
    assert [int(np.prod(p)) for p in found] == sorted(int(np.prod(p)) for p in found)
    for parts in found[::7]:
        held = np.zeros((6, 7, 5), int)
        for box in cut((6, 7, 5), parts):
            held[tuple(slice(a, b) for a, b in box)] += 1
        assert (held == 1).all()


# ------------------------------------------------------------------------------------------------ edges of limits


@pytest.mark.parametrize(("neurons", "cores"), [(1024, 1), (1025, 2), (2048, 2), (2049, 3)])
def test_neurons_fill_a_core_exactly(neurons, cores):
    assert len(map_graph(dense(4, neurons), PROFILE, load_target("loihi1")).cores) == cores


def test_input_axons_at_the_edge():
    target = load_target("loihi1")
    assert map_graph(dense(4096, 1), PROFILE, target).usage["in_axons"] == (4096, 4096)
    found = refusal(dense(4097, 1), target)
    assert (found.code, found.path, found.facts["need"], found.facts["limit"]) == ("E401", "lif0", 4097, 4096)
    assert "one neuron of this layer (0) takes 4,097 input axons; a core of loihi1 has 4,096" in found.message
    assert "prune at least 1 % of its weights" in found.hint
    assert "fits on loihi2, spinnaker1" in found.hint


def test_the_remedy_of_pruning_works():
    graph = dense(5000, 2)
    found = refusal(graph, load_target("loihi1"))
    assert "prune at least 19 %" in found.hint
    weight = np.ones((2, 5000))
    weight[:, : int(0.19 * 5000)] = 0
    map_graph(graph.map_ops(lambda n: Linear(weight) if n.path == "fc0" else n.op), PROFILE, load_target("loihi1"))


def test_synapse_memory_at_the_edge():
    """Dense axons of 55 weights take 450 bits, 8 words: 2048 of them fill 128 KiB; a 56th neuron makes nine words."""
    target = load_target("loihi1")
    full = map_graph(dense(2048, 54), PROFILE, target)
    assert full.usage["synapse_memory"][0] == 2048 * 7 * 8 <= 131072
    assert len(map_graph(dense(2048, 62), PROFILE, target).cores) == 1
    assert map_graph(dense(2048, 62), PROFILE, target).usage["synapse_memory"] == (131072, 131072)
    assert len(map_graph(dense(2048, 63), PROFILE, target).cores) == 2


def test_memory_remedy_counts_bits():
    """A neuron with 1,000 inputs: 64 bits an axon at any width, so only pruning or another chip helps."""
    found = refusal(dense(1000, 1), limited("loihi1", synapse_memory=4000))
    assert found.facts["resource"] == "synapse_memory"
    assert "quantise" not in found.hint
    assert "prune at least 50 %" in found.hint


def test_quantisation_is_offered_where_it_helps():
    target = limited("spinnaker2", local_memory=32768 + 32 + 4 + 4 * 1000)
    assert refusal(dense(2000, 1), target).code == "E401"
    shared = chain(
        ("in", Input((64, 4, 4))), ("c", Conv2d(None, np.ones((1, 64, 4, 4)), (1, 1), (0, 0), (1, 1), 1, np.zeros(1))),
        ("n", lif((1, 1, 1))), ("out", Output((1, 1, 1))),
    )  # fmt: skip
    # 1,024 weights of 8 bits and 10 bits of header for each 64: 1,152 bytes; of 6 bits 896. Chips store no 7 bits.
    assert map_graph(shared, PROFILE, limited("loihi2", synapse_memory=1152)).usage["synapse_memory"][0] == 1152
    assert "quantise its weights to 6 bits" in refusal(shared, limited("loihi2", synapse_memory=1151)).hint


def test_a_remedy_names_a_pass_only_where_there_is_one(monkeypatch):
    wide = dense(4097, 1)
    monkeypatch.setattr(remedies, "PASSES", {})
    assert "prune at least 1 % of its weights; or" in refusal(wide, load_target("loihi1")).hint
    monkeypatch.setattr(remedies, "PASSES", {"prune": object})
    assert "prune at least 1 % of its weights (--passes 'prune{sparsity=0.01}')" in refusal(wide, load_target("loihi1")).hint


@pytest.mark.parametrize(("target", "steps", "fits"), [("loihi1", 63, True), ("loihi1", 64, False), ("loihi2", 64, True)])
def test_refractory_steps_at_the_edge(target, steps, fits):
    resting = dense(3, 2).map_ops(
        lambda n: dataclasses.replace(n.op, extras=Extras(refractory_steps=np.array([1, steps]))) if n.path == "lif0" else n.op
    )
    if fits:
        assert map_graph(resting, PROFILE, load_target(target)).chips == 1
        return
    found = refusal(resting, load_target(target))
    assert (found.code, found.path, found.facts["need"], found.facts["limit"]) == ("E407", "lif0", 64, 63)
    assert "rests 64 steps after a spike; loihi1 has at most 63" in found.message


def test_weights_that_no_neuron_follows_are_said_to_stay_beside_the_chip():
    graph = chain(("in", Input((3,))), ("fc", Linear(np.ones((4, 3)))), ("n", lif((4,))), ("read", Linear(np.ones((2, 4)))),
                  ("out", Output((2,))))  # fmt: skip
    program = map_graph(graph, PROFILE, load_target("loihi2"))
    (said,) = (d for d in program.notes["mapping"] if d["code"] == "E522")
    assert (said["path"], said["severity"]) == ("read", "warning")
    assert "it lies on no core of loihi2" in said["message"]
    assert not [d for d in map_graph(dense(3, 4), PROFILE, load_target("loihi2")).notes["mapping"] if d["code"] == "E522"]


def test_quantised_layers_take_less():
    graph = dense(64, 64)
    note = {"quantization": {"bits": 4, "signed": True, "scale": 1.0, "exponent": 0}}
    quantised = graph.replace(nodes=[dataclasses.replace(n, notes=note) if n.path == "fc0" else n for n in graph.nodes])
    target = load_target("loihi1")
    wide, narrow = (map_graph(g, PROFILE, target).usage["synapse_memory"][0] for g in (graph, quantised))
    assert wide == 64 * 9 * 8
    assert narrow == 64 * 5 * 8


def test_output_axons_split_the_sender():
    """Each of 100 neurons sends to all cores of the next layer: with 250 output axons a core and 10 cores, 25 a core."""
    target = limited("loihi1", neurons=100, out_axons=250)
    program = map_graph(dense(1, 100, 1000), PROFILE, target)
    laws(program, target)
    assert len(program.slices_of("lif1")) == 10
    assert len(program.slices_of("lif0")) == 4
    assert program.usage["out_axons"] == (250, 250)


def test_output_axons_of_a_single_neuron():
    found = refusal(dense(1, 1, 30), limited("loihi1", neurons=10, out_axons=2))
    assert "takes 3 output axons; a core of loihi1 has 2" in found.message
    assert found.path == "lif0"


def test_configurations_split_a_layer():
    """40 time constants need two cores of 32 configurations; 9 thresholds two cores of 8."""
    target = load_target("loihi1")
    taus = chain(("in", Input((40,))), ("n", lif((40,), tau=np.linspace(0.01, 0.02, 40))), ("out", Output((40,))))
    program = map_graph(taus, PROFILE, target)
    assert (len(program.cores), program.usage["neuron_configs"]) == (2, (20, 32))
    thresholds = chain(("in", Input((9,))), ("n", lif((9,), threshold=np.arange(1.0, 10))), ("out", Output((9,))))
    assert len(map_graph(thresholds, PROFILE, target).cores) == 2


def test_chip_is_left_when_its_memory_is_full():
    graph = dense(100, 600)
    per_core = map_graph(graph, PROFILE, load_target("spinnaker1")).slices[0].usage["sdram"]
    target = changed("spinnaker1", ("value = 123469792", f"value = {per_core}"))
    program = map_graph(graph, PROFILE, target)
    assert program.chips == len(program.cores) == 3


def test_cores_of_a_short_chip():
    """The sixth chip of a board has 16 usable cores."""
    target = load_target("spinnaker1")
    program = map_graph(dense(2, 256 * (5 * 17 + 16)), PROFILE, target)
    # A core for the input beside those of the slices; of the first chips in the winding line (1, 3) and (1, 1) are short.
    assert program.chips == 7
    assert program.usage["cores"] == (102, 7 * 17 - 1)
    laws(program, target)


# -------------------------------------------------------------------------------------------------------- refusals


def test_too_few_chips():
    graph = dense(2, 1024 * 129)
    target = load_target("loihi1")
    assert map_graph(graph, PROFILE, target, chips=2).chips == 2
    found = refusal(graph, target, chips=1)
    assert found.code == "E402"
    assert found.message == "the network takes 2 chips of loihi1 (129 cores); 1 allowed"
    assert found.hint.startswith("allow --chips 2; or --target loihi2 takes 1")
    assert (
        "(no quantisation or pruning helps alone: the neurons fill 129 cores, 1 chips have 128; the largest layer is "
        in found.hint
    )
    assert found.hint.endswith(" with 132,096 neurons)")


def pruned(graph, share):
    """The graph without *share* of the weights that enter each neuron."""

    def prune(node):
        if not node.op.is_weighted:
            return node.op
        weight = np.array(node.op.weight)
        flat = weight.reshape(weight.shape[0], -1)
        flat[:, : int(share * flat.shape[1])] = 0
        return dataclasses.replace(node.op, weight=weight)

    return graph.map_ops(prune)


def quantised(graph, bits):
    note = {"quantization": {"bits": bits, "signed": True, "scale": 1.0, "exponent": 0}}
    return graph.replace(nodes=[dataclasses.replace(n, notes=note) if n.op.is_weighted else n for n in graph.nodes])


def kernels(channels):
    """A wide convolution: its kernels, not its axons, fill a core."""
    return chain(
        ("in", Input((channels, 4, 4))), ("c", Conv2d(None, np.ones((1, channels, 4, 4)), 1, 0, 1, 1, np.zeros(1))),
        ("n", lif((1, 1, 1))), ("out", Output((1, 1, 1))),
    )  # fmt: skip


REMEDIES = {
    "fan-in, memory with code in it": (dense(20_000, 2), load_target("spinnaker2"), "norse:zero", None),
    "fan-in, synapse memory": (dense(17_000, 2), load_target("loihi2"), "norse:subtract", None),
    "fan-in, axons": (dense(5000, 2), load_target("loihi1"), "norse:zero", None),
    "kernels": (kernels(64), limited("loihi2", synapse_memory=1000), "norse:zero", None),
    "output axons": (dense(2, 1, 30), limited("loihi1", neurons=10, out_axons=2), "norse:zero", None),
    "chips, output axons": (dense(2, 1024, 1024 * 20), limited("loihi1", neurons=100), "norse:zero", 1),
    "chips, a construct": (dense(2, 2000), limited("loihi2", neurons=10), "norse:subtract", 1),
    "chips, memory": (dense(600, 300), limited("spinnaker2", local_memory=32768 + 6000), "norse:zero", 1),
    "chips, kernels": (kernels(64), limited("loihi2", neurons=8192, synapse_memory=700), "norse:zero", 1),
    "chips, a short chip": (dense(2, 256 * (5 * 17 + 17)), load_target("spinnaker1"), "norse:zero", 6),
}


@pytest.mark.parametrize("case", REMEDIES)
def test_every_remedy_works(case):
    """Each thing that the hint proposes is done, and the network then fits."""
    graph, target, text, chips = REMEDIES[case]
    profile = parse_profile(text)
    with pytest.raises(CapacityError) as caught:
        map_graph(graph, profile, target, chips=chips)
    tried = 0
    for idea in caught.value.diagnostics[0].hint.partition(" (no quantisation or pruning helps alone")[0].split("; or "):
        if found := re.fullmatch(r"allow --chips (\d+)", idea):
            assert map_graph(graph, profile, target, chips=int(found[1])).chips == int(found[1])
        elif found := re.fullmatch(r"--target (\w+) takes (\d+)", idea):
            assert map_graph(graph, profile, load_target(found[1]), chips=chips).chips == int(found[2])
        elif found := re.fullmatch(r"the network fits on (.*)", idea):
            for name in found[1].split(", "):
                map_graph(graph, profile, load_target(name), chips=chips)
        elif found := re.fullmatch(r"quantise (?:its|the) weights to (\d+) bits", idea):
            map_graph(quantised(graph, int(found[1])), profile, target, chips=chips)
        elif found := re.fullmatch(r"prune at least (\d+) % of its weights", idea):
            map_graph(pruned(graph, int(found[1]) / 100), profile, target, chips=chips)
            with pytest.raises(CapacityError):
                map_graph(pruned(graph, (int(found[1]) - 1) / 100), profile, target, chips=chips)
        else:
            assert re.match(r"make the layer behind it smaller", idea), idea
            continue
        tried += 1
    assert tried, caught.value


def test_a_target_that_lacks_a_construct_is_no_remedy():
    found = refusal(dense(2, 2000), limited("loihi2", neurons=10), chips=1)
    assert "--target loihi1 takes 1" in found.hint
    with pytest.raises(CapacityError) as caught:
        map_graph(dense(2, 2000), parse_profile("norse:subtract"), limited("loihi2", neurons=10), chips=1)
    hint = caught.value.diagnostics[0].hint
    assert "--target spinnaker2 takes 1" in hint
    assert "loihi1" not in hint
    assert "spinnaker1" not in hint


def test_the_neuron_that_is_furthest_from_fitting_is_named():
    weight = np.zeros((3, 6000))
    weight[0, :4200], weight[1, :6000], weight[2, :5000] = 1, 1, 1
    graph = dense(6000, 3).map_ops(lambda n: Linear(weight) if n.path == "fc0" else n.op)
    found = refusal(graph, load_target("loihi1"))
    assert "one neuron of this layer (1) takes 6,000 input axons" in found.message
    assert "prune at least 32 % of its weights" in found.hint


def test_a_chip_without_weights_still_says_their_width():
    graph = chain(("in", Input((3,))), ("out", Output((3,))))
    assert "its 16-bit weights" in map_graph(graph, PROFILE, load_target("spinnaker1")).notes["lowering"][0]


@pytest.mark.parametrize("chips", [0, -1])
def test_no_chips_are_no_chips(chips):
    with pytest.raises(UsageError, match="E641"):
        map_graph(dense(2, 2), PROFILE, load_target("loihi1"), chips=chips)


def test_unknown_mapper():
    with pytest.raises(UsageError, match="unknown mapper 'sequental' \\(did you mean 'sequential'"):
        map_graph(dense(2, 2), PROFILE, load_target("loihi1"), mapper="sequental")


@pytest.mark.parametrize(("steps", "fits"), [(62, True), (63, False)])
def test_delays_at_the_edge(steps, fits):
    graph = chain(
        ("in", Input((3,))), ("d", Delay(np.full(3, steps * 1e-3))), ("n", lif((3,))), ("out", Output((3,)))
    )  # fmt: skip
    target = load_target("loihi1")
    if fits:
        map_graph(graph, PROFILE, target)
    else:
        found = refusal(graph, target)
        assert (found.code, found.path) == ("E403", "n")
        assert found.message == "the connection from in waits 63 steps; loihi1 has at most 62"


def test_refused_construct_names_layers_and_reason():
    with pytest.raises(UnsupportedError) as caught:
        map_graph(dense(2, 3), parse_profile("norse:subtract"), load_target("loihi1"))
    (found,) = caught.value.diagnostics
    assert (found.code, found.path) == ("E520", "lif0")
    assert (
        "loihi1 does not have reset by subtraction of the threshold (needed by lif0): its compartments reset to 0"
        in found.message
    )
    assert found.hint.startswith("choose --target loihi2 or spinnaker2, or train without it")


def test_rewrites_are_said():
    program = map_graph(dense(2, 3), parse_profile("snntorch:zero"), load_target("loihi1"))
    assert [d["code"] for d in program.notes["mapping"]] == ["E521"]


def test_check_finds_what_a_foreign_mapping_overfills():
    target = load_target("loihi1")
    program = map_graph(dense(2, 1500), PROFILE, target)
    heaped = dataclasses.replace(program, slices=tuple(Slice(s.path, s.box, 0, s.usage) for s in program.slices))
    (found,) = target.check(heaped)
    assert (found.code, found.facts["resource"], found.facts["need"]) == ("E404", "neurons", 1500)
    away = dataclasses.replace(program, slices=tuple(Slice(s.path, s.box, s.core + 128, s.usage) for s in program.slices))
    assert not target.check(away)


def test_check_finds_a_core_that_the_chip_lacks():
    target = load_target("spinnaker1")
    program = map_graph(dense(2, 3), PROFILE, target)
    beyond = dataclasses.replace(program, slices=tuple(Slice(s.path, s.box, 5 * 17 + 16, s.usage) for s in program.slices))
    (found,) = [d for d in target.check(beyond) if d.severity == "error"]
    assert (found.code, found.facts["resource"]) == ("E404", "cores")


def test_check_finds_a_dead_core_between_living_ones():
    target = load_target("spinnaker1").without(Dead(cores=((0, 0, 4),)))
    program = map_graph(dense(2, 3), PROFILE, target)
    assert not [d for d in target.check(program) if d.severity == "error"]
    away = dataclasses.replace(program, slices=tuple(Slice(s.path, s.box, 3, s.usage) for s in program.slices))
    (found,) = [d for d in target.check(away) if d.severity == "error"]
    assert (found.code, found.facts["resource"], found.facts["limit"]) == ("E404", "cores", 16)


def test_a_table_that_no_compression_makes_fit_is_named_with_its_chip_and_layers():
    """The input, the first layer and the second go three ways through the only chip in use."""
    target = changed("spinnaker1", ("value = 1023", "value = 1"))
    with pytest.raises(CapacityError, match=r"chip 0,0 .*lif0.* takes entries of the routing table: 2 of 1") as found:
        map_graph(dense(300, 600, 300), PROFILE, target)
    (error,) = found.value.diagnostics
    assert error.code == "E412"
    assert set(error.facts["layers"]) == {"in", "lif0"}


def test_the_report_is_told_that_the_run_is_float():
    notes = map_graph(dense(2, 3), PROFILE, load_target("loihi1")).notes["lowering"]
    assert notes[0] == "the run is float64, not loihi1's own arithmetic; its 8-bit weights stand in the memory count only"


def test_a_convolution_is_not_expanded():
    """16 kernels over a map of 100 x 100: the weights of the kernels, not of the 1.4 million synapses."""
    graph = chain(
        ("in", Input((1, 100, 100))), ("c", Conv2d(None, np.ones((16, 1, 3, 3)), (1, 1), (1, 1), (1, 1), 1, np.zeros(16))),
        ("n", LIF(*(np.broadcast_to(v, (16, 100, 100)) for v in (0.02, 1.0, 0.0, 1.0, 0.0)))), ("out", Output((16, 100, 100))),
    )  # fmt: skip
    program = map_graph(graph, PROFILE, load_target("loihi2"))
    assert program.usage["synapse_memory"][0] <= 16 * 16
    assert sum(s.usage["synapses"] for s in program.slices) == 16 * (3 * 100 - 2) ** 2
