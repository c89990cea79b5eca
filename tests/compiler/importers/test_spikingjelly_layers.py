"""SpikingJelly's layers, containers and models: spikes bit for bit, in both step modes."""

import pytest
import torch
from spikingjelly.activation_based import functional, layer, neuron
from spikingjelly_nets import AllSteps, check, check_neurons, library_models, strong
from torch import nn

from spikeport.compiler.importers.torch_module import from_torch


@pytest.fixture
def models(monkeypatch):
    return library_models(monkeypatch)


def _conv_parts():
    return [
        strong(layer.Conv2d, 2, 4, 3, padding=1), layer.BatchNorm2d(4), neuron.LIFNode(), layer.AvgPool2d(2),
        layer.Dropout2d(), layer.Flatten(), layer.Dropout(), strong(layer.Linear, 16, 5), layer.BatchNorm1d(5), neuron.IFNode(),
    ]  # fmt: skip


@pytest.mark.parametrize("mode", ["s", "m"])
def test_layers_with_a_step_mode(mode):
    torch.manual_seed(1)
    module = nn.Sequential(*_conv_parts())
    functional.set_step_mode(module, mode)
    graph = check(module, (2, 4, 4))
    assert [n.path for n in graph if n.op.kind in ("Conv2d", "Affine")] == ["0", "7"]


@pytest.mark.parametrize("mode", ["s", "m"])
def test_one_dimensional_layers(mode):
    torch.manual_seed(1)
    module = nn.Sequential(
        strong(layer.Conv1d, 2, 3, 3), layer.BatchNorm1d(3), neuron.LIFNode(), layer.Flatten(), strong(layer.Linear, 18, 4),
        neuron.IFNode(),
    )  # fmt: skip
    functional.set_step_mode(module, mode)
    check(module, (2, 8))


def test_the_containers_of_steps():
    torch.manual_seed(2)
    parts = _conv_parts()
    module = nn.Sequential(
        layer.SeqToANNContainer(*parts[:2]), layer.MultiStepContainer(parts[2]),
        layer.StepModeContainer(False, "m", *parts[3:6]),
        layer.StepModeContainer(True, "m", parts[6], parts[7], neuron.LIFNode()),
        layer.MultiStepContainer(strong(nn.Linear, 5, 5), neuron.IFNode()),
    )  # fmt: skip
    check(module, (2, 4, 4))


def test_a_container_of_steps_in_single_step_mode():
    torch.manual_seed(2)
    check(nn.Sequential(layer.StepModeContainer(True, "s", strong(nn.Linear, 5, 5), neuron.IFNode())), (5,))


def test_a_container_may_be_the_whole_module():
    torch.manual_seed(2)
    check(layer.MultiStepContainer(strong(nn.Linear, 5, 5), neuron.IFNode()), (5,))


@pytest.mark.parametrize("mode", ["s", "m"])
@pytest.mark.parametrize("function", [lambda y, x: x + y, lambda y, x: x - 0.5 * y], ids=["plus", "minus"])
def test_an_element_wise_recurrent_container(mode, function):
    torch.manual_seed(4)
    module = nn.Sequential(strong(layer.Linear, 4, 5), layer.ElementWiseRecurrentContainer(neuron.LIFNode(), function))
    functional.set_step_mode(module, mode)
    check(module, (4,))


@pytest.mark.parametrize("mode", ["s", "m"])
@pytest.mark.parametrize("bias", [True, False])
def test_a_linear_recurrent_container(mode, bias):
    torch.manual_seed(5)
    inner = nn.Sequential(strong(nn.Linear, 4, 6), neuron.LIFNode(v_reset=None))
    container = layer.LinearRecurrentContainer(inner, 4, 6, bias)
    module = nn.Sequential(container, strong(layer.Linear, 6, 3), neuron.IFNode())
    functional.set_step_mode(module, mode)
    with torch.no_grad():
        container.rc.weight.mul_(2)
    check(module, (4,))


@pytest.mark.parametrize("mode", ["s", "m"])
def test_max_pooling_of_spikes(mode):
    torch.manual_seed(6)
    module = nn.Sequential(
        strong(layer.Conv2d, 2, 3, 3, padding=1), neuron.LIFNode(v_threshold=2.0), layer.MaxPool2d(2), layer.Flatten(),
        strong(layer.Linear, 12, 4), neuron.IFNode(),
    )  # fmt: skip
    functional.set_step_mode(module, mode)
    check_neurons(module, (2, 4, 4))


@pytest.mark.parametrize("size", [1, 2, 3])
def test_voting(size):
    torch.manual_seed(6)
    last = strong(nn.Linear, 8 // size, 3)
    module = nn.Sequential(strong(layer.Linear, 5, 8), neuron.IFNode(), layer.VotingLayer(size), last, neuron.LIFNode())
    check(module, (5,))


@pytest.mark.parametrize("first", [strong(layer.Conv2d, 2, 4, 3, padding=1), strong(layer.Linear, 4, 4)], ids=["2d", "1d"])
def test_threshold_dependent_batchnorm(first):
    two = isinstance(first, nn.Conv2d)
    norm = layer.ThresholdDependentBatchNorm2d if two else layer.ThresholdDependentBatchNorm1d
    module = nn.Sequential(first, norm(1.0, 1.0, 4), neuron.LIFNode())
    with torch.no_grad():
        module[1].running_var.fill_(0.3)
        module[1].bias.fill_(0.2)
    functional.set_step_mode(module, "m")
    check(module, (2, 4, 4) if two else (4,))


def test_multi_step_forward_in_a_users_forward():
    torch.manual_seed(7)
    check(AllSteps(), (4,))


def test_a_class_of_ones_own_may_derive_from_a_neuron_and_a_container():
    class Mine(neuron.LIFNode):
        def extra_repr(self):
            return "mine"

    class Block(layer.MultiStepContainer):
        pass

    torch.manual_seed(8)
    check(Block(strong(nn.Linear, 4, 5), Mine()), (4,))


def _strengthen(module, factor):
    """Make the neurons of a fresh model fire."""
    with torch.no_grad():
        for part in module.modules():
            if isinstance(part, (nn.Conv2d, nn.Linear)):
                part.weight.mul_(factor).add_(0.01)


@pytest.mark.parametrize("mode", ["s", "m"])
def test_a_small_network_of_the_library(models, mode):
    torch.manual_seed(9)
    module = models.plif.MNISTNet(channels=2, spiking_neuron=neuron.ParametricLIFNode, init_tau=2.0, v_threshold=0.3)
    functional.set_step_mode(module, mode)
    _strengthen(module, 3.0)
    check_neurons(module, (1, 28, 28), steps=10)


@pytest.mark.slow
def test_a_residual_network_of_the_library(models):
    torch.manual_seed(9)
    module = models.resnet.spiking_resnet18(spiking_neuron=neuron.LIFNode, v_threshold=0.3, num_classes=10)
    functional.set_step_mode(module, "m")
    _strengthen(module, 2.0)
    check_neurons(module, (3, 32, 32), steps=6)


@pytest.mark.slow
def test_the_largest_vgg(models):
    """140 million weights; ``benchmarks/importing.py`` says how long it takes."""
    module = models.vgg.spiking_vgg19_bn(spiking_neuron=neuron.LIFNode, num_classes=10, init_weights=False).eval()
    functional.set_step_mode(module, "m")
    graph = from_torch(module, (3, 224, 224))
    assert len([n for n in graph if n.op.kind == "LIF"]) == 18
