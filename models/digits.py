"""What the digit networks share: data, its fixed split, training from a seed, the score, and saving.

The data are scikit-learn's 1,797 images of 8 x 8 pixels. Each network is one file beside this one: it defines ``build()``,
its coding of an image in time, and one `Experiment` with its settings.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

    import torch

CLASSES = 10
TRAIN_SAMPLES = 898
# Taken from the end of the training half.
VALIDATION_SAMPLES = 150
BATCH = 64
# The right output neuron is asked to fire every second step: a wide gap to the others' zero, so few ties.
TARGET_RATE = 0.5
NATS_PER_SPIKE = 0.5


class Score(NamedTuple):
    """Result of `Experiment.evaluate`: counts of samples, and each spiking layer's mean spikes per neuron per step."""

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


def shift_some(x: np.ndarray, probability: float, rng: np.random.Generator) -> np.ndarray:
    """Move a random part of the images by up to one pixel each way, filling with black."""
    offsets = rng.integers(0, 3, (len(x), 2))
    offsets[rng.random(len(x)) >= probability] = 1
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    return np.stack([image[:, r : r + 8, c : c + 8] for image, (r, c) in zip(padded, offsets, strict=True)])


def winners(counts: np.ndarray) -> tuple[np.ndarray, int]:
    """Return the class with the most spikes, the lowest where several have them, and the number of such ties.

    Parameters
    ----------
    counts : ndarray, shape (samples, 10)
        Spikes of each output neuron.
    """
    most = counts == counts.max(axis=1, keepdims=True)
    return counts.argmax(axis=1), int((most.sum(axis=1) > 1).sum())


def interval(correct: int, total: int, z: float = 1.959964) -> tuple[float, float]:
    """Return Wilson's 95 % interval of a proportion (E. B. Wilson, J. Am. Stat. Assoc. 22, 1927)."""
    p, n = correct / total, total
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return middle - half, middle + half


def run_snntorch(net: torch.nn.Sequential, currents: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """Run a network of snnTorch's layers from rest on *currents*, shape (samples, steps, ...).

    Returns
    -------
    counts : torch.Tensor, shape (samples, 10)
        Output spikes summed over the steps.
    rates : list of torch.Tensor
        Mean spikes per neuron per step, one scalar per spiking layer.
    """
    import snntorch as snn

    # A layer keeps its state between calls; only a change of batch size would clear it.
    for layer in net:
        if isinstance(layer, snn.SpikingNeuron):
            layer.reset_mem()
    steps = currents.shape[1]
    counts = currents.new_zeros(currents.shape[0], CLASSES)
    totals: dict[int, torch.Tensor] = {}
    for t in range(steps):
        signal = currents[:, t]
        for i, layer in enumerate(net):
            signal = layer(signal)
            if isinstance(layer, snn.SpikingNeuron):
                totals[i] = totals.get(i, 0) + signal.mean()
        counts = counts + signal
    return counts, [total / steps for total in totals.values()]


def rate_error(counts: torch.Tensor, labels: torch.Tensor, steps: int) -> torch.Tensor:
    """Return twice the squared distance of the output rates from `TARGET_RATE` for the right class and 0 for the others."""
    import torch

    target = TARGET_RATE * torch.eye(CLASSES)[labels]
    return 2 * (counts / steps - target).square().sum(1).mean()


def cross_entropy(counts: torch.Tensor, labels: torch.Tensor, steps: int) -> torch.Tensor:
    """Return the cross-entropy of the classes where `NATS_PER_SPIKE` of the output counts are the logits; any *steps*."""
    from torch.nn import functional

    return functional.cross_entropy(NATS_PER_SPIKE * counts, labels)


@dataclass(frozen=True, slots=True)
class Experiment:
    """A network on the digits, and how it is trained: Adam, a one-cycle learning rate, batches of `BATCH`."""

    title: str  # "convolutional spiking network": the command's help and the demo say so
    library: str  # of the training
    build: Callable[[], torch.nn.Sequential]  # untrained; initial weights from torch's global random generator
    run: Callable[[torch.nn.Sequential, torch.Tensor], tuple[torch.Tensor, list[torch.Tensor]]]  # as `run_snntorch`
    encode: Callable[[np.ndarray], np.ndarray]  # images (samples, 1, 8, 8) to (samples, steps, *input_shape)
    input_shape: tuple[int, ...]  # of one step
    loss: Callable[[torch.Tensor, torch.Tensor, int], torch.Tensor]  # as `rate_error`
    epochs: int
    learning_rate: float  # at the top of the cycle
    rate_penalty: float  # weight in the loss of the hidden layers' mean spike rates: spikes cost energy
    shift_probability: float  # of a training image to be moved by up to a pixel
    most_gradient: float = math.inf  # a longer gradient of a batch is scaled down to this norm

    def train(self, seed: int = 0, epochs: int | None = None, *, validate: bool = False) -> torch.nn.Sequential:
        """Return a network trained on the training half; the test half is not touched.

        Equal arguments give bit-identical weights on one machine and one PyTorch build. The caller's random state
        and thread count are left as they were.

        Parameters
        ----------
        seed : int
            Seed of the initial weights, the batch order and the shifts.
        epochs : int, optional
            Passes over the training images; the experiment's own number by default.
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
                net = self.build()
                self._fit(net, x, y, self.epochs if epochs is None else epochs, np.random.default_rng(seed))
        finally:
            torch.set_num_threads(threads)
        return net

    def _fit(self, net: torch.nn.Sequential, x: np.ndarray, y: np.ndarray, epochs: int, rng: np.random.Generator) -> None:
        """Fit the weights of *net* in place."""
        import torch

        weights = [parameter for parameter in net.parameters() if parameter.requires_grad]
        batches = -(-len(x) // BATCH)
        optimizer = torch.optim.Adam(weights)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, self.learning_rate, total_steps=epochs * batches)
        for _ in range(epochs):
            for index in np.array_split(rng.permutation(len(x)), batches):
                currents = torch.from_numpy(self.encode(shift_some(x[index], self.shift_probability, rng)))
                counts, rates = self.run(net, currents)
                loss = self.loss(counts, torch.from_numpy(y[index]), currents.shape[1])
                loss = loss + self.rate_penalty * sum(rates[:-1])
                optimizer.zero_grad()
                loss.backward()
                if self.most_gradient < math.inf:
                    torch.nn.utils.clip_grad_norm_(weights, self.most_gradient)
                optimizer.step()
                schedule.step()

    def evaluate(self, net: torch.nn.Sequential, x: np.ndarray, y: np.ndarray) -> Score:
        """Classify *x*, shape (samples, 1, 8, 8), by output spike count; a tie goes to the lowest class."""
        import torch

        with torch.no_grad():
            counts, rates = self.run(net, torch.from_numpy(self.encode(x)))
        chosen, ties = winners(counts.numpy())
        return Score(int((chosen == y).sum()), len(y), ties, tuple(float(rate) for rate in rates))

    def save(self, net: torch.nn.Sequential, path: str | Path) -> None:
        """Write *net* with its time semantics to the ``.nir`` file *path*."""
        import spikeport
        from spikeport.ir.nir_io import save_nir

        save_nir(spikeport.from_torch(net, input_shape=self.input_shape).graph, path)

    def main(self, arguments: Sequence[str] | None = None) -> None:
        """Train, print the score, and save the weights if asked to."""
        parser = argparse.ArgumentParser(description=f"Train the {self.title} on the 8x8 digits.")
        parser.add_argument("--output", help="write the network to this .nir file")
        parser.add_argument("--seed", type=int, default=0, help="seed of the training (default: %(default)s)")
        parser.add_argument("--epochs", type=int, default=self.epochs, help="passes over the data (default: %(default)s)")
        parser.add_argument("--validate", action="store_true", help="score on a part kept from the training half")
        options = parser.parse_args(arguments)

        start = time.perf_counter()
        net = self.train(options.seed, options.epochs, validate=options.validate)
        seconds = time.perf_counter() - start
        train_x, train_y, test_x, test_y = split()
        name, x, y = "test", test_x, test_y
        if options.validate:
            name, x, y = "validation", train_x[-VALIDATION_SAMPLES:], train_y[-VALIDATION_SAMPLES:]
        score = self.evaluate(net, x, y)
        low, high = interval(score.correct, score.total)
        print(
            f"{name}: {score.correct} of {score.total} correct ({score.correct / score.total:.2%}, "
            f"95 % interval {low:.1%} to {high:.1%})"
        )
        print(f"ties, given to the lowest class: {score.ties}")
        print("mean spikes per neuron per step: " + ", ".join(f"{rate:.4f}" for rate in score.rates))
        print(f"trained in {seconds:.0f} s")
        if options.output:
            self.save(net, options.output)
