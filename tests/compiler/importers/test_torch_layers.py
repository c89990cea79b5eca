"""Plain layers: the same numbers as PyTorch, and refusals that name the option."""

import re

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils import prune

from spikeport.compiler.importers.torch_module import from_torch
from spikeport.ir.diagnostics import ImportModelError
from spikeport.ir.network import build_network
from spikeport.ir.profiles import parse_profile
from spikeport.ir.reference import run_reference

pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")


def outputs(module, shape, samples=3):
    """Return (graph, our values, PyTorch's) of a module without neurons, in float64."""
    torch.manual_seed(0)
    net = module.double().eval()
    graph = from_torch(net, shape)
    x = torch.randn(samples, *shape, dtype=torch.float64)
    network = build_network(graph, parse_profile("snntorch"))
    ours = run_reference(network, {"input": x.numpy()[:, None]}).out["output"][:, 0]
    with torch.no_grad():
        return graph, ours, net(x).numpy()


def norm(layer):
    """Return a BatchNorm with statistics of its own."""
    generator = torch.Generator().manual_seed(1)
    for tensor in (layer.weight, layer.bias, layer.running_mean, layer.running_var):
        if tensor is not None:
            tensor.data = torch.rand(tensor.shape, generator=generator) + 0.3
    return layer


def sparse(layer):
    layer.weight = nn.Parameter(layer.weight.detach().to_sparse())
    return layer


CONVS = [
    {}, {"bias": False}, {"stride": 2}, {"stride": (2, 1), "padding": (0, 2)}, {"padding": 1}, {"padding": "same"},
    {"padding": "valid"}, {"dilation": 2}, {"dilation": (1, 2), "padding": "same"}, {"groups": 2}, {"groups": 4},
    {"groups": 2, "stride": 2, "dilation": 2, "padding": 3},
]  # fmt: skip


@pytest.mark.parametrize("options", CONVS, ids=str)
@pytest.mark.parametrize("kernel", [3, (2, 3)])
def test_conv2d(options, kernel):
    _, ours, theirs = outputs(nn.Sequential(nn.Conv2d(4, 8, kernel, **options)), (4, 9, 10))
    np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("options", [o for o in CONVS if not any(isinstance(v, tuple) for v in o.values())], ids=str)
def test_conv1d(options):
    _, ours, theirs = outputs(nn.Sequential(nn.Conv1d(4, 8, 4, **options)), (4, 15))
    np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(5,), (3, 5), (2, 3, 5)])
def test_linear_on_the_last_axis(bias, shape):
    graph, ours, theirs = outputs(nn.Sequential(nn.Linear(5, 4, bias=bias)), shape)
    assert graph["0"].op.kind == ("Affine" if bias else "Linear")
    np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(
    "layer",
    [
        nn.AvgPool2d(2), nn.AvgPool2d((3, 2), stride=(1, 2)), nn.AvgPool2d(3, stride=2, padding=1),
        nn.AvgPool2d(2, divisor_override=4), nn.AvgPool2d(3, divisor_override=1), nn.AvgPool2d(2, ceil_mode=True),
        nn.AvgPool2d(2, count_include_pad=False), nn.AdaptiveAvgPool2d((4, 3)), nn.AdaptiveAvgPool2d(1),
        nn.AdaptiveAvgPool2d((None, 2)),
    ],
    ids=str,
)  # fmt: skip
def test_average_pooling(layer):
    _, ours, theirs = outputs(nn.Sequential(layer), (2, 8, 6))
    np.testing.assert_allclose(ours, theirs, rtol=1e-14, atol=1e-16)


@pytest.mark.parametrize("arguments", [(), (1, -1), (2,), (1, 2), (-2, -1), (3, 3)])
def test_flatten_leaves_the_batch_alone(arguments):
    _, ours, theirs = outputs(nn.Sequential(nn.Flatten(*arguments)), (2, 3, 4))
    np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize(
    ("module", "shape", "paths"),
    [
        (nn.Sequential(nn.Conv2d(2, 3, 3), norm(nn.BatchNorm2d(3))), (2, 5, 6), {"0"}),
        (nn.Sequential(nn.Conv2d(2, 4, 3, groups=2, bias=False), norm(nn.BatchNorm2d(4))), (2, 5, 6), {"0"}),
        (nn.Sequential(nn.Conv1d(2, 3, 3), norm(nn.BatchNorm1d(3))), (2, 9), {"0"}),
        (nn.Sequential(nn.Linear(4, 3), norm(nn.BatchNorm1d(3))), (4,), {"0"}),
        (nn.Sequential(nn.Linear(4, 3, bias=False), norm(nn.BatchNorm1d(3, affine=False))), (4,), {"0"}),
        (nn.Sequential(nn.Linear(5, 3), norm(nn.BatchNorm1d(4))), (4, 5), {"0", "1"}),
        (nn.Sequential(norm(nn.BatchNorm2d(2)), nn.Conv2d(2, 3, 3)), (2, 5, 6), {"0", "1"}),
        (nn.Sequential(nn.AvgPool2d(2), norm(nn.BatchNorm2d(2))), (2, 6, 6), {"0", "1"}),
        (nn.Sequential(norm(nn.BatchNorm1d(4)), nn.Linear(4, 3)), (4,), {"0", "1"}),
        (nn.Sequential(norm(nn.BatchNorm1d(2))), (2, 7), {"0"}),
    ],
)
def test_batchnorm_folds_or_stands_alone(module, shape, paths):
    graph, ours, theirs = outputs(module, shape)
    np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-13)
    assert {n.path for n in graph} == paths | {"input", "output"}


def test_a_folded_batchnorm_of_float32_adds_no_float32_rounding():
    torch.manual_seed(4)
    net = nn.Sequential(nn.Linear(6, 5), norm(nn.BatchNorm1d(5))).eval()
    op = from_torch(net)["0"].op
    double = net.double()
    x = torch.randn(4, 6, dtype=torch.float64)
    np.testing.assert_allclose(op.apply(x.numpy()), double(x).detach().numpy(), rtol=1e-12)
    assert op.weight.dtype == np.float64


def test_a_norm_is_not_folded_where_the_layer_has_another_reader():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc, self.norm = nn.Linear(4, 3), norm(nn.BatchNorm1d(3))

        def forward(self, x):
            y = self.fc(x)
            return self.norm(y) + y

    graph, ours, theirs = outputs(Net(), (4,))
    np.testing.assert_allclose(ours, theirs, rtol=1e-12)
    assert {"fc", "norm"} <= {n.path for n in graph}


def test_identity_and_dropout_leave_no_node():
    graph, ours, theirs = outputs(nn.Sequential(nn.Dropout(0.5), nn.Identity(), nn.Linear(3, 3), nn.AlphaDropout()), (3,))
    assert {n.path for n in graph} == {"2", "input", "output"}
    np.testing.assert_allclose(ours, theirs, rtol=1e-12)


REFUSED = {
    "ceil_mode": (nn.AvgPool2d(2, ceil_mode=True), (1, 7, 7), "E021", "ceil_mode=True adds a window"),
    "divisor": (nn.AvgPool2d(2, divisor_override=3), (1, 6, 6), "E021", "divisor_override=3 is neither a mean over (2, 2)"),
    "count": (nn.AvgPool2d(2, padding=1, count_include_pad=False), (1, 6, 6), "E021", "count_include_pad=False"),
    "adaptive": (nn.AdaptiveAvgPool2d(4), (1, 6, 6), "E021", "windows of several sizes"),
    "padding": (nn.Conv2d(1, 1, 3, padding=1, padding_mode="circular"), (1, 6, 6), "E021", "pads with 'circular'"),
    "statistics": (nn.BatchNorm2d(1, track_running_stats=False), (1, 6, 6), "E021", "has no running statistics"),
    "training": (nn.BatchNorm2d(1).train(), (1, 6, 6), "E021", "is in training mode"),
    "flatten": (nn.Flatten(0), (1, 6, 6), "E021", "merges the batch axis"),
    "axes": (nn.Flatten(3, 4), (1, 6), "E027", "does not fit its input (batch, 1, 6)"),
    "maxpool": (nn.MaxPool2d(2), (1, 6, 6), "E021", "a maximum over a window is a node only over spikes of 0 or 1"),
    "relu": (nn.ReLU(), (4,), "E020", "torch.nn.ReLU has no counterpart"),
    "lazy": (nn.LazyLinear(3), (4,), "E020", "torch.nn.LazyLinear"),
    "meta": (nn.Linear(4, 3, device="meta"), (4,), "E021", "weight of this torch.nn.Linear is on the device 'meta'"),
    "sparse": (sparse(nn.Linear(4, 3)), (4,), "E021", "weight of this torch.nn.Linear has the layout torch.sparse_coo"),
    "channels": (nn.Conv2d(3, 4, 3), (1, 6, 6), "E027", "take 3 x 1 groups = 3 channels, got 1"),
    "large": (nn.Conv2d(1, 4, 7), (1, 6, 6), "E027", "kernel (7, 7) is larger than its padded input (6, 6)"),
    "features": (nn.Linear(3, 4), (5,), "E027", "takes input (3,), got (5,)"),
    "norm": (nn.BatchNorm1d(3).eval(), (4,), "E027", "has 3 features, its input is (4,)"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_by_name(name):
    layer, shape, code, text = REFUSED[name]
    with pytest.raises(ImportModelError, match=re.escape(text)) as caught:
        from_torch(nn.Sequential(nn.Identity(), layer), shape)
    found = caught.value.diagnostics[0]
    assert (found.code, found.path) == (code, "1")
    assert found.hint


@pytest.mark.filterwarnings("ignore:.*is deprecated in favor of:FutureWarning")
@pytest.mark.parametrize("kind", ["pruned", "spectral_norm", "weight_norm"])
def test_weights_that_are_computed_before_each_call_are_not_stale(kind):
    torch.manual_seed(4)
    layer = nn.Linear(6, 5)
    if kind == "pruned":
        prune.l1_unstructured(layer, "weight", amount=0.5)
    else:
        getattr(nn.utils, kind)(layer)
    original = {"pruned": "weight_orig", "spectral_norm": "weight_orig", "weight_norm": "weight_v"}[kind]
    layer.double().eval()
    with torch.no_grad():
        getattr(layer, original).add_(1.0)  # as a training step or load_state_dict would
        stale = layer.weight.clone()
        graph = from_torch(nn.Sequential(layer))
        assert torch.equal(layer.weight, stale)
        layer(torch.zeros(1, 6, dtype=torch.float64))
    assert not torch.equal(layer.weight, stale)
    assert np.array_equal(graph["0"].op.weight, layer.weight.detach().numpy())


def test_functional_layers():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.fc = nn.Conv2d(1, 2, 3), nn.Linear(18, 4)

        def forward(self, x):
            y = functional.avg_pool2d(self.conv(x), 2)
            y = functional.dropout(y, 0.5, self.training)
            return self.fc(y.view(x.size(0), -1)) * 0.5

    graph, ours, theirs = outputs(Net(), (1, 8, 8))
    assert {n.path for n in graph} == {"input", "conv", "avg_pool2d", "view", "fc", "scale", "output"}
    np.testing.assert_allclose(ours, theirs, rtol=1e-12)
