"""Norse: spikes bit for bit over 200 steps, every option, every form of a network, and every refusal by name."""

import numpy as np
import pytest
import torch
from library_checks import assert_equal_spikes
from norse.torch.module.snn import SNNCell
from random_norse import FAMILIES, METHODS, Loop, LoopBack, Step, norse, random_module, run_norse, takes_all_steps
from random_snn import random_input
from torch import nn
from torch_runs import run_graph

from spikeport.compiler.importers.nir_file import load_nir
from spikeport.compiler.importers.norse import CONSTRUCTS, LIBRARY
from spikeport.compiler.importers.norse_cells import KINDS
from spikeport.compiler.importers.torch_module import from_torch
from spikeport.ir.diagnostics import ImportModelError
from spikeport.ir.nir_io import save_nir

STEPS = 200


def check(module, shape, seed=1, steps=STEPS):
    """Compare the spikes of each neuron; return the graph and the library's run."""
    return assert_equal_spikes(module, shape, random_input(shape, seed, steps=steps), run_norse)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("seed", range(3))
def test_random_modules(family, seed):
    check(*random_module(family, seed), seed)


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("seed", range(100, 110))
def test_many_random_modules(family, seed):
    check(*random_module(family, seed), seed)


def dense(inputs, outputs):
    """Return a Linear strong enough to make neurons fire."""
    layer = nn.Linear(inputs, outputs)
    with torch.no_grad():
        layer.weight.mul_(4)
    return layer


def lif(kind=norse.LIFParameters, **values):
    """Return parameters with *values* as tensors, the threshold so low that neurons fire."""
    made = {n: torch.as_tensor(v) if isinstance(v, (float, list)) else v for n, v in ({"v_th": 0.3} | values).items()}
    return kind(**made)


def refractory(rho, **values):
    return norse.LIFRefracParameters(lif(**values), torch.as_tensor(rho))


PER_NEURON = torch.linspace(0.1, 0.7, 6)
OPTIONS = {
    "library defaults": lambda: norse.LIFCell(),
    "tau_syn_inv": lambda: norse.LIFCell(lif(tau_syn_inv=431.0)),
    "tau_syn_inv 0": lambda: norse.LIFCell(lif(tau_syn_inv=0.0)),
    "tau_syn_inv beyond 1/dt": lambda: norse.LIFCell(lif(tau_syn_inv=1300.0)),
    "tau_mem_inv": lambda: norse.LIFCell(lif(tau_mem_inv=273.0)),
    "tau_mem_inv 0": lambda: norse.LIFCell(lif(tau_mem_inv=[0.0, 90.0, 200.0, 0.0, 600.0, 400.0], v_leak=0.2)),
    "tau_mem_inv beyond 1/dt": lambda: norse.LIFCell(lif(tau_mem_inv=1250.0)),
    "tau_mem_inv of each": lambda: norse.LIFCell(lif(tau_mem_inv=1000 * PER_NEURON, tau_syn_inv=900 * PER_NEURON)),
    "v_leak": lambda: norse.LIFCell(lif(v_leak=0.17)),
    "v_leak of each": lambda: norse.LIFCell(lif(v_leak=PER_NEURON / 3)),
    "v_th of each": lambda: norse.LIFCell(lif(v_th=PER_NEURON)),
    "v_th below 0": lambda: norse.LIFCell(lif(v_th=-0.05, v_reset=-0.4)),
    "v_reset": lambda: norse.LIFCell(lif(v_reset=-0.3)),
    "v_reset above v_th": lambda: norse.LIFCell(lif(v_reset=0.4, tau_mem_inv=300.0)),
    "float64": lambda: norse.LIFCell(lif(v_th=torch.tensor(0.31, dtype=torch.float64), v_leak=torch.tensor(0.1).double())),
    "a parameter that is learnt": lambda: norse.LIFCell(lif(tau_mem_inv=nn.Parameter(torch.tensor(210.0)))),
    "dt": lambda: norse.LIFCell(lif(), dt=0.0037),
    "box": lambda: norse.LIFBoxCell(lif(norse.LIFBoxParameters)),
    "box reset_method": lambda: norse.LIFBoxCell(lif(norse.LIFBoxParameters, reset_method=norse.reset_subtract)),
    "box plain numbers": lambda: norse.LIFBoxCell(norse.LIFBoxParameters(tau_mem_inv=217.3, v_th=0.1)),
    "box of each": lambda: norse.LIFBoxCell(lif(norse.LIFBoxParameters, tau_mem_inv=900 * PER_NEURON, v_leak=PER_NEURON / 4)),
    "box dt": lambda: norse.LIFBoxCell(lif(norse.LIFBoxParameters), dt=0.0021),
    "IAF": lambda: norse.IAFCell(),
    "IAF v_reset": lambda: norse.IAFCell(lif(norse.IAFParameters, v_reset=-0.3, v_th=2.1)),
    "IAF of each": lambda: norse.IAFCell(lif(norse.IAFParameters, v_reset=-PER_NEURON, v_th=3 * PER_NEURON)),
    "refractory": lambda: norse.LIFRefracCell(),
    "rho_reset 0": lambda: norse.LIFRefracCell(refractory(0.0)),
    "rho_reset 2.3": lambda: norse.LIFRefracCell(refractory(2.3, v_leak=0.1, v_reset=-0.2)),
    "rho_reset of each": lambda: norse.LIFRefracCell(refractory([0.0, 1.0, 2.0, 3.0, 4.0, 0.5])),
    **{f"method {m}": lambda m=m: norse.LIFCell(lif(method=m, alpha=7.0)) for m in METHODS},
}  # fmt: skip


@pytest.mark.parametrize("option", OPTIONS)
def test_options_of_cells(option):
    torch.manual_seed(3)
    _, run = check(norse.SequentialState(dense(5, 6), OPTIONS[option]()), (5,))
    assert run.spikes["1"].any()


RECURRENT_OPTIONS = {
    "library defaults": lambda kind: kind(5, 6),
    "autapses": lambda kind: kind(5, 6, autapses=True),
    "input_weights": lambda kind: kind(5, 6, input_weights=torch.randn(6, 5)),
    "recurrent_weights": lambda kind: kind(5, 6, recurrent_weights=torch.randn(6, 6)),
    "learnt weights": lambda kind: kind(5, 6, recurrent_weights=nn.Parameter(torch.randn(6, 6)), autapses=True),
    "one neuron": lambda kind: kind(5, 1, autapses=True),
    "dt": lambda kind: kind(5, 6, dt=0.002),
}


@pytest.mark.parametrize("option", RECURRENT_OPTIONS)
@pytest.mark.parametrize("kind", [norse.LIFRecurrentCell, norse.LIFRecurrent, norse.LIFRefracRecurrentCell,
                                  norse.LIFRefracRecurrent], ids=lambda kind: kind.__name__)  # fmt: skip
def test_options_of_recurrent_cells_and_layers(kind, option):
    torch.manual_seed(5)
    layer = RECURRENT_OPTIONS[option](kind)
    with torch.no_grad():
        layer.input_weights.abs_()
    graph, run = check(norse.SequentialState(layer), (5,))
    assert run.spikes["0"].any()
    assert {"0", "0.input_weights", "0.recurrent_weights"} <= {n.path for n in graph}


@pytest.mark.parametrize("kind", [norse.LIFRecurrentCell, norse.LIFRecurrent], ids=lambda kind: kind.__name__)
def test_recurrent_layers_act_on_the_last_axis(kind):
    torch.manual_seed(6)
    _, run = check(norse.SequentialState(kind(5, 6, lif(v_leak=0.1))), (2, 5))
    assert run.spikes["0"].any()


LAYERS = {
    "LIF": lambda: norse.LIF(lif(v_leak=0.1, v_reset=-0.1)),
    "LIF of each": lambda: norse.LIF(lif(tau_mem_inv=1000 * PER_NEURON, v_th=PER_NEURON)),
    "LIF dt": lambda: norse.LIF(lif(), dt=0.0004),
    "LIF record_states": lambda: norse.LIF(lif(), record_states=True),
    "LIF float64": lambda: norse.LIF(lif(v_leak=torch.tensor(0.123456789012, dtype=torch.float64))),
    "IAF": lambda: norse.IAF(lif(norse.IAFParameters, v_reset=-0.3)),
}


@pytest.mark.parametrize("name", LAYERS)
def test_layers_over_time(name):
    torch.manual_seed(7)
    _, run = check(norse.SequentialState(norse.Lift(dense(5, 6)), LAYERS[name]()), (5,))
    assert run.spikes["1"].any()


INTEGRATORS = {
    "LICell": lambda: norse.LICell(norse.LIParameters(v_leak=torch.tensor(0.2))),
    "LICell of each": lambda: norse.LICell(norse.LIParameters(v_leak=PER_NEURON, tau_mem_inv=500 * PER_NEURON), dt=0.002),
    "LICell plain numbers": lambda: norse.LICell(norse.LIParameters(tau_syn_inv=313.1, tau_mem_inv=97.3)),
    "LILinearCell": lambda: norse.LILinearCell(6, 3, norse.LIParameters(tau_syn_inv=torch.tensor(350.0))),
    "LIBoxCell": lambda: norse.LIBoxCell(norse.LIBoxParameters(v_leak=torch.tensor(-0.3))),
    "LI": lambda: norse.LI(norse.LIParameters(v_leak=torch.tensor(0.2)), dt=0.003),
    "LI float64": lambda: norse.LI(norse.LIParameters(v_leak=torch.tensor(0.2, dtype=torch.float64))),
}


@pytest.mark.parametrize("name", INTEGRATORS)
def test_integrators_give_their_membrane(name):
    torch.manual_seed(9)
    module = norse.SequentialState(dense(5, 6), INTEGRATORS[name]())
    if isinstance(module[1], norse.LI):
        module = norse.SequentialState(norse.Lift(module[0]), module[1])
    x, given = random_input((5,), 3), []
    run_norse(module, x, outputs=given)
    trace = run_graph(from_torch(module), x)
    (out,) = trace.out.values()
    assert np.abs(out).max() > 0.1
    assert np.allclose(out, given[0], rtol=1e-12, atol=1e-14)


class _Membrane(Loop):
    """Returns the membrane from the state, in place of the first result."""

    def forward(self, x):
        state, out = None, []
        for step in range(x.shape[0]):
            _, state = self.layers[1](self.layers[0](x[step]), state)
            out.append(state.v)
        return torch.stack(out)


def test_a_membrane_read_from_the_state_of_an_integrator():
    torch.manual_seed(1)
    net, x, given = _Membrane(dense(5, 6), norse.LICell()), random_input((5,), 3), []
    run_norse(net, x, outputs=given)
    (out,) = run_graph(from_torch(net), x).out.values()
    assert np.allclose(out, given[0], rtol=1e-12, atol=1e-14)


def test_own_spikes_come_back_one_step_later():
    """And the synaptic current that they make enters the membrane at once."""
    weights = {"input_weights": torch.ones(1, 1), "recurrent_weights": torch.full((1, 1), -9.0)}
    cell = norse.LIFRecurrentCell(1, 1, lif(v_th=0.05), autapses=True, **weights)
    graph = from_torch(norse.SequentialState(cell))
    trace = run_graph(graph, np.ones((1, 3, 1)))
    assert trace.spikes["0"][0, :, 0].tolist() == [1, 0, 0]
    model = graph["0"].op
    assert model.kind == "CubaLIF"
    assert graph.profile.at("0", "CubaLIF").order == "new_current"


# Forms of a network.


def _forms():
    def cells():
        return dense(5, 6), norse.LIFCell(lif()), dense(6, 4), norse.LIFRefracCell(refractory(1.0))

    def lifted():
        return norse.Lift(dense(5, 6)), norse.LIF(lif()), norse.Lift(dense(6, 4)), norse.LIFRecurrent(4, 3, lif())

    return {
        "loop over time": lambda: Loop(*cells()),
        "one step, states handed on": lambda: Step(*cells()),
        "SequentialState in steps": lambda: norse.SequentialState(*cells()),
        "SequentialState over time": lambda: norse.SequentialState(*lifted()),
        "a SequentialState within one": lambda: norse.SequentialState(
            norse.SequentialState(*cells()), dense(4, 3), norse.LIFBoxCell(lif(norse.LIFBoxParameters))
        ),
        "a SequentialState in a loop": lambda: Loop(norse.SequentialState(*cells()), dense(4, 3), norse.LIFCell(lif())),
        "Lift of a SequentialState": lambda: norse.Lift(norse.SequentialState(*cells())),
        "Lift of a cell": lambda: norse.SequentialState(norse.Lift(dense(5, 6)), norse.Lift(norse.LIFCell(lif()))),
        "Lift behind a Lift of a cell": lambda: norse.SequentialState(
            norse.Lift(dense(5, 6)), norse.Lift(norse.LIFCell(lif())), norse.Lift(dense(6, 3)), norse.LIF(lif())
        ),
        "Linear over time": lambda: norse.SequentialState(dense(5, 6), norse.LIF(lif())),
        "RecurrentSequential": lambda: norse.RecurrentSequential(dense(5, 6), norse.LIFCell(lif()), dense(6, 5),
                                                                 norse.LIFCell(lif())),
        "RecurrentSequential of a middle layer": lambda: norse.RecurrentSequential(
            dense(5, 5), norse.LIFCell(lif()), dense(5, 4), norse.LIFCell(lif()), output_modules=1
        ),
        "RecurrentSequential in a loop": lambda: Loop(norse.RecurrentSequential(dense(5, 5), norse.LIFCell(lif())), dense(5, 4),
                                                      norse.LIFCell(lif())),
        "RecurrentSequential with a Linear last": lambda: norse.RecurrentSequential(norse.LIFCell(lif()), dense(5, 5)),
        "a loop of the user's own": lambda: LoopBack(np.random.default_rng(4), 5),
    }  # fmt: skip


FORMS = _forms()


@pytest.mark.parametrize("form", FORMS)
def test_forms_of_networks(form):
    torch.manual_seed(11)
    _, run = check(FORMS[form](), (5,))
    assert all(spikes.any() for spikes in run.spikes.values())


@pytest.mark.parametrize("form", FORMS)
def test_the_check_on_a_sample_finds_nothing(form):
    torch.manual_seed(11)
    module = FORMS[form]()
    sample = torch.as_tensor(random_input((5,), 2, steps=20)).transpose(0, 1)
    from_torch(module, sample=sample, time_axis=None if takes_all_steps(module) else 0)


def test_return_hidden_gives_every_layer():
    module = norse.SequentialState(dense(5, 6), norse.LIFCell(lif()), dense(6, 4), norse.LIFCell(lif()), return_hidden=True)
    graph = from_torch(module)
    assert graph.spiking == ("1", "3")
    assert len(graph.outputs) == 4


# What stands in the graph.


def test_the_profile_is_the_cells_own():
    graph = from_torch(norse.SequentialState(dense(5, 6), norse.LIFBoxCell(dt=0.002), dense(6, 4), norse.LIFCell(dt=0.002)))
    profile = graph.profile
    assert (profile.name, profile.dt, profile.scheme, profile.gain, profile.leak) == ("norse", 0.002, "euler", "nir", "nir")
    assert (profile.reset, profile.reset_when, profile.order, profile.compare) == (
        "to_v_reset",
        "after_spike",
        "new_current",
        ">",
    )
    assert profile.overrides == ()


def test_what_single_cells_do_otherwise_stands_in_the_profile():
    box = norse.LIFBoxCell(norse.LIFBoxParameters(reset_method=norse.reset_subtract))
    graph = from_torch(norse.SequentialState(dense(5, 6), box, dense(6, 4), norse.LIFCell(), dense(4, 3), norse.IAFCell()))
    assert set(graph.profile.overrides) == {("1", "reset", "subtract"), ("5", "gain", "unit")}


def test_rates_are_kept_as_the_module_has_them():
    graph = from_torch(norse.SequentialState(dense(5, 6), norse.LIFCell()))
    op = graph["1"].op
    exact = op.extras.discrete
    rate = float(torch.tensor(100.0) * 0.001)
    assert float(exact.mem_gain) == rate != 0.1
    assert (float(exact.beta), float(exact.syn_gain)) == (1 - rate, 1.0)
    assert np.allclose([op.tau_mem[0], op.tau_syn[0], op.r[0], op.w_in[0]], [0.01, 0.005, 1, 5])


def test_the_start_is_the_leak_and_a_layers_is_rounded():
    leak = torch.tensor(0.123456789012, dtype=torch.float64)
    cell = from_torch(norse.SequentialState(dense(5, 6), norse.LIFCell(norse.LIFParameters(v_leak=leak))))
    layer = from_torch(norse.SequentialState(norse.Lift(dense(5, 6)), norse.LIF(norse.LIFParameters(v_leak=leak))))
    assert float(cell["1"].op.extras.v_init) == float(leak)
    # In float32 nothing pulls it in the first step; in ours the pull brings it where it then is.
    assert np.isclose(float(layer["1"].op.extras.v_init), float(leak.float()), rtol=1e-8)
    assert float(layer["1"].op.extras.v_init) != float(leak.float())


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_the_start_is_that_of_the_librarys_initial_state(kind):
    values = {"v_leak": 0.123456789012, "v_reset": -0.345678901234}
    own = norse.LIFParameters if "LIF" in kind.__name__ else norse.LIParameters
    own = {"LIFBoxCell": norse.LIFBoxParameters, "IAFCell": norse.IAFParameters, "IAF": norse.IAFParameters,
           "LIBoxCell": norse.LIBoxParameters}.get(kind.__name__, own)  # fmt: skip
    p = own(**{n: torch.tensor(v, dtype=torch.float64) for n, v in values.items() if n in own._fields})
    p = norse.LIFRefracParameters(p) if "Refrac" in kind.__name__ else p
    module = kind(3, 3, p) if KINDS[kind].weights else kind(p)
    if kind is norse.LILinearCell:
        start = p.v_leak  # its forward makes the state itself
    else:
        x = torch.zeros((1,) * len(LIBRARY.lead(module)) + (3,), dtype=torch.float64)
        start = module.initial_state(x)
        start = getattr(start, "lif", start).v.detach().double()
    read = LIBRARY.read(module, "cell", (3,))
    is_rounded = KINDS[kind].single and kind is not norse.LIFRefracCell
    assert np.allclose(read.op.extras.v_init, start.detach().numpy(), rtol=1e-8 if is_rounded else 0, atol=0)


def test_all_survives_a_file(tmp_path):
    module, _ = random_module("recurrent", 3)
    graph = from_torch(module, (int(random_module("recurrent", 3)[1][0]),))
    save_nir(graph, tmp_path / "net.nir")
    again, _ = load_nir(tmp_path / "net.nir")
    assert again.digest == graph.digest


def test_iaf_has_no_dt_and_fits_any():
    module = norse.SequentialState(
        dense(5, 6), norse.IAFCell(lif(norse.IAFParameters)), dense(6, 4), norse.LIFCell(lif(), dt=0.004)
    )
    graph, _ = check(module, (5,))
    assert graph.profile.dt == 0.004


def test_the_module_is_left_as_it_was():
    cell = norse.IAFCell(norse.IAFParameters(v_reset=torch.tensor(0.0)))
    module = norse.SequentialState(dense(5, 6), cell)
    from_torch(module)
    assert not cell.p.v_reset.requires_grad  # which a call of the cell sets
    assert type(module) is norse.SequentialState


# Refusals.


class _Twice(norse.LIFCell):
    def forward(self, input_tensor, state=None):
        return super().forward(2 * input_tensor, state)


class _Started(norse.LIFCell):
    def initial_state(self, input_tensor):
        return super().initial_state(input_tensor)._replace(v=torch.ones(()))


def _with(cell, **attributes):
    for name, value in attributes.items():
        setattr(cell, name, value)
    return cell


def _own_reset(z, v, reset, th):
    return (1 - z) * v


REFUSED = {
    "adjoint": (lambda: norse.LIFCell(lif(method="adjoint")), "E021", "method 'adjoint' is none that Norse 1.1.0 can run"),
    "logistic": (lambda: norse.IAFCell(lif(norse.IAFParameters, method="logistic")), "E021", "method 'logistic' is none that"),
    "reset_method": (lambda: norse.LIFBoxCell(lif(norse.LIFBoxParameters, reset_method=_own_reset)), "E021",
                     "reset_method is '_own_reset', which is not one of Norse's own"),
    "v_leak of each in LIF": (lambda: norse.LIFRefracCell(refractory(1.0, v_leak=PER_NEURON)), "E021",
                              "v_leak has the shape (6,); Norse 1.1.0 starts the membrane of a LIFRefracCell by torch.full"),
    "tau below 0": (lambda: norse.LIFCell(lif(tau_mem_inv=-3.0)), "E021", "tau_mem_inv is below 0"),
    "rho infinite": (lambda: norse.LIFRefracCell(refractory(float("inf"))), "E021", "rho_reset is not a finite number"),
    "subclass": (lambda: _Twice(), "E021", "derives from norse.torch.LIFCell and overrides forward"),
    "another start": (lambda: _Started(), "E021", "overrides initial_state"),
    "activation": (lambda: _with(norse.LIFCell(), activation=norse.lif_box_feed_forward_step), "E021",
                   "its activation is lif_box_feed_forward_step in place of the class's own"),
    "state_fallback": (lambda: _with(norse.LIFCell(), state_fallback=lambda x: None), "E021", "its state_fallback is not"),
    "v_th of another size": (lambda: norse.LIFCell(lif(v_th=[0.1, 0.2])), "E027", "v_th of this norse.LIFCell has shape (2,)"),
    "weights of another size": (lambda: _with(norse.LIFRecurrentCell(6, 4), input_weights=nn.Parameter(torch.ones(4, 7))),
                                "E027", "input_weights of this norse.LIFRecurrentCell has shape (4, 7), its sizes want (4, 6)"),
    "LSNN": (lambda: norse.LSNNCell(), "E020", "norse.LSNNCell is not imported from Norse"),
    "LSNNRecurrent": (lambda: norse.LSNNRecurrentCell(6, 6), "E020", "norse.LSNNRecurrentCell is not imported from Norse"),
    "LIFEx": (lambda: norse.LIFExCell(), "E020", "norse.LIFExCell is not imported from Norse"),
    "AdEx": (lambda: norse.LIFAdExCell(), "E020", "norse.LIFAdExCell is not imported from Norse"),
    "AdExRefrac": (lambda: norse.LIFAdExRefracCell(), "E020", "norse.LIFAdExRefracCell is not imported from Norse"),
    "Izhikevich": (lambda: norse.IzhikevichCell(norse.tonic_spiking), "E020", "norse.IzhikevichCell is not imported"),
    "Coba": (lambda: norse.CobaLIFCell(6, 6), "E020", "norse.CobaLIFCell is not imported from Norse"),
    "MC": (lambda: norse.LIFMCRecurrentCell(6, 6), "E020", "norse.LIFMCRecurrentCell is not imported from Norse"),
    "MCRefrac": (lambda: norse.LIFMCRefracRecurrentCell(6, 6), "E020", "norse.LIFMCRefracRecurrentCell is not imported"),
    "Correlation": (lambda: norse.LIFCorrelation(6, 6), "E020", "norse.LIFCorrelation is not imported from Norse"),
    "encoder": (lambda: norse.PoissonEncoder(3), "E020", "norse.PoissonEncoder is not imported from Norse"),
    "regularization": (lambda: norse.RegularizationCell(), "E020", "norse.RegularizationCell is not imported from Norse"),
    "LConv2d": (lambda: norse.LConv2d(1, 1, 3), "E020", "norse.LConv2d is not imported from Norse"),
    "SNNCell": (lambda: SNNCell(norse.lif_feed_forward_step, None, None), "E020", "norse.SNNCell is not imported"),
}  # fmt: skip


def refused(module, **given):
    """Return the first finding of a module that is refused."""
    with pytest.raises(ImportModelError) as caught:
        from_torch(module, **given)
    assert all(d.hint for d in caught.value.diagnostics)
    return caught.value.diagnostics[0]


@pytest.mark.parametrize("name", REFUSED)
def test_refused_by_name(name):
    make, code, text = REFUSED[name]
    found = refused(norse.SequentialState(dense(5, 6), make()))
    assert (found.code, found.path.partition(".")[0]) == (code, "1")
    assert text in found.message


def test_all_refusals_come_at_once():
    module = norse.SequentialState(dense(5, 6), REFUSED["adjoint"][0](), nn.ReLU(), dense(6, 6), REFUSED["LSNN"][0]())
    with pytest.raises(ImportModelError) as caught:
        from_torch(module)
    assert [(d.code, d.path) for d in caught.value.diagnostics] == [("E021", "1"), ("E020", "2"), ("E020", "4")]


def test_cells_of_another_dt_are_refused_with_the_factor():
    found = refused(norse.SequentialState(dense(5, 6), norse.LIFCell(), dense(6, 4), norse.LIFCell(dt=0.002)))
    assert (found.code, found.path) == ("E021", "3")
    assert found.message == "this cell has dt=0.002, and 1 has 0.001: a network has one step"
    assert found.hint == "only dt*tau_mem_inv and dt*tau_syn_inv count: give it dt=0.001, and both of them times 2"


def test_a_lift_that_is_handed_the_state_of_another_layer_is_refused():
    found = refused(norse.SequentialState(norse.Lift(dense(5, 6)), norse.Lift(norse.LIFCell()), norse.Lift(norse.LIFCell())))
    assert "this norse.Lift is given the state of the layer in front of it" in found.message


def test_several_output_modules_are_refused():
    found = refused(norse.RecurrentSequential(dense(5, 5), norse.LIFCell(), output_modules=[0, 1]))
    assert "output_modules=[0, 1] gives several outputs, which Norse 1.1.0 cannot add to the next input" in found.message


def test_a_cell_that_starts_anew_each_step_is_refused():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc, self.cell = dense(5, 6), norse.LIFCell()

        def forward(self, x):
            return self.cell(self.fc(x))[0]

    found = refused(Net())
    assert (found.code, found.path) == ("E026", "cell")
    assert "starts from zeros in every call" in found.message


def test_a_start_of_zeros_is_refused_where_the_cell_starts_elsewhere():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc, self.cell = dense(5, 6), norse.LIFCell(lif(v_leak=0.2))

        def forward(self, x):
            state = norse.LIFFeedForwardState(v=torch.zeros(1, 6), i=torch.zeros(1, 6))
            out = []
            for step in range(x.shape[0]):
                z, state = self.cell(self.fc(x[step]), state)
                out.append(z)
            return torch.stack(out)

    assert refused(Net()).code in ("E023", "E026")


# README's table.

EXAMPLES = {
    "LIFCell, LIF": [OPTIONS["v_leak"], LAYERS["LIF"]],
    "LIFRecurrentCell, LIFRecurrent": [lambda: norse.LIFRecurrentCell(6, 6), lambda: norse.LIFRecurrent(6, 6)],
    "LIFBoxCell": [OPTIONS["box"], OPTIONS["box reset_method"]],
    "IAFCell, IAF": [OPTIONS["IAF"], LAYERS["IAF"]],
    "LICell, LI, LILinearCell, LIBoxCell": [INTEGRATORS[n] for n in ("LICell", "LI", "LILinearCell", "LIBoxCell")],
    "LIFRefracCell, LIFRefracRecurrentCell, LIFRefracRecurrent": [
        OPTIONS["refractory"], lambda: norse.LIFRefracRecurrentCell(6, 6), lambda: norse.LIFRefracRecurrent(6, 6),
    ],
    "SequentialState": [FORMS["SequentialState in steps"], FORMS["SequentialState over time"]],
    "RecurrentSequential": [FORMS["RecurrentSequential"]],
    "Lift": [FORMS["Lift of a SequentialState"], FORMS["Lift of a cell"]],
    "method super, heaviside, triangle, tanh, circ, heavi_erfc": [OPTIONS[f"method {m}"] for m in METHODS],
    "method adjoint, logistic": [REFUSED[n][0] for n in ("adjoint", "logistic")],
    "dt other than 0.001": [OPTIONS["dt"], OPTIONS["box dt"], LAYERS["LIF dt"]],
    "another reset_method": [REFUSED["reset_method"][0]],
    "a Lift with a state of its own behind another": [
        lambda: norse.SequentialState(norse.Lift(norse.LIFCell()), norse.Lift(norse.LIFCell())),
    ],
    "LSNN, LSNNRecurrent and their cells": [
        REFUSED["LSNN"][0], REFUSED["LSNNRecurrent"][0], norse.LSNN, lambda: norse.LSNNRecurrent(6, 6),
    ],
    "LIFEx, LIFAdEx, LIFAdExRefrac, their recurrent forms and cells": [
        REFUSED["LIFEx"][0], REFUSED["AdEx"][0], REFUSED["AdExRefrac"][0], norse.LIFEx, norse.LIFAdEx,
        lambda: norse.LIFExRecurrent(6, 6), lambda: norse.LIFExRecurrentCell(6, 6), lambda: norse.LIFAdExRecurrent(6, 6),
        lambda: norse.LIFAdExRecurrentCell(6, 6), lambda: norse.LIFAdExRefracRecurrent(6, 6),
        lambda: norse.LIFAdExRefracRecurrentCell(6, 6),
    ],
    "Izhikevich, IzhikevichRecurrent and their cells": [
        REFUSED["Izhikevich"][0], lambda: norse.Izhikevich(norse.tonic_spiking),
        lambda: norse.IzhikevichRecurrentCell(6, 6, norse.tonic_spiking),
        lambda: norse.IzhikevichRecurrent(6, 6, norse.tonic_spiking),
    ],
    "CobaLIFCell": [REFUSED["Coba"][0]],
    "LIFMCRecurrentCell, LIFMCRefracRecurrentCell, LIFCorrelation": [REFUSED[n][0] for n in ("MC", "MCRefrac", "Correlation")],
    "encoders, decoders, receptive fields, LConv2d, RegularizationCell": [
        REFUSED["encoder"][0], REFUSED["LConv2d"][0], REFUSED["regularization"][0], lambda: norse.ConstantCurrentLIFEncoder(3),
        lambda: norse.PopulationEncoder(3), lambda: norse.SignedPoissonEncoder(3), lambda: norse.SpikeLatencyEncoder(),
        lambda: norse.SpikeLatencyLIFEncoder(3), lambda: norse.SpikesToTimesDecoder(),
        lambda: norse.TemporalReceptiveField((3,)),
    ],
}  # fmt: skip


@pytest.mark.parametrize(("construct", "expected", "remark"), CONSTRUCTS, ids=[c for c, *_ in CONSTRUCTS])
def test_the_table_of_constructs(construct, expected, remark):
    for make in EXAMPLES[construct]:
        torch.manual_seed(13)
        module = make()
        is_container = isinstance(module, (norse.SequentialState, norse.RecurrentSequential, norse.Lift))
        if not is_container:
            takes_steps = len(LIBRARY.lead(module)) == 2
            front = dense(5, 6)
            module = norse.SequentialState(norse.Lift(front) if takes_steps else front, module)
        if expected == "refused":
            refused(module, input_shape=(5,))
        else:
            check(module, (5,), steps=60)
