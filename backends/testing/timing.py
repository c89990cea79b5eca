"""Cases for time: every named profile with each reset, every field of a profile, sample boundaries, delays."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np

from spikeport.backends.testing.case import Case, Draft
from spikeport.ir.graph import Edge
from spikeport.ir.ops import IF, LIF, Affine, Delay, Discrete, Extras, Input, Linear, Neuron
from spikeport.ir.profile import CHOICES, Profile
from spikeport.ir.profiles import PROFILES, parse_profile

SPIKING = ("IF", "LIF", "CubaLIF")
BASE = "norse:value"
#: Values of the fields that have no list of words, and further ones that are apt to be forgotten.
FIELDS: dict[str, tuple[str, ...]] = {
    **{name: CHOICES[name] for name in ("scheme", "syn_scheme", "gain", "syn_gain", "leak", "order", "compare", "bias_at")},
    "latency": ("1/0", "0/1", "1/1", "3/2"), "output_delay": ("1", "3"), "feedback": ("2", "5"), "bias_at_0": ("yes", "no"),
    "clamp_low": ("0.0", "-0.05", "-v_threshold"), "dt": ("1e-3",),
}  # fmt: skip


def build() -> Iterator[Case]:
    """Yield the cases of this module."""
    yield from _profiles()
    yield from _fields()
    yield from _resets()
    yield from _boundaries()
    yield from _delays()
    yield from _extras()
    yield from _at_rest()
    yield from _ties()


def every_kind(name: str, profile: Profile | str, **options: Any) -> Draft:
    """Return a draft with all kinds of neurons side by side, a recurrent one behind them, and integrators as readouts."""
    draft = Draft(name, profile, (5,), **options)
    for kind in SPIKING:
        draft.layer(kind, "input", 6, kind)
    draft.add("mix.fc", Affine(draft.weights(7, 6, fan_in=18), draft.rng.normal(0, 0.1, 7)), "IF")
    draft.neuron("mix", "mix.fc")
    for kind in SPIKING[1:]:
        beside = Affine(draft.weights(7, 6, fan_in=18), draft.rng.normal(0, 0.1, 7))
        draft.connect(draft.add(f"mix.{kind}", beside, kind), "mix")
    rec = Affine(draft.weights(7, 7, fan_in=14), draft.rng.normal(0, 0.1, 7))
    draft.connect(draft.add("mix.rec", rec, "mix"), "mix")
    draft.leave("mix")
    for kind in ("LI", "CubaLI", "I"):
        draft.leave(draft.layer(f"out.{kind}", "mix", 3, kind), f"output.{kind}")
    return draft


def _profiles() -> Iterator[Case]:
    texts = [f"{p.name}:{reset}" for p in PROFILES.values() for reset in p.resets]
    texts += [f"snntorch:{reset},reset_delay=false" for reset in PROFILES["snntorch"].resets]
    for text in texts:
        yield every_kind(f"profile/{text}", text).case()


def _fields() -> Iterator[Case]:
    for field, values in FIELDS.items():
        for value in values:
            yield every_kind(f"field/{field}={value}", f"{BASE},{field}={value}").case()
    for at in CHOICES["latency_at"]:
        yield every_kind(f"field/latency_at={at}", f"{BASE},latency=2/1,latency_at={at}").case()
    three = f"{BASE},scheme=exponential,syn_gain=decay,order=old_current"
    yield every_kind("field/exponential, decaying input, old current", three).case()
    one = f"{BASE},@IF:reset=subtract@IF:compare=>=@LIF:reset=none@CubaLIF:output_delay=2@mix:reset_when=next_step_keep_input"
    yield every_kind("field/fields of single nodes", f"{one}@mix:clamp_low=0.0@IF:v_threshold=0.4@LIF:v_reset=-0.2").case()


def _resets() -> Iterator[Case]:
    """Yield every kind of reset at every time of reset, strongly driven, so that spikes follow each other."""
    for reset in CHOICES["reset"]:
        for when in CHOICES["reset_when"]:
            text, kinds = f"{BASE},reset={reset},reset_when={when}", list(SPIKING)
            if when == "at_crossing":
                # Refused (E337) where it has no closed form.
                if reset in ("subtract_once", "multi_subtract"):
                    continue
                text, kinds = f"{text},scheme=exponential", ["IF", "LIF"]
            draft = Draft(f"reset/{reset}, {when}", text, (5,), rate=0.7)
            for kind in kinds:
                draft.leave(draft.layer(kind, "input", 6, kind, drive=0.5), f"output.{kind}")
            yield draft.case()
    for most in ("none", "1", "3"):
        draft = Draft(f"reset/several spikes a step, at most {most}", f"{BASE},reset=multi_subtract,max_spikes={most}", (4,))
        for kind in SPIKING:
            draft.leave(draft.layer(f"{kind}2", draft.layer(kind, "input", 6, kind, drive=0.15), 4), f"output.{kind}")
        yield draft.case()


def _boundaries() -> Iterator[Case]:
    for boundary in ("reset", "carry", "silence(1)", "silence(6)"):
        for samples, steps in ((4, 9), (3, 1)):
            text = f"{BASE},boundary={boundary}"
            name = f"boundary/{boundary}, {samples} samples of {steps} steps"
            yield every_kind(name, text, samples=samples, steps=steps, rate=0.6).case(quiet=steps == 1)
        late = f"{BASE},boundary={boundary},output_delay=1"
        draft = Draft(f"boundary/{boundary}, values under way", late, (3,), samples=4, steps=6)
        held = Extras(refractory_steps=np.array([0, 4, 9, 2]), v_init=np.full(4, 0.05), held_init=np.array([0, 0, 3, 7]))
        draft.layer("held", "input", 4, extras=held, drive=0.4)
        draft.neuron("late", draft.add("delay", Delay(np.array([0, 2, 5, 8]) * 1e-4), "held"), drive=0.3)
        draft.connect("held", "late", 7)
        draft.leave("late")
        yield draft.case()


def _delays() -> Iterator[Case]:
    for delay in (1, 2, 7, 30):
        draft = Draft(f"delay/{delay} steps on every edge", BASE, (4,), steps=50)
        draft.layer("a", "input", 5, drive=0.5)
        draft.leave(draft.layer("b", "a", 3, drive=0.3))
        draft.edges = [Edge(e.source, e.target, delay, e.rank) for e in draft.edges]
        yield draft.case(quiet=delay == 30)
    draft = Draft("delay/edges of one node differ", f"{BASE},latency=1/1", (4,))
    draft.layer("a", "input", 4)
    draft.layer("b", "a", 4, drive=2.0)
    for delay in (0, 1, 6):
        draft.connect("a" if delay else "input", "b", delay)
    draft.leave("b")
    draft.leave("input", "echo")
    yield draft.case()
    draft = Draft("delay/the same two nodes twice", BASE, (4,))
    draft.neuron("a", "input")
    draft.connect("input", "a", 3)
    draft.leave("a")
    yield draft.case()


def _extras() -> Iterator[Case]:
    """Yield cases for what neurons carry beyond NIR."""
    rng = np.random.default_rng(5)
    given: dict[str, dict[str, Any]] = {
        "refractory": {"refractory_steps": np.array([0, 1, 2, 3, 7, 25])},
        "refractory, one for all": {"refractory_steps": np.array(2)},
        "amplitudes": {"spike_amplitude": np.array([0.5, 2.0, -1.0, 1.0, 0.1, 1.5])},
        "initial state": {"v_init": rng.normal(0, 1, 6), "i_init": rng.normal(0, 1, 6)},
        "initial state beyond the threshold": {"v_init": np.full(6, 50.0)},
        "held at the start": {"held_init": np.array([0, 1, 2, 3, 7, 25])},
        "held at the start, one for all": {"held_init": np.array(4), "v_init": np.full(6, 50.0)},
        "all at once": {
            "held_init": np.array([3, 0, 1, 0, 5, 2]),
            "refractory_steps": np.array([0, 1, 2, 0, 3, 1]), "spike_amplitude": rng.uniform(0.5, 1.5, 6),
            "v_init": rng.normal(0, 0.5, 6),
        },
    }  # fmt: skip
    for name, extras in given.items():
        for text in (BASE, "snntorch:subtract", "sinabs:subtract"):
            draft = Draft(f"extras/{name}, {text}", text, (5,), rate=0.6)
            for kind in SPIKING:
                own = extras if kind == "CubaLIF" else {k: v for k, v in extras.items() if k != "i_init"}
                draft.layer(kind, "input", 6, kind, extras=Extras(**own), drive=0.5)
                draft.leave(draft.layer(f"{kind}2", kind, 4, drive=0.7), f"output.{kind}")
            yield draft.case(quiet=True)
    draft = every_kind("extras/exact coefficients beside tau", BASE)
    for path in SPIKING:
        op = draft.nodes[path]
        assert isinstance(op, Neuron)
        ones = np.ones(6)
        synapse = {"alpha": 0.7 * ones, "syn_gain": 0.9 * ones} if path == "CubaLIF" else {}
        seen = draft.profile.at(path, path)
        exact = Discrete(seen.dt, seen.scheme, seen.gain, 0.9 * ones, 0.2 * ones, **synapse)
        draft.nodes[path] = dataclasses.replace(op, extras=Extras(discrete=exact))
    yield draft.case(quiet=True)


def _at_rest() -> Iterator[Case]:
    """Yield populations that spike or drift without any input: where only events are looked at they stand still."""
    for name, text, values in (
        ("threshold 0, >=", f"{BASE},compare=>=", {"v_threshold": 0.0, "v_reset": 0.0, "v_leak": 0.0}),
        ("negative threshold", BASE, {"v_threshold": -0.1, "v_reset": -0.5}),
        ("leak beyond the threshold", BASE, {"v_leak": 3.0, "v_threshold": 0.5, "v_reset": 0.0}),
    ):
        draft = Draft(f"rest/{name}", parse_profile(text), (3,), rate=0.0)
        op = draft.nodes[draft.layer("neuron", "input", 4)]
        assert isinstance(op, Neuron)
        changed: dict[str, Any] = {name: np.full(4, value) for name, value in values.items()}
        draft.nodes["neuron"] = dataclasses.replace(op, **changed)
        draft.leave("neuron")
        yield draft.case()
    draft = Draft("rest/a bias alone", BASE, (3,), rate=0.0)
    draft.neuron("neuron", draft.add("fc", Affine(np.ones((4, 3)), np.array([0.1, 1.0, 2.0, 4.0])), "input"))
    draft.leave("neuron")
    yield draft.case()
    draft = Draft("rest/two biases into one membrane", "spinnaker2:zero", (3,), rate=0.1)
    draft.enter("second", Input((2,)))
    draft.neuron("neuron", draft.add("fc", Affine(draft.weights(4, 3, fan_in=3), np.array([0.0, 1.0, 2.0, 4.0])), "input"))
    draft.connect(draft.add("fc2", Affine(draft.weights(4, 2, fan_in=2), np.array([1.0, 0.0, 0.5, 1.0])), "second"), "neuron")
    draft.leave("neuron")
    yield draft.case()


def _ties() -> Iterator[Case]:
    """Yield membranes that reach the threshold exactly: quarters and halves, which no rounding moves."""
    for compare in CHOICES["compare"]:
        for reset, when in (
            ("to_zero", "after_spike"), ("subtract", "after_spike"), ("multi_subtract", "after_spike"),
            ("subtract_once", "after_spike"), ("subtract", "next_step"), ("to_zero", "next_step_drop_input"),
        ):  # fmt: skip
            text = f"{BASE},gain=unit,dt=1.0,compare={compare},reset={reset},reset_when={when}"
            draft = Draft(f"tie/{compare}, {reset}, {when}", text, (4,), rate=0.5)
            one = np.ones(6)
            for op in (IF(one, one, 0 * one), LIF(2 * one, one, 0 * one, one, 0 * one)):
                weight = draft.add(f"{op.kind}.fc", Linear(draft.rng.integers(-1, 4, (6, 4)) / 4), "input")
                draft.leave(draft.add(op.kind, op, weight), f"output.{op.kind}")
            yield draft.case()
