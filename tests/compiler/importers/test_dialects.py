"""Dialects against the libraries' own exporters: the file alone gives the module's spikes, or a question is asked back."""

import contextlib
import copy
import dataclasses
import warnings

import h5py
import numpy as np
import pytest

from spikeport.compiler.importers.dialects import DIALECTS
from spikeport.compiler.importers.dialects.reading import parse_dialect, recognised
from spikeport.compiler.importers.dialects.snntorch import decay_of
from spikeport.compiler.importers.nir_file import load_nir
from spikeport.ir import verify
from spikeport.ir.diagnostics import ImportModelError, ProfileError, UsageError, VerifyError
from spikeport.ir.network import build_network
from spikeport.ir.nir_io import save_nir
from spikeport.ir.reference import run_reference

torch = pytest.importorskip("torch")
import nir  # noqa: E402
from torch import nn  # noqa: E402

SHAPE = (2, 6, 5)


def full(shape, value):
    return torch.full((shape,) if isinstance(shape, int) else shape, float(value))


def save(path, made):
    nir.write(path, made)
    return path


def export(function, *args, **kwargs):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return function(*args, **kwargs)


def inputs(shape, steps=200, seed=0):
    return (np.random.default_rng(seed).random((2, steps, *shape)) < 0.5).astype(np.float32)


def doubled(module):
    """Return a copy of *module* in float64; surrogates give float32 spikes, whatever the membrane's type."""
    module = copy.deepcopy(module)  # SpikingJelly's neurons share one surrogate by default: a hook on it would stay
    for layer in module.modules():
        if not any(True for _ in layer.children()):
            layer.register_forward_pre_hook(lambda _, args: (args[0].double(), *args[1:]))
    return module.double()


def stepped(module, x, state=False):
    """Run *module* step by step in float64; with *state* it takes and returns one."""
    module, x = doubled(module), torch.tensor(x, dtype=torch.float64)
    out, held = [], None
    with torch.no_grad():
        for t in range(x.shape[1]):
            value = module(x[:, t], held) if state else module(x[:, t])
            value, held = value if isinstance(value, tuple) else (value, None)
            out.append(value.double())
    return torch.stack(out, 1).numpy()


def read(path, x, dialect=None, profile=None):
    """Return what the file gives for *x*, and the codes of what was said."""
    graph, found = load_nir(path, dialect)
    verify(graph, profile or graph.profile)
    network = build_network(graph, profile or graph.profile)
    trace = run_reference(network, {graph.inputs[0]: x.astype(np.float64)})
    return trace.out[graph.outputs[0]], {d.code for d in found}


# ------------------------------------------------------------------------------------------------------------ snnTorch


def snn_dense(snntorch, reset, delay):
    def leaky(n, **options):
        return snntorch.Leaky(
            threshold=full(n, 0.7), reset_mechanism=reset, reset_delay=delay, init_hidden=True, **options
        )  # fmt: skip

    synaptic = snntorch.Synaptic(
        alpha=full(6, 0.55), beta=full(6, 0.85), threshold=full(6, 1), init_hidden=True, reset_mechanism=reset,
        reset_delay=delay,
    )  # fmt: skip
    return nn.Sequential(
        nn.Linear(5, 8), leaky(8, beta=torch.linspace(0.3, 0.97, 8)), nn.Linear(8, 6, bias=False), synaptic, nn.Linear(6, 3),
        leaky(3, beta=full(3, 0.9)),
    )  # fmt: skip


def snn_conv(snntorch, reset, delay):
    options = {"init_hidden": True, "reset_mechanism": reset, "reset_delay": delay}
    return nn.Sequential(
        nn.Conv2d(2, 3, 3), snntorch.Leaky(beta=full((3, 4, 3), 0.8), threshold=full((3, 4, 3), 0.4), **options),
        nn.AvgPool2d((2, 2), stride=(1, 1)), nn.Flatten(), nn.Linear(18, 4),
        snntorch.Leaky(beta=full(4, 0.9), threshold=full(4, 0.5), **options),
    )  # fmt: skip


@pytest.mark.parametrize(("reset", "delay"), [("subtract", True), ("subtract", False), ("zero", True), ("zero", False),
                                              ("none", True)])  # fmt: skip
@pytest.mark.parametrize(("build", "shape"), [(snn_dense, (5,)), (snn_conv, SHAPE)])
def test_snntorch(tmp_path, build, shape, reset, delay):
    snntorch = pytest.importorskip("snntorch")
    from snntorch import utils
    from snntorch.export_nir import export_to_nir

    torch.manual_seed(1)
    module = build(snntorch, reset, delay)
    for layer in module:
        if isinstance(layer, (nn.Linear, nn.Conv2d)):
            layer.weight.data *= 3
    path = save(tmp_path / "f.nir", export(export_to_nir, module, torch.zeros(1, *shape), ignore_dims=[0]))
    utils.reset(module)
    x = inputs(shape)
    expected = stepped(module, x)
    got, codes = read(path, x, f"snntorch:{reset},reset_delay={'yes' if delay else 'no'}")
    assert "E040" in codes
    assert expected.any()
    assert np.array_equal(got, expected)


def test_snntorch_recurrent(tmp_path):
    snntorch = pytest.importorskip("snntorch")
    from snntorch import utils
    from snntorch.export_nir import export_to_nir

    torch.manual_seed(2)
    module = nn.Sequential(nn.Linear(5, 6), snntorch.RLeaky(beta=0.83, linear_features=6, init_hidden=True))
    path = save(tmp_path / "f.nir", export(export_to_nir, module, torch.zeros(1, 5), ignore_dims=[0]))
    utils.reset(module)
    x = inputs((5,)) * 3
    expected = stepped(module, x)
    got, _ = read(path, x, "snntorch:subtract")
    assert expected.any()
    assert np.array_equal(got, expected)


def test_snntorch_s_reset_is_asked_back(tmp_path, anchors):
    graph, found = load_nir(anchors / "braille" / "braille_noDelay_bias_zero.nir")
    asked = next(d for d in found if d.code == "E338")
    assert graph.profile is None
    assert asked.severity == "note"
    assert (
        "reset_mechanism, which it writes in the same way for each of :subtract (its default), :zero and :none" in asked.message
    )
    assert "--dialect snntorch:subtract" in asked.hint
    assert graph == load_nir(anchors / "braille" / "braille_noDelay_bias_zero.nir", "snntorch")[0]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_snntorch_s_own_decays_are_found_again(dtype):
    beta = np.random.default_rng(0).uniform(0.01, 0.999, 20_000).astype(np.float32)
    dt = dtype(1e-4)
    tau = dt / (1 - beta.astype(dtype))
    found = decay_of(tau, 1e-4)
    # Below 1/2 several float32 betas give one float32 tau: then one of them.
    same = found == beta.astype(np.float64)
    assert same[beta > 0.5].all()
    assert np.abs(found - beta).max() < 1.5e-7
    assert dtype is np.float32 or same.all()
    short = np.arange(1, 100).astype(np.float32) / np.float32(100)
    assert (decay_of(dt / (1 - short.astype(dtype)), 1e-4) == short).all()


def test_a_w_in_that_the_file_states_is_left_as_it_is(tmp_path):
    one = np.ones(3)
    node = nir.CubaLIF(4e-4 * one, 1e-3 * one, 10 * one, 0 * one, one, w_in=one)
    graph, found = load_nir(plain(tmp_path / "f.nir", node))
    assert found == ()
    assert (graph["n"].op.w_in == 1).all()


def snn_lif(path, beta):
    tau = 1e-4 / (1 - np.asarray(beta))
    return plain(path, nir.LIF(tau, tau / 1e-4, 0 * tau, 1 + 0 * tau))


def test_snntorch_s_beta_of_0_is_a_tau_of_dt(tmp_path):
    graph, found = load_nir(snn_lif(tmp_path / "f.nir", [0.0, 0.5]), "snntorch:subtract")
    with pytest.raises(VerifyError, match="E303 at n"):
        verify(graph, graph.profile)
    assert "inhibition and graded_spikes_factor of the module are not in the file" in found[-1].message


@pytest.mark.parametrize("beta", [-0.2, 1.2])
def test_snntorch_s_betas_outside_0_to_1_are_refused(tmp_path, beta):
    with pytest.raises(ImportModelError, match=f"E303 at n: tau stands for beta = {beta}, outside 0 to 1"):
        load_nir(snn_lif(tmp_path / "f.nir", [beta, 0.5]), "snntorch:subtract")


# -------------------------------------------------------------------------------------------------------------- sinabs


@pytest.mark.parametrize("norm", [True, False])
@pytest.mark.parametrize("low", [None, -0.4])
@pytest.mark.parametrize("spikes", ["multi", "single", "reset"])
def test_sinabs(tmp_path, norm, low, spikes):
    pytest.importorskip("sinabs")
    import sinabs.activation as activation
    import sinabs.layers as sl
    import sinabs.nir

    torch.manual_seed(3)
    options = {"min_v_mem": low} | {
        "multi": {}, "single": {"spike_fn": activation.SingleSpike},
        "reset": {"spike_fn": activation.SingleSpike, "reset_fn": activation.MembraneReset()},
    }[spikes]  # fmt: skip
    lif = sl.LIFSqueeze(
        tau_mem=torch.linspace(3, 30, 8), spike_threshold=full(8, 0.5), batch_size=2, norm_input=norm, **options
    )
    module = nn.Sequential(nn.Linear(5, 8), lif, nn.Linear(8, 4, bias=False), sl.IAFSqueeze(batch_size=2, **options))
    x = inputs((5,)) * 2
    flat = torch.tensor(x).flatten(0, 1)
    module(flat)
    path = save(tmp_path / "f.nir", export(sinabs.nir.to_nir, module, flat))
    sinabs.reset_states(module)
    with torch.no_grad():
        expected = doubled(module)(flat.double()).unflatten(0, x.shape[:2]).numpy()
    given = {"multi": ":subtract", "single": ":subtract,reset=subtract", "reset": ":zero"}[spikes]
    dialect = f"sinabs{given},gain={'nir' if norm else 'unit'},clamp_low={low}".replace("None", "none")
    got, codes = read(path, x, dialect)
    assert "E046" in codes
    assert expected.any()
    assert np.array_equal(got, expected)


def test_sinabs_asks_for_what_its_files_do_not_show(tmp_path):
    path = tmp_path / "f.nir"
    plain(path, nir.LIF(*(np.ones(3),) * 5))
    (asked,) = [d for d in load_nir(path, "sinabs")[1] if d.code == "E338"]
    assert set(asked.facts["open"]) == {"reset", "gain", "clamp_low"}
    assert "--dialect sinabs:subtract,gain=nir,clamp_low=none" in asked.hint
    (asked,) = [d for d in load_nir(path, "sinabs:zero,clamp_low=none")[1] if d.code == "E338"]
    assert asked.facts["open"] == ("gain",) or list(asked.facts["open"]) == ["gain"]
    assert "--dialect sinabs:zero,clamp_low=none,gain=nir" in asked.hint
    graph, found = load_nir(path, "sinabs:zero,clamp_low=none,gain=nir")
    assert not [d for d in found if d.code == "E338"]
    assert (graph.profile.dt, graph.profile.gain, graph.profile.clamp_low) == (1.0, "nir", None)


def test_sinabs_li_has_its_own_default_and_no_bound(tmp_path):
    path = plain(tmp_path / "f.nir", nir.LI(*(np.ones(3),) * 3))
    (asked,) = [d for d in load_nir(path, "sinabs")[1] if d.code == "E338"]
    assert asked.facts["open"] == ["gain"]
    assert "gain=unit (False, its default)" in asked.message
    assert "--dialect sinabs,gain=unit" in asked.hint
    assert load_nir(path, "sinabs,gain=unit")[0].profile.clamp_low is None
    for text in ("clamp_low=-0.2", "@%LI:clamp_low=-0.2", "@n:clamp_low=-0.2"):
        with pytest.raises(ImportModelError, match=r"E021 at n: min_v_mem=-0\.2 on an ExpLeak: sinabs bounds"):
            load_nir(path, f"sinabs,gain=unit,{text}")
    path = plain(tmp_path / "g.nir", nir.LIF(*(np.ones(3),) * 4))
    (asked,) = [d for d in load_nir(path, "sinabs")[1] if d.code == "E338"]
    assert "gain=unit (False, the default of ExpLeak" in asked.message


def plain(path, node, weight=None, names=("input", "fc", "n", "output")):
    """Write Input -> Linear -> *node* -> Output."""
    size = node.output_type["output"]
    weight = np.eye(int(size[0])) if weight is None else weight
    a, b, c, d = names
    nodes = {a: nir.Input(np.array(weight.shape[1:])), b: nir.Linear(weight), c: node, d: nir.Output(size)}
    return save(path, nir.NIRGraph(nodes, [(a, b), (b, c), (c, d)], type_check=False))


# --------------------------------------------------------------------------------------------------------------- Norse


def norse_module(method, leak):
    import norse.torch as norse
    from norse.torch.functional.iaf import IAFParameters
    from norse.torch.functional.leaky_integrator_box import LIBoxParameters
    from norse.torch.functional.lif import LIFParameters
    from norse.torch.functional.lif_box import LIFBoxParameters

    zero = full(6, 0)
    box = LIFBoxParameters(tau_mem_inv=torch.linspace(50, 400, 6), v_leak=full(6, leak), v_th=full(6, 0.2), v_reset=zero,
                           reset_method=method)  # fmt: skip
    cell = LIFParameters(tau_syn_inv=full(6, 200), tau_mem_inv=full(6, 100), v_leak=full(6, leak), v_th=full(6, 0.2),
                         v_reset=zero)  # fmt: skip
    iaf = IAFParameters(v_th=full(6, 1), v_reset=zero)
    li = LIBoxParameters(tau_mem_inv=full(3, 100), v_leak=full(3, leak))
    return norse.SequentialState(
        nn.Linear(5, 6), norse.LIFBoxCell(box), nn.Linear(6, 6), norse.LIFCell(cell), nn.Linear(6, 6, bias=False),
        norse.IAFCell(iaf), nn.Linear(6, 3), norse.LIBoxCell(li),
    )  # fmt: skip


@pytest.mark.parametrize("leak", [0.0, 0.1])
@pytest.mark.parametrize("name", ["value", "subtract"])
def test_norse(tmp_path, name, leak):
    pytest.importorskip("norse")
    from norse.torch.functional import reset
    from norse.torch.utils.export_nir import to_nir

    torch.manual_seed(4)
    module = norse_module(getattr(reset, f"reset_{name}"), leak)
    for layer in module:
        if isinstance(layer, nn.Linear):
            layer.weight.data *= 3
    path = save(tmp_path / "f.nir", export(to_nir, module, torch.zeros(1, 5)))
    x = inputs((5,))
    expected = stepped(module, x, state=True)
    # reset_method is of the box alone: cells set to v_reset.
    dialect = "norse:value,dt=1e-3" + (",@1:reset=subtract" if name == "subtract" else "")
    got, codes = read(path, x, dialect)
    assert "E044" in codes
    assert np.abs(expected).max() > 0.01
    assert np.allclose(got, expected, atol=1e-6)


def test_norse_asks_for_its_dt_before_it_reads(tmp_path, anchors):
    plain(tmp_path / "f.nir", nir.LIF(1e-5 * np.ones(2), *(np.ones(2),) * 4))
    with pytest.raises(ProfileError, match="E338: a file of Norse") as caught:
        load_nir(tmp_path / "f.nir", "norse")
    assert "--dialect norse:value,dt=0.001" in str(caught.value)
    # Older files of Norse have seconds: read with the profile alone.
    assert "older files, with tau in seconds, are read with --profile norse" in str(caught.value)
    graph, found = load_nir(anchors / "lif" / "lif_norse.nir")
    assert "E044" not in {d.code for d in found}
    assert graph["1"].op.tau == pytest.approx(0.0025)


def test_norse_s_tau_is_divided_by_dt_for_every_neuron_alike(tmp_path):
    one = np.ones(2)
    path = plain(tmp_path / "f.nir", nir.LIF(np.array([2e-3, 2e-6]), one, 0 * one, one))  # 2 s and 2 ms
    graph, found = load_nir(path, "norse:value,dt=1e-3")
    assert graph["n"].op.tau == pytest.approx([2, 2e-3])
    assert "read it with --profile norse" in next(d.message for d in found if d.code == "E044")
    path = plain(tmp_path / "g.nir", nir.LIF(np.array([2e-3, 5e-7]), one, 0 * one, one))
    graph, _ = load_nir(path, "norse:value,dt=1e-3")
    with pytest.raises(VerifyError, match="E303 at n"):
        verify(graph, graph.profile)


# -------------------------------------------------------------------------------------------------------- SpikingJelly


class Jelly(nn.Module):
    """A module with names of its own, whose forward is traced."""

    def __init__(self, neuron, layer, v_reset, decay_input):
        super().__init__()
        self.conv, self.sn1 = layer.Conv2d(2, 3, 3), neuron.IFNode(v_threshold=0.5, v_reset=v_reset)
        self.pool, self.flat, self.fc = layer.AvgPool2d(2, stride=1), layer.Flatten(), layer.Linear(18, 6)
        self.sn2 = neuron.LIFNode(tau=3.0, decay_input=decay_input, v_threshold=0.3, v_reset=v_reset)
        self.fc2, self.sn3 = layer.Linear(6, 4, bias=False), neuron.ParametricLIFNode(2.5, decay_input, 0.1, v_reset)

    def forward(self, x):
        x = self.sn1(self.conv(x))
        return self.sn3(self.fc2(self.sn2(self.fc(self.flat(self.pool(x))))))


@pytest.mark.parametrize("v_reset", [0.0, -0.3])
@pytest.mark.parametrize("decay_input", [True, False])
def test_spikingjelly(tmp_path, v_reset, decay_input):
    pytest.importorskip("spikingjelly")
    from spikingjelly.activation_based import functional, layer, neuron
    from spikingjelly.activation_based.nir_exchange import export_to_nir

    torch.manual_seed(5)
    module = Jelly(neuron, layer, v_reset, decay_input)
    for part in (module.conv, module.fc, module.fc2):
        part.weight.data = part.weight.data.abs() * 2
    path = save(tmp_path / "f.nir", export(export_to_nir, module, torch.zeros(1, *SHAPE), dt=1e-3))
    functional.reset_net(module)
    x = inputs(SHAPE)
    with torch.no_grad():
        expected = stepped(module, x)
    assert load_nir(path)[0].profile is None  # its names are the module's own
    got, codes = read(path, x, "spikingjelly")  # stated, and complete
    assert "E040" in codes
    assert not codes & {"E338", "E044"}
    assert expected.any()
    assert np.array_equal(got, expected)


def test_spikingjelly_s_dt_is_asked_back_where_no_gain_shows_it(tmp_path):
    one = np.ones(3)
    node = nir.LIF(2e-3 * one, one, 0 * one, one, 0 * one)
    path = plain(tmp_path / "f.nir", node, names=("input_1", "_0", "_1", "output"))
    assert recognised(load_nir(path)[0]) == {}
    graph, found = load_nir(path, "spikingjelly")
    assert graph.profile is None
    (asked,) = [d for d in found if d.code == "E338"]
    assert "--dialect spikingjelly,dt=0.0001" in asked.hint
    assert load_nir(path, "spikingjelly,dt=1e-3")[0].profile.dt == 1e-3


def test_spikingjelly_asks_for_the_dt_of_if_too(tmp_path):
    one = np.ones(3)
    path = plain(tmp_path / "f.nir", nir.IF(one, one, 0 * one), names=("input_1", "_0", "_1", "output"))
    graph, found = load_nir(path, "spikingjelly")
    assert graph.profile is None
    assert [d.facts["open"] for d in found if d.code == "E338"] == [["dt"]]
    path = plain(tmp_path / "g.nir", nir.IF(1e4 * one, one, 0 * one), names=("input_1", "_0", "_1", "output"))
    assert load_nir(path, "spikingjelly")[0].profile.dt == 1e-4


def test_spikingjelly_s_files_of_a_sequential_are_recognised(tmp_path):
    pytest.importorskip("spikingjelly")
    from spikingjelly.activation_based import layer, neuron
    from spikingjelly.activation_based.nir_exchange import export_to_nir

    module = nn.Sequential(layer.Linear(5, 4), neuron.LIFNode(3.0), nn.Sequential(layer.Linear(4, 3), neuron.IFNode()))
    path = save(tmp_path / "f.nir", export(export_to_nir, module, torch.zeros(1, 5), dt=1e-3))
    assert set(recognised(load_nir(path)[0])) == {"spikingjelly"}
    assert load_nir(path)[0].profile.dt == 1e-3


@pytest.mark.parametrize(
    ("node", "names"),
    [
        (nir.LIF(*np.array([[0.02], [2.0], [0.0], [1.0]])), ("in", "fc", "pop", "output")),
        (nir.LIF(*np.array([[0.02], [2.0], [0.0], [1.0]])), ("input_1", "fc", "pop", "output")),
        (nir.LIF(*np.array([[0.02], [1.0], [0.0], [1.0]])), ("_0", "fc", "_1", "output")),
        (nir.CubaLIF(*np.array([[0.02], [0.02], [1.0], [0.0], [1.0]])), ("input_1", "_0", "_1", "output")),
        (nir.IF(*np.array([[2.0], [1.0]])), ("in", "fc", "pop", "output")),
        (nir.LIF(*np.array([[0.02], [0.5], [0.0], [1.0]])), ("input", "linear", "LIF", "output")),
        (nir.LIF(*np.array([[0.02], [0.1], [0.0], [1.0]])), ("input", "layer_0", "layer_1", "output")),
        (nir.CubaLIF(*np.array([[0.02], [0.01], [1.0], [0.0], [1.0]]), w_in=np.array([0.02])), ("0", "1", "2", "output")),
        (nir.CubaLIF(*np.array([[1 / 2048], [1 / 128], [1.0], [0.0], [1.0]]), w_in=np.array([1 / 2048])),
         ("0", "1", "2", "output")),
    ],
)  # fmt: skip
def test_hand_made_files_are_not_recognised(tmp_path, node, names):
    graph, found = load_nir(plain(tmp_path / "f.nir", node, names=names))
    assert recognised(graph) == {}
    assert graph.profile is None
    assert not {"E040", "E044", "E338"} & {d.code for d in found}


# --------------------------------------------------------------------------------- those that are not installed: by facts


def test_rockpool_shows_its_dt_in_r(anchors, tmp_path):
    graph, found = load_nir(anchors / "lif" / "lif_rockpool.nir")
    assert (graph.profile.name, graph.profile.dt) == ("rockpool", 1e-4)
    assert {"E040", "E046"} <= {d.code for d in found}
    x, _, s = np.loadtxt(anchors / "lif" / "lif_rockpool.csv", delimiter=",").T
    got, _ = read(anchors / "lif" / "lif_rockpool.nir", x[None, :, None])
    assert np.flatnonzero(got[0, :, 0]).tolist() == np.flatnonzero(s).tolist() == [450, 500, 710, 760]
    tau = np.array([0.01, 0.02], np.float32)
    node = nir.CubaLIF(tau, tau, (tau * np.exp(-1e-3 / tau) / 1e-3).astype(np.float32), 0 * tau, 1 + 0 * tau)
    path = plain(tmp_path / "f.nir", node, names=("input", "0_LinearTorch", "1_LIFTorch", "output"))
    assert load_nir(path)[0].profile.dt == 1e-3


def spyx_node(kind, beta, dt):
    zero = np.zeros(beta.shape)
    if kind == "LIF":
        return nir.LIF(dt / (1 - beta), beta, zero, 1 + zero)
    return nir.CubaLIF(dt / (1 - beta / 2), dt / (1 - beta), beta, zero, 1 + zero)


@pytest.mark.parametrize("kind", ["LIF", "CubaLIF"])
def test_spyx_has_gains_of_1(tmp_path, kind):
    beta = np.array([0.5, 0.8, 0.9], np.float32)
    path = plain(tmp_path / "f.nir", spyx_node(kind, beta, 1), names=("input", "layer_0", "layer_1", "output"))
    graph, found = load_nir(path)
    assert "E040" in {d.code for d in found}
    assert (graph.profile.name, graph.profile.dt) == ("spyx", 1.0)
    model = build_network(graph, graph.profile).models["layer_1"]
    assert np.allclose(model.beta, beta)
    assert (model.mem_gain == 1).all()
    assert kind == "LIF" or (model.syn_gain == 1).all()


def test_spyx_s_dt_is_asked_back_where_there_is_one_tau(tmp_path):
    path = plain(tmp_path / "f.nir", spyx_node("LIF", np.array([0.8, 0.8]), 1), names=("input", "layer_0", "layer_1", "output"))
    assert recognised(load_nir(path)[0]) == {}
    graph, found = load_nir(path, "spyx")
    assert graph.profile is None
    assert "--dialect spyx,dt=1" in next(d.hint for d in found if d.code == "E338")
    assert load_nir(path, "spyx,dt=1")[0].profile.dt == 1


def test_spyx_weights_with_inputs_first_are_turned_where_only_that_fits(tmp_path):
    beta = np.array([0.5, 0.8, 0.9], np.float32)
    node = spyx_node("LIF", beta, 1)
    nodes = {"input": nir.Input(np.array([2])), "linear": nir.Linear(np.ones((2, 3))), "LIF": node,
             "output": nir.Output(np.array([3]))}  # fmt: skip
    edges = [("input", "linear"), ("linear", "LIF"), ("LIF", "output")]
    path = save(tmp_path / "f.nir", nir.NIRGraph(nodes, edges, type_check=False))
    graph, found = load_nir(path)
    assert graph["linear"].op.weight.shape == (3, 2)
    assert "inputs first" in next(d.message for d in found if d.code == "E044")
    assert verify(graph, graph.profile) == ()


def test_spyx_recurrent_layers_take_their_input_at_the_neurons(tmp_path):
    beta = np.array([0.5, 0.8, 0.9], np.float32)
    inner = nir.NIRGraph(
        {"layer_1.lif": spyx_node("LIF", beta, 1), "layer_1.w_rec": nir.Linear(np.ones((3, 3))),
         "layer_1.input": nir.Input(np.array([3])), "layer_1.output": nir.Output(np.array([3]))},
        [("layer_1.input", "layer_1.w_rec"), ("layer_1.w_rec", "layer_1.lif"), ("layer_1.lif", "layer_1.w_rec"),
         ("layer_1.lif", "layer_1.output")], type_check=False,
    )  # fmt: skip
    nodes = {"input": nir.Input(np.array([3])), "layer_0": nir.Linear(np.eye(3)), "layer_1": inner,
             "output": nir.Output(np.array([3]))}  # fmt: skip
    edges = [("input", "layer_0"), ("layer_0", "layer_1"), ("layer_1", "output")]
    path = save(tmp_path / "f.nir", nir.NIRGraph(nodes, edges, type_check=False))
    graph, found = load_nir(path)
    assert {e.source for e in graph.into("layer_1.layer_1.lif")} == {"layer_0", "layer_1.layer_1.w_rec"}
    assert [e.source for e in graph.into("layer_1.layer_1.w_rec")] == ["layer_1.layer_1.lif"]
    assert "the input from layer_0 enters at these recurrent weights" in next(d.message for d in found if d.code == "E044")


def lava(path, decay_mem=128, decay_syn=2048):
    one = np.ones(2)
    nodes = {"0": nir.Input(np.array([3])), "1": nir.Linear(np.ones((2, 3))),
             "2": nir.CubaLIF(one / decay_syn, one / decay_mem, one, 0 * one, 80 * one, w_in=one / decay_syn)}  # fmt: skip
    return save(path, nir.NIRGraph(nodes, [(0, 1), (1, 2)], type_check=False))


def test_lava_dl_s_decays_are_whole_4096ths(tmp_path):
    graph, found = load_nir(lava(tmp_path / "f.nir", decay_mem=128.5))
    assert graph.profile is None
    assert "E040" not in {d.code for d in found}


@pytest.mark.parametrize("node", [nir.LIF(*(np.ones(2),) * 4), nir.LI(*(np.ones(2),) * 3), nir.IF(*(np.ones(2),) * 2)])
def test_lava_dl_writes_no_other_neuron_than_cubalif(tmp_path, node):
    kind = type(node).__name__
    with pytest.raises(ImportModelError, match=f"E042 at n: .* writes every neuron as a CubaLIF, and this is a {kind}"):
        load_nir(plain(tmp_path / "f.nir", node), "lava-dl")


def test_lava_dl_has_decays_in_4096ths(tmp_path):
    graph, found = load_nir(lava(tmp_path / "f.nir"))
    assert {d.code for d in found} >= {"E018", "E040", "E044", "E046"}
    assert graph.outputs == ("output",)
    assert (graph.profile.name, graph.profile.dt) == ("lava_float", 1.0)
    model = build_network(graph, graph.profile).models["2"]
    assert np.allclose(model.beta, 1 - 128 / 4096)
    assert np.allclose(model.alpha, 1 - 2048 / 4096)
    assert np.allclose(model.mem_gain * model.syn_gain, 1)


# --------------------------------------------------------------------------------------------------------- the table


def test_what_a_file_does_not_show_is_not_recognised(tmp_path, anchors):
    for name in ("lif/lif_norse.nir", "cnn/cnn_sinabs.nir"):
        graph, found = load_nir(anchors / name)
        assert recognised(graph) == {}
        assert graph.profile is None
        assert "E040" not in {d.code for d in found}


def test_a_dialect_that_the_file_contradicts_is_refused(anchors, tmp_path):
    with pytest.raises(ImportModelError, match="E042: --dialect norse was given, and the file bears the marks of") as caught:
        load_nir(anchors / "braille" / "braille_noDelay_bias_zero.nir", "norse:zero,dt=1e-3")
    assert "snnTorch: r is tau/dt and w_in tau_syn/dt" in str(caught.value)
    assert "--profile norse" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "kind", "message"),
    [
        ("Nors", UsageError, r"E041 at --dialect: unknown dialect 'nors' \(did you mean 'norse'\?\)"),
        ("snntorch:sero", ProfileError, "E333: snntorch has no reset 'sero'"),
        ("norse,td=1", ProfileError, "E332: unknown profile field 'td'"),
        ("norse,dt", ProfileError, "E332: cannot read 'dt'"),
    ],
)
def test_dialects_that_cannot_be(text, kind, message):
    with pytest.raises(kind, match=message):
        parse_dialect(text)


def test_the_user_s_fields_win_over_those_of_the_file():
    assert parse_dialect("lava_dl").dialect is parse_dialect(" Lava-DL").dialect is DIALECTS["lava-dl"]
    stated = parse_dialect("norse:value,dt=1e-3,@a.b:reset=subtract")
    assert stated.fields == {"reset": "value", "dt": "1e-3"}


def test_the_profile_that_the_user_states_wins(anchors):
    graph, _ = load_nir(anchors / "lif" / "lif_rockpool.nir", "rockpool,dt=5e-4")
    assert graph.profile.dt == 5e-4


@pytest.mark.parametrize("value", [0.0, -1.0, np.nan, np.inf, 1e300, 5e-324])
@pytest.mark.parametrize("names", [("input", "fc", "n", "output"), ("x", "layer_0", "layer_1", "y"), ("0", "1", "2", "output"),
                                   ("input", "0_LinearTorch", "1_LIFTorch", "output")])  # fmt: skip
def test_any_parameters_are_looked_at_without_harm(tmp_path, value, names):
    one = np.ones(2)
    for node in (nir.LIF(*(value * one,) * 5), nir.IF(value * one, one, one), nir.CubaLIF(*(value * one,) * 5),
                 nir.LI(value * one, value * one, 0 * one)):  # fmt: skip
        path = plain(tmp_path / "f.nir", node, names=names)
        for text in (None, "norse,dt=1e-3", "spyx", "rockpool", "sinabs:subtract,gain=nir,clamp_low=none"):
            with contextlib.suppress(ImportModelError):  # E042
                load_nir(path, text)


def test_parameters_of_several_shapes_are_left_to_the_verifier(tmp_path):
    one = np.ones(3)
    path = plain(tmp_path / "f.nir", nir.LIF(*(one,) * 5))
    with h5py.File(path, "a") as file:
        del file["node/nodes/n/r"]
        file["node/nodes/n/r"] = np.ones(4)
    for text in (None, "norse:value,dt=1e-3"):
        with pytest.raises(VerifyError, match="E201 at n"):
            verify(load_nir(path, text)[0])


def test_our_own_files_need_none(tmp_path):
    graph = load_nir(plain(tmp_path / "f.nir", nir.LIF(*(np.ones(3),) * 5)))[0]
    save_nir(graph.replace(notes={"a": 1}), tmp_path / "own.nir")
    same, found = load_nir(tmp_path / "own.nir", "norse:value,dt=1e-3")
    assert [(d.code, d.severity) for d in found] == [("E047", "warning")]
    assert same.profile is None
    with pytest.raises(UsageError, match="E041"):
        load_nir(tmp_path / "own.nir", "nope")


def test_every_dialect_says_what_it_is():
    for name, dialect in DIALECTS.items():
        assert dialect.name == name
        assert all(dataclasses.is_dataclass(q) and q.asks and q.example and q.keys for q in dialect.questions)
