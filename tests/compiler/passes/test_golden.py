"""One golden a pass: the printed graph before and after. `SPIKEPORT_GOLDEN=write` writes them anew."""

import os
from pathlib import Path

import pytest
from small_models import lif, small_graph

from spikeport.compiler.passes.base import PassContext
from spikeport.compiler.passes.table import PASSES
from spikeport.compiler.pipeline import Pipeline
from spikeport.ir import Edge, Node, parse_profile
from spikeport.ir.printer import format_graph

FOLDER = Path(__file__).parents[2] / "golden" / "passes"


def example():
    """The small network with a probe that reaches no output."""
    graph = small_graph()
    return graph.replace(nodes=[*graph.nodes, Node("probe", lif(6))], edges=[*graph.edges, Edge("fc1", "probe")])


@pytest.mark.parametrize("name", sorted(PASSES))
def test_the_graph_before_and_after(name):
    before = example()
    after, _ = Pipeline.parse(name).run(before, PassContext(parse_profile("norse,dt=1e-3")))
    text = f"before\n{format_graph(before)}\nafter {name}\n{format_graph(after)}\n"
    file = FOLDER / f"{name}.txt"
    if os.environ.get("SPIKEPORT_GOLDEN") == "write":
        file.write_text(text, encoding="utf-8")
    assert text == file.read_text("utf-8")
