"""Parts that the tests of sinabs share: classes of one's own, small networks, and what every row of its table is."""

import sinabs.activation as sa
import sinabs.layers as sl
import torch
from sinabs.from_torch import from_model
from torch import nn


class Overridden(sl.LIF):
    def forward(self, input_data):
        return super().forward(2 * input_data)


class OwnDecay(sl.IAF):
    @property
    def alpha_mem_calculated(self):
        return torch.tensor(0.5)


class OwnSpike(sa.SingleSpike):
    @staticmethod
    def forward(ctx, v_mem, spike_threshold, surrogate_grad_fn):
        return (v_mem > 2 * spike_threshold).float()


class OwnMost(sa.MaxSpike):
    def apply(self, v_mem, spike_threshold, surrogate_grad_fn):
        return torch.zeros_like(v_mem)


class OwnReset(sa.MembraneReset):
    def __call__(self, spikes, state, spike_threshold):
        return state


class OwnState(sl.StatefulLayer):
    def __init__(self):
        super().__init__(["v_mem"])


def late_alpha():
    layer = sl.LIF(5.0, train_alphas=True)
    layer.alpha_mem.data.fill_(1.25)
    return layer


class Two(nn.Module):
    """Two branches over channels, merged."""

    def __init__(self, out=4):
        super().__init__()
        self.left, self.right = sl.Repeat(nn.Conv2d(2, 4, 3)), sl.Repeat(nn.Conv2d(2, out, 3))
        self.merge, self.neuron = sl.Merge(), sl.IAF(spike_threshold=torch.tensor(0.25))

    def forward(self, x):
        return self.neuron(self.merge(self.left(x), self.right(x)))


def still(*layers):
    return nn.Sequential(sl.FlattenTime(), *layers, sl.UnflattenTime(2), sl.IAF(spike_threshold=torch.tensor(0.75)))


def _flat(*layers):
    return nn.Sequential(nn.Flatten(2), nn.Linear(72, 3), *layers)


def _squeezed(kind, **options):
    return nn.Sequential(nn.Flatten(), nn.Linear(72, 3), getattr(sl, kind)(batch_size=2, **options))


#: Row of the table -> what it is, for an input of (2, 6, 6).
BUILT = {
    "IAF, IAFSqueeze": [lambda: _flat(sl.IAF()), lambda: _squeezed("IAFSqueeze")],
    "LIF, LIFSqueeze": [lambda: _flat(sl.LIF(5.0)), lambda: _squeezed("LIFSqueeze", tau_mem=5.0)],
    "ExpLeak, ExpLeakSqueeze": [lambda: _flat(sl.ExpLeak(5.0)), lambda: _squeezed("ExpLeakSqueeze", tau_mem=5.0)],
    "IAFRecurrent, LIFRecurrent with Linear": [
        lambda: _flat(sl.IAFRecurrent(nn.Linear(3, 3))), lambda: _flat(sl.LIFRecurrent(5.0, nn.Linear(3, 3))),
    ],
    "LIFRecurrent with Conv1d or Conv2d": [
        lambda: nn.Sequential(sl.LIFRecurrent(5.0, nn.Conv2d(2, 2, 3, padding=1))),
        lambda: nn.Sequential(nn.Flatten(3), sl.LIFRecurrent(5.0, nn.Conv1d(2, 2, 3, padding=1))),
    ],
    "LIFRecurrent with another rec_connect": [lambda: _flat(sl.LIFRecurrent(5.0, nn.Bilinear(3, 3, 3)))],
    "tau_mem, tau_syn, train_alphas": [
        lambda: _flat(sl.LIF(torch.ones(3), tau_syn=torch.ones(3), train_alphas=True)),
        lambda: nn.Sequential(sl.LIF(torch.ones(2, 1, 1), tau_syn=2.0)),
    ],
    "norm_input": [lambda: _flat(sl.LIF(5.0)), lambda: _flat(sl.LIF(5.0, norm_input=False))],
    "spike_threshold": [lambda: _flat(sl.IAF(spike_threshold=torch.ones(3))), lambda: _flat(sl.IAF(spike_threshold=0.5))],
    "MultiSpike, MaxSpike(n) with MembraneSubtract": [
        lambda: _flat(sl.IAF(spike_fn=sa.MultiSpike)), lambda: _flat(sl.IAF(spike_fn=sa.MaxSpike(3))),
    ],
    "SingleSpike with MembraneSubtract": [lambda: _flat(sl.IAF(spike_fn=sa.SingleSpike))],
    "SingleSpike or MaxSpike(1) with MembraneReset": [
        lambda: _flat(sl.IAF(spike_fn=sa.SingleSpike, reset_fn=sa.MembraneReset())),
        lambda: _flat(sl.IAF(spike_fn=sa.MaxSpike(1), reset_fn=sa.MembraneReset())),
    ],
    "MultiSpike with MembraneReset": [lambda: sl.LIF(5.0, reset_fn=sa.MembraneReset())],
    "MembraneSubtract(value) other than the threshold": [lambda: sl.LIF(5.0, reset_fn=sa.MembraneSubtract(0.5))],
    "MembraneReset(value) other than 0": [lambda: sl.IAF(spike_fn=sa.SingleSpike, reset_fn=sa.MembraneReset(0.25))],
    "min_v_mem": [lambda: _flat(sl.IAF(min_v_mem=-1.0)), lambda: _flat(sl.IAF(torch.ones(3), min_v_mem=-torch.ones(3)))],
    "min_v_mem of ExpLeak": [lambda: sl.ExpLeak(5.0, min_v_mem=-1.0)],
    "spike_fn=None": [lambda: _flat(sl.LIF(5.0, spike_fn=None))],
    "spike_fn or reset_fn of one's own": [
        lambda: sl.IAF(spike_fn=OwnSpike), lambda: sl.IAF(spike_fn=OwnMost(2)),
        lambda: sl.IAF(spike_fn=sa.SingleSpike, reset_fn=OwnReset()),
    ],
    "a class derived from these with a forward of its own": [lambda: Overridden(5.0)],
    "ALIF, ALIFRecurrent": [lambda: sl.ALIF(5.0, 5.0), lambda: sl.ALIFRecurrent(5.0, 5.0, nn.Linear(6, 6))],
    "SumPool2d": [lambda: still(sl.SumPool2d(2))],
    "SumPool2d with a window over the edge (ceil_mode)": [lambda: still(sl.SumPool2d(4, ceil_mode=True))],
    "FlattenTime, UnflattenTime, Repeat": [still, lambda: nn.Sequential(sl.Repeat(sl.SumPool2d(2)), sl.IAF())],
    "Merge": [Two],
    "Cropping2dLayer, ChannelShift": [lambda: still(sl.Cropping2dLayer(((1, 0), (2, 1)))), lambda: still(sl.ChannelShift(2))],
    "QuantizeLayer(quantize=False)": [lambda: still(sl.QuantizeLayer(quantize=False))],
    "SpikingMaxPooling2dLayer": [lambda: still(sl.SpikingMaxPooling2dLayer((2, 2)))],
    "NeuromorphicReLU, QuantizeLayer": [sl.NeuromorphicReLU, sl.QuantizeLayer],
    "Img2SpikeLayer, Sig2SpikeLayer": [lambda: sl.Img2SpikeLayer((2, 6, 6)), lambda: sl.Sig2SpikeLayer(3)],
    "network.Network, from_torch.from_model": [
        lambda: from_model(nn.Sequential(nn.Flatten(), nn.Linear(72, 3), nn.ReLU()), batch_size=2),
    ],
}  # fmt: skip
