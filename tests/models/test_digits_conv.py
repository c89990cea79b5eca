"""The golden digits network: what its card says is what its file does."""

import re

import numpy as np
import pytest
import torch
from torch_runs import run_graph

from spikeport.compiler.importers.nir_file import load_nir
from spikeport.compiler.importers.torch_module import from_torch
from spikeport.ir.verify import verify
from spikeport.models import digits_conv


@pytest.fixture(scope="module")
def graph(root):
    loaded, warnings = load_nir(root / "models" / "digits_conv.nir")
    assert warnings == ()
    return loaded


@pytest.fixture(scope="module")
def trace(graph):
    return run_graph(graph, digits_conv.encode(digits_conv.split()[2]), "float32")


def test_the_file_loads_with_its_profile_and_verifies(graph):
    assert verify(graph, graph.profile) == ()
    assert (graph.profile.name, graph.profile.reset, graph.profile.dt) == ("snntorch", "to_zero", 1e-4)
    assert graph["lif1"].op.extras.discrete.beta == digits_conv.BETA
    assert [n.path for n in graph] == ["conv1", "conv2", "fc", "flatten", "input", "lif1", "lif2", "lif3", "output"]
    assert [n.op.kind for n in graph] == ["Conv2d", "Conv2d", "Linear", "Flatten", "Input", "LIF", "LIF", "LIF", "Output"]


def test_its_layers_are_those_of_the_script(graph):
    built = from_torch(digits_conv.build(), (1, 8, 8))
    assert [(n.path, n.op.kind, n.notes) for n in built] == [(n.path, n.op.kind, n.notes) for n in graph]
    assert built.edges == graph.edges
    assert str(built.profile) == str(graph.profile)


def test_accuracy_of_the_test_half(trace):
    labels = digits_conv.split()[3]
    chosen, ties = digits_conv.winners(trace.spikes["lif3"].sum(axis=1))
    correct = int((chosen == labels).sum())
    assert len(labels) == 899
    assert correct / 899 >= 0.97
    assert (correct, ties) == (891, 6)


def test_the_card_says_what_the_file_does(root, graph, trace):
    card = (root / "models" / "digits_conv.md").read_text("utf-8")
    assert "**891 of 899**" in card
    assert "on 6 of the 899 images" in card
    for path in ("lif1", "lif2", "lif3"):
        assert re.search(rf"`{path}` \| .* \| {trace.spikes[path].mean():.4f} \|", card)
    weights = sum(np.asarray(n.op.weight).size for n in graph if n.op.is_weighted)
    neurons = sum(trace.spikes[p][0, 0].size for p in graph.spiking)
    assert f"{neurons} neurons and {weights:,} weights" in card


def test_training_learns_and_repeats_itself(tmp_path):
    first, second = (digits_conv.train(seed=1, epochs=2, validate=True) for _ in range(2))
    for a, b in zip(first.state_dict().values(), second.state_dict().values(), strict=True):
        assert torch.equal(a, b)
    x, y = digits_conv.split()[0][-100:], digits_conv.split()[1][-100:]
    assert digits_conv.evaluate(first, x, y).correct > 30
    digits_conv.save(first, tmp_path / "net.nir")
    again, _ = load_nir(tmp_path / "net.nir")
    ours = run_graph(again, digits_conv.encode(x), "float32").spikes["lif3"].sum(axis=1)
    assert digits_conv.evaluate(first, x, y).correct == int((digits_conv.winners(ours)[0] == y).sum())
