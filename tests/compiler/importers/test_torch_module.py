"""Containers, forwards and time loops: the same step, whatever way it was written."""

import re

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import prune
from torch_nets import edges, hidden, leaky, linears, net, same_spikes

from spikeport.compiler.importers.torch_module import from_torch, hooked
from spikeport.ir.diagnostics import ImportModelError, VerifyError
from spikeport.runtime.model import load


def test_paths_are_the_modules_own_names():
    block = nn.Sequential(nn.Linear(4, 4), nn.Sequential(nn.Identity(), hidden()))
    graph = from_torch(nn.Sequential(nn.Sequential(block), nn.Linear(4, 2), hidden()))
    assert [n.path for n in graph] == ["0.0.0", "0.0.1.1", "1", "2", "input", "output"]
    assert graph["0.0.1.1"].notes["origin"] == "snntorch.Leaky"


def test_a_single_layer_has_its_class_for_a_name():
    assert [n.path for n in from_torch(hidden(), (3,))] == ["input", "leaky", "output"]
    assert from_torch(nn.Linear(3, 2)).profile is None


def test_lists_and_dicts_of_modules():
    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        return self.heads["b"](x)

    module = net(forward, layers=nn.ModuleList([nn.Linear(4, 4), hidden()]), heads=nn.ModuleDict({"b": nn.Linear(4, 2)}))
    assert [n.path for n in from_torch(module)] == ["heads.b", "input", "layers.0", "layers.1", "output"]


def test_a_layer_that_is_used_twice_becomes_two():
    shared = linears("fc")["fc"]
    graph = same_spikes(nn.Sequential(shared, hidden(), shared, hidden()))
    assert edges(graph)["0_2", "3"] is None
    assert np.array_equal(graph["0"].op.weight, graph["0_2"].op.weight)


def test_input_named_like_a_layer():
    module = net(lambda self, x: self.output(self.input(x)), **linears("input"), output=hidden())
    assert [n.path for n in from_torch(module)] == ["input", "input_in", "output", "output_2"]


def test_layers_named_like_functions_keep_their_names():
    module = net(lambda self, x: self.lif(self.add(self.flatten(x + self.scale(x)))), flatten=nn.Flatten(), lif=hidden(),
                 **linears("add", "scale"))  # fmt: skip
    graph = from_torch(module)
    assert [n.path for n in graph] == ["add", "flatten", "input", "lif", "output", "scale"]
    twice = net(lambda self, x: self.add(self.add(x) * 2), **linears("add"), scale=nn.Identity())
    assert [n.path for n in from_torch(twice)] == ["add", "add_2", "input", "output", "scale_2"]


def test_residual_sums_keep_the_order_of_addition():
    def forward(self, x):
        a = self.lif1(self.a(x))
        b, c = self.b(a), self.c(a)
        return self.lif2(a + (b + c) - 0.5 * x)

    graph = same_spikes(net(forward, **linears("a", "b", "c"), lif1=hidden(), lif2=hidden(reset_mechanism="zero")))
    assert [e.source for e in graph.into("lif2")][:3] == ["b", "c", "lif1"]


def test_both_sums_of_a_sum():
    def forward(self, x):
        return self.lif((self.a(x) + self.b(x)) + (self.c(x) + x + x))

    same_spikes(net(forward, **linears("a", "b", "c"), lif=hidden()))


def test_concatenated_channels():
    def forward(self, x):
        joined = torch.cat([self.lif1(self.a(x)), self.b(x)], dim=1)
        return self.lif2(self.fc(torch.flatten(joined, 1)))

    torch.manual_seed(0)
    module = net(forward, a=nn.Conv2d(1, 2, 3), b=nn.Conv2d(1, 3, 3), lif1=hidden(threshold=0.2), fc=nn.Linear(80, 4),
                 lif2=hidden(threshold=0.2))  # fmt: skip
    same_spikes(module, (1, 6, 6))


def test_several_inputs_and_outputs():
    module = net(lambda self, left, right: (self.lif(self.a(left) + self.b(right)), self.b(right)),
                 a=nn.Linear(4, 3), b=nn.Linear(5, 3), lif=hidden())  # fmt: skip
    graph = from_torch(module)
    assert (graph.inputs, graph.outputs) == (("left", "right"), ("output_0", "output_1"))
    assert graph["right"].op.shape == (5,)
    with pytest.raises(ImportModelError, match=re.escape("input_shape names ['up'], the forward takes ['left', 'right']")):
        from_torch(module, {"up": (3,)})


def test_a_sample_gives_the_shape():
    module = nn.Sequential(nn.Conv2d(1, 2, 3), hidden())
    graph = from_torch(module, sample=torch.zeros(5, 1, 6, 6))
    assert graph["input"].op.shape == (1, 6, 6)
    assert from_torch(module, (1, 6, 6)).digest == graph.digest


def test_wrong_numbers_are_found_by_verification():
    with pytest.raises(VerifyError, match="E301 at 0"):
        from_torch(nn.Sequential(nn.Linear(3, 3), hidden(threshold=float("nan"))).apply(_spoil))


def _spoil(layer):
    if isinstance(layer, nn.Linear):
        layer.weight.data[0, 0] = float("nan")


def _if(self, x):
    return self.lif(self.a(x)) if x.sum() > 0 else x


def _swapped(self, x, mem):
    spk, mem = self.lif(self.a(x), mem)
    return self.lif2(self.b(spk), mem)[0]


REFUSED = {
    "if": (nn.Sequential(nn.Identity(), net(_if, **linears("a"), lif=hidden())), "E022", "1",
           "takes an if or a while on a tensor's values"),
    "function": (net(lambda self, x: self.lif(torch.sigmoid(self.a(x))), **linears("a"), lif=hidden()), "E023", "",
                 "calls sigmoid, which a spiking graph cannot say"),
    "product": (net(lambda self, x: self.lif(self.a(x) * x), **linears("a"), lif=hidden()), "E023", "",
                "a product of two signals is no weighted sum"),
    "constant": (net(lambda self, x: self.lif(self.a(x) + 1), **linears("a"), lif=hidden()), "E023", "",
                 "a constant is added"),
    "batch": (net(lambda self, x: self.lif(self.a(x[0])), **linears("a"), lif=hidden()), "E023", "x",
              "takes x[0] alone, outside a loop"),
    "view": (net(lambda self, x: self.lif(self.a(x).view(-1, 2)), **linears("a"), lif=hidden()), "E023", "",
             "only flattening all but batch and time"),
    "tuple": (nn.Sequential(nn.Linear(4, 4), leaky(), nn.Linear(4, 4)), "E026", "2",
              "is given all that 1 returns, (spikes, mem)"),
    "membrane": (net(lambda self, x, mem: self.b(self.lif(self.a(x), mem)[1]), **linears("a", "b"), lif=leaky()), "E026", "lif",
                 "only the membrane of this snntorch.Leaky is used, and it resets"),
    "both": (net(lambda self, x: self.b(self.lif(self.a(x))[1]) + self.lif.threshold * self.a(x), **linears("a", "b"),
                 lif=hidden()), "E023", "", "a part of a signal is taken by index"),
    "state": (net(_swapped, **linears("a", "b"), lif=leaky(), lif2=leaky()), "E026", "lif2",
              "mem of this snntorch.Leaky is not its own state of the step before"),
    "given": (net(lambda self, x, mem: self.lif(self.a(x), mem), **linears("a"), lif=hidden()), "E026", "lif",
              "has init_hidden=True and is given mem"),
    "shapes": (net(lambda self, x: self.lif(self.a(x) + self.c(x)), **linears("a"), c=nn.Linear(4, 3), lif=hidden()), "E027",
               "", "a sum of signals of the shapes (batch, 3), (batch, 4)"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_refused_with_path_and_reason(name):
    module, code, path, text = REFUSED[name]
    with pytest.raises(ImportModelError, match=re.escape(text)) as caught:
        from_torch(module)
    found = caught.value.diagnostics[0]
    assert (found.code, found.path) == (code, path)
    assert found.hint


def test_one_neuron_for_two_places_is_refused():
    shared = hidden()
    with pytest.raises(ImportModelError, match=re.escape("E025 at 1: this snntorch.Leaky is called 2 times")):
        from_torch(nn.Sequential(nn.Linear(3, 3), shared, nn.Linear(3, 3), shared))


def test_a_missing_input_shape_is_asked_for():
    with pytest.raises(ImportModelError, match=re.escape("give input_shape=(channels, height, width)")):
        from_torch(nn.Sequential(nn.Conv2d(1, 2, 3), hidden()))


class _Squares(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(4, 4)

    def forward(self, x):
        y = self.inner(x)
        return y * y


def test_class_and_line_of_the_forward_are_named():
    with pytest.raises(ImportModelError, match=r"_Squares \(line \d+ of test_torch_module\.py\) uses mul") as caught:
        from_torch(nn.Sequential(nn.Identity(), _Squares()))
    assert caught.value.diagnostics[0].path == "1"


def test_what_is_no_module_is_refused():
    with pytest.raises(ImportModelError, match=re.escape("from_torch takes a torch.nn.Module, not function")):
        from_torch(hidden)


def test_hooks_are_doubted():
    def recorder(module, arguments, result):
        return None

    net = nn.Sequential(nn.Linear(3, 3), hidden(), nn.Sequential(nn.Linear(3, 2), hidden()))
    assert hooked(net) == ()
    net[0].register_forward_hook(recorder)
    net[2].register_forward_hook(recorder)  # a container's is traced with its forward
    net[2][1].register_forward_pre_hook(lambda module, arguments: None)
    prune.identity(net[2][0], "weight")
    found = hooked(net)
    assert [(d.code, d.path, d.severity) for d in found] == [("E029", "0", "warning"), ("E029", "2.1", "warning")]
    assert "this torch.nn.Linear has forward hooks (test_hooks_are_doubted.<locals>.recorder)" in found[0].message
    assert load(net).diagnostics == found
