"""Small SpikingJelly networks, what is refused, and the comparisons of an import with its module."""

import sys
import types

import torch
from library_checks import assert_equal_spikes
from random_snn import random_input
from random_spikingjelly import run_spikingjelly
from spikingjelly.activation_based import base, functional, layer, neuron, surrogate
from torch import nn
from torch_runs import differing_bits, run_graph

from spikeport.compiler.importers.torch_module import from_torch

STEPS = 200
#: torch_build does not yet take a Linear's out_features for the shape of a loop that leads through it.


def check(module, shape, seed=0, steps=STEPS):
    """Compare module and graph on random input; every neuron spikes, and none always."""
    graph, run = assert_equal_spikes(module.eval(), shape, random_input(shape, seed, steps=steps), run_spikingjelly)
    assert all(0 < spikes.mean() < 1 for spikes in run.spikes.values())
    return graph


def check_neurons(module, shape, steps=STEPS, seed=0):
    """Compare the neurons; what stands for a maximum spikes too, and is none of them."""
    x = random_input(shape, seed, steps=steps)
    run, trace = run_spikingjelly(module.eval(), x), run_graph(from_torch(module, shape), x)
    assert set(run.spikes) <= set(trace.spikes)
    assert differing_bits(run, trace) == dict.fromkeys(run.spikes, 0)
    assert all(spikes.any() for spikes in run.spikes.values())


def strong(kind, *sizes, **options):
    """Return a layer with weights that make neurons fire."""
    made = kind(*sizes, **options)
    with torch.no_grad():
        made.weight.mul_(3).add_(0.1)
    return made


def made_neuron(kind, **options):
    if kind is neuron.IFNode:
        options = {k: v for k, v in options.items() if k not in ("tau", "decay_input")}
    if kind is neuron.ParametricLIFNode and "tau" in options:
        options["init_tau"] = options.pop("tau")
    return kind(**options)


OPTIONS = [
    {},
    {"v_threshold": 0.6},
    {"v_reset": None},
    {"v_reset": -0.3},
    {"v_reset": 0.2, "decay_input": False},
    {"v_reset": None, "decay_input": False},
    {"decay_input": False},
    {"tau": 1.5},
    {"tau": 20.0, "decay_input": False},
    {"tau": 7.3, "v_threshold": 0.3},
    {"detach_reset": True},
    {"store_v_seq": True},
    {"surrogate_function": surrogate.ATan(alpha=3.0)},
    {"surrogate_function": surrogate.SquarewaveFourierSeries()},
    {"step_mode": "m"},
    {"step_mode": "m", "store_v_seq": True, "v_reset": None},
]


class AllSteps(nn.Module, base.MultiStepModule):
    """A user's forward of all steps by the library's functions."""

    def __init__(self):
        super().__init__()
        self.fc, self.sn = strong(nn.Linear, 4, 5), neuron.LIFNode()

    def forward(self, x_seq):
        return functional.multi_step_forward(x_seq, (self.fc, self.sn))


def library_models(monkeypatch):
    """Return the library's models, with an empty torchvision, of which they import a function for downloads."""
    name = "torchvision._internally_replaced_utils"
    for missing in ("torchvision", name):
        monkeypatch.setitem(sys.modules, missing, types.ModuleType(missing))
    sys.modules[name].load_state_dict_from_url = None
    from spikingjelly.activation_based.model import parametric_lif_net, sew_resnet, spiking_resnet, spiking_vgg

    return types.SimpleNamespace(vgg=spiking_vgg, resnet=spiking_resnet, plif=parametric_lif_net, sew=sew_resnet)


class Overridden(neuron.LIFNode):
    def single_step_functional_forward(self, inputs, states, **kwargs):
        return super().single_step_functional_forward((2 * inputs[0],), states)


class Counting(neuron.IFNode):
    def __init__(self):
        super().__init__()
        self.register_memory("count", 0)


class Stateful(base.MemoryModule):
    def __init__(self):
        super().__init__()
        self.register_memory("trace", 0.0)

    def single_step_functional_forward(self, inputs, states, **kwargs):
        return (inputs[0] + states[0],), (inputs[0],)


def _plif(w):
    made = neuron.ParametricLIFNode()
    made.w.data.fill_(w)
    return made


def _with(made, **attributes):
    for name, value in attributes.items():
        setattr(made, name, value)
    return made


def _started(value):
    made = neuron.IFNode()
    made.set_reset_value("v", value)
    return made


REFUSED = {
    "overrides": (Overridden, "E021", "overrides single_step_functional_forward"),
    "memory": (Counting, "E021", "keeps count beside its membrane"),
    "own memory": (Stateful, "E020", "Stateful is not imported from SpikingJelly"),
    "start": (lambda: _started(torch.zeros(3)), "E021", "its membrane starts from a Tensor"),
    "precision": (lambda: _with(neuron.IFNode(), _neuron_precision=("fp16", "fp32", "fp32")), "E021", "a precision of its own"),
    "graded": (lambda: neuron.IFNode(surrogate_function=surrogate.Sigmoid(spiking=False)), "E021", "surrogate_function gives"),
    "levels": (lambda: neuron.IFNode(surrogate_function=surrogate.MultiLevelSpikeCount(4)), "E021", "surrogate_function gives"),
    "poisson": (lambda: neuron.IFNode(surrogate_function=surrogate.PoissonPass()), "E021", "surrogate_function gives"),
    "tau": (lambda: _with(neuron.LIFNode(), tau=0.5), "E021", "1/tau is 2"),
    "endless tau": (lambda: neuron.LIFNode(tau=float("inf")), "E021", "1/tau is 0"),
    "plif": (lambda: _plif(-800.0), "E021", "1/tau is 0"),
    "QIFNode": (neuron.QIFNode, "E020", "spikingjelly.QIFNode is not imported from SpikingJelly"),
    "SimpleLIFNode": (lambda: neuron.SimpleLIFNode(2.0, True), "E020", "spikingjelly.SimpleLIFNode is not imported"),
    "HalfThresholdIFNode": (neuron.HalfThresholdIFNode, "E020", "spikingjelly.HalfThresholdIFNode is not imported"),
    "NonSpikingLIFNode": (neuron.NonSpikingLIFNode, "E020", "spikingjelly.NonSpikingLIFNode is not imported"),
    "SynapseFilter": (layer.SynapseFilter, "E020", "spikingjelly.SynapseFilter is not imported"),
    "Delay": (lambda: layer.Delay(2), "E020", "spikingjelly.Delay is not imported"),
    "GroupNorm": (lambda: layer.GroupNorm(1, 3), "E020", "spikingjelly.GroupNorm is not imported"),
    "WSLinear": (lambda: layer.WSLinear(3, 3), "E020", "spikingjelly.WSLinear is not imported"),
    "DropConnectLinear": (lambda: layer.DropConnectLinear(3, 3), "E020", "spikingjelly.DropConnectLinear is not imported"),
    "surrogate": (surrogate.Sigmoid, "E020", "spikingjelly.Sigmoid is not imported"),
    "TLast": (lambda: layer.TLastMultiStepContainer(neuron.IFNode()), "E020", "spikingjelly.TLastMultiStepContainer is not"),
    "state in all steps": (
        lambda: layer.SeqToANNContainer(nn.Sequential(neuron.IFNode())), "E021",
        "runs all steps as samples of one, so that 0.0 in it would not keep a state",
    ),
    "stateful": (lambda: layer.StepModeContainer(False, "m", neuron.IFNode()), "E021", "so that 0 in it would not keep"),
    "training": (lambda: layer.BatchNorm1d(3), "E021", "is in training mode"),
    "tdBN": (lambda: layer.ThresholdDependentBatchNorm1d(1.0, 1.0, 3), "E021", "uses the statistics of each batch"),
    "statistics": (lambda: layer.BatchNorm1d(3, track_running_stats=False), "E021", "has no running statistics"),
}  # fmt: skip
