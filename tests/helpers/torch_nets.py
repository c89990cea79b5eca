"""Small modules with a forward given as a function, and the check that their graphs spike alike."""

import snntorch
import torch
from random_snn import random_input
from torch import nn
from torch_runs import differing_bits, run_graph, run_torch

from spikeport.compiler.importers.torch_module import from_torch


def hidden(**options):
    """Return a Leaky that keeps its state and returns spikes."""
    return snntorch.Leaky(**({"beta": 0.8, "threshold": 0.6, "init_hidden": True} | options))


def leaky(**options):
    """Return a Leaky that takes and returns its state."""
    return hidden(init_hidden=False, **options)


def net(forward, **layers):
    """Return a module with these layers and this forward."""
    made = type("Net", (nn.Module,), {"forward": forward})()
    for name, layer in layers.items():
        setattr(made, name, layer)
    return made


def linears(*names, width=4):
    torch.manual_seed(0)
    made = {name: nn.Linear(width, width) for name in names}
    with torch.no_grad():
        for layer in made.values():
            layer.weight.mul_(3)
    return made


def edges(graph):
    """Return (source, target) -> delay of all edges."""
    return {(e.source, e.target): e.delay for e in graph.edges}


def same_spikes(module, shape=(4,), loop=False):
    """Assert 0 differing bits in float64 over 200 steps; return the graph."""
    x = random_input(shape, 1, steps=40 if loop else 200)
    graph = from_torch(module, shape)
    theirs = run_torch(module, x, loop=loop)
    assert differing_bits(theirs, run_graph(graph, x)) == dict.fromkeys(graph.spiking, 0)
    assert all(s.any() for s in theirs.spikes.values())
    return graph
