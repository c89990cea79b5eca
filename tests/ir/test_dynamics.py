"""One step of a neuron against a scalar loop that is written down independently, field by field."""

import dataclasses
import math

import numpy as np
import pytest
from graphs import NEURONS, neuron, profiles
from hypothesis import given, settings
from hypothesis import strategies as st

from spikeport.ir import Profile, parse_profile
from spikeport.ir.dynamics import State, discretise, step
from spikeport.ir.ops import IF, LI, LIF, CubaLIF, Discrete, Extras, I

DT = 1e-4


def scalar_run(op, p, xs, recurrent=False):
    """Return membranes and spikes of one neuron, in plain Python floats."""
    a = {k: float(np.ravel(v)[0]) for k, v in op.arrays().items()}
    extra = {f.name: getattr(op.extras, f.name) for f in dataclasses.fields(op.extras)}
    first = lambda v, otherwise: otherwise if v is None else float(np.ravel(v)[0])  # noqa: E731
    v, i = first(extra["v_init"], 0.0), first(extra["i_init"], 0.0)
    refractory, held = int(first(extra["refractory_steps"], 0)), 0
    tau = a.get("tau_mem", a.get("tau"))
    share = lambda scheme, t: p.dt / t if scheme == "euler" else -math.expm1(-p.dt / t)  # noqa: E731
    decay = lambda scheme, t: 1 - p.dt / t if scheme == "euler" else math.exp(-p.dt / t)  # noqa: E731
    if tau is None:
        beta, gain, leak = 1.0, {"nir": a["r"] * p.dt, "unit": 1.0, "scaled": p.dt, "r": a["r"]}[p.gain], 0.0
    else:
        beta, pull = decay(p.scheme, tau), share(p.scheme, tau)
        gain = {"nir": a["r"] * pull, "unit": 1.0, "scaled": p.dt / tau, "r": a["r"]}[p.gain]
        leak = a["v_leak"] if p.leak == "unit" else pull * a["v_leak"]
    cuba = "tau_syn" in a
    if cuba:
        scheme = p.scheme if p.syn_scheme == "scheme" else p.syn_scheme
        alpha, pull = decay(scheme, a["tau_syn"]), share(scheme, a["tau_syn"])
        syn = {"nir": a["w_in"] * pull, "unit": 1.0, "scaled": p.dt / a["tau_syn"], "decay": 1.0}[p.syn_gain]
        syn_leak = pull * a["v_leak"] if p.leak == "both" else 0.0
    spikes_at_all = "v_threshold" in a
    th, rest = a.get("v_threshold"), 0.0 if p.reset == "to_zero" else a.get("v_reset")
    when = p.reset_when
    if when == "next_step":
        when = "next_step_drop_input" if cuba or recurrent else "next_step_keep_input"
    low = {None: None, "-v_threshold": None if th is None else -th}.get(p.clamp_low, p.clamp_low)
    to_rest = p.reset in ("to_zero", "to_v_reset")
    over = lambda u: u >= th if p.compare == ">=" else u > th  # noqa: E731
    vs, ss = [], []
    for x in xs:
        before = v
        late = when.startswith("next_step") and (to_rest or p.reset == "subtract")
        fired_before = spikes_at_all and (late or p.reset == "subtract_once") and over(v)
        carried = rest if fired_before and to_rest and when == "next_step_keep_input" else v
        current = x
        if cuba:
            old = i
            i = (alpha * (i + x) if p.syn_gain == "decay" else alpha * i + syn * x) + syn_leak
            current = old if p.order == "old_current" else i
        v = beta * carried + gain * current + leak
        if fired_before and p.reset in ("subtract", "subtract_once"):
            v -= th
        if fired_before and to_rest and when == "next_step_drop_input":
            v = rest
        if held:
            v = before
        count = 0
        if spikes_at_all:
            count = int(over(v)) if p.reset != "multi_subtract" else (math.trunc(v / th) if over(v) else 0)
            if p.reset == "multi_subtract" and p.max_spikes is not None:
                count = min(count, p.max_spikes)
            if held:
                count = 0
            held = refractory if count else max(held - 1, 0)
            if p.reset == "subtract_once":
                v -= (count - fired_before) * th
            elif p.reset == "multi_subtract" or (p.reset == "subtract" and when == "after_spike"):
                v -= count * th
            elif to_rest and when == "after_spike" and count:
                v = rest
        if low is not None:
            v = max(v, low)
        vs.append(v)
        ss.append(count)
    return vs, ss


def run(op, profile, xs, recurrent=False):
    model = discretise(op, profile, (1,), recurrent=recurrent)
    state = State.initial(model, 1, np.float64)
    vs, ss = [], []
    for x in xs:
        ss.append(int(step(model, state, np.array([[x]]))[0, 0]))
        vs.append(float(state.v[0, 0]))
    return vs, ss


RESETS = ("to_v_reset", "to_zero", "subtract", "subtract_once", "multi_subtract", "none")
WHENS = ("after_spike", "next_step", "next_step_keep_input", "next_step_drop_input")


def check(op, profile, xs, recurrent=False):
    vs, ss = run(op, profile, xs, recurrent)
    expected_v, expected_s = scalar_run(op, profile, xs, recurrent)
    assert ss == expected_s
    np.testing.assert_allclose(vs, expected_v, rtol=1e-9, atol=1e-9)
    return ss


@pytest.mark.parametrize("kind", ["IF", "LIF", "CubaLIF"])
@pytest.mark.parametrize("reset", RESETS)
@pytest.mark.parametrize("when", WHENS)
def test_each_reset_at_each_time(kind, reset, when):
    rng = np.random.default_rng(sum(map(ord, kind + reset + when)))
    profile = Profile("test", reset=reset, reset_when=when)
    op = neuron(kind, (1,), profile, rng)
    xs = rng.normal(0.8, 1.2, 200).tolist()
    for recurrent in (False, True):
        assert sum(check(op, profile, xs, recurrent)) >= 3


@given(st.integers(0, 2**32 - 1), st.sampled_from(sorted(NEURONS)), profiles(), st.booleans(), st.data())
@settings(max_examples=200)
def test_any_profile_and_kind(seed, kind, profile, recurrent, data):
    rng = np.random.default_rng(seed)
    own = profile.at("n", kind)
    if own.reset_when == "at_crossing":
        own = dataclasses.replace(own, reset_when="after_spike")
    op = neuron(kind, (1,), own, rng)
    if op.is_spiking and data.draw(st.booleans()):
        op = dataclasses.replace(op, extras=Extras(v_init=np.array(0.1), refractory_steps=np.array([2])))
    check(op, own, rng.normal(0.5, 1.5, 60).tolist(), recurrent)


def test_the_four_spikes_of_the_closed_form():
    profile = parse_profile("exact").at("n", "LIF")
    op = LIF(*(np.array([v]) for v in (0.0025, 1.0, 0.0, 0.1, 0.0)))
    vs, ss = run(op, profile, [1.0] * 40)
    # From 0 the membrane 1 - exp(-t/tau) crosses 0.1 every -tau*log(0.9) seconds, step or no step.
    period = -0.0025 * math.log(0.9) / DT
    assert np.flatnonzero(ss).tolist() == [math.ceil(k * period) - 1 for k in range(1, 1 + int(40 / period))]
    phase = (40 % period) * DT
    assert vs[-1] == pytest.approx(1 - math.exp(-phase / 0.0025), rel=1e-9)


def test_a_crossing_without_leak_charges_on_what_lies_above():
    profile = dataclasses.replace(parse_profile("exact").at("n", "IF"), gain="unit")
    vs, ss = run(IF(*(np.array([v]) for v in (1.0, 1.0, 0.0))), profile, [0.7, 0.7])
    assert ss == [0, 1]
    assert vs[-1] == pytest.approx(0.4)


@pytest.mark.parametrize(("compare", "fires"), [(">", 0), (">=", 1)])
def test_at_the_threshold(compare, fires):
    profile = Profile("test", gain="unit", reset="none", compare=compare)
    assert run(IF(*(np.array([v]) for v in (1.0, 1.0, 0.0))), profile, [1.0])[1] == [fires]


def test_several_spikes_in_a_step_and_their_bound():
    op = IF(*(np.array([v]) for v in (1.0, 0.5, 0.0)))
    profile = Profile("test", gain="unit", reset="multi_subtract")
    assert run(op, profile, [1.7]) == ([pytest.approx(0.2)], [3])
    assert run(op, dataclasses.replace(profile, max_spikes=2), [1.7]) == ([pytest.approx(0.7)], [2])


def test_refractory_steps_hold_the_membrane():
    op = IF(*(np.array([v]) for v in (1.0, 1.0, 0.0)), extras=Extras(refractory_steps=np.array([2])))
    vs, ss = run(op, Profile("test", gain="unit"), [1.5] * 7)
    assert ss == [1, 0, 0, 1, 0, 0, 1]
    assert vs == [0.0] * 7


def test_the_clamp_acts_after_the_reset():
    op = IF(*(np.array([v]) for v in (1.0, 1.0, -3.0)))
    profile = Profile("test", gain="unit", clamp_low=-0.5)
    assert run(op, profile, [2.0, -5.0])[0] == [-0.5, -0.5]
    assert run(op, dataclasses.replace(profile, clamp_low="-v_threshold"), [2.0, -5.0])[0] == [-1.0, -1.0]


def test_exact_coefficients_win_while_dt_scheme_and_gain_stay():
    exact = Discrete(DT, "euler", "nir", np.array(0.5), np.array(2.0))
    op = LI(*(np.array([v]) for v in (1e-3, 1.0, 0.0)), extras=Extras(discrete=exact))
    assert run(op, Profile("test"), [1.0, 0.0])[0] == [2.0, 1.0]
    for other in ({"dt": 2e-4}, {"scheme": "exponential"}, {"gain": "unit"}):
        p = Profile("test", **other)
        assert run(op, p, [1.0])[0] == run(dataclasses.replace(op, extras=Extras()), p, [1.0])[0]


def test_exact_coefficients_of_the_synapse():
    full = {f.name: np.array([1e-3]) for f in dataclasses.fields(CubaLIF) if f.name != "extras"}
    exact = Discrete(DT, "euler", "nir", np.array(0.5), np.array(1.0), np.array(0.25), np.array(4.0))
    model = discretise(CubaLIF(**full, extras=Extras(discrete=exact)), Profile("test"), (1,))
    assert (model.alpha[0], model.syn_gain[0], model.beta[0], model.mem_gain[0]) == (0.25, 4.0, 0.5, 1.0)


def test_integrators_do_not_spike():
    op = I(np.array([1.0]))
    assert run(op, Profile("test", gain="unit"), [1.0, 2.0]) == ([1.0, 3.0], [0, 0])


def test_the_profile_may_set_threshold_and_reset():
    op = IF(*(np.array([v]) for v in (1.0, 1.0, 0.0)))
    model = discretise(op, Profile("test"), (1,), v_threshold=7.0, v_reset=3.0)
    assert (model.threshold[0], model.v_reset[0]) == (7.0, 3.0)


def test_float32_stays_float32():
    op = LIF(*(np.array([v]) for v in (1e-3, 1.0, 0.0, 1.0, 0.0)))
    model = discretise(op, Profile("test"), (1,)).cast(np.float32)
    state = State.initial(model, 1, np.float32)
    step(model, state, np.ones((1, 1), np.float32))
    assert state.v.dtype == model.beta.dtype == np.float32
