"""Forwards that an importer may misread: small nets of all libraries, and the check that none imports with other spikes."""

import re
from collections import deque
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
import sinabs.layers
import snntorch
import torch
from norse.torch import LIF, LIFCell
from spikingjelly.activation_based import neuron
from torch import fx, nn
from torch_runs import NEURONS, run_graph

from spikeport.compiler.importers.torch_module import import_module
from spikeport.ir.diagnostics import ImportModelError

STEPS = 45


def linear(inputs, outputs, scale=3.0, bias=True):
    """Return a Linear whose weights make neurons fire."""
    made = nn.Linear(inputs, outputs, bias=bias)
    with torch.no_grad():
        made.weight.mul_(scale)
    return made


class Parts(nn.Module):
    """Layers and neurons of all libraries; a forward uses those of one."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.fc, self.fc2, self.back = linear(8, 6), linear(6, 6), linear(6, 6, 2.0, bias=False)
        self.strong = linear(8, 6, 60.0)  # what a neuron of Norse needs to fire
        self.leaky, self.lif = snntorch.Leaky(beta=0.9), snntorch.Leaky(beta=0.9, init_hidden=True)
        self.jelly, self.jelly_m = neuron.LIFNode(), neuron.IFNode(step_mode="m")
        self.cell, self.norse = LIFCell(), LIF()
        self.iaf, self.squeezed = sinabs.layers.IAF(), sinabs.layers.IAFSqueeze(batch_size=2)
        self.recurrent = sinabs.layers.IAFRecurrent(rec_connect=nn.Linear(6, 6))
        self.last, self.older, self.calls = None, None, 0


@dataclass(frozen=True)
class Trap:
    """A forward that may be misread.

    It takes one "step", or all of them with "time" or "batch" first. A refusal says *says*, a regular expression.
    """

    forward: Any
    takes: str
    says: str = ""
    setup: Any = None
    given: dict = field(default_factory=lambda: {"input_shape": (8,)})

    def build(self):
        """Return the module, the same in each call, in eval mode unless the setup says otherwise."""
        made = type("Net", (Parts,), {"forward": self.forward})().eval()
        if self.setup is not None:
            self.setup(made)
        return made

    def sample(self, x):
        """Return *x* (samples, steps, ...) as import_module takes it for this forward."""
        values = torch.as_tensor(x)
        if self.takes == "step":
            return {"sample": values, "time_axis": 1}
        return {"sample": values if self.takes == "batch" else values.transpose(0, 1)}


def enter(table, takes, says, setup=None):
    """Return a decorator that puts a forward into *table* under its own name."""

    def put(forward):
        table[forward.__name__.replace("_", " ")] = Trap(forward, takes, says, setup)
        return forward

    return put


def binary_input(*shape, samples=2, steps=STEPS):
    """Return float32 spikes, (samples, steps, *shape)."""
    return (np.random.default_rng(3).random((samples, steps, *shape)) < 0.4).astype(np.float32)


def own_outputs(module, x, takes):
    """Run *module* itself, from rest and in float64; return its outputs, each (samples, steps, ...) if it has steps."""
    module.double().eval()
    # Not on every leaf: SpikingJelly's neurons share one surrogate, which a hook would not leave.
    takers = [m for m in module.modules() if isinstance(m, (nn.Linear, neuron.BaseNode, *NEURONS))]
    hooks = [m.register_forward_pre_hook(_in_float64) for m in takers]
    values = torch.as_tensor(x).double()
    with torch.no_grad():
        if takes == "step":
            calls = [_tensors(module(values[:, t])) for t in range(len(x[0]))]
            made = [torch.stack(parts, 1) for parts in zip(*calls, strict=True)]
        else:
            made = _tensors(module(values if takes == "batch" else values.transpose(0, 1)))
    for hook in hooks:
        hook.remove()
    return [(v.swapaxes(0, 1) if v.shape[:2] == x.shape[1::-1] else v) for v in (v.double().numpy().copy() for v in made)]


def _in_float64(_, args):
    # A surrogate gives float32 spikes, whatever the membrane's type.
    return tuple(a.double() if torch.is_tensor(a) and a.is_floating_point() else a for a in args)


def _tensors(result):
    if isinstance(result, list):
        return [torch.stack(result)]  # one list of the spikes of all steps
    return list(result) if isinstance(result, tuple) else [result]


def assert_same_outputs(graph, module, x, takes):
    """Assert that *graph* gives what *module*, which this changes, gives in float64, and that something fires."""
    theirs = own_outputs(module, x, takes)
    trace = run_graph(graph, x)
    ours = [trace.out[name] for name in graph.outputs]
    assert [v.shape for v in ours] == [v.shape for v in theirs]
    for own, their in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(own, their)
        assert their.any(), "nothing fires, so nothing was checked"


def assert_refusal(error, says=""):
    """Assert that every finding of *error* has a code of an import and a way out, and that one says what happens."""
    for found in error.diagnostics:
        assert re.fullmatch(r"E0[23]\d", found.code), found
        assert found.message, found
        assert found.hint, found
    assert any(re.search(says, found.message) for found in error.diagnostics), str(error)


def assert_refused_or_exact(trap, x):
    """Assert that *trap* is refused, or imports with its own spikes; in either case the module is left as it was."""
    module = trap.build()
    with left_as_it_was(module):
        try:
            graph, _ = import_module(module, **trap.given)
        except ImportModelError as error:
            assert_refusal(error, trap.says)
            return
    assert_same_outputs(graph, trap.build(), x, trap.takes)


class left_as_it_was:  # noqa: N801 # a context manager, named as it reads
    """Assert that an import changes nothing in a module, whether it succeeds or not."""

    def __init__(self, module):
        self.module = module

    def __enter__(self):
        self.tensors = {name: (tensor, tensor.clone()) for name, tensor in _named_tensors(self.module).items()}
        self.plain = _plain(self.module)

    def __exit__(self, kind, error, trace):
        if kind is not None:
            return
        now = _named_tensors(self.module)
        assert now.keys() == self.tensors.keys()
        for name, (tensor, values) in self.tensors.items():
            assert now[name] is tensor, f"{name} is another tensor"
            assert tensor.is_meta or torch.equal(tensor, values), f"{name} has other values"
        assert _plain(self.module) == self.plain
        for path, part in self.module.named_modules():
            assert not _holds_proxy(vars(part)), f"a torch.fx proxy is left in {path or 'the module'}"


def _named_tensors(module):
    return dict((*module.named_parameters(), *module.named_buffers()))


def _plain(module):
    """Return all attributes that are plain values, training flags among them, by path."""
    kinds = (bool, int, float, str, type(None))
    return {(p, n): v for p, m in module.named_modules() for n, v in vars(m).items() if isinstance(v, kinds)}


def _holds_proxy(value):
    """Whether a torch.fx proxy is in *value*, or in the containers that it holds."""
    if isinstance(value, SimpleNamespace):
        value = vars(value)
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (list, tuple, set, deque)):
        return any(map(_holds_proxy, value))
    return isinstance(value, fx.Proxy)
