"""Layers of libraries without an importer: refused by name, all at once, without importing the library."""

import sys

import pytest
import torch
from torch import nn
from torch_nets import hidden

from spikeport.compiler.importers.foreign import EXPORTERS, foreign_layers
from spikeport.compiler.importers.torch_module import from_torch
from spikeport.ir.diagnostics import ImportModelError
from spikeport.ir.profiles import parse_profile


def layer(module, *parents, name="LIF", children=()):
    """Return a layer whose class says that it is of *module*; it cannot be traced."""

    def forward(self, x):
        return x if x.sum() > 0 else (x, None)

    made = type(name, parents or (nn.Module,), {"forward": forward, "__module__": module})()
    for path, child in children:
        made.add_module(path, child)
    return made


@pytest.mark.parametrize("library", EXPORTERS)
def test_refused_by_name_with_the_way_out(library):
    net = nn.Sequential(nn.Linear(3, 3), layer(f"{library}.layers.lif"), nn.Sequential(nn.ReLU(), layer(library, name="IF")))
    before = set(sys.modules)
    with pytest.raises(ImportModelError) as caught:
        from_torch(net)
    assert [(d.code, d.path) for d in caught.value.diagnostics] == [("E030", "1"), ("E030", "2.1")]
    first = caught.value.diagnostics[0]
    assert first.message == f"importing {library} modules is not built yet, and this layer is one: {library}.layers.lif.LIF"
    exporter, profile = EXPORTERS[library]
    assert first.hint == f"write the network to a .nir with {exporter}, and give that file --profile {profile}"
    assert parse_profile(profile).name == library
    assert not [m for m in set(sys.modules) - before if m.partition(".")[0] == library]


def test_a_single_layer():
    with pytest.raises(ImportModelError, match="E030: importing norse modules"):
        from_torch(layer("norse.torch.module.lif"))


def test_a_class_of_ones_own_that_derives_from_a_library():
    base = type(layer("sinabs.layers"))
    (found,) = foreign_layers(nn.Sequential(layer("mine.net", base, name="My")))
    assert found.message.endswith("this layer is one: mine.net.My, derived from sinabs")


def test_what_is_inside_a_layer_is_part_of_it_and_containers_are_not_layers():
    surrogate, recurrent = layer("spikingjelly.surrogate", name="Sigmoid"), nn.Linear(3, 3)
    neuron = layer("spikingjelly.neuron", children=[("surrogate", surrogate), ("again", layer("spikingjelly.neuron"))])
    looped = layer("spikingjelly.neuron", name="Looped", children=[("rec", recurrent)])
    whole = layer("spikingjelly.base", name="Net", children=[("fc", nn.Linear(3, 3)), ("a", neuron), ("b", looped)])
    assert [d.path for d in foreign_layers(whole)] == ["a", "b"]


def test_snntorch_is_not_foreign():
    assert foreign_layers(nn.Sequential(nn.Linear(3, 3), hidden())) == []


@pytest.mark.parametrize("library", ["sinabs", "norse"])
def test_the_libraries_themselves(library):
    if library == "sinabs":
        sl = pytest.importorskip("sinabs.layers")
        neurons = [sl.IAF(), sl.LIF(tau_mem=10.0), sl.LIFRecurrent(tau_mem=10.0, rec_connect=nn.Linear(3, 3))]
        whole = pytest.importorskip("sinabs").Network(nn.Sequential(nn.Linear(3, 3), *neurons))
    else:
        norse = pytest.importorskip("norse.torch")
        neurons = [norse.LIFCell(), norse.LIFBoxCell(), norse.LIFRecurrentCell(3, 3)]
        whole = norse.SequentialState(nn.Linear(3, 3), *neurons)
    for net in (nn.Sequential(nn.Linear(3, 3), *neurons), whole):
        with pytest.raises(ImportModelError) as caught:
            from_torch(net, sample=torch.zeros(1, 3))
        assert [(d.code, d.path.split(".")[-1]) for d in caught.value.diagnostics] == [("E030", i) for i in "123"]
