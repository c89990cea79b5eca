"""What the digit networks share: the split, the score, the losses, and the command."""

import numpy as np
import pytest
import torch

from spikeport.models import digits, digits_dense

#: First labels of the training and of the test half.
LABELS = ([6, 6, 6, 2, 5, 6], [3, 7, 5, 3, 6, 9])


def test_the_split_is_fixed_and_disjoint():
    train_x, train_y, test_x, test_y = digits.split()
    assert train_x.shape == (898, 1, 8, 8)
    assert test_x.shape == (899, 1, 8, 8)
    assert (len(train_y), len(test_y)) == (898, 899)
    assert (train_y[:6].tolist(), test_y[:6].tolist()) == LABELS
    assert np.array_equal(np.unique(test_x * 16), np.arange(17))


def test_ties_go_to_the_lowest_class():
    chosen, ties = digits.winners(np.array([[0, 2, 2], [1, 0, 0], [3, 3, 3]]))
    assert chosen.tolist() == [1, 0, 0]
    assert ties == 2


@pytest.mark.parametrize(
    ("correct", "total", "low", "high"), [(891, 899, 0.9825, 0.9955), (10, 10, 0.7225, 1.0), (0, 10, 0.0, 0.2775)]
)
def test_wilson_interval(correct, total, low, high):
    np.testing.assert_allclose(digits.interval(correct, total), (low, high), atol=5e-5)


def test_shifts_move_by_a_pixel_and_fill_with_black():
    x = np.arange(1, 65, dtype=np.float32).reshape(1, 1, 8, 8).repeat(200, axis=0)
    assert np.array_equal(digits.shift_some(x, 0.0, np.random.default_rng(0)), x)
    moved = digits.shift_some(x, 1.0, np.random.default_rng(0))
    assert moved.shape == x.shape
    places = {tuple(np.argwhere(image[0] == 28)[0] - (3, 3)) for image in moved}
    assert places == {(r, c) for r in (-1, 0, 1) for c in (-1, 0, 1)}
    assert (moved == 0).any()


def test_losses_by_hand():
    counts, labels = torch.zeros(1, 10), torch.tensor([3])
    counts[0, 3] = 4.0
    assert float(digits.rate_error(counts, labels, 16)) == 2 * (0.25 - 0.5) ** 2
    expected = np.log(np.exp(4 * 0.5) + 9) - 4 * 0.5
    np.testing.assert_allclose(float(digits.cross_entropy(counts, labels, 16)), expected, rtol=1e-6)


def test_the_command_prints_the_score_and_saves(capsys, tmp_path):
    digits_dense.main(["--epochs", "1", "--validate", "--output", str(tmp_path / "net.nir")])
    out = capsys.readouterr().out
    assert "validation: " in out
    assert " of 150 correct (" in out
    assert "95 % interval" in out
    assert "mean spikes per neuron per step: 0." in out
    assert (tmp_path / "net.nir").is_file()


def test_training_leaves_the_random_state_and_the_threads_alone():
    before, threads = torch.random.get_rng_state(), torch.get_num_threads()
    digits_dense.train(epochs=1)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.get_num_threads() == threads
