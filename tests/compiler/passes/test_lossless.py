"""Laws of the passes that change no recorded bit, over random networks; and what each of them removes."""

import dataclasses
import itertools

import numpy as np
import pytest
from graphs import networks
from hypothesis import given, settings
from hypothesis import strategies as st
from small_models import lif, small_graph

from spikeport.compiler.passes.base import PassContext
from spikeport.compiler.passes.canonicalise import Canonicalise
from spikeport.compiler.passes.dead import Dead
from spikeport.compiler.pipeline import Pipeline
from spikeport.ir import Edge, Graph, Node, Recording, parse_profile
from spikeport.ir.network import build_network
from spikeport.ir.ops import Affine, Delay, Flatten, Input, Linear, Output, Scale, SumPool2d
from spikeport.ir.reference import run_reference
from spikeport.ir.shapes import infer_shapes
from spikeport.ir.verify import findings


def identities(shape):
    """Return ops that hand *shape* on unchanged."""
    found = [Scale(np.ones(())), Scale(np.ones(shape)), Delay(np.zeros(shape))]
    if len(shape) == 1:
        found.append(Flatten(0, -1))
    if len(shape) == 3:
        found.append(SumPool2d((1, 1), (1, 1), (0, 0)))
    return found


def with_identity(graph, edge, op, name):
    """Return *graph* with *op* put on *edge*, the delay on its first half."""
    kept = [e for e in graph.edges if e != edge]
    halves = [Edge(edge.source, name, edge.delay, 0), Edge(name, edge.target, None if edge.delay is None else 0, edge.rank)]
    return graph.replace(nodes=[*graph.nodes, Node(name, op)], edges=[*kept, *halves])


def same(a, b, profile, inputs, paths):
    one, two = (run_reference(build_network(g, profile), inputs, Recording(paths, True)) for g in (a, b))
    assert two.arrays().keys() <= one.arrays().keys()
    return all(np.array_equal(v, one.arrays()[k]) for k, v in two.arrays().items())


@settings(max_examples=30, deadline=None)
@given(networks(max_steps=12), st.data())
def test_canonicalise_keeps_every_bit(drawn, data):
    graph, profile, inputs = drawn
    shapes = infer_shapes(graph)[0].output
    before = graph
    for number in range(data.draw(st.integers(0, 3))):
        edge = data.draw(st.sampled_from(graph.edges))
        op = data.draw(st.sampled_from(identities(shapes.get(edge.source, ()))))
        candidate = with_identity(graph, edge, op, f"extra{number}")
        try:
            build_network(candidate, profile)
        except Exception:
            continue
        if any(d.severity == "error" for d in findings(candidate, profile)):
            continue
        graph, shapes = candidate, infer_shapes(candidate)[0].output
    digest = graph.digest
    after, records = Pipeline((Canonicalise(),)).run(graph, PassContext(profile))
    assert graph.replace().digest == digest
    assert len(records[0]["touched"]) > 0 or after is graph
    paths = tuple(p for p in graph.spiking if p in after)
    assert set(graph.spiking) == set(after.spiking)
    assert set(before.spiking) == set(after.spiking)
    assert same(graph, after, profile, inputs, paths)


@settings(max_examples=20, deadline=None)
@given(networks(max_steps=12), st.data())
def test_dead_keeps_every_bit_of_what_stays(drawn, data):
    graph, profile, inputs = drawn
    source = data.draw(st.sampled_from([n.path for n in graph if not isinstance(n.op, Output)]))
    shape = infer_shapes(graph)[0].output[source]
    extra = [
        Node("dead.flat", Flatten(0, -1)),
        Node("dead.fc", Linear(np.ones((2, int(np.prod(shape)))))),
        Node("dead.lif", lif(2)),
    ]
    edges = [Edge(source, "dead.flat"), Edge("dead.flat", "dead.fc"), Edge("dead.fc", "dead.lif")]
    larger = graph.replace(nodes=[*graph.nodes, *extra], edges=[*graph.edges, *edges])
    if any(d.severity == "error" for d in findings(larger, profile)):
        return
    try:
        build_network(larger, profile)
    except Exception:
        return
    after, _ = Pipeline((Dead(),)).run(larger, PassContext(profile))
    paths = tuple(p for p in after.spiking)
    assert set(graph.outputs) == set(after.outputs)
    assert same(larger, after, profile, inputs, paths)


def test_canonicalise_removes_what_hands_on():
    graph = small_graph()
    after = Canonicalise().apply(graph, PassContext(parse_profile("norse,dt=1e-3")))
    assert [n.path for n in after] == ["fc1", "fc2", "hidden", "input", "output", "readout"]
    assert [(e.source, e.target, e.delay) for e in after.edges] == [
        ("fc1", "hidden", None), ("fc2", "readout", None), ("hidden", "fc2", None), ("input", "fc1", None),
        ("readout", "output", None),
    ]  # fmt: skip


def test_canonicalise_keeps_what_is_recorded_or_named():
    graph = small_graph()
    profile = parse_profile("norse,dt=1e-3,@ones:scheme=euler")
    after = Canonicalise().apply(graph, PassContext(profile, keep=("flat",)))
    assert after is graph


def test_canonicalise_writes_a_delay_down_where_the_profile_would_fill_in_another():
    # Under spinnaker2 a spike takes a step to a Flatten and none to an Output.
    profile = parse_profile("spinnaker2:zero")
    nodes = [Node("in", Input((1,))), Node("fc", Affine(np.ones((1, 1)), np.zeros(1))), Node("lif", lif(1)),
             Node("flat", Flatten(0, -1)), Node("out", Output((1,)))]  # fmt: skip
    names = ["in", "fc", "lif", "flat", "out"]
    graph = Graph(nodes, [Edge(a, b) for a, b in itertools.pairwise(names)])
    after = Canonicalise().apply(graph, PassContext(profile))
    assert "flat" not in after
    (edge,) = after.into("out")
    assert (edge.source, edge.delay) == ("lif", 1)
    assert same(graph, after, profile, {"in": np.ones((1, 50, 1))}, ("lif",))


def test_nothing_to_do_is_the_same_object():
    graph = small_graph().without(["flat", "ones"])
    graph = graph.replace(edges=[*graph.edges, Edge("hidden", "fc2"), Edge("fc2", "readout")])
    ctx = PassContext(parse_profile("norse,dt=1e-3"))
    assert Canonicalise().apply(graph, ctx) is graph
    assert Dead().apply(graph, ctx) is graph


@pytest.mark.parametrize("keep", ["option", "context"])
def test_dead_keeps_what_is_asked_for(keep):
    graph = small_graph()
    graph = graph.replace(
        nodes=[*graph.nodes, Node("probe", lif(6)), Node("gone", lif(6))],
        edges=[*graph.edges, Edge("fc1", "probe"), Edge("fc1", "gone")],
    )
    profile = parse_profile("norse,dt=1e-3")
    item = Dead(keep=("probe",)) if keep == "option" else Dead()
    ctx = PassContext(profile, keep=() if keep == "option" else ("probe",))
    after = item.apply(graph, ctx)
    assert "probe" in after
    assert "gone" not in after
    assert dataclasses.replace(ctx) is not ctx
