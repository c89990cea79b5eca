"""Repairs of a ``.nir`` file's plain data, before it is a graph: edges that name numbers or groups, an Input with steps."""

from __future__ import annotations

from typing import Any

import numpy as np

from spikeport.ir import Diagnostic
from spikeport.ir.nir_tree import Tree


def mended_tree(tree: Tree, found: list[Diagnostic]) -> Tree:
    """Return *tree* with edges between nodes that are there, where the file leaves one reading only.

    Parameters
    ----------
    tree : dict
        As ``read_nir_tree`` returns it; not changed.
    found : list of Diagnostic
        Takes E018 for edges that name nodes by number, or a group by its prefix, and for a missing Output; E012 for an
        Input whose first axis counts steps.
    """
    root = tree["node"]
    nodes = root.get("nodes")
    if root.get("type") != "NIRGraph" or not isinstance(nodes, dict) or not all(isinstance(n, dict) for n in nodes.values()):
        return tree
    root = _grouped(_named(root, found), found)
    return {**tree, "node": _without_steps(root, found)}


def _repair(code: str, path: str, message: str) -> Diagnostic:
    return Diagnostic(code, path, message, "write the file with a current exporter to be rid of this warning", {}, "warning")


def _pairs(root: Tree) -> list[tuple[Any, Any]] | None:
    edges = root.get("edges")
    rows = edges.tolist() if isinstance(edges, np.ndarray) else edges
    if not isinstance(rows, list) or not all(isinstance(row, (list, tuple)) and len(row) == 2 for row in rows):
        return None
    return [(row[0], row[1]) for row in rows]


def _named(root: Tree, found: list[Diagnostic]) -> Tree:
    """Write as names the edges of lava-dl, which are numbers, and give the graph the Output that it leaves out."""
    nodes, pairs = root["nodes"], _pairs(root)
    if not pairs or not all(isinstance(end, int) and str(end) in nodes for pair in pairs for end in pair):
        return root
    named = [(str(source), str(target)) for source, target in pairs]
    found.append(_repair("E018", "edges", "the edges name the nodes by number; taken as the nodes of that name"))
    last = sorted(set(nodes) - {source for source, _ in named})
    if len(last) == 1 and nodes[last[0]].get("type") != "Output" and "output" not in nodes:
        size = next((v.shape for v in nodes[last[0]].values() if isinstance(v, np.ndarray) and v.ndim), (1,))
        nodes = {**nodes, "output": {"type": "Output", "shape": np.array(size)}}
        named.append((last[0], "output"))
        found.append(_repair("E018", "output", f"there is no Output; put behind {last[0]}, the only node that feeds none"))
    return {**root, "nodes": nodes, "edges": named}


def _without_steps(root: Tree, found: list[Diagnostic]) -> Tree:
    """Take a leading axis off an Input before dense layers, where the Output shows that it counts steps."""
    nodes, pairs = root["nodes"], _pairs(root) or []
    shapes = {name: np.ravel(n["shape"]) for name, n in nodes.items() if isinstance(n.get("shape"), np.ndarray)}
    first = [name for name, node in nodes.items() if node.get("type") == "Input" and not any(p[1] == name for p in pairs)]
    last = [name for name, node in nodes.items() if node.get("type") == "Output" and not any(p[0] == name for p in pairs)]
    if len(first) != 1 or len(last) != 1 or any(n.get("type") == "Flatten" for n in nodes.values()):
        return root
    (name,), shape = first, shapes.get(first[0])
    behind = [nodes.get(target, {}) for source, target in pairs if source == name]
    if shape is None or shape.size != 2 or shape[0] == 1 or len(shapes.get(last[0], ())) != 1 or not behind:
        return root
    weights = [node.get("weight") for node in behind]
    if not all(isinstance(w, np.ndarray) and w.ndim == 2 and w.shape[1] == shape[1] for w in weights):
        return root
    text = (
        f"the shape {tuple(shape.tolist())} of this Input starts with {shape[0]} steps: the dense layer behind takes "
        f"{shape[1]} values, and the Output has one axis; taken as ({shape[1]},)"
    )
    found.append(_repair("E012", name, text))
    return {**root, "nodes": {**nodes, name: {**nodes[name], "shape": shape[1:]}}}


def _grouped(root: Tree, found: list[Diagnostic]) -> Tree:
    """Make inner graphs of nodes ``G.input``, ``G.output``, ... where edges name a G that is no node."""
    nodes, pairs = root["nodes"], _pairs(root)
    if pairs is None or not all(isinstance(end, str) for pair in pairs for end in pair):
        return root
    for group in sorted({end for pair in pairs for end in pair} - set(nodes)):
        inner = {name[len(group) + 1 :]: node for name, node in nodes.items() if name.startswith(f"{group}.")}
        kinds = (inner.get("input", {}).get("type"), inner.get("output", {}).get("type"))
        inside = [p for p in pairs if all(end.startswith(f"{group}.") for end in p)]
        outside = [p for p in pairs if p not in inside]
        if kinds != ("Input", "Output") or any(end.startswith(f"{group}.") for pair in outside for end in pair):
            continue
        cut = len(group) + 1
        own = {"type": "NIRGraph", "nodes": inner, "edges": [(a[cut:], b[cut:]) for a, b in inside]}
        nodes = {name: node for name, node in nodes.items() if not name.startswith(f"{group}.")} | {group: own}
        pairs = outside
        text = f"edges name {group}, which is no node; taken as the graph of {', '.join(f'{group}.{n}' for n in inner)}"
        found.append(_repair("E018", group, text))
    return {**root, "nodes": nodes, "edges": pairs}
