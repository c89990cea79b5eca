"""Forwards and wrappers as many write them, which must import exactly; and arguments that must be refused in our words."""

import time

import numpy as np
import pytest
import snntorch
import torch
from spikingjelly.activation_based import neuron
from torch import nn
from torch_traps import Trap, assert_refusal, assert_same_outputs, binary_input, enter, left_as_it_was, linear

from spikeport.compiler.importers.torch_module import import_module
from spikeport.ir.diagnostics import ImportModelError

FORMS = {}


@enter(FORMS, "batch", "")
def spikes_stacked_along_axis_1(self, x):
    mem, spikes = self.leaky.init_leaky(), []
    for t in range(x.size(1)):
        spk, mem = self.leaky(self.fc(x[:, t]), mem)
        spikes.append(spk)
    return torch.stack(spikes, dim=1)


@enter(FORMS, "batch", "")
def a_permuted_input(self, x):
    x = x.permute(1, 0, 2)
    mem, spikes = self.leaky.init_leaky(), []
    for t in range(x.shape[0]):
        spk, mem = self.leaky(self.fc(x[t]), mem)
        spikes.append(spk)
    return torch.stack(spikes)


@enter(FORMS, "time", "")
def a_layer_on_the_whole_sequence(self, x):
    currents = self.fc(x)
    mem, spikes = self.leaky.init_leaky(), []
    for t in range(currents.shape[0]):
        spk, mem = self.leaky(currents[t], mem)
        spikes.append(spk)
    return torch.stack(spikes)


@enter(FORMS, "time", "")
def steps_of_unbind(self, x):
    self.lif.reset_mem()
    return torch.stack([self.lif(self.fc(step)) for step in x.unbind(0)])


@enter(FORMS, "time", "")
def sizes_taken_apart(self, x):
    steps, samples = x.shape[:2]
    mem, spikes = torch.zeros(samples, 6), []
    for t in range(steps):
        spk, mem = self.leaky(self.fc(x[t]), mem)
        spikes.append(spk)
    return torch.stack(spikes)


@enter(FORMS, "batch", "")
def all_sizes_taken_apart(self, x):
    _, steps, _ = x.shape
    self.lif.reset_mem()
    return torch.stack([self.lif(self.fc(x[:, t, :])) for t in range(steps)], 1)


@enter(FORMS, "batch", "")
def spikes_written_into_a_tensor(self, x):
    self.lif.reset_mem()
    out = torch.zeros(x.shape[0], x.shape[1], 6)
    for t in range(x.shape[1]):
        out[:, t] = self.lif(self.fc(x[:, t]))
    return out


@enter(FORMS, "batch", "")
def steps_of_a_transposed_input(self, x):
    self.lif.reset_mem()
    out = torch.zeros(x.shape[1], x.shape[0], 6)
    for t, step in enumerate(x.transpose(0, 1)):
        out[t] = self.lif(self.fc(step))
    return out


@enter(FORMS, "time", "")
def spikes_joined_by_cat(self, x):
    self.lif.reset_mem()
    return torch.cat([self.lif(self.fc(step)).unsqueeze(0) for step in x])


@enter(FORMS, "batch", "")
def a_permuted_result(self, x):
    self.lif.reset_mem()
    return torch.stack([self.lif(self.fc(x[:, t])) for t in range(x.shape[1])]).permute(1, 0, 2)


@enter(FORMS, "step", "")
def a_flag_that_is_off(self, x, return_mem=False):
    spk = self.lif(self.fc(x))
    if return_mem:
        return spk, self.lif.mem
    return spk


@enter(FORMS, "step", "")
def spikes_kept_for_the_next_step(self, x):
    current = self.fc(x)
    if self.last is not None:
        current = current + self.back(self.last)
    self.last = self.lif(current)
    return self.last


@enter(FORMS, "step", "")
def a_membrane_kept_for_the_next_step(self, x):
    spk, self.last = self.leaky(self.fc(x), torch.zeros(2, 6) if self.last is None else self.last)
    return spk


class _Orthogonal(nn.Linear):
    def __init__(self, inputs, outputs):
        super().__init__(inputs, outputs)
        nn.init.orthogonal_(self.weight, gain=3.0)


def _hidden(self, x):
    return self.lif(self.fc(x))


FORMS |= {
    "a Linear with its own init": Trap(_hidden, "step", setup=lambda net: setattr(net, "fc", _Orthogonal(8, 6))),
    "weight_norm": Trap(_hidden, "step", setup=lambda net: nn.utils.parametrizations.weight_norm(net.fc)),
}


@pytest.mark.parametrize("has_sample", [False, True], ids=["", "sampled"])
@pytest.mark.parametrize("name", FORMS)
def test_a_common_form_imports_exactly(name, has_sample):
    form, x = FORMS[name], binary_input(8)
    module = form.build()
    with left_as_it_was(module):
        graph, found = import_module(module, **(form.sample(x) if has_sample else {}))
    assert not found
    assert_same_outputs(graph, form.build(), x, form.takes)


# torch.compile only wraps: nothing is compiled before the first call.
@pytest.mark.filterwarnings("ignore:.torch.jit.script_method. is deprecated:DeprecationWarning")
@pytest.mark.parametrize("wrap", [torch.compile, nn.DataParallel])
def test_a_wrapper_is_taken_off(wrap):
    trap = Trap(_hidden, "step")
    graph, _ = import_module(wrap(trap.build()))
    assert {"fc", "lif"} <= {node.path for node in graph}
    assert_same_outputs(graph, trap.build(), binary_input(8), "step")


def test_sums_of_sums_do_not_take_exponential_time():
    def forward(self, x):
        value = self.fc2(self.fc(x))
        for layer in self.deep:
            value = value + layer(value)
        return self.lif(value)

    trap = Trap(forward, "step", setup=lambda net: setattr(net, "deep", nn.ModuleList(linear(6, 6, 0.2) for _ in range(24))))
    start = time.process_time()
    graph, _ = import_module(trap.build())
    assert time.process_time() - start < 2.0
    assert len([n for n in graph if n.path.startswith("deep")]) == 24


# What once left as an exception of Python or PyTorch.


def _dense():
    return nn.Sequential(linear(8, 6), snntorch.Leaky(beta=0.9, init_hidden=True))


def _conv():
    return nn.Sequential(nn.Conv2d(1, 2, 3), snntorch.Leaky(beta=0.9, init_hidden=True))


def _loop():
    return FORMS["steps of unbind"].build()


class _Two(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = linear(8, 6), linear(5, 6)
        self.left, self.right = neuron.IFNode(), neuron.IFNode()

    def forward(self, x, y):
        return self.left(self.a(x) + self.b(y)), self.right(self.b(y))


SHAPES = [8, (8, 8), (1, 8, 8, 8), (3, 8, 8), (1, 2, 2), (1, 0, 0), (1, -8, 8), (1, 8.5, 8), (), "1,8,8", {"x": (1, 8, 8)},
          {"input": "1,8,8"}, [[1], [8], [8]], slice(8)]  # fmt: skip
SAMPLES = {
    "text": "a", "a number": 3.0, "an object": object(), "text in a dict": {"input": "a"},
    "another name": {"y": np.zeros((2, 8))}, "another width": np.zeros((2, 7)), "no batch": np.zeros(8),
    "no samples": np.zeros((0, 8)), "NaN": np.full((2, 8), np.nan),
    "infinity": np.full((2, 8), np.inf), "complex": np.zeros((2, 8), complex), "objects": np.full((2, 8), None),
    "texts": np.full((2, 8), "a"), "a ragged list": [[0.0] * 8, [0.0] * 7], "a model": nn.Linear(8, 8),
}  # fmt: skip
STEPS = torch.ones(2, 5, 8)
TWO = {"x": torch.ones(2, 7, 8), "y": torch.ones(2, 7, 5)}
ARGUMENTS = {
    "a sample on the meta device": (_dense, {"sample": torch.ones(2, 8, device="meta")}),
    "a shape that is too narrow": (_dense, {"input_shape": (7,)}),
    "time_axis beyond the sample": (_dense, {"sample": STEPS, "time_axis": 5}),
    "time_axis before the sample": (_dense, {"sample": STEPS, "time_axis": -4}),
    "time_axis as text": (_dense, {"sample": STEPS, "time_axis": "1"}),
    "time_axis as a fraction": (_dense, {"sample": STEPS, "time_axis": 1.5}),
    "time_axis without a sample": (_dense, {"time_axis": 1}),
    "another time_axis than a loop's": (_loop, {"sample": STEPS, "time_axis": 1}),
    "one sample for two inputs": (_Two, {"sample": torch.ones(2, 8)}),
    "samples in a tuple": (_Two, {"sample": (torch.ones(2, 8), torch.ones(2, 5))}),
    "one of two samples": (_Two, {"sample": {"x": torch.ones(2, 8)}}),
    "samples of different batches": (_Two, {"sample": {"x": torch.ones(2, 8), "y": torch.ones(3, 5)}}),
    "samples of different lengths": (_Two, {"sample": TWO | {"y": torch.ones(2, 9, 5)}, "time_axis": 1}),
    "shapes in a tuple": (_Two, {"input_shape": ((8,), (5,))}),
    "a meta module of snnTorch": (lambda: _dense().to("meta"), {}),
    "a meta module of SpikingJelly": (lambda: _Two().to("meta"), {}),
    "a lazy layer": (lambda: nn.Sequential(nn.LazyLinear(6), neuron.IFNode()), {"input_shape": (8,)}),
    **{f"the input shape {shape!r}"[:50]: (_conv, {"input_shape": shape}) for shape in SHAPES},
    **{f"a sample that is {name}": (_dense, {"sample": sample}) for name, sample in SAMPLES.items()},
}


@pytest.mark.parametrize("name", ARGUMENTS)
def test_bad_arguments_are_refused_in_our_words(name):
    build, given = ARGUMENTS[name]
    with pytest.raises(ImportModelError) as caught:
        import_module(build(), **given)
    assert_refusal(caught.value)


GOOD = {
    "integers": {"sample": np.ones((2, 8), int)},
    "truth values": {"sample": np.ones((2, 8), bool)},
    "with gradients": {"sample": torch.ones(2, 8, requires_grad=True)},
    "doubles": {"sample": torch.ones(2, 8).double()},
    "a time axis counted from the end": {"sample": STEPS, "time_axis": -2},
    "a shape as an integer": {"input_shape": 8},
    "a shape of NumPy's integers": {"input_shape": tuple(np.array([8]))},
    "a torch.Size": {"input_shape": torch.Size([8])},
}


@pytest.mark.parametrize("name", GOOD)
def test_good_arguments_are_taken(name):
    graph, _ = import_module(_dense(), **GOOD[name])
    assert [n.path for n in graph] == ["0", "1", "input", "output"]
