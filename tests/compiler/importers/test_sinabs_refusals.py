"""sinabs: every option that cannot be said exactly is refused by name."""

import pytest
import sinabs.activation as sa
import sinabs.layers as sl
import torch
from sinabs_parts import Overridden, OwnDecay, OwnMost, OwnReset, OwnSpike, OwnState, late_alpha
from torch import nn

from spikeport.compiler.importers.torch_module import from_torch
from spikeport.ir.diagnostics import ImportModelError

_RESET = sa.MembraneReset
_SINGLE = {"spike_fn": sa.SingleSpike}
REFUSED = {
    "ALIF": (lambda: sl.ALIF(5.0, 5.0), "E020", "sinabs.ALIF is not imported from sinabs"),
    "ALIFRecurrent": (lambda: sl.ALIFRecurrent(5.0, 5.0, nn.Linear(3, 3)), "E020", "sinabs.ALIFRecurrent is not imported"),
    "own state": (OwnState, "E020", "OwnState is not imported from sinabs"),
    "forward": (lambda: Overridden(5.0), "E021", "derives from sinabs.layers.LIF and overrides forward"),
    "decay": (OwnDecay, "E021", "derives from sinabs.layers.IAF and overrides alpha_mem_calculated"),
    "tau below 0": (lambda: sl.LIF(-1.0), "E021", "its decay alpha_mem is 2.718282: no time constant gives"),
    "tau_syn": (lambda: sl.IAF(tau_syn=torch.tensor([1.0, -2.0, 3.0])), "E021", "its decay alpha_syn is 1.648721"),
    "alpha": (late_alpha, "E021", "its decay alpha_mem is 1.25"),
    "no threshold": (lambda: sl.IAF(spike_threshold=None), "E021", "spike_threshold is None, and it spikes"),
    "own spikes": (lambda: sl.IAF(spike_fn=OwnSpike), "E021", "spike_fn is OwnSpike, of which only sinabs's own"),
    "own most": (lambda: sl.IAF(spike_fn=OwnMost(2)), "E021", "spike_fn is MaxSpike(2), of which only sinabs's own"),
    "MaxSpike(0)": (lambda: sl.IAF(spike_fn=sa.MaxSpike(0)), "E021", "MaxSpike(0) is no number of spikes a step"),
    "MaxSpike(1.5)": (lambda: sl.IAF(spike_fn=sa.MaxSpike(1.5)), "E021", "MaxSpike(1.5) is no number of spikes a step"),
    "multi at 0": (lambda: sl.IAF(spike_threshold=torch.tensor(0.0)), "E021", "divides by spike_threshold, which is 0"),
    "multi below 0": (
        lambda: sl.IAF(spike_threshold=torch.tensor([1.0, -0.5, 1.0])), "E021", "divides by spike_threshold, which is -0.5",
    ),
    "own reset": (lambda: sl.IAF(**_SINGLE, reset_fn=OwnReset()), "E021", "reset_fn is OwnReset, of which only sinabs's own"),
    "reset by function": (lambda: sl.IAF(**_SINGLE, reset_fn=lambda *a: a[1]), "E021", "reset_fn is <lambda>, of which only"),
    "reset_value": (
        lambda: sl.IAF(**_SINGLE, reset_fn=_RESET(0.25)), "E021",
        "MembraneReset(0.25) adds its reset_value in every step, to neurons that do not spike as well",
    ),
    "multi, reset": (lambda: sl.LIF(5.0, reset_fn=_RESET()), "E021", "MultiSpike counts several spikes in a step"),
    "max, reset": (lambda: sl.IAF(spike_fn=sa.MaxSpike(2), reset_fn=_RESET()), "E021", "MaxSpike(2) counts several spikes"),
    "subtract_value": (
        lambda: sl.LIF(5.0, reset_fn=sa.MembraneSubtract(0.5)), "E021",
        "MembraneSubtract(0.5) subtracts another value than spike_threshold (1)",
    ),
    "float64 threshold": (
        lambda: sl.IAF(spike_threshold=torch.tensor(0.7, dtype=torch.float64)), "E021", "its threshold is one float64 number",
    ),
    "min_v_mem each": (
        lambda: sl.IAF(min_v_mem=torch.tensor([-1.0, -2.0, -3.0])), "E021", "min_v_mem differs from neuron to neuron",
    ),
    "min_v_mem of ExpLeak": (lambda: sl.ExpLeak(5.0, min_v_mem=-1.0), "E021", "min_v_mem bounds its state but not its output"),
    "wrong size": (lambda: sl.LIF(torch.ones(4)), "E027", "tau_mem of this sinabs.LIF has shape (4,), its population (3,)"),
    "ReLU": (sl.NeuromorphicReLU, "E020", "sinabs.NeuromorphicReLU has no counterpart in a spiking graph"),
    "QuantizeLayer": (sl.QuantizeLayer, "E020", "sinabs.QuantizeLayer has no counterpart in a spiking graph"),
    "max pooling": (lambda: sl.SpikingMaxPooling2dLayer((2, 2)), "E020", "SpikingMaxPooling2dLayer compares sums of spikes"),
    "images": (lambda: sl.Img2SpikeLayer((1, 3)), "E020", "sinabs.Img2SpikeLayer draws spikes at random"),
    "signals": (lambda: sl.Sig2SpikeLayer(3), "E020", "sinabs.Sig2SpikeLayer draws spikes at random"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_refused_by_name(name):
    make, code, text = REFUSED[name]
    with pytest.raises(ImportModelError) as caught:
        from_torch(nn.Sequential(nn.Linear(3, 3), make()))
    found = caught.value.diagnostics[0]
    assert (found.code, found.path) == (code, "1")
    assert text in found.message
    assert found.hint


def _recurrent(rec):
    return nn.Sequential(sl.Repeat(nn.Conv2d(1, 2, 3)), sl.LIFRecurrent(5.0, rec))


REFUSED_RECURRENCE = {
    "Tanh": (nn.Sequential(nn.Linear(2, 2), nn.Tanh()), "E021", "this rec_connect is a torch.nn.Sequential; a"),
    "LIF": (sl.IAF(), "E021", "this rec_connect is a sinabs.IAF"),
    "circular": (nn.Conv2d(2, 2, 3, padding=1, padding_mode="circular"), "E021", "torch.nn.Conv2d pads with 'circular'"),
    "flat": (nn.Sequential(nn.Flatten(), nn.Linear(8, 8)), "E021", "takes apart a population of (2, 2, 2)"),
    "size": (nn.Conv2d(2, 2, 2), "E027", "the recurrent torch.nn.Conv2d gives (2, 1, 1), its population has (2, 2, 2)"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED_RECURRENCE)
def test_recurrence_refused_by_name(name):
    rec, code, text = REFUSED_RECURRENCE[name]
    with pytest.raises(ImportModelError) as caught:
        from_torch(_recurrent(rec), (1, 4, 4))
    found = caught.value.diagnostics[0]
    assert (found.code, found.path) == (code, "1.rec_connect")
    assert text in found.message
    assert found.hint


def test_all_refusals_come_at_once():
    module = nn.Sequential(nn.Linear(3, 3), REFUSED["ALIF"][0](), nn.ReLU(), nn.Linear(3, 3), REFUSED["multi, reset"][0]())
    with pytest.raises(ImportModelError) as caught:
        from_torch(module)
    assert [(d.code, d.path) for d in caught.value.diagnostics] == [("E020", "1"), ("E020", "2"), ("E021", "4")]
