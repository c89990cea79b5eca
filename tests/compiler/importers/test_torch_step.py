"""Forwards of one step and of a loop over time: both are one step, with delays where a spike comes from an earlier one."""

import re

import numpy as np
import pytest
import snntorch
import torch
from random_snn import random_input
from snntorch import utils
from torch_nets import edges, hidden, leaky, linears, net, same_spikes
from torch_runs import run_graph, run_torch

from spikeport.compiler.importers.torch_module import from_torch, import_module
from spikeport.ir.diagnostics import ImportModelError


def _step(self, x, mem1, spk2, mem2):
    spk1, mem1 = self.lif1(self.a(x), mem1)
    spk2, mem2 = self.lif2(self.b(spk1), spk2, mem2)
    return spk2, mem1, mem2


def test_a_step_with_states_handed_on():
    layers = linears("a", "b")
    module = net(_step, **layers, lif1=leaky(), lif2=snntorch.RLeaky(beta=0.7, linear_features=4))
    hid = net(lambda self, x: self.lif2(self.b(self.lif1(self.a(x)))), **layers, lif1=hidden(),
              lif2=snntorch.RLeaky(beta=0.7, linear_features=4, init_hidden=True))  # fmt: skip
    hid.lif2.load_state_dict(module.lif2.state_dict())
    assert edges(from_torch(module)) == edges(from_torch(hid))
    assert str(from_torch(module).profile) == str(from_torch(hid).profile)
    same_spikes(hid)


def _loop(self, x):
    spk1, mem1 = self.lif1.init_rleaky()
    syn2, mem2 = self.lif2.init_synaptic()
    spikes, membranes = [], []
    for step in range(x.size(0)):
        spk1, mem1 = self.lif1(self.a(x[step]), spk1, mem1)
        spk2, syn2, mem2 = self.lif2(self.b(spk1), syn2, mem2)
        spikes.append(spk2)
        membranes.append(mem2)
    return torch.stack(spikes, dim=0), torch.stack(membranes, dim=0)


def test_the_usual_loop_over_time():
    module = net(_loop, **linears("a", "b"), lif1=snntorch.RLeaky(beta=0.7, threshold=0.5, linear_features=4),
                 lif2=snntorch.Synaptic(alpha=0.5, beta=0.7))  # fmt: skip
    graph = same_spikes(module, loop=True)
    assert graph.outputs == ("output",)
    assert [e.source for e in graph.into("output")] == ["lif2"]


def test_a_loop_over_a_constant_number_of_steps_and_a_static_input():
    def forward(self, x):
        mem = self.lif.reset_mem()
        current, spikes = self.a(x), []
        for _ in range(25):
            spk, mem = self.lif(current, mem)
            spikes.append(spk)
        return torch.stack(spikes)

    graph = from_torch(net(forward, **linears("a"), lif=leaky()))
    assert set(edges(graph)) == {("input", "a"), ("a", "lif"), ("lif", "output")}


def test_a_loop_over_the_steps_themselves():
    module = net(lambda self, xs: [self.lif(self.a(x)) for x in xs], **linears("a"), lif=hidden())
    same_spikes(module, loop=True)


def test_recurrence_written_by_hand_is_an_edge_with_a_delay():
    def forward(self, x):
        utils.reset(self)
        mem1, mem2 = self.lif1.init_leaky(), self.lif2.init_leaky()
        spk2, spikes = torch.zeros(x.size(1), 4), []
        for step in range(x.shape[0]):
            spk1, mem1 = self.lif1(self.a(x[step]) + self.back(spk2), mem1)
            spk2, mem2 = self.lif2(self.b(spk1), mem2)
            spikes.append(spk2)
        return torch.stack(spikes)

    module = net(forward, **linears("a", "b", "back"), lif1=leaky(reset_mechanism="zero"), lif2=leaky())
    graph = same_spikes(module, loop=True)
    assert edges(graph)["lif2", "back"] == 1
    # In a loop the profile would take lif1 for an RLeaky, whose reset drops the input of its step.
    assert graph.profile.at("lif1", "LIF").reset_when == "next_step_keep_input"


def test_a_membrane_that_never_resets_is_an_integrator():
    module = net(lambda self, x, mem: self.lif(self.a(x), mem)[1], **linears("a"), lif=leaky(reset_mechanism="none"))
    graph = from_torch(module)
    assert graph["lif"].op.kind == "LI"
    x = random_input((4,), 3)
    ours = run_graph(graph, x).out["output"]
    theirs = run_torch(module_with_state(module), x).tested["lif"]
    np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-12)


def module_with_state(module):
    """Return the same layers as a step that hides its state."""
    return net(lambda self, x: self.lif(self.a(x)), a=module.a, lif=module.lif)


def test_the_module_is_left_as_it_was():
    module = net(_loop, **linears("a", "b"), lif1=snntorch.RLeaky(beta=0.7, linear_features=4),
                 lif2=snntorch.Synaptic(alpha=0.5, beta=0.7))  # fmt: skip
    module(torch.rand(3, 2, 4))
    held = dict(module.named_buffers())
    names = set(module.__dict__)
    zeros = torch.zeros
    from_torch(module)
    assert all(dict(module.named_buffers())[name] is buffer for name, buffer in held.items())
    assert set(module.__dict__) == names
    assert torch.zeros is zeros


def _total(self, x):
    mem, total = self.lif.init_leaky(), 0
    for _ in range(4):
        spk, mem = self.lif(self.a(x), mem)
        total = total + spk
    return total / 4


def _mean(self, x):
    mem, spikes = self.lif.init_leaky(), []
    for t in range(x.shape[0]):
        spk, mem = self.lif(self.a(x[t]), mem)
        spikes.append(spk)
    return torch.stack(spikes).mean(0)


@pytest.mark.parametrize(
    ("forward", "text"), [(_total, "sum over all steps, times a constant"), (_mean, "mean over all steps")]
)
def test_a_readout_over_time_is_left_to_the_reader_of_the_result(forward, text):
    module = net(forward, **linears("a"), lif=leaky())
    x = torch.tensor(random_input((4,), 2, samples=3, steps=9))
    graph, found = import_module(module, sample=x[:, 0] if forward is _total else x.transpose(0, 1))
    assert [e.source for e in graph.into("output")] == ["lif"]
    assert [(d.code, d.severity) for d in found] == [("E036", "note")]
    assert f"the forward returns the {text}; the graph gives the spikes of every step" in found[0].message


def _weighted(self, x):
    mem, total = self.lif.init_leaky(), 0
    for step in range(4):
        spk, mem = self.lif(self.a(x), mem)
        total = total + 0.5**step * spk
    return total


def _uneven(self, x):
    mem, spikes = self.lif.init_leaky(), []
    for step in range(4):
        spk, mem = self.lif(self.a(x) if step % 2 else self.b(x), mem)
        spikes.append(spk)
    return torch.stack(spikes)


REFUSED = {
    "total": (net(_weighted, **linears("a"), lif=leaky()), "E025", "", "computed from several steps of its loop"),
    "uneven": (net(_uneven, **linears("a", "b"), lif=leaky()), "E025", "lif", "call 1 gets something else than the last"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_refused_with_path_and_reason(name):
    module, code, path, text = REFUSED[name]
    with pytest.raises(ImportModelError, match=re.escape(text)) as caught:
        from_torch(module)
    assert (caught.value.diagnostics[0].code, caught.value.diagnostics[0].path) == (code, path)
