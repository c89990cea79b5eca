"""Recurrent spiking network that reads scikit-learn's 8x8 digits row by row, trained with snnTorch.

Layers, 18,688 weights and 138 neurons::

    input (8,) -> Linear -> RSynaptic (128,), all to all -> Linear -> Synaptic (10,)

The network has eight inputs, one for each column. The rows follow each other from the top, each a constant current for
`STEPS_PER_ROW` steps, and then nothing for `LAST_STEPS` steps: what the upper rows were like, it has to remember. The
class is the output neuron with the most spikes. ``python -m spikeport.models.digits_rows --output digits_rows.nir``
trains, scores and saves; the result is beside this file, its card in ``digits_rows.md``.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

import numpy as np

from spikeport.models.digits import CLASSES, Experiment, cross_entropy, run_snntorch

if TYPE_CHECKING:
    import torch

STEPS_PER_ROW = 4
# The current of the last row goes on in the synapses, and its spikes have a way to go.
LAST_STEPS = 4
STEPS = 8 * STEPS_PER_ROW + LAST_STEPS
HIDDEN = 128

# Decays of the hidden layer, each pair for 8 neurons: short and long memories. All are exact in binary floating point.
ALPHAS = (0.25, 0.5, 0.75, 0.875)
BETAS = (0.25, 0.5, 0.75, 0.9375)
OUT_ALPHA, OUT_BETA = 0.5, 0.75

# Width of the surrogate gradient: with a narrow one, gradients through 36 steps explode.
SLOPE = 3.0
# Times PyTorch's default initial weights: the input is to be heard beside what goes round.
INPUT_SCALE, RECURRENT_SCALE, OUTPUT_SCALE = 1.5, 0.5, 0.5


def encode(x: np.ndarray) -> np.ndarray:
    """Show the rows one after the other: (samples, 1, 8, 8) gives (samples, steps, 8), same dtype."""
    rows = np.repeat(x[:, 0], STEPS_PER_ROW, axis=1)
    return np.pad(rows, ((0, 0), (0, LAST_STEPS), (0, 0)))


def build() -> torch.nn.Sequential:
    """Return the untrained network; its initial weights come from torch's global random generator.

    Each neuron of the spiking layers follows, with x its input, V its recurrent weights (none in the output layer), and
    the membrane zero in the whole step after a spike::

        i[t] = alpha * i[t-1] + x[t] + V @ s[t-1]
        v[t] = (beta * v[t-1] + i[t]) * (1 - s[t-1])
        s[t] = v[t] > 1

    There are no biases: a black image costs no spikes, and a chip needs no constant current per neuron.
    """
    import snntorch as snn
    import torch
    from torch import nn

    alpha, beta = (torch.from_numpy(decays.ravel()) for decays in np.meshgrid(
        np.array(ALPHAS, np.float32), np.array(BETAS, np.float32).repeat(HIDDEN // 16), indexing="ij"
    ))  # fmt: skip
    common = {"reset_mechanism": "zero", "init_hidden": True, "spike_grad": snn.surrogate.fast_sigmoid(slope=SLOPE)}
    hidden = snn.RSynaptic(alpha, beta, linear_features=HIDDEN, **common)
    hidden.recurrent = nn.Linear(HIDDEN, HIDDEN, bias=False)
    net = nn.Sequential(
        OrderedDict(
            fc1=nn.Linear(8, HIDDEN, bias=False),
            hidden=hidden,
            fc2=nn.Linear(HIDDEN, CLASSES, bias=False),
            out=snn.Synaptic(OUT_ALPHA, OUT_BETA, **common),
        )
    )
    with torch.no_grad():
        net.fc1.weight.mul_(INPUT_SCALE)
        hidden.recurrent.weight.mul_(RECURRENT_SCALE)
        net.fc2.weight.mul_(OUTPUT_SCALE)
    return net


# All settings here and above were compared by cross-validation inside the training half.
EXPERIMENT = Experiment(
    title="recurrent spiking network", library="snnTorch", build=build, run=run_snntorch, encode=encode,
    input_shape=(8,), loss=cross_entropy, epochs=80, learning_rate=1e-2, rate_penalty=0.1, shift_probability=0.5,
    most_gradient=1.0,
)  # fmt: skip
train, evaluate, save, main = EXPERIMENT.train, EXPERIMENT.evaluate, EXPERIMENT.save, EXPERIMENT.main


if __name__ == "__main__":
    main()
