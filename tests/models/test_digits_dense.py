"""The golden dense network: what its card says is what its file does, and its file does what the sinabs module does."""

import numpy as np
import pytest
import torch
from digits_runs import assert_card, differing_bits, module_of, torch_spikes

import spikeport
from spikeport.ir.verify import verify
from spikeport.models import digits, digits_dense


@pytest.fixture(scope="module")
def model(root):
    return spikeport.load(root / "models" / "digits_dense.nir")


@pytest.fixture(scope="module")
def spikes(model):
    return torch_spikes(
        digits_dense.EXPERIMENT, module_of(digits_dense.EXPERIMENT, model.graph), digits.split()[2], ("lif1", "lif2")
    )


def test_the_file_loads_with_its_profile_and_verifies(model):
    graph = model.graph
    assert model.diagnostics == ()
    assert verify(graph, graph.profile) == ()
    profile = graph.profile
    assert (profile.name, profile.reset, profile.max_spikes, profile.dt) == ("sinabs", "subtract", None, 1e-3)
    assert graph["lif1"].op.extras.discrete.beta == np.exp(np.float32(-1 / digits_dense.TAU))
    assert [n.path for n in graph] == ["fc1", "fc2", "flatten", "input", "lif1", "lif2", "output"]
    assert [n.op.kind for n in graph] == ["Linear", "Linear", "Flatten", "Input", "LIF", "LIF", "Output"]


def test_it_is_the_import_of_its_module(model):
    net = module_of(digits_dense.EXPERIMENT, model.graph)
    sample = torch.from_numpy(digits_dense.encode(digits.split()[2][:50]))
    again = spikeport.from_torch(net, input_shape=(1, 8, 8), sample=sample)
    assert again.diagnostics == ()
    assert again.graph.digest == model.graph.digest


@pytest.mark.parametrize("arith", ["float64", "float32"])
@pytest.mark.parametrize("backend", ["engine", "reference"])
def test_spikes_of_the_test_half_are_the_modules(model, spikes, backend, arith):
    images = digits.split()[2]
    assert differing_bits(model, digits_dense.EXPERIMENT, images, spikes, backend, arith) == {"lif1": 0, "lif2": 0}


def test_accuracy_of_the_test_half(spikes):
    labels = digits.split()[3]
    chosen, ties = digits.winners(spikes["lif2"].sum(axis=1))
    assert len(labels) == 899
    assert (int((chosen == labels).sum()), ties) == (891, 4)
    assert 891 / 899 >= 0.96


def test_the_card_says_what_the_file_does(root, model, spikes):
    card = (root / "models" / "digits_dense.md").read_text("utf-8")
    assert_card(card, model.graph, spikes, "lif2")
    labels = digits.split()[3]
    narrow = spikeport.run(model, digits_dense.encode(digits.split()[2]), arith="spinnaker2").out["output"].sum(axis=1)
    assert f"it is {int((digits.winners(narrow)[0] == labels).sum())} of 899" in card


def test_training_learns_and_repeats_itself(tmp_path):
    first, second = (digits_dense.train(seed=1, epochs=2, validate=True) for _ in range(2))
    for a, b in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(a, b)
    assert all(float(layer.tau_mem) == digits_dense.TAU for layer in (first.lif1, first.lif2))
    x, y = digits.split()[0][-100:], digits.split()[1][-100:]
    score = digits_dense.evaluate(first, x, y)
    assert score.correct > 30
    digits_dense.save(first, tmp_path / "net.nir")
    counts = spikeport.run(tmp_path / "net.nir", digits_dense.encode(x)).out["output"].sum(axis=1)
    chosen, ties = digits.winners(counts)
    assert (int((chosen == y).sum()), ties) == (score.correct, score.ties)


def test_batches_of_other_sizes_start_from_rest(model):
    net = module_of(digits_dense.EXPERIMENT, model.graph)
    x, y = digits.split()[2][:30], digits.split()[3][:30]
    alone = digits_dense.evaluate(net, x[:5], y[:5])
    digits_dense.evaluate(net, x, y)
    assert digits_dense.evaluate(net, x[:5], y[:5]) == alone
