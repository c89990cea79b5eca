"""Lowering to Loihi's grid: exact where the numbers fit, bounded where they do not, refused by name where Loihi cannot."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikeport.compiler.driver import lower
from spikeport.compiler.integer.retime import lags
from spikeport.compiler.loihi import lower_to_loihi
from spikeport.compiler.loihi.start import back
from spikeport.ir import Edge, Graph, Node, parse_profile
from spikeport.ir.diagnostics import UnsupportedError
from spikeport.ir.loihi import LIMIT
from spikeport.ir.network import build_network
from spikeport.ir.ops import (
    IF,
    LI,
    LIF,
    Affine,
    AvgPool2d,
    Conv2d,
    CubaLIF,
    Delay,
    Extras,
    Flatten,
    Input,
    Linear,
    Output,
    Scale,
    SumPool2d,
    Threshold,
)
from spikeport.ir.reference import run_reference
from spikeport.ir.trace import Recording
from spikeport.ir.verify import verify

PROFILE = parse_profile("norse:zero,dt=1")


def integrate(shape, threshold, **extras):
    """Return IF neurons that add their input as it is."""
    full = np.full(shape, 1.0)
    return IF(full, threshold * full, 0 * full, extras=Extras(**extras))


def even(rng, *shape):
    """Return even weights of both signs that reach the ends of 8 bits."""
    weight = 2.0 * rng.integers(-127, 128, shape)
    flat = weight.reshape(-1)
    if flat.size > 1:
        flat[:2] = 254, -2
    return weight


def assert_exact(graph, profile, inputs, paths, **options):
    """The lowered network's spikes, shifted by each population's lag, are the source model's, from step 0 on."""
    lowered = lower_to_loihi(graph, profile, data=inputs, **options)
    if any(d.code == "E534" for d in lowered.diagnostics):  # a bias that no initial state undoes: said, not hidden
        return lowered, None
    assert not [d for d in lowered.diagnostics if d.severity == "warning"], lowered.diagnostics
    verify(lowered.graph, lowered.profile)
    steps = next(iter(inputs.values())).shape[1]
    most = max(lowered.lags.values())
    wanted = run_reference(build_network(graph, profile, "float64"), inputs, Recording(paths))
    padded = {p: np.concatenate([x, np.zeros((x.shape[0], most, *x.shape[2:]), x.dtype)], axis=1) for p, x in inputs.items()}
    found = run_reference(build_network(lowered.graph, lowered.profile, "loihi"), padded, Recording(paths, True))
    for path in paths:
        late = lowered.lags[path]
        ours, theirs = found.spikes[path][:, late : late + steps], wanted.spikes[path]
        assert np.array_equal(ours, theirs), f"{path}: {np.count_nonzero(ours != theirs)} of {theirs.size} differ"
    assert all(np.abs(i).max(initial=0) < LIMIT for i in found.i.values())
    return lowered, wanted


@st.composite
def dense_nets(draw):
    """Networks of whole numbers: a chain with a skip past one layer, perhaps a loop, a delay, a scaling, biases."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    n = [draw(st.integers(2, 6)) for _ in range(4)]
    nodes, edges = [Node("in", Input((n[0],)))], []
    before = "in"
    for i in (1, 2, 3):
        bias = 2.0 * rng.integers(-40, 80, n[i]) * draw(st.booleans())
        nodes += [
            Node(f"w{i}", Affine(even(rng, n[i], n[i - 1]), bias)),
            Node(f"n{i}", integrate((n[i],), float(rng.integers(1, 600)))),
        ]
        edges += [Edge(before, f"w{i}"), Edge(f"w{i}", f"n{i}")]
        before = f"n{i}"
    if draw(st.booleans()):
        nodes.append(Node("skip", Linear(even(rng, n[3], n[1]))))
        edges += [Edge("n1", "skip"), Edge("skip", "n3", None, 1)]
    if draw(st.booleans()):
        nodes.append(Node("loop", Linear(even(rng, n[2], n[2]))))
        edges += [Edge("n2", "loop"), Edge("loop", "n2", None, 1)]
    if draw(st.booleans()):
        nodes += [Node("wait", Delay(rng.integers(0, 4, n[0]).astype(float))), Node("late", Linear(even(rng, n[1], n[0])))]
        edges += [Edge("in", "wait"), Edge("wait", "late"), Edge("late", "n1", None, 2)]
    nodes.append(Node("out", Output((n[3],))))
    edges.append(Edge("n3", "out"))
    x = (rng.random((3, 20, n[0])) < 0.4).astype(np.uint8)
    return Graph(tuple(nodes), tuple(edges)), {"in": x}


@settings(max_examples=80)
@given(dense_nets())
def test_whole_numbers_stay_as_they_are(case):
    graph, inputs = case
    assert_exact(graph, PROFILE, inputs, ("n1", "n2", "n3"))


@pytest.mark.slow
@settings(max_examples=1000)
@given(dense_nets())
def test_whole_numbers_of_many_networks(case):
    graph, inputs = case
    assert_exact(graph, PROFILE, inputs, ("n1", "n2", "n3"))


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("pool", [None, SumPool2d((2, 2), (2, 2), (0, 0)), AvgPool2d((2, 2), (2, 2), (0, 0))])
def test_convolutions_and_the_pools_in_front_of_them_become_one(pool, seed):
    rng = np.random.default_rng(seed)
    stride, padding = int(rng.integers(1, 3)), int(rng.integers(0, 2))
    second = Conv2d(None, even(rng, 4, 3, 3, 3), (stride, 1), (padding, padding), (1, 1), 1, 0.0 * np.zeros(4))
    chain = [
        ("c1", Conv2d(None, even(rng, 3, 2, 3, 3), (1, 1), (1, 1), (1, 1), 1, np.zeros(3))), ("n1", None),
        *([("pool", pool)] if pool else []), ("c2", second), ("n2", None), ("flat", Flatten(0, -1)),
    ]  # fmt: skip
    nodes, edges, shape, before = [Node("in", Input((2, 8, 8)))], [], (2, 8, 8), "in"
    for name, op in chain:
        op = integrate(shape, 400.0) if op is None else op
        shape = op.output_shape(shape)
        nodes.append(Node(name, op))
        edges.append(Edge(before, name))
        before = name
    nodes += [Node("fc", Linear(even(rng, 5, shape[0]))), Node("n3", integrate((5,), 300.0)), Node("out", Output((5,)))]
    edges += [Edge(before, "fc"), Edge("fc", "n3"), Edge("n3", "out")]
    x = (rng.random((2, 12, 2, 8, 8)) < 0.3).astype(np.uint8)
    lowered, wanted = assert_exact(Graph(tuple(nodes), tuple(edges)), PROFILE, {"in": x}, ("n1", "n2", "n3"))
    assert {n.op.kind for n in lowered.graph} <= {"Input", "Output", "Conv2d", "Linear", "Flatten", "LIF"}
    assert lowered.lags == {"in": 0, "n1": 1, "n2": 2, "n3": 3}
    assert sum(int(s.sum()) for s in wanted.spikes.values()) > 0


def chain_of(neuron, weight=None, bias=None, profile=PROFILE):
    weight = np.array([[2.0, 0.0], [0.0, 254.0]]) if weight is None else weight
    op = Linear(weight) if bias is None else Affine(weight, bias)
    return Graph(
        (Node("in", Input((2,))), Node("w", op), Node("n", neuron), Node("out", Output((2,)))),
        (Edge("in", "w"), Edge("w", "n"), Edge("n", "out")), profile=profile,
    )  # fmt: skip


SPIKES = {"in": (np.random.default_rng(5).random((4, 40, 2)) < 0.5).astype(np.uint8)}


def test_the_threshold_itself_counts_where_the_source_has_it():
    graph = chain_of(integrate((2,), 508.0))
    for profile in (PROFILE, dataclasses.replace(PROFILE, compare=">=")):
        assert_exact(graph, profile, SPIKES, ("n",))


def test_a_reset_to_a_value_and_spikes_of_a_value():
    graph = chain_of(IF(np.ones(2), np.full(2, 508.0), np.full(2, -64.0), extras=Extras(spike_amplitude=np.full(2, 0.5))))
    assert_exact(graph, parse_profile("norse:value,dt=1"), SPIKES, ("n",))


@settings(max_examples=60)
@given(st.integers(0, 2**32))
def test_currents_stay_within_24_bits_and_numbers_within_their_rounding(seed):
    rng = np.random.default_rng(seed)
    shape = (4,)
    neuron = CubaLIF(
        rng.uniform(1.1, 300, 4), rng.uniform(1.1, 3000, 4), rng.uniform(0.1, 5, 4), rng.uniform(-1, 1, 4),
        rng.uniform(0.05, 5, 4), np.zeros(4), rng.uniform(0.1, 5, 4),
        extras=Extras(refractory_steps=rng.integers(0, 3, 4)),
    )  # fmt: skip
    graph = Graph(
        (Node("in", Input(shape)), Node("w", Affine(rng.normal(0, 10.0 ** rng.integers(-3, 3), (4, 4)), rng.normal(0, 1, 4))),
         Node("n", neuron), Node("r", Linear(rng.normal(0, 1, (4, 4)))), Node("out", Output(shape))),
        (Edge("in", "w"), Edge("w", "n"), Edge("n", "r"), Edge("r", "n", None, 1), Edge("n", "out")),
    )  # fmt: skip
    try:
        lowered = lower_to_loihi(graph, PROFILE)
    except UnsupportedError as error:
        refused = {d.code for d in error.diagnostics}
    else:
        refused = set()
    if refused:
        assert refused == {"E532"}
        return
    network = build_network(lowered.graph, lowered.profile, "loihi")
    weight = network.ops["w"].weight
    for x in (np.ones((1, 400, 4)), np.tile(weight[0] > 0, (1, 400, 1)), np.tile(weight[1] < 0, (1, 400, 1))):
        trace = run_reference(network, {"in": x.astype(np.uint8)}, Recording(("n",), True))
        assert np.abs(trace.i["n"]).max() < LIMIT
        assert np.abs(trace.v["n"]).max() < LIMIT
    for row in lowered.rows:
        if row.parameter in ("dv", "du"):
            assert max(abs(a - b) for a, b in zip(row.old, row.effective, strict=True)) <= 1.01 / 4096, row
    assert lower_to_loihi(graph, PROFILE).graph.digest == lowered.graph.digest


def test_a_model_on_the_grid_is_taken_as_it_is():
    one = np.ones(1)
    nodes = (
        Node("in", Input((1,))), Node("fc", Linear(np.array([[640.0]]))),
        Node("lif", LIF(one * 1e-4 * 4096 / 163, one * 4096 / 163, 0 * one, one * 1600, 0 * one)), Node("out", Output((1,))),
    )  # fmt: skip
    graph = Graph(nodes, (Edge("in", "fc"), Edge("fc", "lif"), Edge("lif", "out")))
    program = lower(graph, None, "lava", arithmetic="loihi")
    model = build_network(program.graph, program.profile, "loihi").models["lif"]
    assert (float(model.beta[0]), float(model.threshold[0])) == (1 - 163 / 4096, 1600.0)
    assert program.graph["fc"].op.weight.tolist() == [[10.0]]
    again = lower(program.graph, None, program.profile, arithmetic="loihi")
    assert again.graph.digest == program.graph.digest
    assert "E539" in [d["code"] for d in again.notes["warnings"]]


@settings(max_examples=100)
@given(st.integers(0, 2**32))
def test_a_late_population_starts_where_it_must(seed):
    rng = np.random.default_rng(seed)
    alpha, beta = rng.integers(2000, 4096, 5), rng.integers(2000, 4097, 5)
    i, v, bias = rng.integers(-999, 999, 5), rng.integers(-9999, 0, 5), rng.integers(0, 999, 5)
    lag = int(rng.integers(0, 4))
    first_i, first_v, exact = back(i, v, alpha, beta, bias, np.full(5, LIMIT), lag)
    assert exact
    for _ in range(lag):
        first_i = np.sign(first_i) * ((np.abs(first_i) * alpha) >> 12)
        first_v = np.sign(first_v) * ((np.abs(first_v) * beta) >> 12) + first_i + bias
    assert np.array_equal(first_i, i)
    assert np.array_equal(first_v, v)


def test_lags_balance_skips_and_a_loop_that_would_grow_is_named():
    assert lags([("in", "a", 0), ("a", "b", 0), ("in", "b", 0), ("b", "b", 1)], ["in"], "Loihi") == {"in": 0, "a": 1, "b": 2}
    with pytest.raises(UnsupportedError, match=r"E531.*has 1 step of delay in all and 2 hops") as caught:
        lags([("in", "a", 0), ("a", "b", 0), ("b", "a", 1)], ["in"], "Loihi")
    assert set(caught.value.diagnostics[0].facts["loop"]) == {"a", "b"}


@pytest.mark.parametrize(
    ("profile", "neuron", "what"),
    [
        ("norse:subtract,dt=1", integrate((2,), 1.0), "a reset by subtraction"),
        ("snntorch:subtract,dt=1,reset_delay=false", integrate((2,), 1.0), r"a reset by subtraction \(snnTorch's\)"),
        ("sinabs,dt=1", integrate((2,), 1.0), "several spikes a step"),
        ("snntorch:none,dt=1", integrate((2,), 1.0), "no reset"),
        ("exact,dt=1", integrate((2,), 1.0), "at the instant of the crossing"),
        ("norse:zero,dt=1,clamp_low=0", integrate((2,), 1.0), "above a lower bound"),
        ("norse:zero,dt=1", Threshold(np.ones(2)), "a Threshold has no memory"),
        ("norse:zero,dt=1", IF(np.ones(2), np.full(2, -1.0), np.zeros(2)), "a threshold below its reset"),
    ],
)
def test_what_loihi_lacks_is_refused_with_the_layer(profile, neuron, what):
    with pytest.raises(UnsupportedError, match=f"E530 at n: .*{what}"):
        lower_to_loihi(chain_of(neuron), parse_profile(profile))


def test_readouts_are_spikes_or_membranes_of_neurons():
    graph = chain_of(LI(np.full(2, 9.0), np.full(2, 9.0), np.zeros(2)))
    lowered = lower_to_loihi(graph, PROFILE, data=SPIKES)
    trace = run_reference(build_network(lowered.graph, lowered.profile, "loihi"), SPIKES, Recording())
    wanted = run_reference(build_network(graph, PROFILE, "float64"), SPIKES, Recording()).out["out"]
    ours = trace.out["out"][:, 1:] / lowered.graph["n"].notes["scale"]
    assert np.abs(ours - wanted[:, :-1]).max() < 0.01 * np.abs(wanted).max()
    nodes = [*graph.nodes, Node("more", Scale(np.full(2, 2.0)))]
    edges = (Edge("in", "w"), Edge("w", "n"), Edge("n", "more"), Edge("more", "out"))
    with pytest.raises(UnsupportedError, match="E530 at more: this Scale leads to the output out with no neuron between"):
        lower_to_loihi(Graph(tuple(nodes), edges), PROFILE)


def test_a_decay_that_rounds_to_nothing_is_said():
    graph = chain_of(LIF(np.full(2, 1e5), np.full(2, 1e5), np.zeros(2), np.full(2, 508.0), np.zeros(2)))
    found = [d for d in lower_to_loihi(graph, parse_profile("lava,dt=1")).diagnostics if d.code == "E533"]
    assert [d.path for d in found] == ["n"]
    assert "rounds to dv = 0 in 12 bits" in found[0].message
