"""Bits of synapses and sets of registers: widths that a chip stores, delays, formats and configurations, each by hand."""

import dataclasses

import numpy as np
import pytest
from mapped import PROFILE, chain, dense, lif, limited

from spikeport.compiler.mapping import map_graph
from spikeport.compiler.mapping.formats import Format, register_sets, whole
from spikeport.hw_profiles.target import load_target
from spikeport.ir.diagnostics import CapacityError
from spikeport.ir.graph import Edge, Graph, Node
from spikeport.ir.loihi import DECAY_ONE, INPUT_NOTE, SHIFT
from spikeport.ir.ops import LIF, Delay, Input, Linear, Output
from spikeport.ir.ops.neuron import Discrete, Extras
from spikeport.ir.profiles import parse_profile

LAVA = dataclasses.replace(parse_profile("lava"), leak="unit")
LOIHI1 = load_target("loihi1")


def word(bits):
    """Bytes of that many bits in words of 64."""
    return -(-bits // 64) * 8


def quantised(graph, bits):
    note = {"quantization": {"bits": bits, "signed": True, "scale": 1.0, "exponent": 0}}
    return graph.replace(nodes=[dataclasses.replace(n, notes=note) if n.op.is_weighted else n for n in graph.nodes])


@pytest.mark.parametrize(("bits", "stored"), [(1, 1), (2, 2), (3, 3), (4, 4), (5, 5), (6, 6), (7, 8), (8, 8), (16, 8)])
def test_loihi_stores_no_seven_bits(bits, stored):
    """64 axons of 50 weights: a layer of 7 bits takes what one of 8 takes."""
    program = map_graph(quantised(dense(64, 50), bits), PROFILE, LOIHI1)
    assert program.usage["synapse_memory"][0] == 64 * word(50 * stored + 10)
    assert program.notes["weight_bits"] == [stored]


def test_spinnaker_stores_one_width():
    target = load_target("spinnaker1")
    narrow, wide = (map_graph(g, PROFILE, target).usage["sdram"] for g in (quantised(dense(9, 9), 4), dense(9, 9)))
    assert narrow == wide


@pytest.mark.parametrize(("steps", "bits"), [(0, 0), (1, 0), (2, 1), (3, 2), (9, 4), (62, 6)])
def test_a_delay_takes_bits_of_every_synapse(steps, bits):
    """The step of every spike is free; those beyond it are stored with the weight."""
    graph = chain(
        ("in", Input((10,))), ("d", Delay(np.full(10, steps * 1e-3))), ("fc", Linear(np.ones((40, 10)))), ("n", lif((40,))),
        ("out", Output((40,))),
    )  # fmt: skip
    assert map_graph(graph, PROFILE, LOIHI1).usage["synapse_memory"][0] == 10 * word(40 * (8 + bits) + 10)


# --------------------------------------------------------------------------------------- whole numbers (arithmetic loihi)


@pytest.mark.parametrize(
    ("weights", "expected"),
    [
        ([0, 255], (8, 0, "positive")),
        ([0, 255 << 5], (8, 5, "positive")),
        ([-256, 254], (8, 1, "mixed")),  # even, so that seven bits and a sign are left of 2 to 256
        ([-256 << 3, 254 << 3], (8, 4, "mixed")),
        ([-255, 0], (8, 0, "negative")),
        ([0, 7], (3, 0, "positive")),
        ([64, 128], (2, 6, "positive")),
        ([-16, 0, 16], (2, 4, "mixed")),
        ([0, 0], (1, 0, "positive")),
        ([0, 100], (5, 2, "positive")),
    ],
)
def test_bits_and_exponents_of_whole_weights(weights, expected):
    assert whole(Linear(np.array([weights], float))) == expected


@pytest.mark.parametrize("weights", [[0.5, 1], [0, 256 * 128], [1, 1000]])
def test_what_is_no_mantissa_with_an_exponent(weights):
    assert whole(Linear(np.array([weights], float))) is None


def grid(size, beta=None, alpha=None, threshold=64.0, refractory=None, bias=0.0):
    """LIF neurons on Loihi's grid: *beta* in 4096ths, *threshold* in the unit of the membrane."""
    ones = np.ones(size)
    beta = ones * 0.5 if beta is None else np.asarray(beta) / DECAY_ONE
    exact = Discrete(LAVA.dt, LAVA.scheme, LAVA.gain, beta, ones * SHIFT, alpha, None)
    extras = Extras(discrete=exact, refractory_steps=refractory)
    return LIF(ones, ones, ones * bias, ones * threshold, ones * 0.0, extras=extras)


def integers(*layers, inputs=4, notes=None):
    """A population of LIF neurons that each of *layers* of weights enters, from inputs of its own."""
    size = layers[0].shape[0]
    nodes, edges = [Node("n", grid(size)), Node("out", Output((size,)))], [Edge("n", "out", 0)]
    for k, weight in enumerate(layers):
        nodes += [Node(f"in{k}", Input((inputs,)), notes or {}), Node(f"fc{k}", Linear(weight))]
        edges += [Edge(f"in{k}", f"fc{k}", 0), Edge(f"fc{k}", "n", 1, k)]
    return Graph(nodes, edges)


def used(graph, resource, target=LOIHI1):
    return map_graph(graph, LAVA, target, arithmetic="loihi").usage[resource]


def test_formats_are_counted_by_width_exponent_and_signs():
    """Three layers of the same format make one; another exponent, another width, other signs make one more each."""
    plain, odd = np.tile([3.0, 255.0, 1.0, 7.0], (5, 1)), np.tile([1.0, 2.0, 3.0, 1.0], (5, 1))
    assert used(integers(plain, plain, plain), "synapse_configs") == (1, 8)
    assert used(integers(plain, plain * 4), "synapse_configs") == (2, 8)
    assert used(integers(plain, odd), "synapse_configs") == (2, 8)
    assert used(integers(plain, -plain), "synapse_configs") == (2, 8)
    assert used(integers(*(plain * 2**k for k in range(8))), "synapse_configs") == (8, 8)


def test_a_ninth_format_is_refused_with_the_layer_named():
    layers = [np.tile([3.0, 255.0, 1.0, 7.0], (5, 1)) * 2**k for k in range(8)]
    with pytest.raises(CapacityError) as caught:
        map_graph(integers(*layers, -layers[0]), LAVA, LOIHI1, arithmetic="loihi")
    (found,) = caught.value.diagnostics
    assert (found.code, found.path) == ("E401", "n")
    assert "takes 9 synapse formats; a core of loihi1 has 8" in found.message


def test_formats_of_float_connections_may_be_shared():
    rng = np.random.default_rng(0)
    layers = [rng.normal(size=(5, 4)) for _ in range(10)]
    assert map_graph(integers(*layers), PROFILE, LOIHI1).usage["synapse_configs"] == (1, 8)


def test_narrow_whole_weights_take_less_memory():
    """Weights of 0 to 7 take three bits, of -16 and 16 two; 40 of them and 10 bits of header."""
    three = np.tile(np.arange(40.0) % 8, (4, 1)).T
    assert used(integers(three), "synapse_memory")[0] == 4 * word(40 * 3 + 10)
    assert used(integers(np.where(three > 3, 16.0, -16.0)), "synapse_memory")[0] == 4 * word(40 * 2 + 10)


@pytest.mark.parametrize(("least", "copies", "formats"), [(0, 1, 1), (-3, 2, 2)])
def test_negative_inputs_have_axons_of_their_own(least, copies, formats):
    note = {INPUT_NOTE: {"scale": 1.0, "least": least, "most": 5}}
    graph = integers(np.tile([3.0, 255.0, 1.0, 7.0], (5, 1)), notes=note)
    assert used(graph, "in_axons") == (4 * copies, 4096)
    assert used(graph, "synapse_memory")[0] == 4 * copies * word(5 * 8 + 10)
    assert used(graph, "synapse_configs") == (formats, 8)
    assert used(graph, "in_axons", load_target("loihi2"))[0] == 4


def test_signed_weights_stay_one_format_when_negated():
    note = {INPUT_NOTE: {"scale": 1.0, "least": -1, "most": 1}}
    assert used(integers(np.tile([3.0, -200.0, 1.0, 7.0], (5, 1)) * 2, notes=note), "synapse_configs") == (1, 8)


def with_neurons(op):
    size = op.v_threshold.size
    return chain(("in", Input((1,))), ("fc", Linear(np.ones((size, 1)))), ("n", op), ("out", Output((size,)))).replace(
        edges=[Edge("in", "fc", 0), Edge("fc", "n", 1), Edge("n", "out", 0)]
    )


def test_configurations_are_sets_of_registers():
    """Different decays and different rests multiply; different thresholds count by themselves, equal ones once."""
    betas, rests = np.repeat([1024, 2048, 3072], 4), np.tile([0, 1, 2, 2], 3)
    graph = with_neurons(grid(12, beta=betas, refractory=rests, threshold=np.tile([64, 128, 128], 4)))
    assert used(graph, "neuron_configs") == (9, 32)
    assert used(graph, "threshold_configs") == (2, 8)


def test_the_exponent_of_a_bias_belongs_to_the_configuration():
    """4,000 is a mantissa, 8,000 a mantissa of 4,000 with exponent 1; 100 and 4,000 share exponent 0."""
    sets, _ = register_sets(grid(3, bias=np.array([100.0, 4000, 8000])), "n", LAVA, (3,), "loihi")
    assert [s.tolist() for s in sets] == [[0, 0, 1]]


def test_33_configurations_take_two_cores():
    assert used(with_neurons(grid(33, beta=np.arange(33) + 100)), "cores") == (2, 128)
    assert used(with_neurons(grid(32, beta=np.arange(32) + 100)), "cores") == (1, 128)
    assert used(with_neurons(grid(9, threshold=64 * (1 + np.arange(9)))), "cores") == (2, 128)


def test_what_is_the_same_for_all_neurons_makes_no_set():
    assert register_sets(grid(5), "n", LAVA, (5,), "loihi") == ((), None)
    assert register_sets(Linear(np.ones((1, 1))), "n", LAVA, (1,), "loihi") == ((), None)


def test_formats_compare_by_value():
    assert Format(8).configurations("dense") == Format(8).configurations("dense") != Format(8).configurations("sparse")
    assert Format(8, delay=0).configurations("dense") == Format(8, delay=1).configurations("dense")
    assert Format(8, delay=2).configurations("dense") != Format(8, delay=3).configurations("dense")


# ------------------------------------------------------------------------------------------------- every limit is enforced


@pytest.mark.parametrize(
    ("resource", "graph", "need"),
    [
        ("in_axons", dense(11, 1), 11),
        ("out_axons", dense(2, 1, 33), 11),
        ("synapse_memory", dense(11, 1), 88),
        ("synapse_configs", None, 3),
        ("fan_in", dense(11, 1), 11),
    ],
)
def test_a_limit_of_ten_is_enforced_with_the_layer_named(resource, graph, need):
    """One less than what a single neuron takes: refused, with the layer, the need and the limit."""
    limits = {resource: need - 1} | ({"neurons": 3} if resource == "out_axons" else {})
    layers = [np.tile([3.0, 255.0, 1.0, 7.0], (5, 1)) * 2**k for k in range(3)]
    integer = graph is None
    with pytest.raises(CapacityError) as caught:
        map_graph(integers(*layers) if integer else graph, LAVA if integer else PROFILE, limited("loihi1", **limits),
                  arithmetic="loihi" if integer else "float64")  # fmt: skip
    (found,) = caught.value.diagnostics
    assert (found.code, found.path) == ("E401", "n" if integer else "lif0")
    assert (found.facts["resource"], found.facts["need"], found.facts["limit"]) == (resource, need, need - 1)


@pytest.mark.parametrize(("delay", "fits"), [(63, True), (64, False)])
def test_a_whole_numbered_connection_waits_62_steps_beside_its_own(delay, fits):
    graph = integers(np.ones((2, 4)))
    graph = graph.replace(edges=[dataclasses.replace(e, delay=delay) if e.target == "n" else e for e in graph.edges])
    if fits:
        map_graph(graph, LAVA, LOIHI1, arithmetic="loihi")
        return
    with pytest.raises(CapacityError, match="waits 63 steps beside the one that every spike takes; loihi1 has at most 62"):
        map_graph(graph, LAVA, LOIHI1, arithmetic="loihi")
