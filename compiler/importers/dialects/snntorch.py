"""snnTorch's files: written for dt = 0.0001, with gains of 1; reset kind and reset delay are lost."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from spikeport.compiler.importers.dialects.base import (
    Dialect,
    Filled,
    Question,
    Reading,
    mended,
    near,
    neurons,
    spikes,
    with_ops,
    with_parameters,
)
from spikeport.ir import Diagnostic, Graph
from spikeport.ir.diagnostics import ImportModelError
from spikeport.ir.ops import Array, Discrete, Neuron, Op
from spikeport.ir.profile import Profile

#: The dt that the exporter and the importer of snnTorch 0.7 to 1.0 have built in.
DT = 1e-4


def evidence(graph: Graph, filled: Filled) -> str | None:
    """Return what shows snnTorch's exporter.

    With beta (alpha) of the module, it writes ``tau = dt/(1 - beta)``, ``r = tau/dt`` and ``w_in = tau_syn/dt``, dt =
    0.0001, into a graph whose Input is called "input". At first it wrote CubaLIF with ``tau = 1/(1 - .)``, alpha and beta
    exchanged, and ``r = beta``; then as now, but without w_in.
    """
    if _is_exchanged(graph, filled):
        return "r is 1 - 1/tau_syn in every CubaLIF: its first exporter, which exchanged tau_syn and tau_mem"
    found = neurons(graph)
    fits = all(
        graph[path].op.kind in ("LIF", "CubaLIF")
        and not p["v_leak"].any()
        and not p["v_reset"].any()
        and near(p["r"] * DT, p["tau" if "tau" in p else "tau_mem"])
        for path, p in found.items()
    )
    current = {path: p for path, p in found.items() if "w_in" in p}
    scaled = all(near(p["w_in"] * DT, p["tau_syn"]) for p in current.values())
    unscaled = all((path, "w_in") in filled for path in current)
    if not found or not fits or graph.inputs != ("input",) or not (scaled or unscaled):
        return None
    told = (" and w_in tau_syn/dt" if scaled else " without w_in, as it wrote before") if current else ""
    return f"r is tau/dt{told}, dt = {DT:g}, in every neuron"


def _is_exchanged(graph: Graph, filled: Filled) -> bool:
    found = neurons(graph)
    return bool(found) and all(
        graph[path].op.kind == "CubaLIF"
        and bool((p["tau_syn"] > 1).all() and (p["r"] > 0).all() and (path, "w_in") in filled)
        and near(p["r"], 1 - 1 / p["tau_syn"])
        and not near(p["tau_syn"], p["tau_mem"], 1e-3)
        for path, p in found.items()
    )


def read(graph: Graph, stated: Mapping[str, str], filled: Filled) -> Reading:
    """Return the graph with exchanged time constants and missing input gains set right, and the dt of the file."""
    changed: dict[str, Op] = {}
    found = []
    if not _is_exchanged(graph, filled):
        _refuse_clamped(graph, float(stated.get("dt", DT)))
        for path, p in neurons(graph, "CubaLIF").items():
            if (path, "w_in") not in filled or not near(p["r"] * DT, p["tau_mem"]) or near(p["tau_syn"], DT):
                continue
            changed[path] = with_parameters(graph, path, w_in=p["tau_syn"] / DT)
            gain = _range(p["tau_syn"] / DT)
            text = f"there is no w_in, and snnTorch's input gain of 1 is tau_syn/dt = {gain}, as it writes now"
            found.append(mended(path, text, w_in=float((p["tau_syn"] / DT).max())))
        return Reading(with_ops(graph, changed), {"dt": repr(DT)}, tuple(found))
    for path, p in neurons(graph).items():
        mem, syn = p["tau_syn"], p["tau_mem"]
        changed[path] = with_parameters(graph, path, tau_mem=mem, tau_syn=syn, r=mem, w_in=syn)
        text = (
            f"tau_syn {_range(mem)} and tau_mem {_range(syn)} are exchanged, and r is beta, as snnTorch's first exporter "
            "wrote them: taken the other way round, with gains of 1 for dt = 1"
        )
        found.append(mended(path, text, tau_mem=float(mem.max()), tau_syn=float(syn.max())))
    return Reading(with_ops(graph, changed), {"dt": "1.0"}, tuple(found))


def _refuse_clamped(graph: Graph, dt: float) -> None:
    """Refuse decays outside 0 to 1: snnTorch clamps them in its forward, and writes them as they are."""
    bad = []
    for path, p in neurons(graph).items():
        for name in ("tau", "tau_mem", "tau_syn"):
            tau = p.get(name, np.ones(0))
            decay = 1 - dt / tau[(tau != 0) & np.isfinite(tau)]
            wrong = decay[(decay < -1e-5) | (decay > 1)]
            if wrong.size:
                of = "alpha" if name == "tau_syn" else "beta"
                worst = float(wrong[np.argmax(np.abs(wrong - 0.5))])
                text = f"{name} stands for {of} = {worst:.6g}, outside 0 to 1: snnTorch's forward clamps it, its file does not"
                hint = f"clamp {of} in the module and export it anew; or state the dt of the file (dt=...)"
                bad.append(Diagnostic("E303", path, text, hint, {"dt": dt, of: worst}))
    if bad:
        raise ImportModelError(bad)


def _range(values: Array) -> str:
    low, high = float(values.min()), float(values.max())
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"


def refine(graph: Graph, profile: Profile) -> Graph:
    """Return the graph with the module's own beta and alpha, float32 numbers that tau gives back only nearly.

    None where tau is dt or less: the verifier says so (E303), as for every Euler step.
    """
    changed: dict[str, Op] = {}
    for node in graph:
        op = node.op
        if not isinstance(op, Neuron) or not op.has_leak:
            continue
        mem = op.arrays()["tau_mem" if op.has_current else "tau"]
        if not all(np.all(value > profile.dt) for name, value in op.arrays().items() if name.startswith("tau")):
            continue
        one = np.ones(mem.shape)
        current: dict[str, Any] = {}
        if op.has_current:
            syn = op.arrays()["tau_syn"]
            current = {"alpha": decay_of(syn, profile.dt), "syn_gain": np.ones(syn.shape)}
        exact = Discrete(profile.dt, profile.scheme, profile.gain, decay_of(mem, profile.dt), one, **current)
        changed[node.path] = dataclasses.replace(op, extras=dataclasses.replace(op.extras, discrete=exact))
    return with_ops(graph, changed)


def decay_of(tau: Array, dt: float) -> Array:
    """Return the float32 decay from which the exporter computed *tau*: of those near by, one that gives its bits.

    Above 1/2 there is one. Below, several float32 numbers give one float32 tau: that with the fewest digits is taken.

    Parameters
    ----------
    tau : array
        ``dt/(1 - decay)``, computed in float32 or float64.
    dt : float
        Step, in the unit of tau.

    Returns
    -------
    array of float64
        Decays that are float32 numbers.
    """
    middle = np.asarray(1 - dt / np.asarray(tau, np.float64), np.float32)
    best = middle
    for towards in (-np.inf, np.inf):
        other = np.nextafter(middle, np.float32(towards), dtype=np.float32)
        best = np.where((_tau(best, dt, tau.dtype) != tau) & (_tau(other, dt, tau.dtype) == tau), other, best)
    for digits in range(7, 0, -1):
        short = np.asarray(np.round(np.asarray(middle, np.float64), digits), np.float32)
        best = np.where((middle < 0.5) & (_tau(short, dt, tau.dtype) == tau), short, best)
    return np.asarray(best, np.float64)


def _tau(decay: Array, dt: float, dtype: Any) -> Array:
    with np.errstate(divide="ignore"):
        return np.asarray(np.asarray(dt, dtype) / (1 - np.asarray(decay, dtype)))


DIALECT = Dialect(
    "snntorch", "snnTorch", "snntorch", evidence, read,
    (
        Question(
            ("reset",), "reset_mechanism, which it writes in the same way for each of :subtract (its default), :zero and :none "
            "(with reset_delay=False in the module add reset_delay=false)",
            ":subtract", spikes,
        ),
    ),
    refine,
    "inhibition and graded_spikes_factor of the module are not in the file",
)  # fmt: skip
