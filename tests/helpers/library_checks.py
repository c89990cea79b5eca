"""The comparison that every library's importer is held to: spikes of each neuron, in float64 and in float32."""

import numpy as np
import torch
from ties import unexcused
from torch_runs import differing_bits, run_graph

from spikeport.compiler.importers.torch_module import from_torch
from spikeport.ir.network import build_network


def assert_equal_spikes(module, shape, x, run, *, arithmetics=("float64", "float32")):
    """Compare in float64, where no bit may differ, then in float32, where a first difference must be a near-threshold tie.

    Parameters
    ----------
    module : torch.nn.Module
        As its user has it.
    shape : tuple of int
        Of its input, without batch and time.
    x : array, shape (samples, steps, *shape)
        Input.
    run : (module, x, dtype) -> TorchRun
        Runs a copy of the module from rest, by the library's own code.

    Returns
    -------
    Graph
        The import.
    TorchRun
        The library's run in float64.
    """
    graph = from_torch(module, shape)
    exact = run(module, x, torch.float64)
    if "float64" in arithmetics:
        trace = run_graph(graph, x)
        assert set(exact.spikes) == set(graph.spiking) == set(trace.spikes)
        assert differing_bits(exact, trace) == dict.fromkeys(exact.spikes, 0)
    if "float32" in arithmetics:
        single, ours = run(module, x, torch.float32), run_graph(graph, x, "float32")
        network = build_network(graph, graph.profile)
        assert unexcused(network, {graph.inputs[0]: np.asarray(x)}, ours.spikes, single) == []
    return graph, exact
