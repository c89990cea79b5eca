"""The border to NIR: the round trip loses nothing, shares nothing, and changes nothing."""

import dataclasses
import tempfile
from pathlib import Path

import nir
import numpy as np
import pytest
from graphs import NEURONS, chain, lif, networks
from hypothesis import given, settings
from hypothesis import strategies as st

from spikeport.ir import Edge, Graph, Node, parse_profile
from spikeport.ir.diagnostics import ImportModelError, UnsupportedError, UsageError
from spikeport.ir.nir_io import from_nir, read_nir_tree, save_nir, to_nir, tree_to_graph
from spikeport.ir.ops import (
    LIF,
    OPS,
    Affine,
    AvgPool2d,
    Conv1d,
    Conv2d,
    CubaLI,
    Delay,
    Discrete,
    Extras,
    Flatten,
    Input,
    Linear,
    Output,
    Scale,
    SumPool2d,
    Threshold,
)


def load(path, warnings=None):
    return tree_to_graph(read_nir_tree(path), warnings)


def trip(graph, tmp_path):
    """Hold *graph* against all four ways through NIR."""
    made = to_nir(graph)
    assert from_nir(made) == graph
    file = tmp_path / "g.nir"
    save_nir(graph, file)
    warnings = []
    assert load(file, warnings) == graph
    assert warnings == []
    stock = nir.read(file, type_check=False)
    assert from_nir(stock) == graph
    return stock


RNG = np.random.default_rng(0)
F32 = np.float32


def _neuron(kind, shape, dtype=np.float64):
    cls = NEURONS[kind]
    names = [f.name for f in dataclasses.fields(cls) if f.name != "extras"]
    return cls(**{n: np.asarray(RNG.uniform(1, 2, shape), dtype) for n in names})


EVERY = {
    "Affine": (Affine(RNG.normal(size=(2, 3)), RNG.normal(size=2).astype(F32)), (3,)),
    "Linear": (Linear(RNG.normal(size=(2, 3)).astype(np.float16)), (3,)),
    "Linear with lead": (Linear(RNG.normal(size=(4, 2, 3))), (4, 3)),
    "Linear of integers": (Linear(np.arange(6, dtype=np.int8).reshape(2, 3)), (3,)),
    "Linear big endian": (Linear(np.arange(6, dtype=">f8").reshape(2, 3)), (3,)),
    "Scale": (Scale(RNG.normal(size=(3, 2))), (3, 2)),
    "Scale of one number": (Scale(np.array(2.5, F32)), (3, 2)),
    "Conv1d": (Conv1d(9, RNG.normal(size=(4, 1, 3)), 2, 1, 2, 2, RNG.normal(size=4)), (2, 9)),
    "Conv1d same": (Conv1d(None, RNG.normal(size=(4, 2, 3)), 1, "same", 1, 1, np.zeros(4)), (2, 9)),
    "Conv2d": (Conv2d((6, 7), RNG.normal(size=(4, 1, 3, 2)), (2, 1), (1, 0), (1, 2), 2, np.zeros(4, F32)), (2, 6, 7)),
    "Conv2d valid": (Conv2d(None, RNG.normal(size=(4, 2, 3, 3)), 1, "valid", 1, 1, np.zeros(4)), (2, 6, 7)),
    "SumPool2d": (SumPool2d((2, 3), (1, 2), (1, 0)), (2, 6, 7)),
    "AvgPool2d": (AvgPool2d(2, 2, 0), (2, 6, 6)),
    "Flatten": (Flatten(0, -1), (2, 3, 4)),
    "Flatten in part": (Flatten(-2, -1), (2, 3, 4)),
    "Delay": (Delay(np.array([0.0, 1e-4])), (2,)),
    "Delay of one number": (Delay(np.array(3e-4)), (2,)),
    "Threshold": (Threshold(np.array([0.5, 1.0], F32)), (2,)),
    **{k: (_neuron(k, (2, 3)), (2, 3)) for k in NEURONS},
    **{f"{k} float32": (_neuron(k, (3,), F32), (3,)) for k in NEURONS},
    **{f"{k} of single numbers": (_neuron(k, ()), (4,)) for k in NEURONS},
    "CubaLI of mixed types": (
        CubaLI(np.ones(2, F32), np.ones(2), np.ones((), F32), np.ones(2), np.array([0.1, 0.2], F32)), (2,),
    ),
}  # fmt: skip


def test_every_op_is_here():
    assert {op.kind for op, _ in EVERY.values()} | {"Input", "Output"} == set(OPS)


@pytest.mark.parametrize("name", EVERY)
def test_every_op_survives(name, tmp_path):
    op, shape = EVERY[name]
    trip(chain(op, shape=shape), tmp_path)


@given(networks(), st.booleans())
@settings(max_examples=60)
def test_random_networks_survive(case, with_profile):
    graph, profile, _ = case
    graph = graph.replace(profile=profile if with_profile else None)
    with tempfile.TemporaryDirectory() as folder:
        trip(graph, Path(folder))


def test_a_plain_graph_needs_no_metadata_and_stock_nir_checks_it(tmp_path):
    graph = chain(Affine(np.ones((2, 3)), np.ones(2)), lif(2), shape=(3,))
    save_nir(graph, tmp_path / "g.nir")
    stock = nir.read(tmp_path / "g.nir")
    assert stock.metadata == {}
    assert sorted(stock.nodes) == ["0", "1", "input", "output"]
    assert stock.nodes["1"].tau.shape == (2,)


def test_everything_beyond_nir_survives(tmp_path):
    exact = Discrete(1e-4, "euler", "nir", RNG.normal(size=2), np.array(0.1 + 2**-54), None, None)
    extras = Extras(exact, np.array([-0.0, 5e-324]), None, np.array([1, 2]), np.full(2, 1 / 3))
    nodes = [
        Node("in.a", Input((2,)), {"origin": "torch", "k": [1, None, {"x": True}]}),
        Node("in.b", Input((2,))),
        Node("n", lif(2, extras=extras)),
        Node("wait", Delay(np.array(1e-4)), {"note": "nir drops metadata here"}),
        Node("out", Output((2,))),
        Node("out2", Output((2,))),
    ]
    edges = [
        Edge("in.a", "n", 3, 7), Edge("in.b", "n", None, 2), Edge("n", "n", 1, 5), Edge("n", "wait", 0),
        Edge("wait", "out"), Edge("n", "out2"),
    ]  # fmt: skip
    profile = parse_profile("snntorch:zero,reset_delay=false,@n:v_threshold=0.3")
    graph = Graph(nodes, edges, {"task": "x", "rate": 0.1}, profile)
    stock = trip(graph, tmp_path)
    assert set(stock.metadata) == {"spikeport"}
    assert isinstance(stock.metadata["spikeport"], str)
    assert from_nir(stock)["n"].op.extras.discrete.mem_gain == 0.1 + 2**-54


def test_pooling_notes_survive(tmp_path):
    graph = chain(AvgPool2d(2, 2, 0), shape=(1, 4, 4))
    noted = graph.replace(nodes=[Node(n.path, n.op, {"origin": n.path}) for n in graph])
    trip(noted, tmp_path)


def test_two_edges_between_two_nodes_stay_two(tmp_path):
    nodes = [Node("input", Input((2,))), Node("n", lif(2)), Node("output", Output((2,)))]
    graph = Graph(nodes, [Edge("input", "n"), Edge("input", "n", 2, 1), Edge("input", "n", None, 2), Edge("n", "output")])
    stock = trip(graph, tmp_path)
    assert sum(edge[1] == "n" for edge in stock.edges) == 3
    nir.read(tmp_path / "g.nir")


def test_the_order_of_the_file_s_edges_is_the_order_of_sums(tmp_path):
    made = nir.NIRGraph(
        nodes={"b": nir.Input({"input": np.array([1])}), "a": nir.Input({"input": np.array([1])}),
               "c": nir.Input({"input": np.array([1])}), "out": nir.Output({"output": np.array([1])})},
        edges=[("b", "out"), ("c", "out"), ("a", "out")],
    )  # fmt: skip
    nir.write(tmp_path / "g.nir", made)
    for graph in (from_nir(made), load(tmp_path / "g.nir"), from_nir(nir.read(tmp_path / "g.nir"))):
        assert [e.source for e in graph.into("out")] == ["b", "c", "a"]


def test_nothing_is_shared_and_nothing_is_changed():
    weight = np.ones((2, 2))
    nodes = {
        "input": nir.Input({"input": np.array([2])}),
        "fc": nir.Linear(weight),
        "output": nir.Output({"output": np.array([2])}),
    }
    edges = [("input", "fc"), ("fc", "output")]
    theirs = nir.NIRGraph(nodes=nodes, edges=edges)
    graph = from_nir(theirs)
    digest = graph.digest
    weight[0, 0] = 7.0
    assert graph["fc"].op.weight[0, 0] == 1.0
    made = to_nir(graph)
    made.nodes["fc"].weight[:] = 9.0
    made.edges.clear()
    assert Graph(graph.nodes, graph.edges, graph.notes, graph.profile).digest == digest
    assert graph["fc"].op.weight[0, 0] == 1.0
    assert theirs.edges == edges
    assert theirs.nodes is nodes


def test_a_node_of_another_kind_is_refused():
    class Strange(nir.Scale):
        pass

    with pytest.raises(ImportModelError, match="E006 at sub: unknown node type 'Strange'"):
        from_nir(nir.NIRGraph({"sub": Strange(np.ones(2))}, [], type_check=False))


@pytest.mark.parametrize("path", ["a/b", ".", "", "a\0b", "\udce4"])
def test_paths_that_hdf5_cannot_store_are_refused(path, tmp_path):
    nodes = [Node("input", Input((1,))), Node(path, lif(1)), Node("output", Output((1,)))]
    graph = Graph(nodes, [Edge("input", path), Edge(path, "output")])
    with pytest.raises(UnsupportedError, match="E590"):
        save_nir(graph, tmp_path / "g.nir")
    assert list(tmp_path.iterdir()) == []


def test_paths_of_any_alphabet_are_stored(tmp_path):
    nodes = [Node("input", Input((1,))), Node("Schicht ä.层", lif(1)), Node("output", Output((1,)))]
    trip(Graph(nodes, [Edge("input", "Schicht ä.层"), Edge("Schicht ä.层", "output")]), tmp_path)


def test_what_has_no_shape_is_refused_by_name():
    graph = Graph([Node("n", LIF(*(np.array(1.0),) * 5)), Node("w", Linear(np.ones((2, 2), complex)))], [])
    with pytest.raises(UnsupportedError) as caught:
        to_nir(graph)
    assert [(d.code, d.path) for d in caught.value.diagnostics] == [("E590", "w"), ("E590", "n")]


def test_a_failed_write_leaves_the_old_file_and_no_rest(tmp_path, monkeypatch):
    file = tmp_path / "g.nir"
    save_nir(chain(Linear(np.eye(2)), shape=(2,)), file)
    before = file.read_bytes()

    def torn(path, graph):
        Path(path).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(nir, "write", torn)
    with pytest.raises(UsageError, match=r"E690 at .*cannot be written: No space left on device"):
        save_nir(chain(Linear(np.ones((2, 2))), shape=(2,)), file)
    assert file.read_bytes() == before
    assert list(tmp_path.iterdir()) == [file]


def test_a_file_is_exchanged_as_a_whole(tmp_path):
    file, reader = tmp_path / "g.nir", tmp_path / "held by a reader"
    save_nir(chain(Linear(np.eye(2)), shape=(2,)), file)
    before = file.read_bytes()
    reader.hardlink_to(file)
    save_nir(chain(Linear(np.ones((2, 2))), shape=(2,)), file)
    assert reader.read_bytes() == before != file.read_bytes()


def test_a_folder_that_is_not_there_is_told(tmp_path):
    with pytest.raises(UsageError, match="E690"):
        save_nir(chain(shape=(2,)), tmp_path / "no" / "g.nir")


def test_equal_graphs_give_equal_bytes(tmp_path):
    graph = chain(Linear(np.eye(2)), lif(2), shape=(2,)).replace(profile=parse_profile("exact"))
    for name in "ab":
        save_nir(graph, tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
