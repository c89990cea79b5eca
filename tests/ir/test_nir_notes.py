"""The JSON string beside plain NIR: what no longer fits is told, and what spikeport did not write is refused."""

import json

import nir
import numpy as np
import pytest
from graphs import chain, lif

from spikeport.ir import Edge, Graph, Node
from spikeport.ir.diagnostics import ImportModelError
from spikeport.ir.nir_io import from_nir, read_nir_tree, to_nir, tree_to_graph
from spikeport.ir.ops import Discrete, Extras, Linear


def test_exact_coefficients_do_not_outlive_a_change_of_tau(tmp_path):
    extras = Extras(discrete=Discrete(1e-4, "euler", "nir", np.array(0.9), np.array(1.0)), refractory_steps=np.array(1))
    graph = chain(lif(2, extras=extras), shape=(2,))
    made = to_nir(graph)
    made.nodes["0"].tau[:] = 5e-3
    warnings = []
    changed = from_nir(made, warnings)
    assert [d.code for d in warnings] == ["E016"]
    assert changed["0"].op.extras.discrete is None
    assert changed["0"].op.tau[0] == 5e-3


def test_nodes_and_edges_that_another_tool_changed_are_told():
    nodes = [Node(n.path, n.op, {"k": 1}) for n in chain(Linear(np.eye(2)), lif(2), shape=(2,))]
    graph = Graph(nodes, [Edge("input", "0", 2), Edge("0", "1"), Edge("1", "output")], {"a": 1})
    made = to_nir(graph)
    del made.nodes["0"]
    made.edges[:] = [("input", "1"), ("1", "output")]
    warnings = []
    found = from_nir(made, warnings)
    assert {d.code for d in warnings} == {"E016"}
    assert [d.path for d in warnings] == ["0", ""]
    assert [(e.source, e.delay) for e in found.edges] == [("1", None), ("input", None)]
    assert found.notes["a"] == 1


def test_metadata_of_other_tools_becomes_notes(tmp_path):
    made = to_nir(chain(Linear(np.eye(2)), shape=(2,)))
    made.metadata = {"author": "x", "list": np.array([1, 2])}
    made.nodes["0"].metadata = {"layer": "fc", "n": 3}
    nir.write(tmp_path / "g.nir", made)
    graph = tree_to_graph(read_nir_tree(tmp_path / "g.nir"))
    assert graph.notes["metadata"] == {"author": "x", "list": [1, 2]}
    assert graph["0"].notes["metadata"] == {"layer": "fc", "n": 3}
    assert from_nir(to_nir(graph)) == graph


GOOD = {"dtype": "<f8", "shape": [2], "data": "AAAAAAAA8D8AAAAAAADwPw=="}


@pytest.mark.parametrize(
    ("told", "where"),
    [
        ("no json", ""),
        ("[" * 100_000, ""),
        ('{"spikeport": 1, "notes": {"a": NaN}}', ""),
        ({"spikeport": 2}, ""),
        ([], ""),
        ({"what": 1}, ".what"),
        ({"profile": 3}, ".profile"),
        ({"profile": "nonsense"}, ".profile"),
        ({"notes": []}, ".notes"),
        ({"edges": [["input", "0"]]}, ".edges"),
        ({"edges": [["input", "0", True, 0, None]]}, ".edges"),
        ({"edges": [["input", "0", 1.5, 0, None]]}, ".edges"),
        ({"nodes": {"0": []}}, ".nodes.0"),
        ({"nodes": {"0": {"code": "import os"}}}, ".nodes.0"),
        ({"nodes": {"0": {"notes": 1}}}, ".nodes.0.notes"),
        ({"nodes": {"0": {"forms": {"tau": 1}}}}, ".nodes.0.forms.tau"),
        ({"nodes": {"0": {"forms": {"tau": {"none": True}}}}}, ".nodes.0.forms.tau"),
        ({"nodes": {"0": {"forms": {"gone": {"scalar": True}}}}}, ".nodes.0.forms.gone"),
        ({"nodes": {"0": {"forms": {"tau": {"dtype": "O"}}}}}, ".nodes.0.forms.tau"),
        ({"nodes": {"0": {"forms": {"extras": {"none": True}}}}}, ".nodes.0.forms.extras"),
        ({"nodes": {"0": {"extras": {"v_inti": GOOD}}}}, ".nodes.0.extras"),
        ({"nodes": {"0": {"extras": {"v_init": [1, 2]}}}}, ".nodes.0.extras.v_init"),
        ({"nodes": {"0": {"extras": {"v_init": GOOD | {"dtype": "|O8"}}}}}, ".nodes.0.extras.v_init"),
        ({"nodes": {"0": {"extras": {"v_init": GOOD | {"shape": [3]}}}}}, ".nodes.0.extras.v_init"),
        ({"nodes": {"0": {"extras": {"v_init": GOOD | {"shape": [-2]}}}}}, ".nodes.0.extras.v_init"),
        ({"nodes": {"0": {"extras": {"v_init": GOOD | {"shape": [2**60], "data": "AAAAAAAA8D8="}}}}}, ".nodes.0.extras.v_init"),
        ({"nodes": {"0": {"extras": {"v_init": GOOD | {"data": "%"}}}}}, ".nodes.0.extras.v_init"),
        ({"nodes": {"0": {"extras": {"discrete": {"dt": "0x1p-3"}}}}}, ".nodes.0.extras.discrete"),
        (
            {
                "nodes": {
                    "0": {
                        "extras": {"discrete": {"dt": "nan", "scheme": "euler", "gain": "nir", "beta": GOOD, "mem_gain": GOOD}}
                    }
                }
            },
            ".nodes.0.extras.discrete.dt",
        ),
        ({"nodes": {"input": {"extras": {"v_init": GOOD}}}}, ".nodes.input.extras"),
    ],
)
def test_metadata_is_not_trusted(told, where):
    made = to_nir(chain(lif(2), shape=(2,)))
    text = told if isinstance(told, str) else json.dumps({"spikeport": 1} | told if isinstance(told, dict) else told)
    made.metadata = {"spikeport": text}
    with pytest.raises(ImportModelError) as caught:
        from_nir(made)
    (finding,) = caught.value.diagnostics
    assert (finding.code, finding.path) == ("E008", f"metadata.spikeport{where}")
