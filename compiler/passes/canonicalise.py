"""Canonicalise: take out nodes that hand on exactly what they get."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from spikeport.compiler.passes.base import Pass, PassContext
from spikeport.compiler.passes.timing import delays_of, link, with_delays
from spikeport.ir.graph import Graph
from spikeport.ir.ops import Delay, Flatten, Op, Scale, Shape, SumPool2d
from spikeport.ir.shapes import infer_shapes


@dataclass(frozen=True, slots=True)
class Canonicalise(Pass):
    """Remove nodes that change no value: a Flatten of one axis, a Scale by 1, a pooling of single elements, no delay.

    A node stays where it is recorded, where the profile sets a field for it, or where removing it would move a spike.
    """

    name: ClassVar[str] = "canonicalise"
    summary: ClassVar[str] = "remove nodes that hand on exactly what they get (Flatten of one axis, Scale by 1, ...)"
    is_lossless: ClassVar[bool] = True

    def apply(self, graph: Graph, ctx: PassContext) -> Graph:
        shapes = infer_shapes(graph)[0]
        named = {path for path, _, _ in ctx.profile.overrides}
        for node in graph:
            path = node.path
            if path in named or path in ctx.keep or len(graph.into(path)) != 1 or not graph.out_of(path):
                continue
            if path in shapes.input and _is_identity(node.op, shapes.input[path], shapes.output[path]):
                graph = _bypassed(graph, path, ctx) or graph
        return graph


def _is_identity(op: Op, before: Shape, after: Shape) -> bool:
    if isinstance(op, Flatten):
        return before == after
    if isinstance(op, Scale):
        return bool(np.all(op.scale == 1))
    if isinstance(op, SumPool2d):
        return (op.kernel_size, op.stride, op.padding) == ((1, 1), (1, 1), (0, 0))
    return isinstance(op, Delay) and not np.any(op.delay)


def _bypassed(graph: Graph, path: str, ctx: PassContext) -> Graph | None:
    """Return *graph* with the source of *path* wired to its targets, each path of the same delay; None if it cannot be."""
    (entering,) = graph.into(path)
    if entering.source == path or any(e.target == path for e in graph.out_of(path)):
        return None
    old = delays_of(graph, ctx.profile)
    wanted = {key: steps for key, steps in old.items() if path not in key[:2]}
    edges = [e for e in graph.edges if path not in (e.source, e.target)]
    for leaving in graph.out_of(path):
        # A delay that the graph states on either half stays stated; otherwise the profile fills it in again.
        stated = entering.delay is not None or leaving.delay is not None
        steps = old[link(entering)] + old[link(leaving)]
        merged = dataclasses.replace(leaving, source=entering.source, delay=steps if stated else None)
        edges.append(merged)
        wanted[link(merged)] = steps
    return with_delays(graph.replace(nodes=[n for n in graph if n.path != path], edges=edges), ctx.profile, wanted)
