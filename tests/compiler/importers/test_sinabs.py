"""sinabs: spike counts bit for bit over 200 steps, every option, and every refusal by name."""

import numpy as np
import pytest
import sinabs.activation as sa
import sinabs.layers as sl
import torch
from library_checks import assert_equal_spikes
from random_sinabs import FAMILIES, SAMPLES, STEPS, equal_spikes, random_module, run_sinabs, strong
from random_snn import random_input
from sinabs_parts import BUILT
from torch import nn
from torch_runs import differing_bits, run_graph

from spikeport.compiler.importers.nir_file import load_nir
from spikeport.compiler.importers.sinabs import CONSTRUCTS, DT, LIBRARY
from spikeport.compiler.importers.torch_module import from_torch
from spikeport.ir.diagnostics import ImportModelError
from spikeport.ir.nir_io import save_nir


def _random(family, seed):
    _, shape = random_module(family, seed)
    x = random_input(shape, seed, samples=SAMPLES, steps=STEPS)
    return equal_spikes(lambda: random_module(family, seed)[0], shape, x)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("seed", range(3))
def test_random_modules(family, seed):
    _random(family, seed)


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_many_random_modules(family):
    fired = sum(any(s.any() for s in _random(family, seed)[1].spikes.values()) for seed in range(100, 112))
    assert fired >= 11


def _behind_linear(make, width=6):
    """Return a function that makes a Linear and the neuron of *make*."""

    def build():
        torch.manual_seed(5)
        return nn.Sequential(strong(nn.Linear(4, width)), make())

    return build


def _check(make, width=6, seed=2):
    graph, run = equal_spikes(_behind_linear(make, width), (4,), random_input((4,), seed, steps=STEPS))
    assert all(spikes.any() for spikes in run.spikes.values())
    return graph, run


_PER_NEURON = torch.linspace(0.3, 2, 6)
OPTIONS = {
    "defaults": {},
    "tau_mem": {"tau_mem": torch.linspace(0.5, 30, 6)},
    "tau_mem in one element": {"tau_mem": torch.tensor([4.0])},
    "tau_mem infinite": {"tau_mem": float("inf"), "norm_input": False},
    "tau_mem of no memory": {"tau_mem": torch.tensor([0.0, 1e-3, 1, 2, 3, 4])},
    "tau_syn": {"tau_syn": 3.0},
    "tau_syn each": {"tau_syn": torch.linspace(0.5, 9, 6), "norm_input": False},
    "train_alphas": {"train_alphas": True, "tau_syn": 2.0},
    "train_alphas each": {"train_alphas": True, "tau_mem": torch.linspace(0.5, 30, 6)},
    "norm_input=False": {"norm_input": False},
    "threshold": {"spike_threshold": torch.tensor(0.625)},
    "threshold each": {"spike_threshold": _PER_NEURON},
    "threshold of integers": {"spike_threshold": 1},
    "min_v_mem": {"min_v_mem": -0.3},
    "min_v_mem of integers": {"min_v_mem": -1},
    "min_v_mem each alike": {"min_v_mem": torch.full((6,), -0.25)},
    "min_v_mem of the threshold": {"min_v_mem": -_PER_NEURON, "spike_threshold": _PER_NEURON},
    "min_v_mem of the threshold, one": {"min_v_mem": -0.5, "spike_threshold": torch.tensor(0.5)},
    "MaxSpike(2)": {"spike_fn": sa.MaxSpike(2), "norm_input": False},
    "MaxSpike(None)": {"spike_fn": sa.MaxSpike(), "norm_input": False},
    "MaxSpike(1)": {"spike_fn": sa.MaxSpike(1), "norm_input": False},
    "SingleSpike": {"spike_fn": sa.SingleSpike, "norm_input": False},
    "SingleSpike below 0": {"spike_fn": sa.SingleSpike, "spike_threshold": torch.tensor(-0.25)},
    "subtract_value": {"reset_fn": sa.MembraneSubtract(0.5), "spike_threshold": torch.tensor(0.5)},
    "MembraneReset": {"spike_fn": sa.SingleSpike, "reset_fn": sa.MembraneReset(), "norm_input": False},
    "MembraneReset each": {"spike_fn": sa.SingleSpike, "reset_fn": sa.MembraneReset(), "spike_threshold": _PER_NEURON},
    "MaxSpike(1), MembraneReset": {"spike_fn": sa.MaxSpike(1), "reset_fn": sa.MembraneReset(0)},
    "surrogate": {"surrogate_grad_fn": sa.Heaviside(0.5)},
    "record_states": {"record_states": True},
    "shape": {"shape": (1, 6)},
}  # fmt: skip


@pytest.mark.parametrize("option", OPTIONS)
def test_options_of_lif(option):
    _check(lambda: sl.LIF(**({"tau_mem": 5.0} | OPTIONS[option])))


@pytest.mark.parametrize("option", ["defaults", "tau_syn", "threshold each", "min_v_mem", "MaxSpike(2)", "MembraneReset"])
def test_options_of_iaf(option):
    options = {k: v for k, v in OPTIONS[option].items() if k != "norm_input"}
    graph, _ = _check(lambda: sl.IAF(**options))
    assert graph["1"].op.kind == ("CubaLIF" if "tau_syn" in options else "IF")


class _OwnGradient(sa.MultiSpike):
    @staticmethod
    def backward(ctx, grad_output):
        return grad_output, None, None, None


def test_a_spike_function_with_a_gradient_of_its_own_is_known():
    graph, run = _check(lambda: sl.LIF(5.0, spike_fn=_OwnGradient, norm_input=False))
    assert graph.profile.reset == "multi_subtract"
    assert run.spikes["1"].max() > 1


@pytest.mark.parametrize(
    ("options", "fields"),
    [
        ({}, ("multi_subtract", None, None, "nir")),
        ({"norm_input": False}, ("multi_subtract", None, None, "unit")),
        ({"spike_fn": sa.MaxSpike(3)}, ("multi_subtract", 3, None, "nir")),
        ({"spike_fn": sa.MaxSpike(1)}, ("subtract", None, None, "nir")),
        ({"spike_fn": sa.SingleSpike, "min_v_mem": -1.0}, ("subtract", None, -1.0, "nir")),
        ({"spike_fn": sa.SingleSpike, "reset_fn": sa.MembraneReset()}, ("to_zero", None, None, "nir")),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, dict) else None,
)
def test_the_profile_says_the_options(options, fields):
    profile = from_torch(nn.Sequential(nn.Linear(3, 3), sl.LIF(5.0, **options))).profile
    assert (profile.reset, profile.max_spikes, profile.clamp_low, profile.gain) == fields
    assert (profile.name, profile.dt, profile.compare, profile.overrides) == ("sinabs", DT, ">=", ())


def test_mixed_options_stand_in_the_profile():
    module = nn.Sequential(
        nn.Linear(3, 3), sl.IAF(min_v_mem=-1.0), nn.Linear(3, 3), sl.IAF(min_v_mem=-1.0), nn.Linear(3, 3),
        sl.LIF(5.0, spike_fn=sa.SingleSpike, reset_fn=sa.MembraneReset()),
    )  # fmt: skip
    profile = from_torch(module).profile
    assert (profile.reset, profile.gain, profile.clamp_low) == ("multi_subtract", "unit", -1.0)
    assert profile.overrides == (("5", "clamp_low", None), ("5", "gain", "nir"), ("5", "reset", "to_zero"))


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("kind", ["LIF", "LIF with tau_syn", "IAF", "in a Sequential", "Identity"])
def test_dense_recurrence(kind, bias):
    def make():
        linear = nn.Linear(6, 6, bias=bias)
        with torch.no_grad():
            linear.weight.sub_(0.1)
        if kind == "IAF":
            return sl.IAFRecurrent(linear)
        if kind == "Identity":
            return sl.LIFRecurrent(3.0, nn.Identity())
        rec = nn.Sequential(nn.Flatten(), linear, nn.Dropout(0.5)).eval() if kind == "in a Sequential" else linear
        return sl.LIFRecurrent(6.0, rec, tau_syn=2.0 if "syn" in kind else None)

    graph, _ = _check(make)
    expected = "Scale" if kind == "Identity" else "Affine" if bias else "Linear"
    assert graph["1.rec_connect"].op.kind == expected


def test_the_recurrent_bias_does_not_act_at_step_0():
    linear = nn.Linear(2, 2)
    with torch.no_grad():
        linear.weight.zero_()
        linear.bias.copy_(torch.tensor([1.0, 0.0]))
    module = nn.Sequential(sl.IAFRecurrent(linear))
    x = np.zeros((1, 3, 2), np.float32)
    assert run_sinabs(module, x)[0].spikes["0"][0].tolist() == [[0, 0], [1, 0], [1, 0]]
    assert run_graph(from_torch(module), x).spikes["0"][0].tolist() == [[0, 0], [1, 0], [1, 0]]


@pytest.mark.parametrize("options", [{}, {"groups": 3}, {"dilation": 2, "padding": 2}, {"bias": False}], ids=str)
def test_convolutional_recurrence(options):
    def make():
        torch.manual_seed(9)
        rec = nn.Conv2d(3, 3, 3, **({"padding": 1} | options))
        with torch.no_grad():
            rec.weight.sub_(0.05)
        neuron = sl.LIFRecurrent(torch.full((3, 1, 1), 5.0), rec, spike_threshold=torch.rand(3, 1, 1) + 0.3)
        return nn.Sequential(
            sl.Repeat(strong(nn.Conv2d(2, 3, 3, padding=1))), neuron, nn.Flatten(2), nn.Linear(90, 4), sl.IAF()
        )

    _, run = equal_spikes(make, (2, 6, 5), random_input((2, 6, 5), 4, steps=60))
    assert run.spikes["1"].any()


def test_recurrence_along_one_axis():
    def make():
        torch.manual_seed(9)
        return nn.Sequential(sl.Repeat(strong(nn.Conv1d(2, 3, 3))), sl.IAFRecurrent(nn.Conv1d(3, 3, 3, padding=1, groups=3)))

    equal_spikes(make, (2, 7), random_input((2, 7), 4, steps=60))


@pytest.mark.parametrize(
    "make",
    [
        lambda: sl.ExpLeak(7.0),
        lambda: sl.ExpLeak(torch.linspace(1, 20, 6), norm_input=True),
        lambda: sl.ExpLeak(7.0, train_alphas=True),
        lambda: sl.ExpLeak(float("inf")),
        lambda: sl.LIF(7.0, tau_syn=3.0, spike_fn=None),
        lambda: sl.IAF(spike_fn=None),
        lambda: sl.LIFRecurrent(7.0, nn.Linear(6, 6), spike_fn=None),
    ],
)  # fmt: skip
def test_integrators(make):
    module = _behind_linear(make)().double()
    x = random_input((4,), 3, steps=STEPS)
    _, out = run_sinabs(module, x)
    graph = from_torch(module)
    assert graph["1"].op.kind in ("LI", "I", "CubaLI")
    assert np.abs(out).max() > 0.1
    np.testing.assert_allclose(run_graph(graph, x).out["output"], out, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("length", [{"batch_size": 2}, {"num_timesteps": 50}, {"batch_size": 2, "num_timesteps": 50}], ids=str)
@pytest.mark.parametrize("kind", ["LIF", "IAF", "ExpLeak"])
def test_squeezed_forms(kind, length):
    options = {} if kind == "IAF" else {"tau_mem": 4.0}

    def make():
        torch.manual_seed(4)
        neurons = [sl.IAFSqueeze(**length), getattr(sl, f"{kind}Squeeze")(**length, **options)]
        return nn.Sequential(
            strong(nn.Conv2d(2, 3, 3)), neurons[0], sl.SumPool2d(2), nn.Flatten(), nn.Linear(12, 3), neurons[1]
        )

    x = random_input((2, 6, 6), 5, steps=50)
    graph, run = equal_spikes(make, (2, 6, 6), x)
    assert all(s.any() for s in run.spikes.values())
    module = make().double()
    np.testing.assert_allclose(run_graph(from_torch(module, (2, 6, 6)), x).out[graph.outputs[0]], run_sinabs(module, x)[1])


# Structural ties: every membrane is a multiple of 1/8 and meets the threshold exactly now and then.


def _quarters(layer, seed):
    with torch.no_grad():
        for tensor in layer.parameters():
            generator = torch.Generator().manual_seed(seed)
            tensor.copy_(torch.randint(-3, 6, tensor.shape, generator=generator) / 4)
    return layer


TIES = {
    "IAF": lambda: sl.IAF(),
    "IAF bounded": lambda: sl.IAF(min_v_mem=-1.0),
    "IAF single": lambda: sl.IAF(spike_fn=sa.SingleSpike),
    "IAF two": lambda: sl.IAF(spike_fn=sa.MaxSpike(2)),
    "IAF reset": lambda: sl.IAF(spike_fn=sa.SingleSpike, reset_fn=sa.MembraneReset()),
    "IAF recurrent": lambda: sl.IAFRecurrent(_quarters(nn.Linear(8, 8), 3), spike_fn=sa.SingleSpike, min_v_mem=-1.0),
    "LIF of no memory": lambda: sl.LIF(0.0),
}


@pytest.mark.parametrize("name", TIES)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_structural_ties_agree_exactly(name, dtype):
    module = nn.Sequential(_quarters(nn.Linear(6, 8), 1), TIES[name](), _quarters(nn.Linear(8, 5), 2), sl.IAF(min_v_mem=-1.0))
    module.to(getattr(torch, dtype))
    x = (np.random.default_rng(2).random((4, STEPS, 6)) < 0.3).astype(np.float32)
    run, _ = run_sinabs(module, x)
    on_threshold = [np.mean(tested == 1) for tested in run.tested.values()]
    assert min(on_threshold) > 0.01
    assert differing_bits(run, run_graph(from_torch(module), x, dtype)) == {"1": 0, "3": 0}


def test_a_wrong_network_is_not_excused_as_a_tie():
    make = _behind_linear(lambda: sl.LIF(5.0, norm_input=False))
    x = random_input((4,), 6, steps=STEPS)

    def other(module, x, dtype):
        module[1].spike_threshold.data += 1e-3
        run = run_sinabs(module, x)[0]
        module[1].spike_threshold.data -= 1e-3
        return run

    with pytest.raises(AssertionError):
        assert_equal_spikes(make(), (4,), x, other, arithmetics=("float32",))


# Files, and what stands in the fields of NIR.


def test_decays_and_reset_survive_a_file(tmp_path):
    module, shape = random_module("convolutional", 3)
    graph = from_torch(module, shape)
    save_nir(graph, tmp_path / "net.nir")
    again, _ = load_nir(tmp_path / "net.nir")
    assert again.digest == graph.digest


@pytest.mark.parametrize("is_normed", [True, False])
def test_plain_nir_fields_alone_describe_the_same_neuron(is_normed):
    tau = torch.tensor([0.0, 2.0, float("inf")])
    op = from_torch(nn.Sequential(nn.Linear(3, 3), sl.LIF(tau, tau_syn=3.0, norm_input=is_normed)))["1"].op
    beta, alpha = np.exp(-DT / op.tau_mem), np.exp(-DT / op.tau_syn)
    assert np.allclose(beta, [0, np.exp(-0.5), 1], rtol=1e-6, atol=0)
    assert np.allclose(alpha, np.exp(-1 / 3), rtol=1e-6)
    assert np.allclose(op.r * -np.expm1(-DT / op.tau_mem), 1 - beta if is_normed else 1, rtol=1e-6)
    assert np.allclose(op.w_in * (1 - alpha), alpha, rtol=1e-6)
    assert np.allclose(from_torch(nn.Sequential(nn.Linear(3, 3), sl.IAF()))["1"].op.r * DT, 1)


def test_float32_decays_are_kept_exactly():
    module = nn.Sequential(nn.Linear(3, 3), sl.LIF(7.0))
    exact = from_torch(module)["1"].op.extras.discrete
    alpha = torch.exp(-1.0 / torch.tensor(7.0))
    assert (float(exact.beta), float(exact.mem_gain)) == (float(alpha), float(1 - alpha))
    assert float(exact.beta) != np.exp(-1 / 7)


def test_a_left_over_state_is_not_imported_and_not_touched():
    module = nn.Sequential(nn.Linear(3, 3), sl.IAF())
    clean = from_torch(module).digest
    module(torch.full((2, 5, 3), 5.0))
    held = module[1].v_mem
    assert from_torch(module).digest == clean
    assert module[1].v_mem is held


def test_neurons_are_put_to_rest_and_say_how_they_take_time_apart():
    module = nn.Sequential(nn.Linear(3, 3), sl.IAF())
    module(torch.full((2, 5, 3), 5.0))
    module[1].v_mem += 1
    LIBRARY.reset(module[1])
    assert not module[1].v_mem.any()
    assert LIBRARY.merged(sl.IAFSqueeze(batch_size=2), 80) == LIBRARY.merged(sl.IAFSqueeze(num_timesteps=40), 80) == (2, 40)
    x = torch.as_tensor(random_input((3,), 1, samples=2, steps=40)).flatten(0, 1)
    from_torch(nn.Sequential(nn.Linear(3, 3), sl.IAFSqueeze(batch_size=2), sl.IAFSqueeze(num_timesteps=40)), sample=x)


# The table.


def test_the_table_names_what_is_built_here():
    assert [row[0] for row in CONSTRUCTS] == list(BUILT)


@pytest.mark.parametrize("row", CONSTRUCTS, ids=lambda row: row[0])
def test_every_row_of_the_table(row):
    construct, verdict, _ = row
    x = random_input((2, 6, 6), 1, steps=20)
    for make in BUILT[construct]:
        torch.manual_seed(1)
        module = make().double().eval()
        if verdict == "refused":
            with pytest.raises(ImportModelError) as caught:
                from_torch(nn.Sequential(module), (2, 6, 6))
            assert {d.code for d in caught.value.diagnostics} <= {"E020", "E021"}
        else:
            run, out = run_sinabs(module, x)
            trace = run_graph(from_torch(module, (2, 6, 6)), x)
            assert differing_bits(run, trace) == dict.fromkeys(run.spikes, 0)
            np.testing.assert_allclose(trace.out["output"], out, rtol=1e-10, atol=1e-12)
