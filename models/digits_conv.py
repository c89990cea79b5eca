"""Convolutional spiking network on scikit-learn's 8x8 digits, trained with snnTorch.

Layers, 7,632 weights and 874 neurons::

    input (1, 8, 8) -> Conv2d 3x3           -> Leaky (16, 6, 6)
                    -> Conv2d 3x3, stride 2 -> Leaky (32, 3, 3)
                    -> Flatten -> Linear    -> Leaky (10,)

The image is a constant current into the first convolution for `STEPS` steps; the class is the output neuron
with the most spikes. ``python -m spikeport.models.digits_conv --output digits_conv.nir`` trains, scores and saves; the
result is beside this file, its card in ``digits_conv.md``.
"""

from __future__ import annotations

import argparse
import time
from collections import OrderedDict
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

    import torch

STEPS = 16
CLASSES = 10
TRAIN_SAMPLES = 898
# Taken from the end of the training half.
VALIDATION_SAMPLES = 150

# 1 - 2**-3: exact in binary floating point, and a subtract-and-shift on a chip that decays in integers.
BETA = 0.875

# Layer sizes, BETA, EPOCHS and RATE_PENALTY were compared by cross-validation inside the training half.
EPOCHS = 80
BATCH = 64
LEARNING_RATE = 8e-3
SHIFT_PROBABILITY = 0.5
# The right output neuron is asked to fire every second step: a wide gap to the others' zero, so few ties.
TARGET_RATE = 0.5
# Weight of the hidden layers' mean spike rates in the loss: spikes cost energy.
RATE_PENALTY = 0.5
# With PyTorch's default initial weights the output layer is silent on every image.
INITIAL_SCALE = 1.5


class Score(NamedTuple):
    """Result of `evaluate`: counts of samples, and each spiking layer's mean spikes per neuron per step."""

    correct: int
    total: int
    ties: int  # two or more classes share the highest spike count
    rates: tuple[float, ...]  # input side first


def split() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return the fixed halves of the 1,797 digits.

    Returns
    -------
    train_x, train_y, test_x, test_y : ndarray
        Images, float32 in [0, 1], shapes (898, 1, 8, 8) and (899, 1, 8, 8); labels, int64, shapes (898,) and
        (899,).
    """
    from sklearn.datasets import load_digits

    digits = load_digits()
    # Pixels are integers 0 to 16, so the division is exact.
    x = (digits.images / 16).astype(np.float32)[:, np.newaxis]
    y = digits.target.astype(np.int64)
    order = np.random.default_rng(0).permutation(len(x))
    train, test = order[:TRAIN_SAMPLES], order[TRAIN_SAMPLES:]
    return x[train], y[train], x[test], y[test]


def encode(x: np.ndarray, steps: int = STEPS) -> np.ndarray:
    """Repeat the images at every step: (samples, 1, 8, 8) gives (samples, steps, 1, 8, 8), same dtype."""
    return np.repeat(x[:, np.newaxis], steps, axis=1)


def build() -> torch.nn.Sequential:
    """Return the untrained network; its initial weights come from torch's global random generator.

    Each neuron of the spiking layers follows, with x its input, reset to zero in the step after a spike::

        v[t] = BETA * v[t-1] * (1 - s[t-1]) + x[t]
        s[t] = v[t] > 1

    There are no biases: a black image costs no spikes, and a chip needs no constant current per neuron.
    """
    import snntorch as snn
    from torch import nn

    def leaky() -> snn.Leaky:
        return snn.Leaky(beta=BETA, threshold=1.0, reset_mechanism="zero", init_hidden=True)

    return nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(1, 16, 3, bias=False),
            lif1=leaky(),
            conv2=nn.Conv2d(16, 32, 3, stride=2, padding=1, bias=False),
            lif2=leaky(),
            flatten=nn.Flatten(),
            fc=nn.Linear(32 * 3 * 3, CLASSES, bias=False),
            lif3=leaky(),
        )
    )


def run(net: torch.nn.Sequential, currents: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """Run a network from `build` from rest on `currents`, shape (samples, steps, 1, 8, 8).

    Returns
    -------
    counts : torch.Tensor, shape (samples, 10)
        Output spikes summed over the steps.
    rates : list of torch.Tensor
        Mean spikes per neuron per step, one scalar per spiking layer.
    """
    import snntorch as snn

    # Leaky keeps its membrane between calls; only a change of batch size would clear it.
    for layer in net:
        if isinstance(layer, snn.Leaky):
            layer.reset_mem()
    steps = currents.shape[1]
    counts = currents.new_zeros(currents.shape[0], CLASSES)
    totals: dict[int, torch.Tensor] = {}
    for t in range(steps):
        signal = currents[:, t]
        for i, layer in enumerate(net):
            signal = layer(signal)
            if isinstance(layer, snn.Leaky):
                totals[i] = totals.get(i, 0) + signal.mean()
        counts = counts + signal
    return counts, [total / steps for total in totals.values()]


def train(seed: int = 0, epochs: int = EPOCHS, *, validate: bool = False) -> torch.nn.Sequential:
    """Return a network trained on the training half; the test half is not touched.

    Equal arguments give bit-identical weights on one machine and one PyTorch build. The caller's random state
    and thread count are left as they were.

    Parameters
    ----------
    seed : int
        Seed of the initial weights, the batch order and the shifts.
    epochs : int
        Passes over the training images.
    validate : bool
        Leave the last `VALIDATION_SAMPLES` training images out, to compare settings on them.
    """
    import torch

    x, y, _, _ = split()
    if validate:
        x, y = x[:-VALIDATION_SAMPLES], y[:-VALIDATION_SAMPLES]
    threads = torch.get_num_threads()
    # One thread fixes the summation order, hence the bits.
    torch.set_num_threads(1)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            net = build()
            _fit(net, x, y, epochs, np.random.default_rng(seed))
    finally:
        torch.set_num_threads(threads)
    return net


def _fit(net: torch.nn.Sequential, x: np.ndarray, y: np.ndarray, epochs: int, rng: np.random.Generator) -> None:
    """Fit `net` in place: output rates towards `TARGET_RATE` for the right class and 0 for the others."""
    import torch

    with torch.no_grad():
        for parameter in net.parameters():
            parameter.mul_(INITIAL_SCALE)
    target = TARGET_RATE * np.eye(CLASSES, dtype=np.float32)[y]
    batches = -(-len(x) // BATCH)
    optimizer = torch.optim.Adam(net.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=epochs * batches)
    for _ in range(epochs):
        for index in np.array_split(rng.permutation(len(x)), batches):
            currents = torch.from_numpy(encode(_shift_some(x[index], rng)))
            counts, rates = run(net, currents)
            error = (counts / STEPS - torch.from_numpy(target[index])).square().sum(1).mean()
            loss = 2 * error + RATE_PENALTY * sum(rates[:-1])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()


def _shift_some(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Move a random part of the images by up to one pixel each way, filling with black."""
    offsets = rng.integers(0, 3, (len(x), 2))
    offsets[rng.random(len(x)) >= SHIFT_PROBABILITY] = 1
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    return np.stack([image[:, r : r + 8, c : c + 8] for image, (r, c) in zip(padded, offsets, strict=True)])


def evaluate(net: torch.nn.Sequential, x: np.ndarray, y: np.ndarray) -> Score:
    """Classify `x`, shape (samples, 1, 8, 8), by output spike count; a tie goes to the lowest class."""
    import torch

    with torch.no_grad():
        counts, rates = run(net, torch.from_numpy(encode(x)))
    chosen, ties = winners(counts.numpy())
    return Score(int((chosen == y).sum()), len(y), ties, tuple(float(rate) for rate in rates))


def winners(counts: np.ndarray) -> tuple[np.ndarray, int]:
    """Return the class with the most spikes, the lowest where several have them, and the number of such ties.

    Parameters
    ----------
    counts : ndarray, shape (samples, 10)
        Spikes of each output neuron.
    """
    most = counts == counts.max(axis=1, keepdims=True)
    return counts.argmax(axis=1), int((most.sum(axis=1) > 1).sum())


def save(net: torch.nn.Sequential, path: str | Path) -> None:
    """Write `net` with its time semantics to the ``.nir`` file *path*."""
    import spikeport
    from spikeport.ir.nir_io import save_nir

    save_nir(spikeport.from_torch(net, input_shape=(1, 8, 8)).graph, path)


def main() -> None:
    """Train, print the score, and save the weights if asked to."""
    parser = argparse.ArgumentParser(description="Train the convolutional spiking network on the 8x8 digits.")
    parser.add_argument("--output", help="write the network to this .nir file")
    parser.add_argument("--seed", type=int, default=0, help="seed of the training (default: %(default)s)")
    parser.add_argument("--epochs", type=int, default=EPOCHS, help="passes over the data (default: %(default)s)")
    parser.add_argument("--validate", action="store_true", help="score on a part kept from the training half")
    options = parser.parse_args()

    start = time.perf_counter()
    net = train(options.seed, options.epochs, validate=options.validate)
    seconds = time.perf_counter() - start
    train_x, train_y, test_x, test_y = split()
    name, x, y = "test", test_x, test_y
    if options.validate:
        name, x, y = "validation", train_x[-VALIDATION_SAMPLES:], train_y[-VALIDATION_SAMPLES:]
    score = evaluate(net, x, y)
    print(f"{name}: {score.correct} of {score.total} correct ({score.correct / score.total:.2%})")
    print(f"ties, given to the lowest class: {score.ties}")
    print("mean spikes per neuron per step: " + ", ".join(f"{rate:.4f}" for rate in score.rates))
    print(f"trained in {seconds:.0f} s")
    if options.output:
        save(net, options.output)


if __name__ == "__main__":
    main()
