"""Verification: a table of named rules; all findings come at once, each with the path and the numbers that clash."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import networkx as nx
import numpy as np

from spikeport.ir.crossing import crossings
from spikeport.ir.diagnostics import Diagnostic, ProfileError, VerifyError, did_you_mean, fail_on_errors
from spikeport.ir.graph import Graph, Node
from spikeport.ir.ops import OPS, Delay, Discrete, Input, Neuron, Output
from spikeport.ir.profile import MAX_STEPS, Profile
from spikeport.ir.schedule import schedule
from spikeport.ir.shapes import infer_shapes

Findings = Iterator[Diagnostic]
Rule = Callable[[Graph, Profile | None], Findings]

#: Time constants that must be above zero.
_TAUS = ("tau", "tau_syn", "tau_mem")
#: Parameters that a profile may set for a neuron that has them.
_SPIKING_ONLY = ("v_threshold", "v_reset")


def _paths(graph: Graph, profile: Profile | None) -> Findings:
    for node in graph:
        if not node.path or any(c in node.path for c in "/@:,\0\n") or node.path != node.path.strip():
            yield Diagnostic(
                "E107", node.path, f"{node.path!r} cannot be a node's path", "use letters, digits, dots, dashes, underscores"
            )


def _dangling(graph: Graph, profile: Profile | None) -> Findings:
    for edge in graph.edges:
        for end in (edge.source, edge.target):
            if end not in graph:
                inside = [n.path for n in graph if n.path.startswith(f"{end}.")]
                hint = (
                    f"there are {', '.join(inside[:4])}: connect one of these" if inside else "remove the edge or add the node"
                )
                yield Diagnostic(
                    "E101", end, f"the edge {edge.source} -> {edge.target} names a node that is not there", hint,
                    {"source": edge.source, "target": edge.target},
                )  # fmt: skip


def _ends(graph: Graph, profile: Profile | None) -> Findings:
    if not graph.inputs:
        yield Diagnostic("E102", "", "the graph has no Input node", "add one in front of the first layer")
    if not graph.outputs:
        yield Diagnostic("E103", "", "the graph has no Output node", "add one behind the last layer")
    for path in graph.inputs:
        for edge in graph.into(path):
            yield Diagnostic(
                "E108", path, f"the edge {edge.source} -> {path} enters an Input", "connect it to the layer behind"
            )
    for path in graph.outputs:
        for edge in graph.out_of(path):
            yield Diagnostic("E108", path, f"the edge {path} -> {edge.target} leaves an Output", "connect the layer in front")


def _reached(graph: Graph, profile: Profile | None) -> Findings:
    whole = nx.DiGraph()
    whole.add_nodes_from(n.path for n in graph)
    whole.add_edges_from((e.source, e.target) for e in graph.edges)
    fed = set(graph.inputs)
    for path in graph.inputs:
        fed |= nx.descendants(whole, path)
    used = set(graph.outputs)
    for path in graph.outputs:
        used |= nx.ancestors(whole, path)
    for node in graph:
        if not graph.into(node.path) and not isinstance(node.op, Input):
            yield Diagnostic("E104", node.path, f"nothing enters this {node.op.kind}", "connect it or remove it")
        elif node.path not in fed:
            yield Diagnostic("E104", node.path, f"no Input reaches this {node.op.kind}", "connect it or remove it")
        elif node.path not in used:
            yield Diagnostic(
                "E105", node.path, f"this {node.op.kind} reaches no Output; it still runs and can be recorded", severity="note"
            )


def _edges(graph: Graph, profile: Profile | None) -> Findings:
    for node in graph:
        ranks = [e.rank for e in graph.into(node.path)]
        if len(set(ranks)) != len(ranks):
            sources = ", ".join(e.source for e in graph.into(node.path))
            yield Diagnostic(
                "E109", node.path, f"the edges from {sources} have the ranks {ranks}; the order of their sum is open",
                "give each a rank of its own",
            )  # fmt: skip
        for edge in graph.into(node.path):
            if edge.delay is not None and not 0 <= edge.delay <= MAX_STEPS:
                yield Diagnostic(
                    "E110", node.path, f"the edge from {edge.source} has a delay of {edge.delay} steps",
                    f"0 to {MAX_STEPS} steps",
                )  # fmt: skip


def _shapes(graph: Graph, profile: Profile | None) -> Findings:
    yield from infer_shapes(graph)[1]


def _numbers(graph: Graph, profile: Profile | None) -> Findings:
    for node in graph:
        for name, array in _arrays(node.op):
            if array.dtype.kind == "b":
                yield Diagnostic("E306", node.path, f"{name} of this {node.op.kind} is boolean, not a number", "write numbers")
            elif array.dtype.kind not in "iuf" or array.dtype.itemsize > 8:
                yield Diagnostic(
                    "E306", node.path, f"{name} has the type {array.dtype}", "write integers or floats up to 64 bits"
                )
            elif array.size and array.dtype.kind == "f" and not _sums_up(array):
                bad = int(np.count_nonzero(~np.isfinite(array)))
                if bad:
                    yield Diagnostic(
                        "E301", node.path, f"{name} has {bad} of {array.size} values that are NaN or infinite",
                        "retrain or repair the layer", {"parameter": name, "count": bad},
                    )  # fmt: skip


def _sums_up(array: Any) -> bool:
    """Whether the sum is finite: a quick test, which large finite numbers fail too."""
    with np.errstate(over="ignore", invalid="ignore"):
        return bool(np.isfinite(array.sum(dtype=np.float64)))


def _arrays(value: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for f in dataclasses.fields(value):
        item = getattr(value, f.name)
        if isinstance(item, np.ndarray):
            yield prefix + f.name, item
        elif dataclasses.is_dataclass(item):
            yield from _arrays(item, f"{prefix}{f.name}.")


def _time_constants(graph: Graph, profile: Profile | None) -> Findings:
    for node in graph:
        if isinstance(node.op, Delay) and node.op.delay.dtype.kind in "iuf" and np.any(node.op.delay < 0):
            yield Diagnostic("E302", node.path, f"a delay of {node.op.delay.min():g} s is negative", "delays are 0 or more")
        if not isinstance(node.op, Neuron):
            continue
        for name in _TAUS:
            tau = getattr(node.op, name, None)
            if tau is None or tau.dtype.kind not in "iuf" or not tau.size:
                continue
            least, most = float(tau.min()), float(tau.max())
            if not least > 0:
                yield Diagnostic("E302", node.path, f"{name} is {least:g}; a time constant is above 0", "mend the file")
            elif profile is not None:
                yield from _against_dt(node, profile.at(node.path, node.op.kind), name, least, most)


def _against_dt(node: Node, profile: Profile, name: str, least: float, most: float) -> Findings:
    scheme = profile.syn_scheme if name == "tau_syn" and profile.syn_scheme != "scheme" else profile.scheme
    exact: Discrete | None = node.op.extras.discrete if isinstance(node.op, Neuron) else None
    if exact is not None and exact.dt == profile.dt and exact.scheme == scheme:
        return  # the decay stands beside tau
    facts = {"dt": profile.dt, name: least}
    if profile.dt >= least and scheme == "euler":
        yield Diagnostic(
            "E303", node.path, f"{name} is {least:g} s and dt {profile.dt:g} s: Euler's decay 1 - dt/tau is not above 0",
            "state the right dt in the profile (dt=...); for time constants in steps, dt=1", facts,
        )  # fmt: skip
    elif profile.dt >= least:
        yield Diagnostic(
            "E303", node.path, f"{name} is {least:g} s and dt {profile.dt:g} s: the state is forgotten within a step",
            "state the right dt in the profile (dt=...)", facts, "warning",
        )  # fmt: skip
    elif most / profile.dt > 1e4:
        yield Diagnostic(
            "E313", node.path, f"{name} is {most:g} s, {most / profile.dt:.3g} steps of {profile.dt:g} s: almost no leak",
            "if the file counts tau in steps (sinabs) or milliseconds, say so: dt=1, or dt in its unit", facts, "warning",
        )  # fmt: skip


def _thresholds(graph: Graph, profile: Profile | None) -> Findings:
    if profile is None:
        return
    for node in graph:
        if not (isinstance(node.op, Neuron) and node.op.is_spiking):
            continue
        own = profile.at(node.path, node.op.kind)
        given = profile.parameter(node.path, node.op.kind, "v_threshold")
        threshold = np.asarray(node.op.arrays()["v_threshold"] if given is None else given)
        if threshold.dtype.kind not in "iuf" or not threshold.size:
            continue
        if own.reset == "multi_subtract" and not threshold.min() > 0:
            yield Diagnostic(
                "E309", node.path, f"multi_subtract divides by the threshold, which is {threshold.min():g}",
                "use reset=subtract, or mend the threshold",
            )  # fmt: skip
        rest = _reset_value(node.op, own, profile.parameter(node.path, node.op.kind, "v_reset"))
        if rest is not None and np.any(rest > threshold):
            yield Diagnostic(
                "E305", node.path, f"v_reset {np.max(rest):g} is above v_threshold {threshold.min():g}: it never stops spiking",
                "mend v_reset or v_threshold", severity="warning",
            )  # fmt: skip


def _reset_value(op: Neuron, profile: Profile, given: float | None) -> Any:
    if profile.reset == "to_zero":
        return np.zeros(())
    if profile.reset != "to_v_reset":
        return None
    rest = op.arrays()["v_reset"] if given is None else np.asarray(given)
    return rest if rest.dtype.kind in "iuf" else None


def _overrides(graph: Graph, profile: Profile) -> Findings:
    """Find fields that are set for a node or a kind that has no use for them: they would be dropped without a word."""
    neurons = [n.path for n in graph if isinstance(n.op, Neuron)]
    kinds = [name for name, op in OPS.items() if issubclass(op, Neuron)]
    for path, name, _ in profile.overrides:
        if path.startswith("%"):
            # A named profile speaks of kinds that this graph may lack.
            if path[1:] not in kinds:
                yield Diagnostic(
                    "E334", path, f"the profile sets {name} for nodes of the kind {path[1:]!r}, which is no kind of neuron"
                    f"{did_you_mean(path[1:], kinds)}", f"one of {', '.join('@%' + k for k in kinds)}",
                )  # fmt: skip
        elif path not in graph:
            yield Diagnostic(
                "E334", path, f"the profile sets {name} for a node that is not in the graph{did_you_mean(path, neurons)}",
                f"its neurons: {', '.join(neurons[:12]) or 'none'}{' ...' if len(neurons) > 12 else ''}",
            )  # fmt: skip
        elif not (isinstance(graph[path].op, Neuron) or graph[path].op.is_spiking):
            yield Diagnostic(
                "E334", path, f"the profile sets {name} for {path}, which is no neuron but a node of the kind "
                f"{graph[path].op.kind}", f"its neurons: {', '.join(neurons[:12]) or 'none'}",
            )  # fmt: skip
        elif name in _SPIKING_ONLY and not graph[path].op.is_spiking:
            yield Diagnostic(
                "E334", path, f"the profile sets {name} for {path}, whose kind {graph[path].op.kind} does not spike",
                "leave it out",
            )  # fmt: skip


def _timing(graph: Graph, profile: Profile | None) -> Findings:
    if profile is None:
        return
    yield from _overrides(graph, profile)
    for node in graph:
        if isinstance(node.op, Delay) and node.op.delay.dtype.kind in "iuf":
            try:
                node.op.steps(profile.dt)
            except ValueError as error:
                yield Diagnostic(
                    "E304", node.path, str(error), "choose dt so that every delay is a whole number of steps, and not too many"
                )
    if any(e.source not in graph or e.target not in graph for e in graph.edges):
        return
    try:
        schedule(graph, profile)
    except VerifyError as error:
        yield from error.diagnostics


#: All rules, in the order in which their findings are listed.
RULES: dict[str, Rule] = {
    "paths": _paths, "dangling edges": _dangling, "inputs and outputs": _ends, "reachable": _reached,
    "edge ranks and delays": _edges, "shapes": _shapes, "numbers": _numbers, "time constants": _time_constants,
    "thresholds": _thresholds, "crossings": crossings, "timing": _timing,
}  # fmt: skip


def findings(graph: Graph, profile: Profile | None = None) -> tuple[Diagnostic, ...]:
    """Return all that the rules find in *graph* under *profile*: errors, warnings and notes."""
    broken = list(_dangling(graph, profile))
    rules = (
        RULES
        if not broken
        else {k: r for k, r in RULES.items() if k in ("paths", "dangling edges", "numbers", "time constants")}
    )
    return tuple(d for rule in rules.values() for d in rule(graph, profile))


def verify(graph: Graph, profile: Profile | None = None) -> tuple[Diagnostic, ...]:
    """Return the warnings and notes about *graph*; raise VerifyError with all errors at once.

    Raises
    ------
    VerifyError
        E1xx structure, E2xx shapes, E3xx semantics.
    ProfileError
        E33x, where the graph is sound and the profile is what has to be mended.
    """
    found = findings(graph, profile)
    blamed = {d.code[:3] for d in found if d.severity == "error"}
    return fail_on_errors(ProfileError if blamed == {"E33"} else VerifyError, found)


__all__ = ["RULES", "Input", "Output", "findings", "verify"]
