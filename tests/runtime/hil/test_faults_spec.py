"""Faults as text: what is read prints back as the same, and what cannot be is refused with what can."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikeport.ir.diagnostics import UsageError
from spikeport.runtime.hil.faults.spec import FORMS, Fault, of_kind, parse_faults, usage

PATHS = st.text(st.characters(exclude_categories=("Z", "C"), exclude_characters="/,"), min_size=1, max_size=12)
PROBABILITY = st.floats(0, 1)
COUNT = st.integers(0, 2**31)
VALUES = {
    "p": PROBABILITY, "n": COUNT, "layer": PATHS, "steps": st.integers(1, 4096), "bits": st.integers(2, 8), "core": COUNT,
    "from": COUNT, "to": COUNT, "step": COUNT, "format": st.sampled_from(["int8", "ieee"]), "at": st.sampled_from("01"),
    "neuron": st.lists(COUNT, min_size=1, max_size=4).map(lambda n: ".".join(map(str, n))),
    "how": st.sampled_from(["error", "kill"]), "s": st.floats(0, 86400), "ms": st.floats(0, 600_000),
    "way": st.sampled_from(["up", "down", "both"]), "after": st.integers(0, 2**40),
}  # fmt: skip


@st.composite
def texts(draw):
    """Draw a fault as somebody would write it: options in any order, those that are needed among them."""
    name = draw(st.sampled_from(sorted(FORMS)))
    form = FORMS[name]
    optional = [o for o in form.options if o not in form.one_of and (name, o) != ("dead_link", "to")]
    chosen = draw(st.lists(st.sampled_from(optional), unique=True)) if optional else []
    chosen += [draw(st.sampled_from(form.one_of))] if form.one_of else []
    chosen += ["to"] * ("from" in chosen)
    chosen += ["layer"] * ("neuron" in chosen and "layer" not in chosen)
    values = {o: draw(VALUES[o]) for o in draw(st.permutations(chosen))}
    if draw(st.booleans()):
        values["seed"] = draw(st.integers(0, 2**62))
    return name, values


def written(name, values):
    return f"{name}:{','.join(f'{k}={v!r}' if isinstance(v, float) else f'{k}={v}' for k, v in values.items())}".rstrip(":")


@given(st.lists(texts(), min_size=1, max_size=4))
def test_what_is_read_is_what_was_written_and_prints_back(drawn):
    faults = parse_faults("/".join(written(*d) for d in drawn))
    for fault, (name, values) in zip(faults, drawn, strict=True):
        assert (fault.name, fault.seed) == (name, values.pop("seed", 0))
        expected = {k: tuple(map(int, v.split("."))) if k == "neuron" else v for k, v in values.items()}
        assert dict(fault.options) == expected
        assert {k: fault.get(k) for k in values} == expected
        assert fault.get("nothing of the kind", 5) == 5
    text = "/".join(map(str, faults))
    assert parse_faults(text) == faults
    assert hash(parse_faults(text)) == hash(faults)
    assert sum(len(of_kind(faults, kind)) for kind in ("transport", "device", "neuromorphic")) == len(faults)


@given(st.text(st.sampled_from("abdeiklnprst_:=,/.0125 -"), max_size=40))
def test_anything_is_read_or_refused_by_its_code(text):
    found = ()
    try:
        faults = parse_faults(text)
    except UsageError as error:
        faults, found = (), error.diagnostics
    assert all(d.code == "E885" and d.message and d.hint for d in found)
    assert found or parse_faults("/".join(map(str, faults))) == faults


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("spike_dro:p=0.1", "unknown fault 'spike_dro' (did you mean 'spike_drop'?)"),
        ("", "unknown fault ''"),
        ("spike_drop", "spike_drop needs p"),
        ("spike_drop:p=1.5", "p of spike_drop is '1.5'; it takes a number from 0 to 1"),
        ("spike_drop:p=nan", "p of spike_drop is 'nan'"),
        ("spike_drop:p=0.1,p=0.2", "p stands twice"),
        ("spike_drop:p=0.1,step=2", "spike_drop has no option 'step'"),
        ("late:p=0.1,stps=2", "(did you mean 'steps'?)"),
        ("late:p=0.1,steps=0", "it takes a whole number from 1 to 4,096"),
        ("late:p", "'p' is not key=value"),
        ("bit_flip:p=0.1,n=3", "bit_flip needs exactly one of p, n"),
        ("bit_flip:n=3,format=int4", "it takes int8 or ieee"),
        ("stuck:neuron=3", "layer is needed"),
        ("stuck:neuron=-1,layer=a", "an index such as 5 or 2.0.7"),
        ("dead_link:from=1", "from and to are both needed"),
        ("dead_link:to=1", "dead_link needs exactly one of from, p, n"),
        ("saturate:bits=9", "a whole number from 2 to 8"),
        ("device_dies:how=burn", "it takes error or kill"),
        ("spike_drop:p=0.1,layer=", "it takes the path of a layer"),
        ("spike_drop:p=0.1,seed=-1", "a whole number from 0 to"),
    ],
)
def test_what_is_wrong_is_said(text, said):
    with pytest.raises(UsageError) as found:
        parse_faults(text)
    (diagnostic,) = found.value.diagnostics
    assert diagnostic.code == "E885"
    assert said in diagnostic.message
    name = text.partition(":")[0]
    assert (usage(name) if name in FORMS else "spike_drop") in diagnostic.hint


def test_all_that_is_wrong_is_said_at_once():
    with pytest.raises(UsageError) as found:
        parse_faults("drop:p=2/spike_drop:p=0.1/hang:s=x")
    assert [d.path for d in found.value.diagnostics] == ["drop:p=2", "hang:s=x"]


@pytest.mark.parametrize(
    ("text", "rate", "expected"),
    [
        ("spike_drop:p=0.5,layer=a.b,seed=3", 0.25, "spike_drop:p=0.25,layer=a.b,seed=3"),
        ("bit_flip:n=12,format=ieee", 1e-5, "bit_flip:p=1e-05,format=ieee"),
        ("dead_link:from=1,to=2", 0.1, "dead_link:p=0.1"),
        ("stuck:neuron=1.2,layer=a,at=1", 1.0, "stuck:p=1,at=1,layer=a"),
        ("saturate:bits=8,layer=a", 4.0, "saturate:bits=4,layer=a"),
    ],
)
def test_a_rate_takes_the_place_of_what_says_how_much(text, rate, expected):
    (fault,) = parse_faults(text)
    assert fault.at_rate(rate) == parse_faults(expected)[0]
    assert str(fault.at_rate(rate)) == expected
    assert fault.with_seed(9).seed == 9


def test_rates_that_cannot_be():
    dies, drop, bits = parse_faults("device_dies/spike_drop:p=0/saturate:bits=2")
    for fault, rate, code in ((dies, 0.1, "E886"), (drop, 1.1, "E885"), (drop, math.nan, "E885"), (bits, 0.5, "E885")):
        with pytest.raises(UsageError) as found:
            fault.at_rate(rate)
        assert found.value.diagnostics[0].code == code


def test_what_says_how_much_may_be_left_open():
    assert parse_faults("spike_drop:layer=a/saturate", is_open=True) == (
        Fault("spike_drop", (("layer", "a"),)),
        Fault("saturate"),
    )
    for text in ("delay", "bit_flip:p=0.1,n=1", "stuck:at=2"):
        with pytest.raises(UsageError):
            parse_faults(text, is_open=True)
