"""Nested graphs become dotted paths; what the edges do not tell is refused by name."""

import nir
import numpy as np
import pytest

from spikeport.ir import Edge, verify
from spikeport.ir.diagnostics import ImportModelError
from spikeport.ir.nir_io import from_nir, read_nir_tree, tree_to_graph


def subgraph(ins=1, outs=1, shape=(2,)):
    """Return an inner graph of LIF with *ins* Inputs and *outs* Outputs."""
    ones = np.ones(2)
    size = {"input": np.array(shape)}
    nodes = {f"in{k}": nir.Input(dict(size)) for k in range(ins)} | {"lif": nir.LIF(ones, ones, ones, ones, ones)}
    nodes |= {f"out{k}": nir.Output({"output": np.array([2])}) for k in range(outs)}
    edges = [(f"in{k}", "lif") for k in range(ins)] + [("lif", f"out{k}") for k in range(outs)]
    return nir.NIRGraph(nodes=nodes, edges=edges, type_check=False)


def outer(inner, edges, **more):
    nodes = {"a": nir.Input({"input": np.array([2])}), "sub": inner, "z": nir.Output({"output": np.array([2])}), **more}
    return nir.NIRGraph(nodes=nodes, edges=edges, type_check=False)


def test_inner_graphs_are_flattened(tmp_path):
    made = outer(subgraph(), [("a", "sub"), ("sub", "z")])
    graph = from_nir(made)
    assert [n.path for n in graph] == ["a", "sub.lif", "z"]
    assert graph.edges == (Edge("a", "sub.lif"), Edge("sub.lif", "z"))
    assert verify(graph) == ()
    nir.write(tmp_path / "g.nir", made)
    assert tree_to_graph(read_nir_tree(tmp_path / "g.nir")) == graph


def test_graphs_in_graphs_in_graphs():
    middle = nir.NIRGraph(
        nodes={"i": nir.Input({"input": np.array([2])}), "core": subgraph(), "o": nir.Output({"output": np.array([2])})},
        edges=[("i", "core"), ("core", "o"), ("core", "core")], type_check=False,
    )  # fmt: skip
    graph = from_nir(outer(middle, [("a", "sub"), ("sub", "z")]))
    assert [n.path for n in graph] == ["a", "sub.core.lif", "z"]
    assert [e.source for e in graph.into("sub.core.lif")] == ["a", "sub.core.lif"]


def test_edges_tell_which_of_several_inner_inputs_they_mean():
    made = outer(subgraph(2, 2), [("a", "sub.in0"), ("b", "sub.in1"), ("sub.out1", "z")], b=nir.Input({"input": np.array([2])}))
    graph = from_nir(made)
    assert [e.source for e in graph.into("sub.lif")] == ["a", "b"]
    assert [e.source for e in graph.into("z")] == ["sub.lif"]


def test_what_the_edges_do_not_tell_is_refused_by_name():
    with pytest.raises(ImportModelError, match=r"E007 at sub: .* has 2 Inputs \(sub.in0, sub.in1\)"):
        from_nir(outer(subgraph(2), [("a", "sub"), ("sub", "z")]))
    with pytest.raises(ImportModelError, match=r"E007 at sub: .* has 0 Outputs \(none\)"):
        from_nir(outer(subgraph(1, 0), [("a", "sub"), ("sub", "z")]))
    with pytest.raises(ImportModelError, match=r"E007 at sub.in1: nothing enters this Input"):
        from_nir(outer(subgraph(2), [("a", "sub.in0"), ("sub", "z")]))
    with pytest.raises(ImportModelError, match=r"E007 at sub.in0: .* shape \(5,\), and a gives \(2,\)"):
        from_nir(outer(subgraph(shape=(5,)), [("a", "sub"), ("sub", "z")]))


def test_paths_that_meet_when_flattened_are_refused():
    twin = nir.Scale(np.ones(2))
    with pytest.raises(ImportModelError, match=r"E007 at sub.lif: two nodes have this path"):
        from_nir(outer(subgraph(), [("a", "sub"), ("sub", "z")], **{"sub.lif": twin}))


def test_double_edges_are_taken_once_with_a_warning():
    warnings = []
    graph = from_nir(outer(nir.Scale(np.ones(2)), [("a", "sub"), ("a", "sub"), ("sub", "z")]), warnings)
    assert [(d.code, d.path, d.severity) for d in warnings] == [("E009", "sub", "warning")]
    assert len(graph.edges) == 2
