"""Parts of random graphs: profiles, and what the shipped kit draws with (neurons, a graph under construction)."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection

from hypothesis import strategies as st

from spikeport.backends.testing.sketch import NEURONS, Sketch, neuron
from spikeport.ir import PROFILES, Profile, parse_profile


def profiles(names: Collection[str] | None = None, *, fields: bool = True) -> st.SearchStrategy[Profile]:
    """Draw a named profile with one of its resets and, with *fields*, values of its own for some fields."""
    return draw_profile(tuple(names or PROFILES), fields)


@st.composite
def draw_profile(draw, names, fields):
    name = draw(st.sampled_from(names))
    text = f"{name}:{draw(st.sampled_from(sorted(PROFILES[name].resets)))}"
    if name == "snntorch" and draw(st.booleans()):
        text += ",reset_delay=false"
    profile = parse_profile(f"{text},dt={draw(st.sampled_from((1e-4, 1e-3)))}")
    if not fields:
        return profile
    choices = {
        "scheme": ("euler", "exponential"), "gain": ("nir", "unit", "scaled", "r"), "syn_gain": ("nir", "unit", "decay"),
        "leak": ("nir", "unit", "both"), "order": ("new_current", "old_current"), "compare": (">", ">="),
        "reset": ("to_v_reset", "to_zero", "subtract", "subtract_once", "multi_subtract", "none"),
        "reset_when": ("after_spike", "next_step", "next_step_keep_input", "next_step_drop_input"),
        "boundary": ("reset", "carry", "silence(3)"), "latency": ((0, 0), (1, 0), (0, 1), (1, 1), (2, 1)),
        "latency_at": ("source", "synapse", "current"), "output_delay": (0, 1, 2), "feedback": (1, 2),
        "bias_at_0": (True, False), "bias_at": ("input", "membrane"), "clamp_low": (None, 0.0, "-v_threshold"),
        "max_spikes": (None, 1, 3),
    }  # fmt: skip
    chosen = draw(st.lists(st.sampled_from(sorted(choices)), max_size=3, unique=True))
    return dataclasses.replace(profile, **{f: draw(st.sampled_from(choices[f])) for f in chosen})


__all__ = ["NEURONS", "Sketch", "draw_profile", "neuron", "profiles"]
