"""Dense spiking network on scikit-learn's 8x8 digits, trained with sinabs.

Layers, 9,472 weights and 138 neurons::

    input (1, 8, 8) -> Flatten -> Linear -> LIF (128,) -> Linear -> LIF (10,)

The image is a constant current into the first layer for `STEPS` steps; the class is the output neuron with the most
spikes. ``python -m spikeport.models.digits_dense --output digits_dense.nir`` trains, scores and saves; the result is
beside this file, its card in ``digits_dense.md``.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

import numpy as np

from spikeport.models.digits import CLASSES, Experiment, rate_error

if TYPE_CHECKING:
    import torch

STEPS = 16
HIDDEN = 128
# In steps; a membrane keeps exp(-1/8) of itself.
TAU = 8.0


def encode(x: np.ndarray, steps: int = STEPS) -> np.ndarray:
    """Repeat the images at every step: (samples, 1, 8, 8) gives (samples, steps, 1, 8, 8), same dtype."""
    return np.repeat(x[:, np.newaxis], steps, axis=1)


def build() -> torch.nn.Sequential:
    """Return the untrained network; its initial weights come from torch's global random generator.

    Each neuron follows, with x its input, at most one spike a step, and the threshold subtracted behind it::

        v[t] = exp(-1/TAU) * v[t-1] + x[t]
        s[t] = v[t] >= 1
        v[t] = v[t] - s[t]

    There are no biases: a black image costs no spikes, and a chip needs no constant current per neuron.
    """
    from sinabs.activation import MembraneSubtract, SingleSpike
    from sinabs.layers import LIF
    from torch import nn

    def lif() -> LIF:
        layer = LIF(tau_mem=TAU, spike_fn=SingleSpike, reset_fn=MembraneSubtract(), norm_input=False)
        # sinabs would train it; one time constant for all is asked for.
        layer.tau_mem.requires_grad_(False)
        return layer

    return nn.Sequential(
        OrderedDict(
            # sinabs's layers take time as the second axis.
            flatten=nn.Flatten(start_dim=2),
            fc1=nn.Linear(64, HIDDEN, bias=False),
            lif1=lif(),
            fc2=nn.Linear(HIDDEN, CLASSES, bias=False),
            lif2=lif(),
        )
    )


def run(net: torch.nn.Sequential, currents: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """Run a network from `build` from rest on *currents*, shape (samples, steps, 1, 8, 8).

    Returns
    -------
    counts : torch.Tensor, shape (samples, 10)
        Output spikes summed over the steps.
    rates : list of torch.Tensor
        Mean spikes per neuron per step, one scalar per spiking layer.
    """
    from sinabs.layers import StatefulLayer

    signal, rates = currents, []
    for layer in net:
        if isinstance(layer, StatefulLayer):
            # A layer keeps its state between calls, and fills up a larger batch with states of other samples.
            layer.init_state_with_shape((signal.shape[0], *signal.shape[2:]))
        signal = layer(signal)
        if isinstance(layer, StatefulLayer):
            rates.append(signal.mean())
    return signal.sum(dim=1), rates


# HIDDEN, TAU, epochs, learning rate and the penalty were compared by cross-validation inside the training half.
EXPERIMENT = Experiment(
    title="dense spiking network", library="sinabs", build=build, run=run, encode=encode,
    input_shape=(1, 8, 8), loss=rate_error, epochs=60, learning_rate=8e-3, rate_penalty=0.2, shift_probability=0.5,
)  # fmt: skip
train, evaluate, save, main = EXPERIMENT.train, EXPERIMENT.evaluate, EXPERIMENT.save, EXPERIMENT.main


if __name__ == "__main__":
    main()
