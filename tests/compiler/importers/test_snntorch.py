"""snnTorch: spikes bit for bit over 200 steps, every option, and every refusal by name."""

import re

import numpy as np
import pytest
import snntorch
import torch
from random_snn import FAMILIES, random_input, random_module
from ties import unexcused
from torch import nn
from torch_runs import differing_bits, run_graph, run_torch

from spikeport.compiler.importers.nir_file import load_nir
from spikeport.compiler.importers.snntorch import KNOWN
from spikeport.compiler.importers.torch_module import from_torch
from spikeport.ir.diagnostics import ImportModelError
from spikeport.ir.network import build_network
from spikeport.ir.nir_io import save_nir

pytestmark = [
    pytest.mark.filterwarnings("ignore:Inhibition is an unstable feature"),
    pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel"),
]
STEPS = 200


def assert_equal_spikes(module, shape, x):
    """Compare in float64, then in float32, where a first difference must be a near-threshold tie."""
    graph = from_torch(module, shape)
    exact = run_torch(module, x)
    trace = run_graph(graph, x)
    assert set(exact.spikes) == set(graph.spiking) == set(trace.spikes)
    assert differing_bits(exact, trace) == dict.fromkeys(exact.spikes, 0)
    single, ours = run_torch(module, x, torch.float32), run_graph(graph, x, "float32")
    inputs = {graph.inputs[0]: x}
    assert unexcused(build_network(graph, graph.profile), inputs, ours.spikes, single) == []
    return graph, exact


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("seed", range(5))
def test_random_modules(family, seed):
    module, shape = random_module(family, seed)
    assert_equal_spikes(module, shape, random_input(shape, seed, steps=STEPS))


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("block", range(4))
def test_many_random_modules(family, block):
    for seed in range(100 + 10 * block, 110 + 10 * block):
        module, shape = random_module(family, seed)
        assert_equal_spikes(module, shape, random_input(shape, seed, steps=STEPS))


def _layer(kind, shape, **options):
    """Return a neuron of class *kind* with hidden state; recurrent ones one to one unless told otherwise."""
    base = {"beta": 0.85, "threshold": 0.9, "init_hidden": True}
    if kind.endswith("Synaptic"):
        base["alpha"] = 0.6
    if kind.startswith("R") and not {"linear_features", "conv2d_channels"} & set(options):
        base |= {"all_to_all": False, "V": -0.4}
    return getattr(snntorch, kind)(**(base | options))


def _dense(inputs, outputs, bias=True):
    """Return a Linear strong enough to make neurons fire."""
    layer = nn.Linear(inputs, outputs, bias=bias)
    with torch.no_grad():
        layer.weight.mul_(3)
    return layer


def _delays(kind):
    return (True,) if kind in ("Lapicque", "RSynaptic") else (True, False)


RESETS = [(c.__name__, m, d) for c in KNOWN for m in ("subtract", "zero", "none") for d in _delays(c.__name__)]


@pytest.mark.parametrize(("kind", "mechanism", "delayed"), RESETS)
def test_every_reset(kind, mechanism, delayed):
    options = {"reset_mechanism": mechanism}
    # Lapicque's input enters with a factor of about 0.15.
    options |= {"threshold": 0.25} if kind == "Lapicque" else {"reset_delay": delayed}
    torch.manual_seed(3)
    module = nn.Sequential(_dense(5, 7), _layer(kind, (7,), **options))
    graph, run = assert_equal_spikes(module, (5,), random_input((5,), 1, steps=STEPS))
    assert 0.01 < run.spikes["1"].mean() < 0.99
    read = graph.profile.at("1", graph["1"].op.kind)
    expected = {"none": "none", "zero": "to_zero", "subtract": "subtract" if delayed else "subtract_once"}[mechanism]
    assert read.reset == expected


@pytest.mark.parametrize(
    "options",
    [
        {"beta": torch.linspace(0, 1, 6)},
        {"beta": 1.0},
        {"beta": 0.0},
        {"beta": 1.5},
        {"beta": -0.5},
        {"beta": torch.tensor([0.7])},
        {"beta": 1.0, "reset_mechanism": "zero"},
        {"threshold": torch.linspace(0.3, 2, 6), "learn_threshold": True},
        {"threshold": -0.2},
        {"threshold": -0.2, "reset_mechanism": "zero"},
        {"threshold": -0.2, "reset_delay": False},
        {"threshold": torch.tensor([1.5]), "learn_threshold": True},
        {"graded_spikes_factor": 0.3},
        {"graded_spikes_factor": torch.linspace(-1, 3, 6), "learn_graded_spikes_factor": True},
        {"graded_spikes_factor": 0.3, "reset_delay": False},
        {"graded_spikes_factor": 3.0, "reset_delay": False, "reset_mechanism": "zero"},
        {"output": True},
        {"surrogate_disable": True},
        {"spike_grad": snntorch.surrogate.fast_sigmoid(slope=10)},
    ],
    ids=lambda options: " ".join(options),  # no values: a function's holds an address, another one in each worker
)
def test_options_of_leaky(options):
    torch.manual_seed(5)
    hidden = {k: v for k, v in options.items() if k != "output"}
    last = {k: v for k, v in options.items() if k in ("output", "surrogate_disable", "spike_grad")}
    module = nn.Sequential(_dense(4, 6), _layer("Leaky", (6,), **hidden), _dense(6, 3), _layer("Leaky", (3,), **last))
    _, run = assert_equal_spikes(module, (4,), random_input((4,), 2, steps=STEPS))
    assert all(spikes.any() for spikes in run.spikes.values())


@pytest.mark.parametrize("kind", ["RLeaky", "RSynaptic"])
@pytest.mark.parametrize("mechanism", ["subtract", "zero"])
@pytest.mark.parametrize(
    "recurrence",
    [
        {"linear_features": 6},
        {"linear_features": 6, "learn_recurrent": False},
        {"all_to_all": False, "V": 0.5},
        {"all_to_all": False, "V": torch.linspace(-1, 1, 6), "learn_recurrent": False},
        {"all_to_all": False, "V": torch.tensor([[0.25]])},
    ],
    ids=str,
)
def test_dense_recurrence(kind, mechanism, recurrence):
    torch.manual_seed(7)
    module = nn.Sequential(_dense(4, 6), _layer(kind, (6,), reset_mechanism=mechanism, **recurrence))
    graph, run = assert_equal_spikes(module, (4,), random_input((4,), 3, steps=STEPS))
    assert 0.01 < run.spikes["1"].mean() < 0.99
    assert graph["1.recurrent"].op.kind == ("Affine" if "linear_features" in recurrence else "Scale")


def test_the_recurrent_bias_acts_at_step_0():
    layer = _layer("RLeaky", (2,), linear_features=2, threshold=0.5)
    with torch.no_grad():
        layer.recurrent.weight.zero_()
        layer.recurrent.bias.copy_(torch.tensor([1.0, 0.0]))
    graph = from_torch(nn.Sequential(nn.Identity(), layer))
    trace = run_graph(graph, np.zeros((1, 2, 2)))
    assert trace.spikes["1"][0].tolist() == [[1, 0], [1, 0]]


@pytest.mark.parametrize("kind", ["RLeaky", "RSynaptic"])
@pytest.mark.parametrize("kernel", [1, 3, (5, 3)])
def test_convolutional_recurrence(kind, kernel):
    torch.manual_seed(9)
    neuron = _layer(kind, (3, 6, 7), conv2d_channels=3, kernel_size=kernel, threshold=torch.rand(3, 1, 1) + 0.3)
    module = nn.Sequential(nn.Conv2d(2, 3, 3, padding=1), neuron, nn.AvgPool2d(2), nn.Flatten(), nn.Linear(27, 4),
                           _layer("Leaky", (4,)))  # fmt: skip
    _, run = assert_equal_spikes(module, (2, 6, 7), random_input((2, 6, 7), 4, steps=60))
    assert run.spikes["1"].mean() > 0.01


def test_an_even_recurrent_kernel_is_refused_by_its_shape():
    module = nn.Sequential(_layer("RLeaky", (3, 6, 6), conv2d_channels=3, kernel_size=2))
    with pytest.raises(ImportModelError, match=re.escape("E027 at 0.recurrent")):
        from_torch(module, (3, 6, 6))


@pytest.mark.parametrize(
    "options", [{"beta": 0.9}, {"beta": 0.2}, {"R": 1, "C": 4}, {"R": 3, "C": 1.7}, {"beta": 0.9, "R": 5.1},
                {"beta": 0.8, "C": 2.5}, {"beta": 0.9, "time_step": 0.37}]
)  # fmt: skip
@pytest.mark.parametrize("mechanism", ["subtract", "zero", "none"])
def test_lapicque_has_its_own_equation(options, mechanism):
    torch.manual_seed(11)
    neuron = snntorch.Lapicque(**options, threshold=0.4, reset_mechanism=mechanism, init_hidden=True)
    graph, run = assert_equal_spikes(nn.Sequential(_dense(4, 6), neuron), (4,), random_input((4,), 5, steps=STEPS))
    assert run.spikes["1"].any()
    op = graph["1"].op
    step = float(neuron.time_step / (neuron.R * neuron.C))
    assert np.allclose(1e-4 / op.tau, step, rtol=1e-5)
    assert np.allclose(op.r, float(neuron.R), rtol=1e-5)


def test_decays_and_reset_survive_a_file(tmp_path):
    module, shape = random_module("convolutional", 3)
    graph = from_torch(module, shape)
    save_nir(graph, tmp_path / "net.nir")
    again, _ = load_nir(tmp_path / "net.nir")
    assert again.digest == graph.digest


def test_plain_nir_fields_alone_describe_the_same_neuron():
    graph = from_torch(nn.Sequential(_layer("Synaptic", (3,), beta=torch.tensor([0.0, 0.9, 1.0]), alpha=0.5)), (3,))
    op = graph["0"].op
    assert np.allclose(1 - 1e-4 / op.tau_mem, [0.0, 0.9, 1.0], rtol=1e-6, atol=0)
    assert np.allclose(op.r * 1e-4 / op.tau_mem, 1, rtol=1e-12)
    assert np.allclose(1 - 1e-4 / op.tau_syn, 0.5)
    assert np.allclose(op.w_in * 1e-4 / op.tau_syn, 1, rtol=1e-12)
    assert from_torch(nn.Sequential(_layer("Leaky", (3,), beta=1.0)), (3,))["0"].op.kind == "IF"


def test_float32_decays_are_kept_exactly():
    graph = from_torch(nn.Sequential(_layer("Leaky", (3,), beta=0.9)), (3,))
    assert float(graph["0"].op.extras.discrete.beta) == float(np.float32(0.9)) != 0.9


def test_mixed_resets_stand_in_the_profile():
    module = nn.Sequential(
        nn.Linear(3, 3), _layer("Leaky", (3,), reset_mechanism="zero"), nn.Linear(3, 3),
        _layer("Leaky", (3,), reset_mechanism="zero"), nn.Linear(3, 3), _layer("Leaky", (3,), reset_mechanism="none"),
    )  # fmt: skip
    profile = from_torch(module).profile
    assert (profile.name, profile.dt, profile.reset, profile.reset_when) == ("snntorch", 1e-4, "to_zero", "next_step")
    assert profile.overrides == (("5", "reset", "none"),)


def test_a_left_over_state_is_not_imported_and_not_touched():
    module = nn.Sequential(nn.Linear(3, 3), _layer("Leaky", (3,), beta=1.0))
    clean = from_torch(module).digest
    module(torch.full((2, 3), 5.0))
    held = module[1].mem
    assert from_torch(module).digest == clean
    assert module[1].mem is held


class _Overridden(snntorch.Leaky):
    def forward(self, input_, mem=None):
        return super().forward(2 * input_, mem)


def _reset_changed():
    layer = _layer("Leaky", (3,))
    layer.reset_mechanism = "zero"
    return layer


REFUSED = {
    "inhibition": (lambda: _layer("Leaky", (3,), inhibition=True), "E021", "inhibition=True lets one neuron"),
    "state_quant": (lambda: _layer("Synaptic", (3,), state_quant=torch.round), "E021", "state_quant rounds the membrane"),
    "rsynaptic": (lambda: _layer("RSynaptic", (3,), reset_delay=False), "E021", "reset_delay=False is broken in snnTorch"),
    "zero below": (
        lambda: _layer("Leaky", (3,), reset_mechanism="zero", reset_delay=False, threshold=-0.5), "E021",
        "never leaves a threshold below 0 (here -0.5)",
    ),
    "graded 0": (lambda: _layer("Leaky", (3,), graded_spikes_factor=0.0), "E021", "graded_spikes_factor is 0"),
    "surrogate": (lambda: _layer("Leaky", (3,), spike_grad=torch.sigmoid), "E021", "spike_grad gives other values than 1"),
    "subclass": (lambda: _Overridden(beta=0.9, init_hidden=True), "E021", "overrides forward"),
    "late reset": (_reset_changed, "E021", "reset_mechanism was set to 'zero' after the layer was made"),
    "Alpha": (lambda: snntorch.Alpha(alpha=0.9, beta=0.8, init_hidden=True), "E020", "snntorch.Alpha is not imported"),
    "DeltaLeaky": (lambda: snntorch.LeakyParallel(3, 3), "E020", "snntorch.LeakyParallel is not imported"),
    "wrong size": (lambda: _layer("Leaky", (3,), beta=torch.ones(4)), "E027", "beta of this snntorch.Leaky has shape (4,)"),
    "Lapicque": (lambda: snntorch.Lapicque(beta=1.0, init_hidden=True), "E021", "R*C is infinite (beta=1)"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_refused_by_name(name):
    make, code, text = REFUSED[name]
    module = nn.Sequential(nn.Linear(3, 3), make())
    with pytest.raises(ImportModelError) as caught:
        from_torch(module)
    found = caught.value.diagnostics[0]
    assert (found.code, found.path) == (code, "1")
    assert text in found.message
    assert found.hint


def test_all_refusals_come_at_once():
    module = nn.Sequential(nn.Linear(3, 3), REFUSED["inhibition"][0](), nn.ReLU(), nn.Linear(3, 3), REFUSED["Alpha"][0]())
    with pytest.raises(ImportModelError) as caught:
        from_torch(module)
    assert [(d.code, d.path) for d in caught.value.diagnostics] == [("E021", "1"), ("E020", "2"), ("E020", "4")]


def test_a_wrong_network_is_not_excused_as_a_tie():
    torch.manual_seed(1)
    module = nn.Sequential(nn.Linear(6, 8), _layer("RLeaky", (8,), linear_features=8), nn.Linear(8, 4), _layer("Leaky", (4,)))
    x = random_input((6,), 6, steps=STEPS)
    graph = from_torch(module)
    ours = run_graph(graph, x, "float32")
    with torch.no_grad():
        module[1].threshold += 1e-3
    other = run_torch(module, x, torch.float32)
    assert any(differing_bits(other, ours).values())
    assert unexcused(build_network(graph, graph.profile), {"input": x}, ours.spikes, other)


def test_a_tie_of_tenths_is_excused_in_float32():
    """Sums of tenths meet a threshold of 1 in some orders of the sum and miss it in others."""
    torch.manual_seed(2)
    module = nn.Sequential(nn.Linear(12, 8, bias=False), _layer("RLeaky", (8,), beta=0.5, threshold=1.0, linear_features=8))
    with torch.no_grad():
        for layer in (module[0], module[1].recurrent):
            layer.weight.copy_(torch.randint(-3, 7, layer.weight.shape) / 10)
        module[1].recurrent.bias.fill_(0.1)
    x = (np.random.default_rng(2).random((4, STEPS, 12)) < 0.3).astype(np.float32)
    graph = from_torch(module)
    other, ours = run_torch(module, x, torch.float32), run_graph(graph, x, "float32")
    assert unexcused(build_network(graph, graph.profile), {"input": x}, ours.spikes, other) == []
