"""Lowering to SpiNNaker's grid: registers by hand, shifts from fan-in and activity, refusals by name."""

import numpy as np
import pytest

from spikeport.compiler.driver import lower
from spikeport.compiler.integer.links import Incoming, Link
from spikeport.compiler.integer.merge import Merged
from spikeport.compiler.spinnaker import lower_to_spinnaker
from spikeport.compiler.spinnaker.rule import spynnaker_rule
from spikeport.ir import Edge, Graph, Node, parse_profile
from spikeport.ir.diagnostics import UnsupportedError, UsageError
from spikeport.ir.network import build_network
from spikeport.ir.ops import IF, LI, LIF, Affine, Conv2d, CubaLIF, Input, Linear, Output
from spikeport.ir.reference import run_reference
from spikeport.ir.spinnaker import MOST, ONE
from spikeport.ir.trace import Recording

DT = 1e-3
PROFILE = parse_profile(f"norse:zero,dt={DT}")


def lif(n, beta=0.875, threshold=1.0, **fields):
    full = np.ones(n)
    tau = DT / (1 - beta)
    given = {"v_leak": 0 * full, "v_reset": 0 * full, **fields}
    return LIF(tau=tau * full, r=tau / DT * full, v_threshold=threshold * full, **given)


def chain(weight, neuron, bias=None):
    weight = np.asarray(weight, float)
    op = Linear(weight) if bias is None else Affine(weight, np.asarray(bias, float))
    nodes = [Node("in", Input((weight.shape[1],))), Node("w", op), Node("n", neuron), Node("out", Output((len(weight),)))]
    return Graph(tuple(nodes), (Edge("in", "w"), Edge("w", "n"), Edge("n", "out")))


def core_of(lowered):
    return build_network(lowered.graph, lowered.profile, "spinnaker1").models["n"].core


def test_registers_by_hand():
    lowered = lower_to_spinnaker(chain([[3.0, -1.0]], lif(1)), PROFILE)
    core = core_of(lowered)
    assert core.exp_tc.tolist() == [28672]  # 0.875
    assert core.resistance.tolist() == [ONE]
    scale = lowered.graph["n"].notes["spinnaker1"]["scale"]
    assert core.threshold.tolist() == [int(np.floor(scale * ONE)) + 1]  # > becomes >= one bit above
    weight = lowered.graph["w"].op.weight
    # Norse's gain is dt/tau, the core's own share of the way to its rest: weights are as they were.
    assert np.allclose(weight / scale, [[3.0, -1.0]], rtol=1e-4)


def test_what_is_lowered_spikes_as_the_model():
    rng = np.random.default_rng(0)
    graph = chain(rng.normal(0, 0.4, (30, 20)), lif(30, threshold=0.1), rng.normal(0.05, 0.05, 30))
    x = (rng.random((8, 40, 20)) < 0.3).astype(float)
    lowered = lower_to_spinnaker(graph, PROFILE, data={"in": x})
    layer = lowered.measured["layers"]["n"]
    assert layer["spikes"][0] > 500
    assert layer["mismatches"] <= 3
    assert lowered.lags == {"in": 0, "n": 1}


def test_a_bias_rests_where_the_model_does():
    graph = chain([[1.0]], lif(1, threshold=100.0), [0.5])
    lowered = lower_to_spinnaker(graph, PROFILE)
    x = {"in": np.zeros((1, 60, 1))}
    ours = run_reference(build_network(lowered.graph, lowered.profile, "spinnaker1"), x, Recording(("n",), True)).v["n"][
        0, :, 0
    ]
    theirs = run_reference(build_network(graph, PROFILE), x, Recording(("n",), True)).v["n"][0, :, 0]
    scale = lowered.graph["n"].notes["spinnaker1"]["scale"]
    # One step late, and held until then.
    assert ours[0] == 0
    assert np.allclose(ours[1:] / scale, theirs[:-1], atol=2e-3)


def test_ring_buffers_hold_all_that_can_come_where_nothing_is_known():
    weight = np.full((2, 200), 0.01)
    lowered = lower_to_spinnaker(chain(weight, lif(2)), PROFILE)
    ring = lowered.further["ring_buffers"]["n"]
    assert ring["rule"] == "every source at its most"
    core = core_of(lowered)
    trace = run_reference(build_network(lowered.graph, lowered.profile, "spinnaker1"), {"in": np.ones((1, 3, 200))})
    assert trace.spikes == {}
    slots, _ = core.slots(np.asarray(lowered.graph["w"].op.weight, float).sum(axis=1))
    assert slots.max() <= MOST < 2.1 * slots.max()


def test_activity_of_the_data_leaves_weights_more_bits():
    rng = np.random.default_rng(1)
    graph = chain(rng.random((4, 500)), lif(4))
    calm = (rng.random((4, 20, 500)) < 0.01).astype(float)
    told = lower_to_spinnaker(graph, PROFILE, data={"in": calm})
    assert "calibration" in told.further["ring_buffers"]["n"]["rule"]
    rows = {row.parameter: row for row in told.rows}
    blind = {row.parameter: row for row in lower_to_spinnaker(graph, PROFILE).rows}
    assert rows["excitatory"].integer[1] > 8 * blind["excitatory"].integer[1]


def test_spynnaker_s_rule():
    def link(weight, delay=1):
        return Link(Incoming("in", Merged(Linear(np.asarray(weight, float)), False, False), 0, 1), "n", delay, ())

    # One delay: the largest weight at every synapse of the neuron with the most of them.
    assert spynnaker_rule([link([[2, 1, -1], [0, 3, -4]])], (2,), DT) == (2 * 3.0, 1 * 4.0)
    # Several: five deviations above the mean of 30 spikes a second, not below the largest weight.
    many = np.full((1, 1000), 1.0)
    spikes = 2 * 1000 * 30 * DT
    exc, inh = spynnaker_rule([link(many), link(many, 2)], (1,), DT)
    assert exc == pytest.approx(spikes + 5 * np.sqrt(spikes))
    assert inh == 0


@pytest.mark.parametrize(
    ("neuron", "profile", "why"),
    [
        (IF(np.ones(1), np.ones(1), np.zeros(1)), "norse:zero", "does not leak"),
        (lif(1, beta=1 - 1e-6), "norse:zero", "leaks by 1e-06 a step, 0 in 15 bits"),
        (lif(1), "norse:subtract", "a reset by subtraction; sPyNNaker's neurons are set to v_reset"),
        (lif(1), "sinabs:subtract", "several spikes a step"),
    ],
)
def test_what_spynnaker_has_not_is_refused_by_name(neuron, profile, why):
    with pytest.raises(UnsupportedError, match=why) as error:
        lower_to_spinnaker(chain([[1.0]], neuron), parse_profile(f"{profile},dt={DT}"))
    assert {(d.code, d.path) for d in error.value.diagnostics} == {("E530", "n")}


def test_approximations_on_request():
    graph = chain([[1.0]], IF(np.ones(1), np.ones(1), np.zeros(1)))
    x = {"in": np.ones((1, 8, 1))}
    program = lower(graph, None, PROFILE, arithmetic="spinnaker1", data=x, allow=("slow-leak",))
    assert "leaks by 1/32768 a step" in next(d["message"] for d in program.notes["warnings"] if d["code"] == "E533")
    subtract = parse_profile(f"norse:subtract,dt={DT}")
    program = lower(chain([[1.0]], lif(1)), None, subtract, arithmetic="spinnaker1", data=x, allow=("reset-change",))
    assert "E536" in {d["code"] for d in program.notes["warnings"]}
    with pytest.raises(UsageError, match="E625"):
        lower(graph, None, PROFILE, arithmetic="spinnaker1", allow=("reset",))


def test_an_integrator_has_one_scale_for_all_its_neurons():
    full = np.ones(3)
    graph = chain([[1.0], [10.0], [100.0]], LI(tau=8 * DT * full, r=8 * full, v_leak=0 * full))
    lowered = lower_to_spinnaker(graph, PROFILE)
    scale = lowered.graph["n"].notes["spinnaker1"]["scale"]
    assert isinstance(scale, float)
    trace = run_reference(build_network(lowered.graph, lowered.profile, "spinnaker1"), {"in": np.ones((1, 4, 1))})
    wanted = run_reference(build_network(graph, PROFILE), {"in": np.ones((1, 4, 1))})
    assert np.allclose(trace.out["out"][0, 1:] / scale, wanted.out["out"][0, :-1], rtol=2e-3)


def test_long_time_constants_that_registers_change_are_said():
    full = np.ones(1)
    slow = CubaLIF(
        tau_mem=20 * DT * full, tau_syn=2000 * DT * full, r=full, v_leak=0 * full, v_threshold=full, v_reset=0 * full, w_in=full
    )
    lowered = lower_to_spinnaker(chain([[1.0]], slow), PROFILE)
    assert [d.code for d in lowered.diagnostics] == ["E533"]
    assert "its current" in lowered.diagnostics[0].message


def test_negative_input_takes_weights_to_the_other_buffer():
    rng = np.random.default_rng(2)
    graph = chain(rng.normal(0, 1, (5, 6)), lif(5, threshold=0.2))
    x = rng.integers(-3, 4, (4, 20, 6)).astype(float)
    lowered = lower_to_spinnaker(graph, PROFILE, data={"in": x})
    exc, inh = core_of(lowered).shifts
    assert exc == inh
    layer = lowered.measured["layers"]["n"]
    assert layer["spikes"][0] > 50
    assert layer["mismatches"] <= 2


@pytest.mark.parametrize("current", [False, True])
def test_neurons_of_a_channel_differ_and_share_its_kernel(current):
    rng = np.random.default_rng(5)
    shape = (3, 4, 4)
    tau, tau_syn = (rng.uniform(low, high, shape) * DT for low, high in ((2, 20), (3, 5)))
    given = {
        "r": rng.uniform(0.3, 3, shape), "v_leak": rng.uniform(-0.02, 0.02, shape),
        "v_threshold": rng.uniform(0.3, 1.0, shape), "v_reset": rng.uniform(-0.2, 0, shape),
    }  # fmt: skip
    neuron = CubaLIF(tau_mem=tau, tau_syn=tau_syn, w_in=tau_syn / DT, **given) if current else LIF(tau=tau, **given)
    weight = rng.normal(0.05, 0.2, (3, 2, 3, 3))
    op = Conv2d(None, weight, (1, 1), (0, 0), (1, 1), 1, rng.normal(0.05, 0.05, 3))
    nodes = (Node("in", Input((2, 6, 6))), Node("w", op), Node("n", neuron), Node("out", Output(shape)))
    graph = Graph(nodes, (Edge("in", "w"), Edge("w", "n"), Edge("n", "out")))
    x = (rng.random((6, 40, 2, 6, 6)) < 0.3).astype(float)
    lowered = lower_to_spinnaker(graph, parse_profile(f"spynnaker,dt={DT}"), data={"in": x})
    low = lowered.graph["w"].op
    assert low.weight.shape == weight.shape
    # One number a channel, and what the neurons differ by is in their scales: S_n gain_n is the channel's.
    assert np.allclose(low.weight / weight, (low.weight / weight)[:, :1, :1, :1], rtol=0.05, atol=0)
    least, most = lowered.graph["n"].notes["spinnaker1"]["scale"]
    assert most > 3 * least
    layer = lowered.measured["layers"]["n"]
    assert layer["spikes"][0] > 250
    assert layer["mismatches"] < 0.01 * layer["spikes"][0]
    rows = {row.parameter: row for row in lowered.rows}
    height = given["v_threshold"] - given["v_reset"]
    assert rows["V_thresh"].old == (height.min(), height.max())
    assert rows["V_thresh"].error < 1e-3


def test_an_integrator_s_kernel_needs_one_gain_a_channel():
    full = np.ones((1, 2, 2))
    gains = np.arange(1.0, 5.0).reshape(full.shape)
    op = Conv2d(None, np.ones((1, 1, 1, 1)), (1, 1), (0, 0), (1, 1), 1, np.zeros(1))
    neuron = LI(tau=8 * DT * full, r=8 * gains, v_leak=0 * full)
    nodes = (Node("in", Input((1, 2, 2))), Node("w", op), Node("n", neuron), Node("out", Output(full.shape)))
    graph = Graph(nodes, (Edge("in", "w"), Edge("w", "n"), Edge("n", "out")))
    text = r"\(Conv2d\) is no single convolution[\s\S]*give a channel's neurons one gain"
    with pytest.raises(UnsupportedError, match=text) as error:
        lower_to_spinnaker(graph, parse_profile(f"spynnaker,dt={DT}"))
    assert [(d.code, d.path) for d in error.value.diagnostics] == [("E538", "n")]
