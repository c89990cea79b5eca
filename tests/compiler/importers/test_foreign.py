"""Layers of libraries without an importer: refused by name, all at once, without importing the library."""

import sys

import pytest
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
    with pytest.raises(ImportModelError, match="E030: importing rockpool modules"):
        from_torch(layer("rockpool.nn.modules.lif"))


def test_a_class_of_ones_own_that_derives_from_a_library():
    base = type(layer("rockpool.nn"))
    (found,) = foreign_layers(nn.Sequential(layer("mine.net", base, name="My")))
    assert found.message.endswith("this layer is one: mine.net.My, derived from rockpool")


def test_what_is_inside_a_layer_is_part_of_it_and_containers_are_not_layers():
    surrogate, recurrent = layer("rockpool.surrogate", name="Sigmoid"), nn.Linear(3, 3)
    neuron = layer("rockpool.neuron", children=[("surrogate", surrogate), ("again", layer("rockpool.neuron"))])
    looped = layer("rockpool.neuron", name="Looped", children=[("rec", recurrent)])
    whole = layer("rockpool.base", name="Net", children=[("fc", nn.Linear(3, 3)), ("a", neuron), ("b", looped)])
    assert [d.path for d in foreign_layers(whole)] == ["a", "b"]


def test_snntorch_is_not_foreign():
    assert foreign_layers(nn.Sequential(nn.Linear(3, 3), hidden())) == []
