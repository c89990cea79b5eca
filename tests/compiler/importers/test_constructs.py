"""Every row of README's table for plain PyTorch and snnTorch: built, and imported exactly on a sample or refused by name.

The rows of sinabs, Norse and SpikingJelly are tried in the tests of their importers.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import snntorch
import torch
from spikingjelly.activation_based import neuron
from torch import nn
from torch.nn import functional as F  # noqa: N812 - its usual name
from torch_nets import hidden, leaky, linears, net

from spikeport.compiler.importers import snntorch as ours
from spikeport.compiler.importers import torch_layers
from spikeport.compiler.importers.torch_module import import_module
from spikeport.ir.diagnostics import ImportModelError

Built = tuple[Any, tuple[int, ...]]


def seq(*layers, shape=(4,)) -> Built:
    return nn.Sequential(*layers), shape


def image(*layers) -> Built:
    return nn.Sequential(nn.Conv2d(2, 4, 3), hidden(), *layers), (2, 8, 8)


def fn(forward, shape=(4,), **layers) -> Built:
    return net(forward, **{**linears("a", "b"), "lif": hidden(), **layers}), shape


def _norm(norm):
    norm.running_mean.uniform_(-0.3, 0.3)
    norm.running_var.uniform_(0.5, 2)
    return norm.eval()


def _functions(self, x):
    y = self.lif(self.conv(x))
    y = F.relu(F.max_pool2d(y, 2))
    z = torch.cat([y, 0.5 * y - y], 1)
    return self.last(self.fc(torch.flatten(F.avg_pool2d(z, 3), 1).view(x.size(0), -1)))


def _topology(self, x):
    y = self.lif(self.a(x) + x)
    return self.last(self.c(torch.cat([self.b(y), y], 1)))


def _loop(self, x):
    mem, back, out = self.lif.init_leaky(), torch.zeros(x.size(1), 4), []
    for t in range(x.size(0)):
        back, mem = self.lif(self.a(x[t]) + self.b(back), mem)
        out.append(back)
    return torch.stack(out)


def _states(form):
    def forward(self, x, state):
        mem = state["m"] if form is dict else state[0] if form is list else state
        spk, mem = self.lif(self.a(x), mem)
        return spk, {"m": mem} if form is dict else [mem] if form is list else mem

    return fn(forward, lif=leaky())


def _kept(self, x):
    cur = self.a(x) if self.last is None else self.a(x) + self.back(self.last)
    self.last = self.lif(cur)
    return self.b(self.last)


def _total(self, x):
    mem, total = self.lif.init_leaky(), 0
    for _ in range(5):
        spk, mem = self.lif(self.a(x), mem)
        total = total + spk
    return total


def _gate(self, x):
    return self.lif(self.a(x)) if self.a(x).sum() > 0 else self.lif(x)


def _keeps(built):
    built[0].last = None
    return built


def _leaky(**options):
    return snntorch.Leaky(**({"beta": 0.85, "threshold": 0.7, "init_hidden": True} | options))


def _rec(kind, **options):
    base = {"beta": 0.8, "threshold": 0.7, "init_hidden": True} | ({"alpha": 0.5} if kind.endswith("Synaptic") else {})
    return getattr(snntorch, kind)(**(base | options))


def _resets(mechanism, delayed):
    options = {"reset_mechanism": mechanism, "reset_delay": delayed}
    return seq(nn.Linear(4, 3), _leaky(**options), nn.Linear(3, 3), _rec("Synaptic", **options))


def _two(self, x, y):
    return self.lif(self.a(x) + self.c(y)), self.last(self.b(x))


PLAIN: dict[str, list[Callable[[], Built]]] = {
    "Linear, Conv1d, Conv2d": [
        lambda: seq(nn.Linear(4, 3, bias=False), hidden()),
        lambda: seq(nn.Conv1d(4, 6, 3, stride=2, padding=1, dilation=2, groups=2), hidden(), shape=(4, 12)),
        lambda: image(nn.Conv2d(4, 4, (2, 3), stride=(2, 1), padding=(1, 0), dilation=(1, 2), groups=4), hidden()),
        lambda: image(nn.Conv2d(4, 2, 3, padding="same", bias=False), hidden()),
    ],
    "BatchNorm1d, BatchNorm2d": [
        lambda: seq(nn.Linear(4, 3), _norm(nn.BatchNorm1d(3)), hidden()),
        lambda: image(_norm(nn.BatchNorm2d(4)), hidden()),
        lambda: image(nn.Conv2d(4, 3, 1), _norm(nn.BatchNorm2d(3)), hidden()),
    ],
    "AvgPool2d, AdaptiveAvgPool2d": [
        lambda: image(nn.AvgPool2d(2, padding=1), hidden()), lambda: image(nn.AdaptiveAvgPool2d((3, 2)), hidden()),
    ],
    "MaxPool2d": [lambda: image(nn.MaxPool2d(3, stride=1, padding=1), nn.Conv2d(4, 2, 2), hidden())],
    "Flatten, Dropout, Identity": [lambda: image(nn.Dropout2d(), nn.Flatten(), nn.Identity(), nn.Linear(144, 3), hidden())],
    "functions: +, -, a constant factor, cat, flatten, view, pools, relu of spikes": [
        lambda: fn(_functions, (2, 8, 8), conv=nn.Conv2d(2, 4, 3), fc=nn.Linear(8, 3), last=hidden()),
    ],
    "residual, branching, joining and recurrent topologies": [
        lambda: fn(_topology, c=nn.Linear(8, 3), last=hidden()), lambda: fn(_loop, lif=leaky()),
    ],
    "several inputs and outputs": [
        lambda: fn(_two, c=nn.Linear(4, 4), last=hidden()),
    ],
    "a forward of one step, its states in arguments, tuples, lists, dicts or NamedTuples": [
        lambda: _states(None), lambda: _states(list), lambda: _states(dict),
    ],
    "a loop over time, or whole sequences from layer to layer": [
        lambda: fn(_loop, lif=leaky()), lambda: seq(nn.Linear(4, 3), neuron.LIFNode(step_mode="m")),
    ],
    "a signal kept in the module for the next step": [lambda: _keeps(fn(_kept, back=nn.Linear(4, 4, bias=False)))],
    "a sum or mean over all steps at the end": [lambda: fn(_total, lif=leaky())],
    "MaxPool2d over other values": [
        lambda: seq(nn.Conv2d(2, 4, 3), nn.MaxPool2d(2), hidden(), shape=(2, 8, 8)),
        lambda: seq(nn.Conv2d(2, 4, 3), _leaky(graded_spikes_factor=0.5), nn.MaxPool2d(2), shape=(2, 8, 8)),
    ],
    "windows that hang over the edge, other padding_mode than zeros": [
        lambda: image(nn.AvgPool2d(4, ceil_mode=True)), lambda: image(nn.AvgPool2d(2, padding=1, count_include_pad=False)),
        lambda: image(nn.Conv2d(4, 2, 3, padding=1, padding_mode="reflect")), lambda: image(nn.AdaptiveAvgPool2d(4)),
    ],
    "BatchNorm in training mode": [lambda: seq(nn.Linear(4, 3), nn.BatchNorm1d(3), hidden())],
    "Conv3d, ConvTranspose, LayerNorm, Softmax, attention, LSTM and all other layers": [
        lambda: seq(nn.LSTM(4, 3)), lambda: seq(nn.Linear(4, 4), nn.LayerNorm(4), hidden()), lambda: seq(nn.Softmax(-1)),
        lambda: image(nn.ConvTranspose2d(4, 2, 3)), lambda: image(nn.GELU()), lambda: seq(nn.MultiheadAttention(4, 2)),
    ],
    "a product of two signals, an added constant, an if on data": [
        lambda: fn(lambda self, x: self.lif(self.a(x) * self.b(x))), lambda: fn(lambda self, x: self.lif(self.a(x) + 0.5)),
        lambda: fn(_gate),
    ],
    "a neuron called twice in a step": [lambda: fn(lambda self, x: self.lif(self.b(self.lif(self.a(x)))))],
    "neurons of several libraries in one module": [lambda: seq(nn.Linear(4, 3), hidden(), nn.Linear(3, 3), neuron.LIFNode())],
}  # fmt: skip

SNNTORCH: dict[str, list[Callable[[], Built]]] = {
    "Leaky, Synaptic, RLeaky, RSynaptic, Lapicque": [
        lambda: seq(nn.Linear(4, 4), _leaky(), nn.Linear(4, 4), _rec("Synaptic"), nn.Linear(4, 3),
                    _rec("Lapicque", threshold=0.2)),
        lambda: seq(nn.Linear(4, 4), _rec("RLeaky", linear_features=4), nn.Linear(4, 3), _rec("RSynaptic", linear_features=3)),
    ],
    "beta, alpha and threshold: one, or one a neuron or channel": [
        lambda: seq(nn.Linear(4, 3), _leaky(beta=torch.tensor([0.2, 0.9, 1.4]), threshold=torch.tensor([0.4, 0.7, 1.0]))),
        lambda: image(nn.Conv2d(4, 3, 1), _rec("Synaptic", alpha=torch.rand(3, 1, 1), learn_alpha=True, learn_beta=True)),
    ],
    "reset_mechanism subtract, zero, none": [
        partial(_resets, mechanism, delayed) for mechanism in ("subtract", "zero", "none") for delayed in (True, False)
    ],
    "recurrence: linear_features, conv2d_channels, V": [
        lambda: seq(nn.Linear(4, 3), _rec("RLeaky", all_to_all=False, V=-0.4)),
        lambda: image(nn.Conv2d(4, 3, 1), _rec("RSynaptic", conv2d_channels=3, kernel_size=3)),
    ],
    "graded_spikes_factor": [lambda: seq(nn.Linear(4, 3), _leaky(graded_spikes_factor=0.5), nn.Linear(3, 2), hidden())],
    "init_hidden, or states handed on": [lambda: seq(nn.Linear(4, 3), hidden()), lambda: _states(None)],
    "the membrane of a neuron that never resets, as output": [
        lambda: fn(lambda self, x, mem: self.lif(self.a(x), mem)[1], lif=leaky(reset_mechanism="none")),
    ],
    "inhibition, state_quant": [
        lambda: seq(nn.Linear(4, 3), _leaky(inhibition=True)),
        lambda: seq(nn.Linear(4, 3), _leaky(state_quant=lambda mem: torch.round(mem))),
    ],
    "RSynaptic with reset_delay=False": [
        lambda: seq(nn.Linear(4, 3), _rec("RSynaptic", linear_features=3, reset_delay=False)),
    ],
    "a spike_grad that gives other values than 0 and 1": [lambda: seq(nn.Linear(4, 3), _leaky(spike_grad=torch.sigmoid))],
    "Alpha, SLSTM, SConv2dLSTM, LeakyParallel and all others": [
        lambda: seq(nn.Linear(4, 3), snntorch.Alpha(alpha=0.9, beta=0.8, init_hidden=True)),
        lambda: seq(snntorch.SLSTM(4, 3, init_hidden=True)), lambda: seq(snntorch.LeakyParallel(4, 3)),
        lambda: seq(snntorch.SConv2dLSTM(2, 3, 3, init_hidden=True), shape=(2, 8, 8)),
    ],
}  # fmt: skip

TABLES = {"PyTorch": (torch_layers.CONSTRUCTS, PLAIN), "snnTorch": (ours.CONSTRUCTS, SNNTORCH)}
ROWS = [(library, row) for library, (table, _) in TABLES.items() for row in table]


@pytest.mark.parametrize("library", TABLES)
def test_the_table_names_what_is_built_here(library):
    table, built = TABLES[library]
    assert [row[0] for row in table] == list(built)


@pytest.mark.filterwarnings("ignore:Inhibition is an unstable feature")
@pytest.mark.parametrize(("library", "row"), ROWS, ids=lambda value: value if isinstance(value, str) else value[0])
def test_every_row_of_the_table(library, row):
    construct, verdict, _ = row
    for build in TABLES[library][1][construct]:
        torch.manual_seed(5)
        module, shape = build()
        if verdict == "refused":
            with pytest.raises(ImportModelError) as caught:
                import_module(module, shape)
            assert all(d.hint and d.message for d in caught.value.diagnostics)
            continue
        code = type(module).forward.__code__
        in_time = "range" in code.co_names
        in_time |= isinstance(module, nn.Sequential) and getattr(module[-1], "step_mode", "s") == "m"
        x = torch.rand(25, 2, *shape) * 4
        sample = x[0] if type(module).forward is _total else x
        given = {"x": sample, "y": sample} if type(module).forward is _two else sample
        graph, found = import_module(module, sample=given, time_axis=None if in_time else 0)
        assert {d.code for d in found} <= {"E036"}
        assert graph.profile is not None
