"""The graph: nodes with dotted paths, edges with delays and ranks, notes; a frozen value with a digest."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import operator
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np

from spikeport.ir.ops import Input, Op, Output
from spikeport.ir.profile import Profile


def _freeze_notes(notes: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a read-only copy that JSON carries exactly; TypeError where it would not."""
    return MappingProxyType(json.loads(json.dumps(dict(notes), sort_keys=True, allow_nan=False)))


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    """One node.

    Parameters
    ----------
    path : str
        Dotted path, the user's own layer name where there is one.
    op : Op
        What it computes.
    notes : Mapping
        Plain data that NIR has no field for (origin, quantization); travels as JSON.
    """

    path: str
    op: Op
    notes: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "notes", _freeze_notes(self.notes))


@dataclass(frozen=True, slots=True)
class Edge:
    """A connection that carries *source*'s output to *target*, *delay* steps later.

    Parameters
    ----------
    source, target : str
        Paths.
    delay : int or None
        In steps; None leaves it to the profile.
    rank : int
        Order of the sum where several edges enter one node.
    """

    source: str
    target: str
    delay: int | None = None
    rank: int = 0

    def __post_init__(self) -> None:
        # numpy's integers compare equal to ours and would not hash to the same digest.
        object.__setattr__(self, "delay", None if self.delay is None else operator.index(self.delay))
        object.__setattr__(self, "rank", operator.index(self.rank))


@dataclass(frozen=True, slots=True, eq=False)
class Graph:
    """A spiking network: what is computed, independent of any chip.

    Parameters
    ----------
    nodes : iterable of Node
        Kept sorted by path; paths are unique.
    edges : iterable of Edge
        Kept sorted; ranks are unique among the edges that enter one node.
    notes : Mapping
        Plain data about the whole graph.
    profile : Profile or None
        Execution profile, where the source of the graph states one.

    Raises
    ------
    ValueError
        If two nodes share a path.
    """

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    notes: Mapping[str, Any] = field(default_factory=dict)
    profile: Profile | None = None
    _by_path: Mapping[str, Node] = field(init=False, repr=False)
    _into: Mapping[str, tuple[Edge, ...]] = field(init=False, repr=False)
    _out_of: Mapping[str, tuple[Edge, ...]] = field(init=False, repr=False)
    _digest: list[str] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        set_ = object.__setattr__
        set_(self, "nodes", tuple(sorted(self.nodes, key=lambda n: n.path)))
        set_(self, "edges", tuple(sorted(self.edges, key=lambda e: (e.source, e.target, e.rank, e.delay or 0))))
        set_(self, "notes", _freeze_notes(self.notes))
        by_path = {n.path: n for n in self.nodes}
        if len(by_path) != len(self.nodes):
            seen = [n.path for n in self.nodes]
            raise ValueError(f"two nodes share the path {next(p for p in seen if seen.count(p) > 1)!r}")
        into: dict[str, list[Edge]] = {p: [] for p in by_path}
        out_of: dict[str, list[Edge]] = {p: [] for p in by_path}
        for edge in self.edges:
            into.setdefault(edge.target, []).append(edge)
            out_of.setdefault(edge.source, []).append(edge)
        set_(self, "_by_path", MappingProxyType(by_path))
        set_(self, "_into", {p: tuple(sorted(e, key=lambda e: (e.rank, e.source))) for p, e in into.items()})
        set_(self, "_out_of", {p: tuple(sorted(e, key=lambda e: (e.rank, e.target))) for p, e in out_of.items()})
        set_(self, "_digest", [])

    def __getitem__(self, path: str) -> Node:
        return self._by_path[path]

    def __contains__(self, path: object) -> bool:
        return path in self._by_path

    def __iter__(self) -> Iterator[Node]:
        return iter(self.nodes)

    def __len__(self) -> int:
        return len(self.nodes)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Graph) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    @property
    def digest(self) -> str:
        """SHA-256 of everything that the graph means: equal graphs have equal digests."""
        if not self._digest:
            self._digest.append(_digest(self))
        return self._digest[0]

    def into(self, path: str) -> tuple[Edge, ...]:
        """Return the edges that enter *path*, in the order of their sum."""
        return self._into.get(path, ())

    def out_of(self, path: str) -> tuple[Edge, ...]:
        """Return the edges that leave *path*."""
        return self._out_of.get(path, ())

    @property
    def inputs(self) -> tuple[str, ...]:
        """Paths of the Input nodes."""
        return tuple(n.path for n in self.nodes if type(n.op) is Input)

    @property
    def outputs(self) -> tuple[str, ...]:
        """Paths of the Output nodes."""
        return tuple(n.path for n in self.nodes if type(n.op) is Output)

    @property
    def spiking(self) -> tuple[str, ...]:
        """Paths of the nodes that spike."""
        return tuple(n.path for n in self.nodes if n.op.is_spiking)

    def replace(self, **changes: Any) -> Graph:
        """Return a graph with the given fields changed."""
        fields = {"nodes": self.nodes, "edges": self.edges, "notes": self.notes, "profile": self.profile}
        return Graph(**(fields | changes))

    def map_ops(self, change: Callable[[Node], Op]) -> Graph:
        """Return the graph with each op replaced by ``change(node)``; the same graph where nothing changed."""
        nodes = [n if (op := change(n)) is n.op else dataclasses.replace(n, op=op) for n in self.nodes]
        return self if all(a is b for a, b in zip(nodes, self.nodes, strict=True)) else self.replace(nodes=nodes)

    def without(self, paths: Iterable[str]) -> Graph:
        """Return the graph without the nodes *paths* and the edges that touch them."""
        gone = set(paths)
        return self.replace(
            nodes=[n for n in self.nodes if n.path not in gone],
            edges=[e for e in self.edges if e.source not in gone and e.target not in gone],
        )


def _feed(sha: Any, value: Any) -> None:
    """Feed *value* to the hash, each kind with a tag and a length, so that no two values feed the same bytes."""
    if isinstance(value, np.ndarray):
        head = f"array {value.dtype.str} {value.shape} "
        constant = value.size > 1 and not any(value.strides)
        data = np.ascontiguousarray(value.reshape(-1)[:1] if constant else value)
        if not constant and value.size > 1 and bool((data == data.reshape(-1)[0]).all()):
            # A full array of one number and its broadcast form are the same parameters.
            data, constant = data.reshape(-1)[:1], True
        sha.update((head + ("constant " if constant else "")).encode() + data.tobytes())
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        sha.update(f"record {type(value).__name__} ".encode())
        for f in dataclasses.fields(value):
            given = getattr(value, f.name)
            if not f.name.startswith("_") and not (given is None and f.metadata.get("later")):
                sha.update(f"{f.name}=".encode())
                _feed(sha, given)
    elif isinstance(value, (tuple, list)):
        sha.update(f"list {len(value)} ".encode())
        for item in value:
            _feed(sha, item)
    elif isinstance(value, Mapping):
        text = json.dumps(dict(value), sort_keys=True)
        sha.update(f"json {len(text)} {text}".encode())
    else:
        text = repr(value)
        sha.update(f"{type(value).__name__} {len(text)} {text} ".encode())


def _digest(graph: Graph) -> str:
    sha = hashlib.sha256(b"spikeport graph 1\n")
    _feed(sha, graph.nodes)
    _feed(sha, graph.edges)
    _feed(sha, graph.notes)
    _feed(sha, None if graph.profile is None else str(graph.profile))
    return sha.hexdigest()
