"""Parts of random graphs: profiles, neurons whose thresholds suit their profile, and a graph under construction."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection

import numpy as np
from hypothesis import strategies as st

from spikeport.ir import PROFILES, Edge, Graph, Node, Profile, parse_profile
from spikeport.ir.dynamics import discretise
from spikeport.ir.ops import IF, LI, LIF, NO_EXTRAS, CubaLI, CubaLIF, I

NEURONS = {"I": I, "IF": IF, "LI": LI, "LIF": LIF, "CubaLI": CubaLI, "CubaLIF": CubaLIF}


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


def neuron(kind, shape, profile, rng, *, path="", full=True, dtype=np.float64, drive=1.0, extras=NO_EXTRAS):
    """Return a neuron of *kind* whose threshold suits inputs of about *drive* under *profile*.

    With *full* every parameter is an array of random values, else every one is a scalar.
    """
    size = shape if full else ()
    # What the profile wants for the node decides: threshold and gain must fit each other.
    own = profile.at(path, kind)

    def spread(low, high):
        return rng.uniform(low, high, size).astype(dtype)

    tau, tau_syn = (spread(2.0, 15.0) * dtype(profile.dt) for _ in "ab")
    values = {"tau": tau, "tau_mem": tau, "tau_syn": tau_syn, "v_leak": np.zeros(size, dtype), "w_in": spread(0.8, 2.0)}
    values["r"] = spread(0.8, 1.6) * (tau / dtype(profile.dt) if kind in ("LIF", "LI", "CubaLIF", "CubaLI") else dtype(1))
    values["v_threshold"] = values["v_reset"] = np.ones(size, dtype)
    cls = NEURONS[kind]
    names = [f.name for f in dataclasses.fields(cls) if f.name != "extras"]
    model = discretise(cls(**{n: values[n] for n in names}), own, shape)
    unit = float(np.mean(model.mem_gain)) * float(1.0 if model.syn_gain is None else np.mean(model.syn_gain)) * drive
    values["v_threshold"] = (spread(0.6, 2.2) * dtype(unit)).astype(dtype)
    values["v_reset"] = (spread(-0.5, 0.3) * values["v_threshold"]).astype(dtype)
    values["v_leak"] = (spread(-0.05, 0.05) * values["v_threshold"]).astype(dtype)
    return cls(**{n: values[n] for n in names}, extras=extras)


class Sketch:
    """A graph under construction: nodes, edges with ranks in the order of their making, and the shape of every node."""

    def __init__(self, profile, rng):
        self.profile, self.rng = profile, rng
        self.nodes: dict[str, object] = {}
        self.shape: dict[str, tuple[int, ...]] = {}
        self.edges: list[Edge] = []
        self.ranks: dict[str, int] = {}

    def add(self, path, op, *sources, delay=None):
        """Add a node behind *sources* and return its path."""
        self.nodes[path] = op
        shape = self.shape[sources[0]] if sources else op.shape
        self.shape[path] = op.output_shape(shape)
        for source in sources:
            self.connect(source, path, delay)
        return path

    def connect(self, source, target, delay=None):
        """Add an edge with the next free rank."""
        rank = self.ranks.get(target, 0)
        self.ranks[target] = rank + 1
        self.edges.append(Edge(source, target, delay, rank))

    def weights(self, *shape, fan_in):
        """Return weights whose sum over *fan_in* inputs of rate about 0.3 has a spread of about 1; some are zero."""
        scale = 1.0 / np.sqrt(max(0.3 * fan_in, 1.0))
        values = self.rng.normal(0.25, 1.0, shape) * scale
        return np.where(self.rng.random(shape) < 0.15, 0.0, values)

    def graph(self, notes=None):
        """Return the frozen graph."""
        return Graph([Node(p, op) for p, op in self.nodes.items()], self.edges, notes or {})
