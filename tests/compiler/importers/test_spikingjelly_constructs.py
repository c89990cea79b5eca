"""README's rows of SpikingJelly: each is built, and imported with its profile or refused."""

import pytest
from random_spikingjelly import KINDS
from spikingjelly.activation_based import functional, layer, neuron
from spikingjelly_nets import OPTIONS, REFUSED, AllSteps, library_models, made_neuron
from torch import nn

from spikeport.compiler.importers.spikingjelly import CONSTRUCTS
from spikeport.compiler.importers.torch_module import from_torch
from spikeport.ir.diagnostics import ImportModelError


@pytest.fixture
def models(monkeypatch):
    return library_models(monkeypatch)


class _SeqToAnn(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc, self.sn = nn.Linear(4, 3), neuron.IFNode(step_mode="m")

    def forward(self, x_seq):
        return self.sn(functional.seq_to_ann_forward(x_seq, (self.fc,)))


def _multi(*parts):
    module = nn.Sequential(*parts)
    functional.set_step_mode(module, "m")
    return module


def _model(models, name):
    if name == "vgg":
        return models.vgg.spiking_vgg11(spiking_neuron=neuron.LIFNode, num_classes=10, init_weights=False), (3, 224, 224)
    if name == "plif":
        return models.plif.MNISTNet(channels=2, spiking_neuron=neuron.ParametricLIFNode), (1, 28, 28)
    if name == "resnet":
        return models.resnet.spiking_resnet18(spiking_neuron=neuron.LIFNode, num_classes=10), (3, 32, 32)
    return models.sew.sew_resnet18(cnf=name, spiking_neuron=neuron.IFNode, num_classes=10), (3, 32, 32)


def _others():
    made = [neuron.QIFNode(), neuron.EIFNode(), neuron.KLIFNode(), neuron.SimpleLIFNode(2.0, True), neuron.NonSpikingLIFNode()]
    return [(m, (3,)) for m in made]


TIME_LAST = (layer.TLastMultiStepContainer, layer.TLastSeqToANNContainer)
#: Modules and input shapes of each row, by its text.
TRIED = {
    CONSTRUCTS[0][0]: lambda m: [(made_neuron(k, **o), (3,)) for k in KINDS for o in OPTIONS],
    CONSTRUCTS[1][0]: lambda m: [(k(v_reset=v), (3,)) for k in KINDS for v in (None, 0.0, -0.5)],
    CONSTRUCTS[2][0]: lambda m: [(nn.Sequential(layer.Linear(3, 3), neuron.IFNode()), (3,)),
                                 (_multi(layer.Linear(3, 3), neuron.IFNode()), (3,))],
    CONSTRUCTS[3][0]: lambda m: [
        (_multi(layer.Conv2d(1, 2, 3), layer.Dropout2d(), neuron.IFNode(), layer.AvgPool2d(2), layer.AdaptiveAvgPool2d(1),
                layer.Flatten(), layer.Dropout(), layer.Linear(2, 2), neuron.IFNode()), (1, 6, 6)),
        (_multi(layer.Conv1d(1, 2, 3), neuron.IFNode()), (1, 6)),
    ],
    CONSTRUCTS[4][0]: lambda m: [
        (_multi(layer.Linear(3, 3), norm(*options, 3), neuron.IFNode()), (3,))
        for norm, options in ((layer.BatchNorm1d, ()), (layer.ThresholdDependentBatchNorm1d, (1.0, 1.0)))
    ] + [
        (_multi(layer.Conv2d(1, 3, 3), norm(*options, 3), neuron.IFNode()), (1, 5, 5))
        for norm, options in ((layer.BatchNorm2d, ()), (layer.ThresholdDependentBatchNorm2d, (1.0, 1.0)))
    ],
    CONSTRUCTS[5][0]: lambda m: [(_multi(layer.Conv2d(1, 3, 3), neuron.IFNode(), layer.MaxPool2d(2)), (1, 6, 6))],
    CONSTRUCTS[6][0]: lambda m: [(_multi(layer.Linear(3, 20), neuron.IFNode(), layer.VotingLayer()), (3,))],
    CONSTRUCTS[7][0]: lambda m: [
        (nn.Sequential(layer.SeqToANNContainer(nn.Linear(3, 3)), layer.MultiStepContainer(neuron.IFNode()),
                       layer.StepModeContainer(True, "m", nn.Linear(3, 3), neuron.IFNode())), (3,)),
    ],
    CONSTRUCTS[8][0]: lambda m: [
        (layer.ElementWiseRecurrentContainer(neuron.IFNode(), lambda y, x: x - 0.5 * y), (3,)),
        (layer.LinearRecurrentContainer(neuron.IFNode(), 3, 3), (3,)),
    ],
    CONSTRUCTS[9][0]: lambda m: [(AllSteps(), (4,)), (_SeqToAnn(), (4,))],
    CONSTRUCTS[10][0]: lambda m: [_model(m, n) for n in ("vgg", "resnet", "ADD", "plif")],
    CONSTRUCTS[11][0]: lambda m: _others(),
    CONSTRUCTS[12][0]: lambda m: [(REFUSED[n][0](), (3,)) for n in ("graded", "levels", "poisson")],
    CONSTRUCTS[13][0]: lambda m: [(REFUSED[n][0](), (3,)) for n in ("overrides", "memory", "own memory")],
    CONSTRUCTS[14][0]: lambda m: [(layer.SynapseFilter(), (3,)), (layer.Delay(1), (3,)), (layer.NeuNorm(1, 3, 3), (1, 3, 3))],
    CONSTRUCTS[15][0]: lambda m: [
        (layer.GroupNorm(1, 3), (3, 4, 4)), (layer.Conv3d(1, 1, 1), (1, 2, 2, 2)), (layer.ConvTranspose2d(1, 1, 1), (1, 2, 2)),
        (layer.AvgPool1d(2), (1, 4)), (layer.WSConv2d(1, 1, 1), (1, 2, 2)), (layer.SpikingSelfAttention(8, 2), (8, 4)),
    ],
    CONSTRUCTS[16][0]: lambda m: [(k(nn.Linear(3, 3)), (3,)) for k in TIME_LAST],
    CONSTRUCTS[17][0]: lambda m: [_model(m, n) for n in ("AND", "IAND")],
}  # fmt: skip


@pytest.mark.parametrize("row", [pytest.param(r, id=r[0]) for r in CONSTRUCTS])
def test_the_table_of_constructs(row, models):
    tried = TRIED[row[0]](models)
    assert len(set(TRIED)) == len(CONSTRUCTS)
    for module, shape in tried:
        if row[1] == "exact":
            assert from_torch(module.eval(), shape).profile.name == "spikingjelly"
        else:
            with pytest.raises(ImportModelError):
                from_torch(module.eval(), shape)
