"""What a dialect is: what one library's NIR exporter did to a model, and how a file shows that it was that one.

A ``.nir`` file holds differential equations; each exporter has its own way of turning a trained module into them, and
loses some of it. A dialect mends what was written wrongly, states what the file shows (dt, for instance), and lists as
questions what no file of that library shows: those are asked for, never guessed.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from spikeport.ir import Diagnostic, Graph
from spikeport.ir.diagnostics import ImportModelError
from spikeport.ir.ops import Array, Neuron, Op
from spikeport.ir.profile import Profile

#: Relative difference up to which a parameter follows a formula that was computed in float32.
FLOAT32 = 2e-6


#: Fields of nodes, (path, name), that a file leaves out and NIR's default stands for; nodes that it leaves out, (path, "").
Filled = frozenset[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Question:
    """Something that a library's files do not show and that changes the spikes.

    Parameters
    ----------
    keys : tuple of str
        Fields of the profile that answer it; ``reset`` is also answered by ``NAME:RESET``.
    asks : str
        What is asked, with the answers and which of them is the library's default.
    example : str
        The answer for the library's default, as it is written behind the dialect's name.
    concerns : callable
        Whether a graph depends on the answer.
    to_read : bool
        Whether the file cannot even be read without the answer.
    """

    keys: tuple[str, ...]
    asks: str
    example: str
    concerns: Callable[[Graph], bool]
    to_read: bool = False


@dataclass(frozen=True, slots=True)
class Reading:
    """A graph as the dialect reads it.

    Parameters
    ----------
    graph : Graph
        With all that was written wrongly mended.
    fields : Mapping of str to str
        Fields of the profile that the file shows, such as ``{"dt": "0.0001"}``.
    found : tuple of Diagnostic
        What was mended, and what the exporter dropped.
    """

    graph: Graph
    fields: Mapping[str, str] = field(default_factory=dict)
    found: tuple[Diagnostic, ...] = ()


@dataclass(frozen=True, slots=True)
class Dialect:
    """One library's way of writing ``.nir`` files.

    Parameters
    ----------
    name : str
        As given to ``--dialect``.
    library : str
        As its authors write it.
    profile : str
        The named execution profile that its modules run under, with the fields that every file of it needs.
    evidence : callable
        What in a graph shows that this library wrote it, as a text; None where nothing does. Given too is what the file
        left out.
    read : callable
        The reading of a graph, given the fields of the profile that the user stated, and what the file left out.
    questions : tuple of Question
        What its files leave open.
    refine : callable
        The graph with what is known once the profile is complete: exact coefficients; refuses what cannot be.
    unsaid : str
        What no file of it has, for the note that a file is one of its (E040).
    """

    name: str
    library: str
    profile: str
    evidence: Callable[[Graph, Filled], str | None]
    read: Callable[[Graph, Mapping[str, str], Filled], Reading]
    questions: tuple[Question, ...] = ()
    refine: Callable[[Graph, Profile], Graph] = lambda graph, profile: graph
    unsaid: str = ""


# ------------------------------------------------------------------------------------------------ looking at a graph


def neurons(graph: Graph, *kinds: str) -> dict[str, dict[str, Array]]:
    """Return the parameters, in float64, of the neurons of *kinds* (of all where none is named) by path."""
    return {
        node.path: {name: np.asarray(value, np.float64) for name, value in node.op.arrays().items()}
        for node in graph
        if isinstance(node.op, Neuron) and (not kinds or node.op.kind in kinds)
    }


def has(*kinds: str) -> Callable[[Graph], bool]:
    """Return whether a graph has nodes of one of *kinds*, as a function."""
    return lambda graph: any(node.op.kind in kinds for node in graph)


def spikes(graph: Graph) -> bool:
    """Whether the graph has neurons that spike."""
    return any(isinstance(node.op, Neuron) and node.op.is_spiking for node in graph)


def near(a: Any, b: Any, tolerance: float = FLOAT32) -> bool:
    """Whether two arrays are equal up to a rounding in float32."""
    return bool(np.allclose(a, b, rtol=tolerance, atol=0))


def common(values: list[Array], tolerance: float = FLOAT32) -> float | None:
    """Return the number that all *values* are, up to rounding and with as few digits as possible; else None."""
    flat = np.concatenate([np.ravel(v) for v in values]) if values else np.zeros(0)
    if not flat.size or not np.isfinite(flat).all() or not (flat > 0).all() or not near(flat, flat[0], 2 * tolerance):
        return None
    middle = float(np.median(flat))
    return next((short for digits in range(1, 8) if near(short := float(f"{middle:.{digits}g}"), flat, tolerance)), middle)


def with_ops(graph: Graph, changed: Mapping[str, Op]) -> Graph:
    """Return *graph* with the ops of some paths replaced."""
    return graph.map_ops(lambda node: changed.get(node.path, node.op))


def with_parameters(graph: Graph, path: str, **parameters: Any) -> Op:
    """Return the op at *path* with other parameters, each in the number type of the one it replaces."""
    op = graph[path].op
    values: dict[str, Any] = {k: np.asarray(v, getattr(op, k).dtype) for k, v in parameters.items()}
    return dataclasses.replace(op, **values)


def starting_at(graph: Graph, name: str) -> Graph:
    """Return *graph* with membranes that start at the parameter *name*, where that is not 0."""
    changed: dict[str, Op] = {}
    for path, p in neurons(graph).items():
        op = graph[path].op
        if isinstance(op, Neuron) and np.any(p.get(name, 0)):
            changed[path] = dataclasses.replace(op, extras=dataclasses.replace(op.extras, v_init=p[name]))
    return with_ops(graph, changed)


# --------------------------------------------------------------------------------------------------------- diagnostics


def mended(path: str, message: str, **facts: Any) -> Diagnostic:
    """Return the warning that something was written wrongly by an exporter, and was mended (E044)."""
    hint = "nothing to do if the module agrees; a current exporter of the library, or the module itself, avoids it"
    return Diagnostic("E044", path, message, hint, facts, "warning")


def dropped(path: str, message: str) -> Diagnostic:
    """Return the warning that an exporter leaves something out that a module may have (E046)."""
    return Diagnostic("E046", path, message, "nothing to do if the module has none of it", severity="warning")


def contradicted(path: str, message: str, hint: str, **facts: Any) -> ImportModelError:
    """Return the refusal of a file that the library's exporter cannot have written (E042)."""
    return ImportModelError(Diagnostic("E042", path, message, hint, facts))
