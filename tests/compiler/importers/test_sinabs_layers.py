"""sinabs's layers without state and its containers: exact, or refused by name."""

import pytest
import sinabs.activation as sa
import sinabs.layers as sl
import torch
from random_sinabs import equal_spikes, run_sinabs, strong
from random_snn import random_input
from sinabs.from_torch import from_model
from sinabs_parts import Two, still
from torch import nn
from torch_runs import differing_bits, run_graph

from spikeport.compiler.importers.torch_module import from_torch
from spikeport.ir.diagnostics import ImportModelError


@pytest.mark.parametrize("squeezed", [{"batch_size": 2}, {"num_timesteps": 40}], ids=str)
@pytest.mark.parametrize("spike_fn", [sa.MultiSpike, sa.SingleSpike])
def test_a_converted_network(squeezed, spike_fn):
    def make():
        torch.manual_seed(6)
        pool = nn.MaxPool2d(2) if spike_fn is sa.SingleSpike else nn.AvgPool2d(2)
        model = nn.Sequential(
            strong(nn.Conv2d(2, 4, 3)), nn.ReLU(), pool, strong(nn.Conv2d(4, 4, 2, bias=False)), sl.NeuromorphicReLU(),
            nn.Dropout(0.5), nn.Flatten(), strong(nn.Linear(16, 3)),
        ).eval()  # fmt: skip
        return from_model(model, spike_fn=spike_fn, add_spiking_output=True, **squeezed).eval()

    module, x = make().double(), random_input((2, 8, 8), 7, steps=40)
    graph, (run, _) = from_torch(module, (2, 8, 8)), run_sinabs(module, x)
    assert differing_bits(run, run_graph(graph, x)) == dict.fromkeys(run.spikes, 0)
    assert sorted(run.spikes) == ["spiking_model.1", "spiking_model.4", "spiking_model.spike_output"]
    assert all(s.any() for s in run.spikes.values())
    assert graph.profile.clamp_low == -1.0


STATELESS = {
    "SumPool2d": lambda: still(sl.SumPool2d(2)),
    "SumPool2d with stride": lambda: still(sl.SumPool2d((3, 2), stride=(1, 2))),
    "SumPool2d, ceil_mode": lambda: still(sl.SumPool2d(2, ceil_mode=True)),
    "Cropping2dLayer": lambda: still(sl.Cropping2dLayer(((1, 0), (2, 1)))),
    "Cropping2dLayer of nothing": lambda: still(sl.Cropping2dLayer()),
    "ChannelShift": lambda: still(sl.ChannelShift(2)),
    "ChannelShift back": lambda: still(sl.ChannelShift(-1)),
    "ChannelShift of nothing": lambda: still(sl.ChannelShift()),
    "QuantizeLayer": lambda: still(sl.QuantizeLayer(quantize=False)),
    "Repeat": lambda: nn.Sequential(sl.Repeat(nn.Sequential(sl.SumPool2d(2), nn.Flatten())), sl.IAF()),
    "Repeat of a squeezed neuron": lambda: sl.Repeat(nn.Sequential(nn.Conv2d(2, 2, 3), sl.IAFSqueeze(batch_size=2))),
    "Merge": Two,
}  # fmt: skip


@pytest.mark.parametrize("name", STATELESS)
def test_layers_without_state(name):
    def make():
        torch.manual_seed(8)
        return STATELESS[name]()

    _, run = equal_spikes(make, (2, 6, 6), random_input((2, 6, 6), 8, steps=40))
    assert all(s.any() for s in run.spikes.values())


def test_features_are_shifted_too():
    module = nn.Sequential(
        sl.FlattenTime(), nn.Linear(4, 3), sl.ChannelShift(2, channel_axis=-1), sl.UnflattenTime(2), sl.IAF()
    )
    x = random_input((4,), 8, steps=40)
    module.double()
    assert differing_bits(run_sinabs(module, x)[0], run_graph(from_torch(module, (4,)), x)) == {"4": 0}


REFUSED_LAYERS = {
    "ceil_mode": (sl.SumPool2d(2, ceil_mode=True), "E021", "with ceil_mode=True adds a window that hangs over the edge"),
    "crop": (sl.Cropping2dLayer(((4, 3), (0, 0))), "E027", "cuts rows 4+3 and columns 0+0 off an input of (2, 7, 7)"),
    "shift": (sl.ChannelShift(1, channel_axis=-2), "E021", "ChannelShift shifts axis -2 of (2, 7, 7) by 1"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED_LAYERS)
def test_layers_refused_by_name(name):
    layer, code, text = REFUSED_LAYERS[name]
    with pytest.raises(ImportModelError) as caught:
        from_torch(nn.Sequential(layer, sl.IAFSqueeze(batch_size=1)), (2, 7, 7))
    found = caught.value.diagnostics[0]
    assert (found.code, found.path) == (code, "0")
    assert text in found.message
    assert found.hint


def test_a_merge_of_unlike_sizes_is_refused():
    with pytest.raises(ImportModelError, match=r"E027.*a sum of signals of the shapes"):
        from_torch(Two(out=3), (2, 6, 6))
