"""The golden recurrent network: what its card says is what its file does, and its file does what the snnTorch module does."""

from itertools import product

import numpy as np
import pytest
import torch
from digits_runs import assert_card, differing_bits, module_of, torch_spikes

import spikeport
from spikeport.ir.verify import verify
from spikeport.models import digits, digits_rows


@pytest.fixture(scope="module")
def model(root):
    return spikeport.load(root / "models" / "digits_rows.nir")


@pytest.fixture(scope="module")
def spikes(model):
    return torch_spikes(
        digits_rows.EXPERIMENT, module_of(digits_rows.EXPERIMENT, model.graph), digits.split()[2], ("hidden", "out")
    )


def test_the_file_loads_with_its_profile_and_verifies(model):
    graph = model.graph
    assert model.diagnostics == ()
    assert verify(graph, graph.profile) == ()
    assert (graph.profile.name, graph.profile.reset, graph.profile.dt) == ("snntorch", "to_zero", 1e-4)
    assert [n.path for n in graph] == ["fc1", "fc2", "hidden", "hidden.recurrent", "input", "out", "output"]
    assert [n.op.kind for n in graph] == ["Linear", "Linear", "CubaLIF", "Linear", "Input", "CubaLIF", "Output"]


def test_its_decays_are_every_pair_for_8_neurons(model):
    discrete = model.graph["hidden"].op.extras.discrete
    pairs = list(zip(discrete.alpha.tolist(), discrete.beta.tolist(), strict=True))
    assert pairs == [pair for pair in product(digits_rows.ALPHAS, digits_rows.BETAS) for _ in range(8)]


def test_rows_follow_each_other_and_then_nothing():
    image = np.arange(64, dtype=np.float32).reshape(1, 1, 8, 8)
    steps = digits_rows.encode(image)
    assert steps.shape == (1, digits_rows.STEPS, 8)
    for row in range(8):
        assert (steps[0, 4 * row : 4 * row + 4] == image[0, 0, row]).all()
    assert (steps[0, 32:] == 0).all()


def test_it_is_the_import_of_its_module(model):
    net = module_of(digits_rows.EXPERIMENT, model.graph)
    sample = torch.from_numpy(digits_rows.encode(digits.split()[2][:50]))
    again = spikeport.from_torch(net, input_shape=(8,), sample=sample, time_axis=1)
    assert again.diagnostics == ()
    assert again.graph.digest == model.graph.digest


@pytest.mark.parametrize("arith", ["float64", "float32"])
@pytest.mark.parametrize("backend", ["engine", "reference"])
def test_spikes_of_the_test_half_are_the_modules(model, spikes, backend, arith):
    images = digits.split()[2]
    assert differing_bits(model, digits_rows.EXPERIMENT, images, spikes, backend, arith) == {"hidden": 0, "out": 0}


def test_accuracy_of_the_test_half(spikes):
    labels = digits.split()[3]
    chosen, ties = digits.winners(spikes["out"].sum(axis=1))
    assert len(labels) == 899
    assert (int((chosen == labels).sum()), ties) == (869, 15)
    assert 869 / 899 >= 0.94


def test_it_needs_its_memory(model):
    """With the recurrent weights gone, far fewer are right: the task is not one for the last rows alone."""
    images, labels = digits.split()[2][:200], digits.split()[3][:200]
    net = module_of(digits_rows.EXPERIMENT, model.graph)
    whole = digits_rows.evaluate(net, images, labels).correct
    with torch.no_grad():
        net.hidden.recurrent.weight.zero_()
    assert digits_rows.evaluate(net, images, labels).correct < 0.7 * whole


def test_the_card_says_what_the_file_does(root, model, spikes):
    card = (root / "models" / "digits_rows.md").read_text("utf-8")
    assert_card(card, model.graph, spikes, "out")
    labels = digits.split()[3]
    narrow = spikeport.run(model, digits_rows.encode(digits.split()[2]), arith="spinnaker2").out["output"].sum(axis=1)
    assert f"it is {int((digits.winners(narrow)[0] == labels).sum())} of 899" in card


def test_training_learns_and_repeats_itself(tmp_path):
    first, second = (digits_rows.train(seed=1, epochs=2, validate=True) for _ in range(2))
    for a, b in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(a, b)
    x, y = digits.split()[0][-100:], digits.split()[1][-100:]
    score = digits_rows.evaluate(first, x, y)
    assert score.correct > 20
    digits_rows.save(first, tmp_path / "net.nir")
    counts = spikeport.run(tmp_path / "net.nir", digits_rows.encode(x)).out["output"].sum(axis=1)
    chosen, ties = digits.winners(counts)
    assert (int((chosen == y).sum()), ties) == (score.correct, score.ties)
