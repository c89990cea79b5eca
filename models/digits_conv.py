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

from collections import OrderedDict
from typing import TYPE_CHECKING

import numpy as np

from spikeport.models.digits import CLASSES, Experiment, rate_error, run_snntorch
from spikeport.models.digits import split as split
from spikeport.models.digits import winners as winners

if TYPE_CHECKING:
    import torch

STEPS = 16

# 1 - 2**-3: exact in binary floating point, and a subtract-and-shift on a chip that decays in integers.
BETA = 0.875

# With PyTorch's default initial weights the output layer is silent on every image.
INITIAL_SCALE = 1.5


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
    import torch
    from torch import nn

    def leaky() -> snn.Leaky:
        return snn.Leaky(beta=BETA, threshold=1.0, reset_mechanism="zero", init_hidden=True)

    net = nn.Sequential(
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
    with torch.no_grad():
        for weight in net.parameters():
            weight.mul_(INITIAL_SCALE)
    return net


# Layer sizes, BETA, epochs and the penalty were compared by cross-validation inside the training half.
EXPERIMENT = Experiment(
    title="convolutional spiking network", library="snnTorch", build=build, run=run_snntorch, encode=encode,
    input_shape=(1, 8, 8), loss=rate_error, epochs=80, learning_rate=8e-3, rate_penalty=0.5, shift_probability=0.5,
)  # fmt: skip
train, evaluate, save, main = EXPERIMENT.train, EXPERIMENT.evaluate, EXPERIMENT.save, EXPERIMENT.main


if __name__ == "__main__":
    main()
