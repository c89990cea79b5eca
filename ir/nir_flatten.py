"""Flattening nested NIR graphs to dotted paths, on plain data: inner Inputs and Outputs go, their edges are joined."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from spikeport.ir.diagnostics import Diagnostic
from spikeport.ir.nir_tree import Tree, refuse

Pair = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Border:
    """An Input or Output of an inner graph, which is no node of the flat one.

    Parameters
    ----------
    path : str
        Dotted path.
    node : dict
        As it stood in the file.
    sources : tuple of str
        Nodes of the flat graph whose values pass through it.
    """

    path: str
    node: Tree
    sources: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Flat:
    """A graph without graphs in it: nodes by path, edges in the order of the file, and what was cut out."""

    nodes: Mapping[str, Tree]
    edges: tuple[Pair, ...]
    borders: tuple[Border, ...]
    metadata: Mapping[str, Any]


class _Collector:
    """What a walk through the nested graphs finds."""

    def __init__(self, warnings: list[Diagnostic]) -> None:
        self.warnings = warnings
        self.nodes: dict[str, Tree] = {}
        self.borders: dict[str, Tree] = {}
        self.ports: dict[str, tuple[list[str], list[str]]] = {}
        self.edges: list[Pair] = []
        self.metadata: dict[str, Any] = {}

    def graph(self, node: Tree, prefix: str, depth: int = 0) -> None:
        """Collect the graph *node*, whose nodes' paths start with *prefix*."""
        where = prefix.rstrip(".")
        nodes = node.get("nodes")
        if not isinstance(nodes, dict) or depth > 16:
            why = "has no group 'nodes'" if depth <= 16 else "is nested more than 16 deep"
            raise refuse("E004", where or "node", f"this graph {why}", "write the file anew")
        if unknown := sorted(set(node) - {"type", "nodes", "edges", "metadata", "input_type", "output_type"}):
            raise refuse("E004", where or "node", f"NIR's graphs have no entry {', '.join(unknown)}")
        metadata = node.get("metadata")
        if metadata and prefix:
            if "spikeport" in metadata:
                raise refuse("E007", where, "an inner graph with spikeport's own metadata cannot be flattened",
                             "build the outer graph with spikeport, or remove the metadata")  # fmt: skip
            self.metadata[where] = metadata
        inner: list[str] = []
        ports: tuple[list[str], list[str]] = ([], [])
        for name, child in nodes.items():
            path = prefix + name
            kind = child.get("type") if isinstance(child, dict) else None
            if path in self.nodes or path in self.ports or path in self.borders:
                raise refuse("E007", path, "two nodes have this path once the inner graphs are flattened", "rename one")
            if kind == "NIRGraph":
                self.ports[path] = ([], [])
                inner.append(name)
            elif prefix and kind in ("Input", "Output"):
                self.borders[path] = child
                ports[kind == "Output"].append(path)
            else:
                self.nodes[path] = child
        if prefix:
            self.ports[where] = ports
        for name in inner:
            self.graph(nodes[name], f"{prefix}{name}.", depth + 1)
        for source, target in self._pairs(node.get("edges"), where):
            self.edges.append((self._end(prefix + source, 1), self._end(prefix + target, 0)))

    def _pairs(self, edges: Any, where: str) -> Iterator[Pair]:
        if edges is None:
            raise refuse("E004", where or "node", "this graph has no 'edges'", "write the file anew")
        seen: set[Pair] = set()
        rows = edges.tolist() if isinstance(edges, np.ndarray) else list(edges)
        for row in rows:
            pair = tuple(row) if isinstance(row, (list, tuple)) else ()
            if len(pair) != 2 or not all(isinstance(end, str) for end in pair):
                raise refuse("E005", f"{where}.edges".lstrip("."), f"an edge is two names, not {row!r}"[:200])
            if pair in seen:
                self.warnings.append(
                    Diagnostic("E009", pair[1], f"the edge {pair[0]} -> {pair[1]} stands in the file twice; it was taken once",
                               "remove one, or give the second way a Scale of its own", severity="warning")
                )  # fmt: skip
            else:
                seen.add(pair)
                yield pair

    def _end(self, path: str, side: int) -> str:
        """Return the node that an edge's end *path* means: of an inner graph its only Output (1) or Input (0)."""
        if path not in self.ports:
            return path
        ports = self.ports[path][side]
        if len(ports) != 1:
            what = ("Input", "Output")[side]
            raise refuse(
                "E007", path, f"an edge names this inner graph, which has {len(ports)} {what}s ({', '.join(ports) or 'none'})",
                f"name one of its {what}s in the edge" if ports else f"give it an {what}", count=len(ports),
            )  # fmt: skip
        return ports[0]


def flatten(node: Tree, warnings: list[Diagnostic]) -> Flat:
    """Return the graph *node* (plain data) without graphs in it.

    Parameters
    ----------
    node : dict
        ``{"type": "NIRGraph", "nodes": {...}, "edges": [...]}``.
    warnings : list of Diagnostic
        Takes what was repaired: E009 for edges that stand there twice.

    Raises
    ------
    ImportModelError
        E004, E005 for a graph without nodes or edges; E007 where the edges do not tell how inner graphs are connected.
    """
    found = _Collector(warnings)
    found.graph(node, "")
    into: dict[str, list[str]] = {}
    for source, target in found.edges:
        into.setdefault(target, []).append(source)

    def real(source: str, passed: tuple[str, ...] = ()) -> list[str]:
        if source not in found.borders:
            return [source]
        if source in passed:
            raise refuse("E007", source, f"the loop {' -> '.join(passed)} passes through borders of inner graphs only")
        if source not in into:
            kind = found.borders[source]["type"]
            raise refuse("E007", source, f"nothing enters this {kind} of an inner graph, and its values are used", "connect it")
        return [r for s in into[source] for r in real(s, (*passed, source))]

    edges = [(s, target) for source, target in found.edges if target not in found.borders for s in real(source)]
    borders = [Border(path, child, tuple(real(path)) if path in into else ()) for path, child in found.borders.items()]
    return Flat(found.nodes, tuple(edges), tuple(borders), found.metadata)
