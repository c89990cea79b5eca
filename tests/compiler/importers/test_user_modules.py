"""Networks as the libraries' tutorials write them, and the errors that a new user meets: each tried on a sample."""

import re
from typing import Any, NamedTuple

import pytest
import sinabs.from_torch
import sinabs.layers
import snntorch
import snntorch.utils
import torch
from norse.torch import LICell, LIFCell, LIFParameters, LIFRecurrentCell, LILinearCell, SequentialState
from spikingjelly.activation_based import functional, layer, neuron, surrogate
from torch import nn

from spikeport.compiler.importers.torch_module import import_module
from spikeport.ir.diagnostics import ImportModelError


class NorseConv(nn.Module):
    """Norse's MNIST example, smaller: cells in a loop, voltages written into a tensor of zeros."""

    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 4, 5), nn.Conv2d(4, 6, 5)
        self.fc1 = nn.Linear(6, 12)
        self.lif0, self.lif1, self.lif2 = (LIFCell(p=LIFParameters(method="super", alpha=100.0)) for _ in range(3))
        self.out = LILinearCell(12, 10)

    def forward(self, x):
        s0 = s1 = s2 = so = None
        voltages = torch.zeros(x.shape[0], x.shape[1], 10, device=x.device, dtype=x.dtype)
        for ts in range(x.shape[0]):
            z, s0 = self.lif0(self.conv1(x[ts, :]), s0)
            z = torch.nn.functional.max_pool2d(z, 2, 2)
            z, s1 = self.lif1(10 * self.conv2(z), s1)
            z = torch.nn.functional.max_pool2d(z, 2, 2)
            z, s2 = self.lif2(10 * self.fc1(z.view(-1, 6)), s2)
            v, so = self.out(torch.nn.functional.relu(z), so)
            voltages[ts, :, :] = v
        return voltages


class States(NamedTuple):
    first: Any
    second: Any


class NorseStates(nn.Module):
    """States in a NamedTuple, as Norse's memory network has them, or in a dict; the readout's voltage returned."""

    def __init__(self, kind):
        super().__init__()
        self.kind = kind
        self.fc, self.lif, self.out = nn.Linear(5, 8), LIFCell(), LICell()

    def forward(self, x, state=None):
        if self.kind is dict:
            first, second = (None, None) if state is None else (state["first"], state["second"])
        else:
            first, second = States(None, None) if state is None else state
        spikes, first = self.lif(self.fc(x), first)
        _, second = self.out(spikes, second)
        return second.v, self.kind(first=first, second=second)


class JellyConv(nn.Module):
    """SpikingJelly's CSNN for Fashion-MNIST, smaller: step mode m, the frame repeated, firing rates returned."""

    def __init__(self, steps=6):
        super().__init__()
        self.steps = steps
        self.conv_fc = nn.Sequential(
            layer.Conv2d(1, 4, 3, padding=1, bias=False), layer.BatchNorm2d(4),
            neuron.IFNode(surrogate_function=surrogate.ATan()), layer.MaxPool2d(2, 2),
            layer.Flatten(), layer.Linear(4 * 16, 10, bias=False), neuron.IFNode(),
        )  # fmt: skip
        functional.set_step_mode(self, "m")

    def forward(self, x):
        x_seq = x.unsqueeze(0).repeat(self.steps, 1, 1, 1, 1)
        return self.conv_fc(x_seq).mean(0)


class JellyLoop(nn.Module):
    """Firing counts of a loop over a held frame."""

    def __init__(self):
        super().__init__()
        self.fc = nn.Sequential(layer.Flatten(), layer.Linear(16, 10), neuron.LIFNode(tau=2.0))

    def forward(self, x):
        out = 0.0
        for _ in range(8):
            out += self.fc(x)
        return out / 8


class JellyResidual(nn.Module):
    """A residual block and a concatenation, in either step mode."""

    def __init__(self, mode):
        super().__init__()
        self.a, self.b, self.c = layer.Linear(6, 8), layer.Linear(8, 8), layer.Linear(16, 3)
        self.n1, self.n2, self.n3 = neuron.LIFNode(), neuron.IFNode(), neuron.ParametricLIFNode()
        functional.set_step_mode(self, mode)

    def forward(self, x):
        y = self.n1(self.a(x))
        z = self.n2(self.b(y) + y)
        return self.n3(self.c(torch.cat([y, z], -1)))


class SnnLoop(nn.Module):
    """snnTorch's tutorial 5."""

    def __init__(self):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(20, 30), nn.Linear(30, 10)
        self.lif1, self.lif2 = snntorch.Leaky(beta=0.95), snntorch.Leaky(beta=0.95)

    def forward(self, x):
        mem1, mem2 = self.lif1.init_leaky(), self.lif2.init_leaky()
        spikes, membranes = [], []
        for _ in range(25):
            spk1, mem1 = self.lif1(self.fc1(x), mem1)
            spk2, mem2 = self.lif2(self.fc2(spk1), mem2)
            spikes.append(spk2)
            membranes.append(mem2)
        return torch.stack(spikes, dim=0), torch.stack(membranes, dim=0)


class TwoWays(nn.Module):
    """Two inputs, two outputs, a branch and a way back."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(5, 8), nn.Linear(3, 8)
        self.back = nn.Linear(4, 8, bias=False)
        self.hidden, self.left, self.right = (neuron.LIFNode(v_reset=None) for _ in range(3))
        self.l, self.r = nn.Linear(8, 4), nn.Linear(8, 2)
        self.last = None

    def forward(self, image, sound):
        cur = self.a(image) + self.b(sound)
        if self.last is not None:
            cur = cur + self.back(self.last)
        spk = self.hidden(cur)
        self.last = self.left(self.l(spk))
        return self.last, self.right(self.r(spk))


def _analog():
    return nn.Sequential(
        nn.Conv2d(1, 6, 3, bias=False), nn.ReLU(), nn.AvgPool2d(2), nn.Conv2d(6, 4, 3), nn.ReLU(), nn.AvgPool2d(2),
        nn.Flatten(), nn.Linear(16, 10), nn.ReLU(),
    )  # fmt: skip


def _rand(*shape, scale=1.0):
    return torch.rand(*shape) * scale


#: Name -> (module, what import_module is given, codes of what it says).
ACCEPTED = {
    "norse loop": (NorseConv, lambda: {"sample": _rand(20, 2, 1, 16, 16, scale=40)}, ()),
    "norse sequential": (
        lambda: SequentialState(nn.Conv2d(1, 4, 3), LIFCell(), nn.Flatten(), nn.Linear(144, 10), LIFRecurrentCell(10, 10),
                                LICell()),
        lambda: {"sample": _rand(2, 30, 1, 8, 8, scale=60), "time_axis": 1}, (),
    ),
    "norse named states": (lambda: NorseStates(States), lambda: {"sample": _rand(2, 30, 5, scale=60), "time_axis": 1}, ()),
    "norse states in a dict": (lambda: NorseStates(dict), lambda: {"sample": _rand(2, 30, 5, scale=60), "time_axis": 1}, ()),
    "norse bare cell": (lambda: LIFRecurrentCell(5, 6), lambda: {"sample": _rand(2, 30, 5, scale=60), "time_axis": 1}, ()),
    "spikingjelly held frame": (lambda: JellyConv().eval(), lambda: {"sample": _rand(2, 1, 8, 8, scale=4)}, ("E036",)),
    "spikingjelly loop": (JellyLoop, lambda: {"sample": _rand(2, 1, 4, 4, scale=6)}, ("E036",)),
    "spikingjelly residual s": (
        lambda: JellyResidual("s"), lambda: {"sample": _rand(3, 40, 6, scale=6), "time_axis": 1}, (),
    ),
    "spikingjelly residual m": (lambda: JellyResidual("m"), lambda: {"sample": _rand(40, 3, 6, scale=6)}, ()),
    "snntorch loop": (SnnLoop, lambda: {"sample": _rand(2, 20, scale=5)}, ("E037",)),
    "sinabs from_model": (
        lambda: sinabs.from_torch.from_model(_analog(), input_shape=(1, 16, 16), batch_size=2),
        lambda: {"sample": _rand(2 * 10, 1, 16, 16, scale=6)}, (),
    ),
    "sinabs layers over time": (
        lambda: nn.Sequential(sinabs.layers.Repeat(nn.Conv2d(2, 4, 3)), sinabs.layers.IAF(), nn.Flatten(2), nn.Linear(144, 3),
                              sinabs.layers.LIF(tau_mem=20.0)),
        lambda: {"sample": _rand(2, 15, 2, 8, 8, scale=3)}, (),
    ),
    "two inputs, two outputs": (
        TwoWays, lambda: {"sample": {"image": _rand(2, 20, 5, scale=6), "sound": _rand(2, 20, 3, scale=6)}, "time_axis": 1}, (),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ACCEPTED)
def test_a_tutorials_network_imports_exactly(name):
    torch.manual_seed(4)
    build, given, codes = ACCEPTED[name]
    module = build()
    fired = []
    for part in module.modules():
        if type(part).__name__ in ("LIFNode", "IFNode", "LIFCell", "LIFRecurrentCell", "Leaky", "IAF", "LIF", "IAFSqueeze"):
            part.register_forward_hook(lambda m, args, out: fired.append((out[0] if isinstance(out, tuple) else out).sum()))
    graph, found = import_module(module, **given())
    assert tuple(d.code for d in found if d.code != "E029") == codes
    assert graph.profile is not None
    assert sum(map(float, fired)) > 0, "a sample that makes nothing fire checks nothing"


def test_an_idle_membrane_is_no_second_output():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc, self.lif = nn.Linear(4, 3), snntorch.Leaky(beta=0.9, init_hidden=True)

        def forward(self, x):
            return self.lif(self.fc(x)), self.lif.mem

    graph, _ = import_module(Net(), sample=_rand(2, 4, scale=5))
    assert graph.outputs == ("output",)


def _reset_by(function):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = nn.Linear(4, 3)
            self.lif = neuron.LIFNode() if function is functional.reset_net else snntorch.Leaky(beta=0.9, init_hidden=True)

        def forward(self, x):
            function(self)
            return self.lif(self.fc(x))

    return Net()


@pytest.mark.parametrize("function", [functional.reset_net, snntorch.utils.reset])
def test_a_forward_of_one_step_that_resets_its_neurons_is_refused(function):
    with pytest.raises(ImportModelError, match="starts from zeros in every call, and the forward is one step"):
        import_module(_reset_by(function))


class IfOnData(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc, self.lif = nn.Linear(6, 8), neuron.LIFNode()

    def forward(self, x):
        y = self.fc(x)
        if y.mean() > 0:
            y = y * 2
        return self.lif(y)


REFUSED = {
    "an unsupported layer in the middle": (
        lambda: nn.Sequential(nn.Linear(6, 8), neuron.LIFNode(), nn.LayerNorm(8), nn.Linear(8, 3), neuron.IzhikevichNode()),
        [("E020", "2", "torch.nn.LayerNorm has no counterpart in a spiking graph"),
         ("E020", "4", "spikingjelly.IzhikevichNode is not imported from SpikingJelly")],
    ),
    "an if on data": (IfOnData, [("E022", "", "takes an if or a while on a tensor's values")]),
    "mixed libraries": (
        lambda: nn.Sequential(nn.Linear(5, 7), snntorch.Leaky(beta=0.9, init_hidden=True), nn.Linear(7, 3), neuron.LIFNode(),
                              nn.Linear(3, 3), neuron.LIFNode()),
        [("E028", "1", "neurons of several libraries in one module: snntorch at 1, spikingjelly at 3")],
    ),
    "steps where samples belong": (
        lambda: nn.Sequential(nn.Conv2d(1, 2, 3), sinabs.layers.LIF(tau_mem=5.0)),
        [("E032", "0", "this torch.nn.Conv2d takes (batch, ...), and is given (batch, time, 1, 8, 8)")],
    ),
    "single steps for a layer of step mode m": (
        lambda: nn.Sequential(layer.Linear(4, 4, step_mode="m"), neuron.LIFNode(step_mode="s")),
        [("E032", "0", "this spikingjelly.Linear takes (time, batch, ...), and is given (batch, 4)")],
    ),
    "a cell without its state": (
        lambda: nn.Sequential(nn.Linear(4, 4), LIFCell(), nn.Linear(4, 4)),
        [("E026", "2", "is given all that 1 returns")],
    ),
    "a maximum over membranes": (
        lambda: nn.Sequential(nn.Conv2d(1, 2, 3), nn.MaxPool2d(2), snntorch.Leaky(beta=0.9, init_hidden=True)),
        [("E021", "1", "a maximum over a window is a node only over spikes of 0 or 1")],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_the_message_of_a_refusal(name):
    build, expected = REFUSED[name]
    with pytest.raises(ImportModelError) as caught:
        import_module(build(), (1, 8, 8) if "Conv" in repr(build()) else None)
    found = caught.value.diagnostics
    assert [(d.code, d.path) for d in found] == [(code, path) for code, path, _ in expected]
    for diagnostic, (_, _, text) in zip(found, expected, strict=True):
        assert text in diagnostic.message
        assert diagnostic.hint


def test_an_if_on_data_names_the_line():
    with pytest.raises(ImportModelError) as caught:
        import_module(IfOnData())
    assert re.search(r"IfOnData \(line \d+ of test_user_modules.py\) cannot be traced", caught.value.diagnostics[0].message)
