"""What a forward computes beside its step: left out where that is sound, refused where it is not."""

import re

import pytest
import snntorch
import torch
from random_snn import random_input
from torch import nn
from torch_nets import edges, hidden, leaky, linears, net, same_spikes
from torch_runs import differing_bits, run_graph, run_torch

from spikeport.compiler.importers.torch_module import from_torch
from spikeport.ir.diagnostics import ImportModelError


def made(forward, **layers):
    module = net(forward, **linears("a", "b"), **({"lif": hidden(), "last": hidden()} | layers))
    module.n, module.seen, module.mem = 0, [], None
    return module


def _statistics(self, x):
    spk = self.lif(self.a(x))
    self.n = spk.sum()
    self.n += torch.sigmoid(spk).mean() * self.n
    self.seen.append(spk.detach())
    self.b(spk).relu_().clamp_(0, 1).argmax(1)
    self.scores = self.softmax(self.b(spk))
    return self.last(self.b(spk))


def test_what_reaches_no_output_is_left_out():
    module = made(_statistics, softmax=nn.Softmax(1))
    graph = same_spikes(module)
    assert [n.path for n in graph] == ["a", "b", "input", "last", "lif", "output"]


def test_the_module_is_left_as_it_was():
    module = made(_statistics, softmax=nn.Softmax(1))
    from_torch(module)
    assert (module.n, module.seen, module.mem, hasattr(module, "scores")) == (0, [], None, False)


def test_neurons_that_reach_no_output_stay():
    module = made(lambda self, x: (self.lif(self.a(x)), self.last(self.b(x)))[0])
    assert "last" in from_torch(module)


def _kept_state(self, x):
    spk, self.mem = self.lif(self.a(x), self.mem)
    return self.last(self.b(spk))


def _kept_detached(self, x):
    spk, mem = self.lif(self.a(x), self.mem)
    self.mem = mem.detach()
    return self.last(self.b(spk))


@pytest.mark.parametrize("forward", [_kept_state, _kept_detached])
def test_a_neurons_own_state_may_be_kept_in_the_module(forward):
    def whole(self, x):
        if self.mem is None:
            self.mem = self.lif.init_leaky()
        return forward(self, x)

    for way in (forward, whole):
        graph = from_torch(made(way, lif=leaky()))
        assert [n.path for n in graph] == ["a", "b", "input", "last", "lif", "output"]
        assert "output" not in {e.source for e in graph.edges}


def _fed_back(self, x):
    self.n = self.lif(self.a(x) + self.n)
    return self.n


def _returned_late(self, x):
    last, self.n = self.n, self.lif(self.a(x))
    return last


def _through_a_layer(self, x):
    cur = self.a(x)
    if self.mem is not None:
        cur = cur + self.back(self.mem)
    self.mem = 0.5 * self.b(self.lif(cur))
    return self.last(self.mem)


@pytest.mark.parametrize(
    ("forward", "delayed"),
    [(_fed_back, {("lif", "lif")}), (_returned_late, {("lif", "output")}), (_through_a_layer, {("scale", "back")})],
)
def test_signals_of_the_step_before(forward, delayed):
    module = made(forward, back=nn.Linear(4, 4, bias=False))
    if forward is not _through_a_layer:
        del module.last
    graph = from_torch(module)
    assert {pair for pair, delay in edges(graph).items() if delay} == delayed
    x = random_input((4,), 1, steps=100)
    theirs = run_torch(module, x)
    ours = run_graph(graph, x)
    assert differing_bits(theirs, ours) == dict.fromkeys(theirs.spikes, 0)
    assert theirs.spikes["lif"].any()


def _running_mean(self, x):
    self.n = 0.9 * self.n + self.lif(self.a(x))
    return self.last(self.n)


def _starts_otherwise(self, x):
    cur = self.a(x) if self.mem is None else self.a(x) + self.b(self.mem)  # b has a bias
    self.mem = self.lif(cur)
    return self.mem


def _fed(self, x):
    self.lif(self.n if self.mem is not None else x)
    self.n = self.mem = self.last(self.a(x))
    return self.n


def _others(self, x):
    spk, mem = self.lif(self.a(x), self.mem)
    self.mem = mem * 0.5
    return spk


def _recorded(self, x):
    self.seen.append(self.lif(self.a(x)))
    return torch.stack(self.seen)


def _decides(self, x):
    spk = self.lif(self.a(x))
    if self.mem is not None and self.mem.sum() > 3:
        spk = spk * 2
    self.mem = spk
    return spk


@pytest.mark.parametrize(
    ("forward", "text"),
    [
        (_running_mean, "this snntorch.Leaky reads n, which an earlier call left there"),
        (_starts_otherwise, "enters this snntorch.Leaky is not the same in the first call of the forward as in later ones"),
        (_fed, "enters this snntorch.Leaky is not the same in the first call of the forward as in later ones"),
        (_others, "mem of this snntorch.Leaky comes from mem, in which the call before left something else"),
        (_recorded, "cannot be traced, where it finds what the first one left in seen"),
        (_decides, "finds what the first one left in mem: it takes an if or a while on a tensor's values"),
    ],
)  # fmt: skip
def test_states_outside_of_neurons_are_refused(forward, text):
    lif = leaky() if forward is _others else hidden()
    with pytest.raises(ImportModelError, match=re.escape(text)) as caught:
        from_torch(made(forward, lif=lif))
    assert caught.value.diagnostics[0].code == "E031"
    assert caught.value.diagnostics[0].hint


def _added(self, x):
    y = self.a(x)
    y.add_(x)
    return self.lif(y)


def _two_names(self, x):
    y = z = self.a(x)
    y += x
    return self.lif(y + z)


def _view(self, x):
    y = self.a(x)
    flat = y.view(-1, 4)
    y -= x
    return self.lif(self.b(flat))


def _out(self, x):
    y = self.a(x)
    torch.mul(x, 2, out=y)
    return self.lif(y)


def _layer(self, x):
    y = self.a(x)
    self.act(y)
    return self.lif(y)


def _own(self, x):
    self.weight.mul_(x)
    return self.lif(x * self.weight)


def _membrane(self, x):
    spk, mem = self.lif(self.a(x))
    mem.mul_(0.5)
    return spk


def _recurrent(self, x):
    spk = self.lif(self.a(x))
    spk *= 2
    return spk


def _layers_of(forward):
    if forward is _membrane:
        return {"lif": hidden(output=True)}
    if forward is _recurrent:
        return {"lif": snntorch.RLeaky(beta=0.8, linear_features=4, init_hidden=True)}
    return {"act": nn.ReLU(inplace=True), "weight": torch.ones(4)}


@pytest.mark.parametrize(
    ("forward", "name", "why"),
    [
        (_added, "add_", "which is used again afterwards"), (_two_names, "iadd", "which is used again afterwards"),
        (_view, "isub", "which is used again afterwards"), (_out, "mul", "which is used again afterwards"),
        (_layer, "act", "which is used again afterwards"), (_own, "mul_", "which every later call then finds changed"),
        (_membrane, "mul_", "which may be a state of lif"), (_recurrent, "imul", "which may be a state of lif"),
    ],
)  # fmt: skip
def test_changes_in_place_that_matter_are_refused(forward, name, why):
    with pytest.raises(ImportModelError, match=re.escape(f"changes a tensor in place ({name}), {why}")) as caught:
        from_torch(made(forward, **_layers_of(forward)))
    assert caught.value.diagnostics[0].code == "E023"


def test_changes_in_place_of_what_nobody_else_names():
    def forward(self, x):
        y = self.a(x)
        y += x
        y -= 0.25 * x
        y *= 1.5
        y /= 2
        z = self.b(self.lif(y)).add_(x)
        return self.last(z)

    same_spikes(made(forward))
