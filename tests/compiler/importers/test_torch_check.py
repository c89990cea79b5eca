"""The check of an import on a sample: silent where it is right, and otherwise the first place where the two part."""

import numpy as np
import pytest
import snntorch
import torch
from random_snn import random_input, random_module
from spikingjelly.activation_based import neuron
from torch import nn
from torch_nets import hidden, leaky, linears, net

from spikeport.compiler.importers.torch_check import HELD_STEPS
from spikeport.compiler.importers.torch_module import from_torch, import_module
from spikeport.ir.diagnostics import ImportModelError
from spikeport.ir.ops import Input


def _step(self, x, mem1, spk2, mem2):
    spk1, mem1 = self.lif1(self.a(x), mem1)
    spk2, mem2 = self.lif2(self.b(spk1), spk2, mem2)
    return spk2, (mem1, mem2)


def _default(self, x, state=None):
    mem = None if state is None else state[0]
    spk, mem = self.lif1(self.a(x), mem)
    return self.b(spk), [mem]


def _loop(self, x):
    mem, spikes = self.lif1.init_leaky(), []
    for t in range(x.size(1)):
        spk, mem = self.lif1(self.a(x[:, t]), mem)
        spikes.append(spk)
    return torch.stack(spikes)


MODULES = {
    "hidden": (nn.Sequential(nn.Linear(4, 4), hidden()), 2),
    "step": (net(_step, **linears("a", "b"), lif1=leaky(), lif2=snntorch.RLeaky(beta=0.7, linear_features=4)), 2),
    "default": (net(_default, **linears("a", "b"), lif1=leaky()), 2),
    "loop": (net(_loop, **linears("a"), lif1=leaky()), 3),
}


@pytest.mark.parametrize("name", MODULES)
def test_a_right_import_passes_in_silence(name):
    module, axes = MODULES[name]
    x = torch.tensor(random_input((4,), 1, samples=3, steps=HELD_STEPS))
    before = {k: v.clone() for k, v in module.state_dict().items()}
    graph, found = import_module(module, sample=x[:, 0] if axes == 2 else x)
    assert found == ()
    assert next(n.op.shape for n in graph if isinstance(n.op, Input)) == (4,)
    assert all(torch.equal(v, before[k]) for k, v in module.state_dict().items())
    if axes == 2:
        assert import_module(module, sample=x, time_axis=1)[1] == ()


@pytest.mark.parametrize("family", ["dense", "convolutional", "residual"])
def test_random_modules(family):
    for seed in range(3):
        module, shape = random_module(family, seed)
        x = random_input(shape, seed, steps=20)
        assert import_module(module, sample=x, time_axis=1)[1] == ()


def test_a_module_that_ran_before_is_checked_from_rest_and_left_as_it_was():
    module = nn.Sequential(nn.Linear(4, 4), hidden())
    for _ in range(3):
        module(torch.ones(2, 4))
    mem = module[1].mem
    assert mem.grad_fn is not None
    assert mem.abs().max() > 0.1  # to start from here would give other spikes
    assert import_module(module, sample=torch.ones(2, 4))[1] == ()
    assert module[1].mem is mem


def test_what_the_layers_do_not_show_is_found():
    module = nn.Sequential(nn.Linear(4, 3), hidden(), nn.Linear(3, 3), hidden())
    torch.nn.init.constant_(module[0].weight, 1.0)
    module[1].register_forward_hook(lambda m, args, out: out * (args[0].sum() > 0))  # as a user's own code might
    calls = []

    def count(m, args, out):
        calls.append(1)
        return out + 1 if len(calls) == 6 else out

    module[1].register_forward_hook(count)
    with pytest.raises(ImportModelError) as caught:
        from_torch(module, sample=torch.ones(2, 4))
    (finding,) = caught.value.diagnostics
    assert (finding.code, finding.path) == ("E034", "1")
    assert finding.facts["step"] == 5
    assert "this snntorch.Leaky and its import part in step 5 of sample 0, neuron (0,): the module gives" in finding.message


def test_a_tie_is_a_warning():
    # 0.1 + 0.2 + 0.3 is 0.6 or a bit above, by the order of the sum: a hook stands for the other order.
    module = nn.Sequential(nn.Linear(3, 1, bias=False), snntorch.Leaky(beta=0.0, threshold=0.6, init_hidden=True))
    module[0].weight.data = torch.tensor([[0.1, 0.2, 0.3]], dtype=torch.float64)
    module[1].threshold = torch.tensor(0.6, dtype=torch.float64)
    module[0].register_forward_hook(lambda m, args, out: (out + 1e-16) - 3e-16)
    theirs = module[0](torch.ones(1, 3, dtype=torch.float64)).item()
    assert (theirs > 0.6) != (0.1 + 0.2 + 0.3 > 0.6)
    graph, found = import_module(module, sample=np.ones((1, 3)))
    assert [(d.code, d.severity, d.path) for d in found] == [("E029", "warning", "0"), ("E035", "warning", "1")]
    assert "a tie, the membrane is on the threshold" in found[1].message
    assert "1" in graph


def test_a_sample_that_the_module_does_not_take():
    module = nn.Sequential(nn.Conv2d(2, 3, 3), hidden())
    with pytest.raises(ImportModelError) as caught:
        import_module(module, (2, 6, 6), torch.ones(1, 3, 6, 6))
    assert caught.value.diagnostics[0].code == "E033"
    assert "cannot run on this sample" in caught.value.diagnostics[0].message


def test_a_forward_that_does_not_return_its_state():
    module = net(lambda self, x, mem: self.lif(self.a(x), mem)[0], **linears("a"), lif=leaky())
    with pytest.raises(ImportModelError, match="takes the state 'mem', and what it returns holds no such state"):
        from_torch(module, sample=torch.ones(2, 4))


def test_a_neuron_that_starts_anew_in_every_call_is_refused():
    def forward(self, x):
        return self.lif(self.a(x), self.lif.init_leaky())[0]

    with pytest.raises(ImportModelError, match="starts from zeros in every call"):
        from_torch(net(forward, **linears("a"), lif=leaky()))


def test_single_precision_that_decides_is_said():
    # Sums of ninths meet the threshold of 1 within rounding, which the two precisions do otherwise.
    module = nn.Sequential(nn.AvgPool2d(3, 2, 1), neuron.IFNode(v_reset=None), nn.Flatten(), nn.Linear(9, 2))
    x = (np.random.default_rng(0).random((2, 60, 1, 5, 5)) < 0.5).astype(np.float32)
    _, found = import_module(module, sample=x, time_axis=1)
    (note,) = [d for d in found if d.code == "E038"]
    assert (note.severity, note.path) == ("note", "1")
    assert note.facts["differing"] > 0
