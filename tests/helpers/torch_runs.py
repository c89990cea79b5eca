"""Running a torch module beside its graph: spikes of every neuron and the membranes that were tested, step by step."""

import copy
from dataclasses import dataclass

import numpy as np
import snntorch
import torch

from spikeport.ir.network import build_network
from spikeport.ir.reference import run_reference
from spikeport.ir.trace import Recording

NEURONS = (snntorch.Leaky, snntorch.Synaptic, snntorch.RLeaky, snntorch.RSynaptic, snntorch.Lapicque)


@dataclass(frozen=True)
class TorchRun:
    """Spikes (0 or 1) and tested membranes by path, each (samples, steps, *shape)."""

    spikes: dict[str, np.ndarray]
    tested: dict[str, np.ndarray]


def run_torch(module, x, dtype=torch.float64, loop=False) -> TorchRun:
    """Run a copy of *module* from rest on *x* (samples, steps, *shape) in *dtype*; *loop*: its forward takes all steps."""
    net = copy.deepcopy(module).to(dtype).eval()
    spikes, tested = {}, {}
    for path, layer in net.named_modules():
        if any(True for _ in layer.children()) and not isinstance(layer, NEURONS):
            continue
        # A surrogate gives float32 spikes, whatever the membrane's type.
        layer.register_forward_pre_hook(lambda _, args: tuple(a.to(dtype) if torch.is_tensor(a) else a for a in args))
        if isinstance(layer, NEURONS):
            _watch(layer, spikes.setdefault(path or type(layer).__name__.lower(), []),
                   tested.setdefault(path or type(layer).__name__.lower(), []))  # fmt: skip
    values = torch.as_tensor(np.asarray(x)).to(dtype)
    with torch.no_grad():
        if loop:
            net(values.transpose(0, 1))
        else:
            for t in range(values.shape[1]):
                net(values[:, t])
    return TorchRun(*({p: np.stack(v, axis=1) for p, v in found.items()} for found in (spikes, tested)))


def _watch(layer, spikes, tested):
    def fire(mem):
        result = type(layer).fire(layer, mem)
        tested.append(mem.double().numpy().copy())
        # Whatever the value of a spike, it was one where the membrane was above the threshold.
        spikes.append((mem - layer.threshold > 0).numpy().astype(np.int64))
        assert torch.equal(result != 0, mem - layer.threshold > 0)
        return result

    layer.fire = fire


def run_graph(graph, x, arithmetic="float64"):
    """Run *graph* on *x* with every spiking node recorded."""
    return run_reference(build_network(graph, graph.profile, arithmetic), {graph.inputs[0]: x}, Recording(paths=None))


def differing_bits(torch_run, trace) -> dict[str, int]:
    """Return the number of spikes that differ, by path, for every neuron of the module."""
    return {p: int(np.count_nonzero(trace.spikes[p] != s)) for p, s in torch_run.spikes.items() if p in trace.spikes}
