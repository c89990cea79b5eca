"""Profiles: what is written is read back, named ones are as established, and every mistake is told."""

import dataclasses

import pytest
from graphs import profiles
from hypothesis import given
from hypothesis import strategies as st

from spikeport.ir import PROFILES, Profile, parse_profile
from spikeport.ir.diagnostics import ProfileError
from spikeport.ir.profile import CHOICES, PER_NODE
from spikeport.ir.profiles import differences, missing_profile, same_timing

FLOATS = st.floats(1e-6, 1e3)
ANY = {
    **{name: st.sampled_from(words) for name, words in CHOICES.items()},
    "dt": FLOATS,
    "boundary": st.sampled_from(("reset", "carry")) | st.integers(0, 99).map(lambda k: f"silence({k})"),
    "latency": st.tuples(st.integers(0, 9), st.integers(0, 9)),
    "output_delay": st.integers(0, 9),
    "feedback": st.integers(0, 9),
    "bias_at_0": st.booleans(),
    "clamp_low": st.none() | st.just("-v_threshold") | st.floats(-5, 5),
    "max_spikes": st.none() | st.integers(1, 99),
    "v_threshold": st.floats(-5, 5),
    "v_reset": st.floats(-5, 5),
}


@st.composite
def any_profile(draw):
    profile = draw(profiles())
    names = [f.name for f in dataclasses.fields(Profile)][1:-1]
    changed = draw(st.lists(st.sampled_from(names), unique=True))
    profile = dataclasses.replace(profile, **{n: draw(ANY[n]) for n in changed})
    for path in draw(st.lists(st.sampled_from(("fc1", "l1.neuron", "a.b-c_d", "%LIF", "%CubaLIF")), unique=True)):
        own = draw(st.lists(st.sampled_from(sorted(PER_NODE)), min_size=1, unique=True))
        profile = profile.with_overrides(path, **{n: draw(ANY[n]) for n in own})
    return profile


@given(any_profile())
def test_every_profile_prints_and_parses_back(profile):
    assert parse_profile(str(profile)) == profile


@pytest.mark.parametrize("text", [f"{n}:{r}" for n, p in PROFILES.items() for r in p.resets])
def test_every_named_profile_and_reset_prints_and_parses_back(text):
    profile = parse_profile(text)
    assert profile.name == text.split(":")[0]
    assert parse_profile(str(profile)) == profile
    assert parse_profile(profile) is profile


def test_all_that_the_design_names_is_there():
    assert set(PROFILES) == {
        "exact", "snntorch", "norse", "sinabs", "rockpool", "spyx", "nengo", "spikingjelly", "spinnaker2", "spynnaker",
        "lava_float", "lava",
    }  # fmt: skip


def test_snntorch_s_subtraction_depends_on_the_reset_delay():
    assert parse_profile("snntorch:subtract").reset_when == "next_step"
    at_once = parse_profile("snntorch:subtract,reset_delay=false")
    assert (at_once.reset, at_once.reset_when) == ("subtract_once", "after_spike")
    assert parse_profile("snntorch:subtract,reset_delay=false,reset=subtract").reset == "subtract"


def test_fields_overwrite_the_named_ones_and_kinds():
    assert parse_profile("spinnaker2:subtract,dt=1e-3").dt == 1e-3
    assert parse_profile("norse,latency=2").latency == (2, 2)
    assert parse_profile("norse,latency=1/0").latency == (1, 0)
    assert parse_profile("norse").at("x", "LIF").gain == "scaled"
    assert parse_profile("norse,gain=nir").at("x", "LIF").gain == "nir"
    assert parse_profile(" norse : value ".replace(" ", "")) == parse_profile("norse")


def test_a_node_overwrites_its_kind_and_the_kind_the_whole():
    profile = parse_profile("exact,@%LIF:reset=none,@out:reset=subtract,@out:v_threshold=2.5")
    assert profile.at("hidden", "LIF").reset == "none"
    assert profile.at("out", "LIF").reset == "subtract"
    assert profile.at("hidden", "IF").reset == "to_zero"
    assert profile.parameter("out", "LIF", "v_threshold") == 2.5
    assert profile.parameter("hidden", "LIF", "v_threshold") is None
    assert profile.at("out", "LIF").overrides == ()


def test_rockpool_caps_spikes_where_its_library_does():
    assert parse_profile("rockpool").max_spikes == 2**16  # LIFTorch's max_spikes_per_dt
    assert parse_profile("rockpool,max_spikes=31").max_spikes == 31
    assert parse_profile("rockpool,max_spikes=none").max_spikes is None


def test_silence_counts_steps():
    assert parse_profile("norse,boundary=silence(7)").silence == 7
    assert parse_profile("norse,boundary=carry").silence == 0


def test_same_timing_looks_past_the_name():
    one = parse_profile("norse:value")
    assert same_timing(one, dataclasses.replace(one, name="mine"))
    assert not same_timing(one, dataclasses.replace(one, dt=1e-3))


def test_differences_are_told_field_by_field():
    one = parse_profile("snntorch:zero,@out:reset=none")
    assert differences(one, parse_profile("snntorch:zero,dt=1e-3,@out:reset=subtract,@in:v_reset=2")) == (
        "dt 0.0001 against 0.001", "@out:reset none against subtract", "@in:v_reset unset against 2.0",
    )  # fmt: skip
    assert differences(one, dataclasses.replace(one, name="mine")) == ()


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        ("snntroch", "E331", "unknown profile 'snntroch' (did you mean 'snntorch'?)"),
        ("", "E331", "unknown profile ''"),
        ("norse:none", "E333", "norse has no reset 'none'; it has value, zero, subtract"),
        ("rockpool:zero", "E333", "rockpool has no reset 'zero'"),
        ("norse,shceme=euler", "E332", "unknown profile field 'shceme' (did you mean 'scheme'?)"),
        ("norse,scheme=eulr", "E332", "profile field scheme takes euler | exponential, not 'eulr' (did you mean 'euler'?)"),
        ("norse,dt=0", "E332", "profile field dt cannot be '0': expected a number of seconds above 0"),
        ("norse,dt=nan", "E332", "expected a number of seconds above 0"),
        ("norse,dt=x", "E332", "profile field dt cannot be 'x'"),
        ("norse,latency=1/2/3", "E332", "expected STEPS or INPUT/BETWEEN"),
        ("norse,latency=-1", "E332", "expected a number of steps between 0 and 4096"),
        ("norse,feedback=9999", "E332", "expected a number of steps between 0 and 4096"),
        ("sinabs,max_spikes=0", "E332", "expected none, or a number of spikes from 1 to 2147483647"),
        ("norse,bias_at_0=maybe", "E332", "expected yes or no"),
        ("norse,boundary=never", "E332", "expected reset, carry or silence(STEPS)"),
        ("norse,clamp_low=inf", "E332", "expected a finite number"),
        ("norse,dt", "E332", "cannot read 'dt' in the profile"),
        ("norse,@fc1", "E332", "cannot read '@fc1' in the profile"),
        ("norse,@fc1:dt=1", "E332", "field 'dt' cannot be set for one node"),
        ("norse,v_threshold=1", "E332", "v_threshold is a parameter of nodes"),
        ("nengo,tau_ref=0.002", "E332", "unknown profile field 'tau_ref'"),
        ("norse,dt=1e-3,dt=1e-4", "E332", "dt is given twice"),
        ("norse,@lif:reset=none,@lif:reset=subtract", "E332", "@lif:reset is given twice"),
        ("snntorch,reset_when=next_step,reset_delay=no", "E332", "reset_when and reset_delay say the same thing"),
    ],
)
def test_mistakes_are_told(text, code, message):
    with pytest.raises(ProfileError) as caught:
        parse_profile(text)
    (finding,) = caught.value.diagnostics
    assert finding.code == code
    assert message in finding.message
    assert finding.hint
    assert caught.value.exit_code == 2


def test_without_a_profile_the_refusal_lists_them_all():
    (finding,) = missing_profile().diagnostics
    assert finding.code == "E330"
    assert all(f"{name}:" in finding.message for name in PROFILES)
    assert "--profile NAME" in finding.hint
