"""SpikingJelly: spikes bit for bit over 200 steps in both step modes, every option, and every refusal by name."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from library_checks import assert_equal_spikes
from random_snn import random_input
from random_spikingjelly import FAMILIES, KINDS, random_module, run_spikingjelly
from spikingjelly.activation_based import functional, layer, neuron
from spikingjelly_nets import OPTIONS, REFUSED, STEPS, Overridden, check, made_neuron, strong
from torch import nn
from torch_runs import run_graph

from spikeport.compiler.importers.nir_file import load_nir
from spikeport.compiler.importers.torch_module import from_torch
from spikeport.ir.diagnostics import ImportModelError
from spikeport.ir.nir_io import save_nir


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("seed", range(3))
def test_random_modules(family, seed):
    module, shape = random_module(family, seed)
    assert_equal_spikes(module, shape, random_input(shape, seed, steps=STEPS), run_spikingjelly)


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_many_random_modules(family):
    for seed in range(100, 110):
        module, shape = random_module(family, seed)
        assert_equal_spikes(module, shape, random_input(shape, seed, steps=STEPS), run_spikingjelly)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("options", OPTIONS, ids=lambda options: " ".join(options))
def test_every_option(kind, options):
    torch.manual_seed(3)
    module = nn.Sequential(strong(layer.Linear, 5, 7), made_neuron(kind, **options))
    functional.set_step_mode(module, options.get("step_mode", "s"))
    graph = check(module, (5,))
    read = graph.profile.at("1", graph["1"].op.kind)
    soft = options.get("v_reset", 0.0) is None
    assert (read.name, read.dt, read.compare) == ("spikingjelly", 1e-3, ">=")
    assert read.reset == ("subtract" if soft else "to_v_reset")
    assert graph["1"].op.kind == ("IF" if kind is neuron.IFNode else "LIF")


def test_a_membrane_starts_at_v_reset_or_where_reset_puts_it():
    low, own, zero = neuron.LIFNode(v_reset=-0.5), neuron.IFNode(v_reset=None), neuron.LIFNode()
    own.set_reset_value("v", 0.75)
    module = nn.Sequential(strong(nn.Linear, 3, 4), low, strong(nn.Linear, 4, 4), own, strong(nn.Linear, 4, 4), zero)
    graph = check(module, (3,))
    assert [graph[p].op.extras.v_init for p in "135"] == [-0.5, 0.75, None]


def test_a_left_over_state_is_not_imported_and_not_touched():
    module = nn.Sequential(nn.Linear(3, 3), neuron.IFNode(v_threshold=100.0))
    clean = from_torch(module).digest
    module(torch.full((2, 3), 5.0))
    held = module[1].v
    assert from_torch(module).digest == clean
    assert module[1].v is held


def test_mixed_resets_stand_in_the_profile():
    module = nn.Sequential(
        nn.Linear(3, 3), neuron.IFNode(), nn.Linear(3, 3), neuron.LIFNode(v_reset=None), nn.Linear(3, 3), neuron.LIFNode()
    )
    profile = from_torch(module).profile
    assert (profile.name, profile.reset, profile.reset_when) == ("spikingjelly", "to_v_reset", "after_spike")
    assert profile.overrides == (("3", "reset", "subtract"),)


def test_coefficients_survive_a_file(tmp_path):
    module, shape = random_module("dense", 4)
    graph = from_torch(module, shape)
    save_nir(graph, tmp_path / "net.nir")
    again, _ = load_nir(tmp_path / "net.nir")
    assert again.digest == graph.digest


@pytest.mark.parametrize("decay_input", [True, False])
def test_plain_nir_fields_alone_describe_the_same_neuron(decay_input):
    op = from_torch(nn.Sequential(neuron.LIFNode(tau=3.0, decay_input=decay_input, v_reset=-0.2)), (3,))["0"].op
    assert np.allclose(op.tau, 3e-3, rtol=1e-15)
    assert np.allclose(op.r, 1.0 if decay_input else 3.0, rtol=1e-15)
    assert np.all(op.v_leak == -0.2)
    assert np.all(op.v_reset == -0.2)


def test_a_tau_for_each_neuron():
    plif = neuron.ParametricLIFNode(init_tau=2.0)
    plif.w = nn.Parameter(torch.linspace(-1, 1, 7))
    torch.manual_seed(3)
    graph = check(nn.Sequential(strong(nn.Linear, 5, 7), plif), (5,))
    assert graph["1"].op.extras.discrete.beta.shape == (7,)


def test_a_tie_that_the_library_decides_exactly():
    """tau=2 and dyadic numbers: 1.0 is reached by rounding after 54 steps of constant input, by both on the same step."""
    graph = from_torch(nn.Sequential(neuron.LIFNode()), (1,))
    x = np.ones((1, 120, 1), np.float32)
    run = run_spikingjelly(nn.Sequential(neuron.LIFNode()), x)
    assert np.flatnonzero(run.spikes["0"]).tolist() == [53, 107]
    assert np.array_equal(run_graph(graph, x).spikes["0"], run.spikes["0"])


@pytest.mark.parametrize("name", REFUSED)
def test_refused_by_name(name):
    make, code, text = REFUSED[name]
    module = nn.Sequential(nn.Linear(3, 3), make())
    with pytest.raises(ImportModelError) as caught:
        from_torch(module, (3,))
    found = caught.value.diagnostics[0]
    assert (found.code, found.path) == (code, "1")
    assert text in found.message
    assert found.hint


def test_padding_modes_are_refused():
    module = nn.Sequential(layer.Conv2d(1, 1, 3, padding=1, padding_mode="circular"), neuron.IFNode())
    with pytest.raises(ImportModelError, match="pads with 'circular'"):
        from_torch(module, (1, 4, 4))


def test_all_refusals_come_at_once():
    module = nn.Sequential(nn.Linear(3, 3), Overridden(), nn.ReLU(), layer.Linear(3, 3), neuron.QIFNode())
    with pytest.raises(ImportModelError) as caught:
        from_torch(module)
    assert [(d.code, d.path) for d in caught.value.diagnostics] == [("E021", "1"), ("E020", "2"), ("E020", "4")]


def test_mixed_step_modes_are_refused():
    module = nn.Sequential(layer.Conv2d(1, 1, 3), neuron.IFNode(step_mode="m"))
    with pytest.raises(ImportModelError, match="E032"):
        from_torch(module, (1, 4, 4))


def test_a_wrong_voting_size_is_refused():
    with pytest.raises(ImportModelError, match="takes 10 features or more"):
        from_torch(nn.Sequential(nn.Linear(3, 3), neuron.IFNode(), layer.VotingLayer()))


def test_the_import_is_light():
    code = (
        "import sys, warnings; warnings.simplefilter('error'); import torch, spikeport.compiler.importers.torch_layers; "
        "before = set(sys.modules); import spikeport.compiler.importers.spikingjelly; "
        "print(sorted({m.split('.')[0] for m in set(sys.modules) - before} & "
        "{'matplotlib', 'scipy', 'triton', 'torchvision', 'tensorboard', 'h5py', 'tqdm', 'cupy'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout.strip(), done.stderr) == ("[]", "")
