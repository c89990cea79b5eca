"""The named profiles: what each framework does in a step, as established against recordings and sources."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from spikeport.ir.diagnostics import Diagnostic, ProfileError, did_you_mean
from spikeport.ir.profile import PER_NODE, Override, Profile, parse_value


@dataclass(frozen=True, slots=True)
class NamedProfile:
    """A profile with a name: its fields, those of single kinds, and the reset kinds of its framework (default first)."""

    name: str
    summary: str
    resets: dict[str, str]
    fields: dict[str, Any]
    kinds: tuple[Override, ...] = ()


def _named(name: str, summary: str, resets: dict[str, str], *kinds: Override, **fields: Any) -> NamedProfile:
    return NamedProfile(name, summary, resets, fields, kinds)


# Established against the recordings of the NIR paper (doi:10.1038/s41467-024-52259-9) and the libraries' own code.
PROFILES: dict[str, NamedProfile] = {
    p.name: p
    for p in (
        _named(
            "exact", "closed form for input that is constant within a step; reset at the instant of the crossing",
            {"zero": "to_zero", "value": "to_v_reset", "subtract": "subtract", "none": "none"},
            # With a decaying synaptic current the crossing has no closed form: reset at the end of the step.
            ("%CubaLIF", "reset_when", "after_spike"),
            scheme="exponential", reset_when="at_crossing",
        ),
        _named(
            "snntorch", "snnTorch 1.0: Euler; the reset of a spike acts in the next update (reset_delay=false: at once)",
            {"subtract": "subtract", "zero": "to_zero", "none": "none"},
            reset_when="next_step",
        ),
        _named(
            "norse", "Norse 1.1: Euler, reset to v_reset; the recurrent affine is not evaluated at step 0",
            {"value": "to_v_reset", "zero": "to_zero", "subtract": "subtract"},
            # LIFBox and LIBox ignore r, IFBox dt as well; the Cuba boxes pull the current to v_leak too.
            ("%LIF", "gain", "scaled"), ("%LI", "gain", "scaled"), ("%IF", "gain", "unit"),
            ("%CubaLIF", "leak", "both"), ("%CubaLI", "leak", "both"),
            bias_at_0=False,
        ),
        _named(
            "sinabs", "sinabs 3.1: exponential decay, gain 1 (norm_input=False), several spikes a step",
            {"subtract": "multi_subtract", "zero": "to_zero"},
            ("%IF", "clamp_low", "-v_threshold"),
            scheme="exponential", gain="unit", syn_gain="decay", compare=">=", bias_at_0=False,
        ),
        _named(
            "rockpool", "Rockpool: exponential decay, gain 1, several spikes a step; v_leak is a bias",
            {"subtract": "multi_subtract"},
            scheme="exponential", gain="unit", syn_gain="decay", leak="unit", compare=">=", max_spikes=2**16,
        ),
        _named(
            "spyx", "Spyx: Euler, plain subtraction; a layer's output is visible one step late",
            {"subtract": "subtract"},
            # LIF and IF subtract in the next update without decay; the recurrent Cuba cell subtracts first.
            ("%LIF", "reset_when", "next_step_keep_input"), ("%IF", "reset_when", "next_step_keep_input"),
            ("%LIF", "gain", "scaled"), ("%IF", "gain", "unit"), ("%CubaLIF", "gain", "unit"),
            output_delay=1,
        ),
        _named(
            "nengo", "Nengo's LIF with tau_ref 0: exponential membrane, Euler filter, reset to zero, membrane not below 0",
            {"zero": "to_zero"},
            ("%IF", "gain", "unit"), ("%IF", "clamp_low", None),
            scheme="exponential", syn_scheme="euler", clamp_low=0.0, latency=(1, 1), latency_at="current", bias_at_0=False,
        ),
        _named(
            "spikingjelly", "SpikingJelly 2.0: Euler, v >= threshold, reset to v_reset or by subtraction",
            {"value": "to_v_reset", "zero": "to_zero", "subtract": "subtract"},
            compare=">=", bias_at_0=False,
        ),
        _named(
            "spinnaker2", "py-spinnaker2: Euler; each hop takes a step; the bias enters at the membrane",
            {"zero": "to_zero", "subtract": "subtract"},
            ("%IF", "gain", "r"),
            latency=(1, 1), bias_at_0=False, bias_at="membrane",
        ),
        _named(
            "spynnaker", "sPyNNaker's IF_curr_exp and IF_curr_delta: exponential decay, v >= threshold; each hop takes a step",
            {"value": "to_v_reset", "zero": "to_zero"},
            scheme="exponential", compare=">=", latency=(1, 1), bias_at_0=False,
        ),
        _named(
            "lava_float", "Lava floating_pt: Euler, reset to zero; each Dense, Sparse or Conv sends one step late",
            {"zero": "to_zero"},
            latency=(1, 1), latency_at="synapse", bias_at_0=False, bias_at="membrane",
        ),
        _named(
            "lava", "Lava fixed_pt (arithmetic loihi), timed as lava_float: each Dense, Sparse or Conv sends one step late",
            {"zero": "to_zero"},
            latency=(1, 1), latency_at="synapse", bias_at_0=False, bias_at="membrane",
        ),
    )
}  # fmt: skip


def missing_profile() -> ProfileError:
    """Return the refusal to run a graph whose profile is not stated, listing what each would mean."""
    lines = [f"  {p.name + ':' + '|'.join(p.resets):34s} {p.summary}" for p in PROFILES.values()]
    return ProfileError(
        Diagnostic(
            "E330", "",
            "the model does not state its execution profile (dt, integration, reset, latency); each would give other spikes:\n"
            + "\n".join(lines),
            "name the framework that it was trained in: --profile NAME[:RESET][,field=value] or profile='NAME'; of a .nir file "
            "name the library that exported it, if it did: --dialect NAME[:RESET][,field=value] or load(..., dialect='NAME')",
        )
    )  # fmt: skip


def parse_profile(text: str | Profile) -> Profile:
    """Return the profile that *text* names.

    Raises
    ------
    ProfileError
        E331 for an unknown name, E332 for a wrong field or value, E333 for a reset that the framework lacks.
    """
    if isinstance(text, Profile):
        return text
    head, *items = [part.strip() for part in text.replace(",@", "@").replace("@", ",@").split(",")]
    name, _, word = head.partition(":")
    if name not in PROFILES:
        raise ProfileError(
            Diagnostic("E331", "", f"unknown profile {name!r}{did_you_mean(name, PROFILES)}", f"one of {', '.join(PROFILES)}")
        )
    named = PROFILES[name]
    word = word or next(iter(named.resets))
    if word not in named.resets:
        raise ProfileError(
            Diagnostic(
                "E333", "", f"{name} has no reset {word!r}; it has {', '.join(named.resets)}",
                "choose one of these, or set the field itself: reset=to_v_reset|to_zero|subtract|none",
            )
        )  # fmt: skip
    fields: dict[str, Any] = dict(named.fields)
    overrides: list[Override] = []
    kinds = named.kinds
    given: set[str] = set()
    printed = {f.name for f in dataclasses.fields(Profile)[1:-1]}
    for item in items:
        path, assignment = "", item
        if item.startswith("@"):
            path, colon, assignment = item[1:].rpartition(":")
            if not colon or not path:
                raise _bad_item(item)
        key, equals, value = assignment.partition("=")
        key = key.strip()
        if not equals:
            raise _bad_item(item)
        if path:
            if key not in PER_NODE:
                raise ProfileError(
                    Diagnostic("E332", path, f"field {key!r} cannot be set for one node{did_you_mean(key, PER_NODE)}",
                               f"per node: {', '.join(sorted(PER_NODE))}")
                )  # fmt: skip
            if any((p, k) == (path, key) for p, k, _ in overrides):
                raise _twice(f"@{path}:{key}")
            overrides.append((path, key, parse_value(key, value)))
        elif key in ("v_threshold", "v_reset"):
            raise ProfileError(Diagnostic("E332", "", f"{key} is a parameter of nodes", f"write @PATH:{key}={value}"))
        else:
            fields[key] = parse_value(key, value)
            if key in given:
                raise _twice(key)
            given.add(key)
    if "reset_delay" in fields:
        if "reset_when" in given:
            raise _twice("reset_when", "reset_when and reset_delay say the same thing")
        fields["reset_when"] = "next_step" if fields.pop("reset_delay") else "after_spike"
    if "reset" not in given:
        fields["reset"] = named.resets[word]
        if name == "snntorch" and word == "subtract" and fields["reset_when"] == "after_spike":
            # Not plain subtraction: 46 of 10,240 bits of the Braille recording tell the two apart.
            fields["reset"] = "subtract_once"
    if printed <= given:
        kinds = ()  # printed in full: the kinds are among the items
    profile = Profile(name, **fields)
    # A field that is given for the whole graph replaces what the framework does for single kinds.
    for path, key, value in [*(k for k in kinds if k[1] not in given), *overrides]:
        profile = profile.with_overrides(path, **{key: value})
    return profile


def _twice(what: str, text: str = "") -> ProfileError:
    return ProfileError(Diagnostic("E332", "", text or f"{what} is given twice", f"give {what} once"))


def _bad_item(item: str) -> ProfileError:
    return ProfileError(
        Diagnostic(
            "E332", "", f"cannot read {item!r} in the profile", "write field=value or @PATH:field=value, separated by commas"
        )
    )


def describe(profile: Profile) -> list[tuple[str, str]]:
    """Return the fields of *profile* as (field, value) texts for a report."""
    text = str(profile).split(",")
    return [tuple(item.split("=", 1)) for item in text[1:]]  # type: ignore[misc]


def same_timing(a: Profile, b: Profile) -> bool:
    """Whether two profiles differ at most in their names."""
    return dataclasses.replace(a, name="") == dataclasses.replace(b, name="")


def differences(a: Profile, b: Profile) -> tuple[str, ...]:
    """Return where two profiles differ in timing, as texts ``reset to_zero against subtract``."""
    fields: list[dict[str, str]] = []
    for profile in (a, b):
        own = dict(describe(dataclasses.replace(profile, overrides=())))
        own |= {f"@{path}:{name}": str(value) for path, name, value in profile.overrides}
        fields.append(own)
    names = dict.fromkeys([*fields[0], *fields[1]])
    pairs = {name: (fields[0].get(name, "unset"), fields[1].get(name, "unset")) for name in names}
    return tuple(f"{name} {x} against {y}" for name, (x, y) in pairs.items() if x != y)
