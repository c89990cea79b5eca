"""The printed graph is stable and says what matters."""

import numpy as np
from graphs import lif, networks
from hypothesis import given, settings

from spikeport.ir import Edge, Graph, Node, parse_profile
from spikeport.ir.ops import Conv2d, Discrete, Extras, Flatten, Input, Linear, Output, Scale
from spikeport.ir.printer import format_graph

GOLDEN = """\
graph: 7 nodes, 7 edges, 28 parameters
note task: digits
  input    Input    (1x4x4)
  conv     Conv2d   (2x2x2)  weight=(2x1x3x3)[-1..2 float64, 50.0% zero] stride=1x1 padding=valid dilation=1x1 groups=1 \
bias=0.5  <- input
  flatten  Flatten  (8)      start_dim=0 end_dim=-1  <- conv  [origin=net.flat]
  scale    Scale    (8)      scale=2..9  <- flatten
  lif      LIF      (8)      tau=0.001 r=10 v_leak=0 v_threshold=1 v_reset=0 refractory_steps=2 \
exact(beta=0.9, dt=0.0001)  <- scale, w_rec+3#4
  w_rec    Linear   ?        weight=(8x0)[empty(8x0) float32]  <- lif
  output   Output   (8)      <- lif"""


def test_golden():
    weight = np.resize([0.0, 1.0, 0.0, -1.0, 0.0, 2.0], (2, 1, 3, 3))
    exact = Discrete(1e-4, "euler", "nir", np.array(0.9), np.array(0.1))
    nodes = [
        Node("input", Input((1, 4, 4))),
        Node("conv", Conv2d(None, weight, 1, "valid", 1, 1, np.full(2, 0.5))),
        Node("flatten", Flatten(), {"origin": "net.flat"}),
        Node("scale", Scale(np.arange(2.0, 10.0))),
        Node("lif", lif(8, extras=Extras(discrete=exact, refractory_steps=np.array(2)))),
        Node("w_rec", Linear(np.ones((8, 0), np.float32))),
        Node("output", Output((8,))),
    ]
    edges = [
        Edge("input", "conv"), Edge("conv", "flatten"), Edge("flatten", "scale"), Edge("scale", "lif"),
        Edge("lif", "w_rec"), Edge("w_rec", "lif", 3, 4), Edge("lif", "output"),
    ]  # fmt: skip
    assert format_graph(Graph(nodes, edges, {"task": "digits"})) == GOLDEN


@given(networks())
@settings(max_examples=40)
def test_equal_graphs_print_equal_text_with_every_node_once(case):
    graph, profile, _ = case
    graph = graph.replace(profile=profile)
    text = format_graph(graph)
    assert text == format_graph(Graph(graph.nodes[::-1], graph.edges[::-1], graph.notes, profile))
    lines = text.splitlines()
    assert f"profile: {profile}" in lines
    assert sorted(line.split()[0] for line in lines if line.startswith("  ")) == [n.path for n in graph]


def test_values_flow_downwards_whatever_the_names():
    nodes = [Node("z", Input((1,))), Node("a", lif(1)), Node("m", lif(1)), Node("b", Output((1,)))]
    graph = Graph(nodes, [Edge("z", "m"), Edge("m", "a"), Edge("a", "b")])
    assert [line.split()[0] for line in format_graph(graph).splitlines()[1:]] == ["z", "m", "a", "b"]


def test_a_broken_graph_prints_too():
    graph = Graph([Node("a", lif(1))], [Edge("ghost", "a"), Edge("a", "gone", 2)], profile=parse_profile("exact"))
    text = format_graph(graph)
    assert "<- ghost" in text
    assert "(nothing)  <- a+2 of the edge a -> gone" in text
