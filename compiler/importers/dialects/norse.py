"""Norse's files: tau multiplied by dt; dt, reset method and v_reset are lost, and LIFCell is written as a CubaLIF.

That is Norse 1.1. Older versions wrote tau in seconds, which no file shows: those are read with ``--profile norse``.
"""

from __future__ import annotations

from collections.abc import Mapping

from spikeport.compiler.importers.dialects.base import (
    Dialect,
    Filled,
    Question,
    Reading,
    has,
    mended,
    neurons,
    spikes,
    starting_at,
    with_ops,
    with_parameters,
)
from spikeport.ir import Graph
from spikeport.ir.ops import Op

_LEAKY = ("LIF", "LI", "CubaLIF")


def evidence(graph: Graph, filled: Filled) -> str | None:
    """Return None: Norse writes plain nodes with r = 1, and the dt by which it multiplies is not in the file."""
    return None


def read(graph: Graph, stated: Mapping[str, str], filled: Filled) -> Reading:
    """Return the graph with time constants in seconds: Norse 1.1 writes ``tau = dt/tau_mem_inv``, dt times what it is.

    Older ones wrote ``1/tau_mem_inv``; both may give any number, so every neuron alike is read in the first way, and the
    verifier refuses what is dt or less then (E303).
    """
    if "dt" not in stated:
        return Reading(graph)
    dt = float(stated["dt"])
    changed: dict[str, Op] = {}
    found = []
    for path, p in neurons(graph, *_LEAKY).items():
        taus = {name: value for name, value in p.items() if name.startswith("tau")}
        changed[path] = with_parameters(graph, path, **{name: value / dt for name, value in taus.items()})
        told = ", ".join(f"{name} {float(value.max()):.6g} s" for name, value in taus.items())
        text = (
            f"{told}: Norse 1.1 multiplies time constants by dt; taken divided by dt = {dt:g} s (a file of an older Norse has "
            "seconds: read it with --profile norse in place of the dialect)"
        )
        found.append(mended(path, text, dt=dt, **{name: float(value.max()) for name, value in taus.items()}))
    # LIFCell, which is written as a CubaLIF, adds its input to the current whole, and leaks in the membrane only.
    cell = {"@%CubaLIF:syn_gain": "unit", "@%CubaLIF:leak": "nir"} if neurons(graph, "CubaLIF") else {}
    # The membranes of its cells start at v_leak.
    return Reading(starting_at(with_ops(graph, changed), "v_leak"), cell, tuple(found))


DIALECT = Dialect(
    "norse", "Norse", "norse", evidence, read,
    (
        Question(
            ("dt",), "dt, by which Norse 1.1 multiplies every tau: dt=0.001 (its default); older files, with tau in seconds, "
            "are read with --profile norse in place of the dialect",
            "dt=0.001", has(*_LEAKY), True,
        ),
        Question(
            ("reset",), "reset_method and v_reset, which it does not write: :value (its default; v_reset is 0 then, else "
            "@PATH:v_reset=NUMBER) or :subtract (reset_subtract)",
            ":value", spikes,
        ),
    ),
)  # fmt: skip
