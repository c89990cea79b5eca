"""Dead: take out what reaches no output."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import networkx as nx

from spikeport.compiler.passes.base import Pass, PassContext
from spikeport.compiler.passes.timing import delays_of, with_delays
from spikeport.ir.graph import Graph


@dataclass(frozen=True, slots=True)
class Dead(Pass):
    """Remove nodes that reach neither an Output nor a recorded node.

    Such nodes cost neurons, synapses and energy for nothing that anyone sees; but once removed, they can no longer be
    recorded. Nothing is removed where that would move a spike of what stays.

    Parameters
    ----------
    keep : tuple of str
        Paths to keep with all that leads to them, beside those that the caller records.
    """

    keep: tuple[str, ...] = ()

    name: ClassVar[str] = "dead"
    summary: ClassVar[str] = "remove nodes that reach no Output; they cannot be recorded any more (keep=PATH|PATH)"
    is_lossless: ClassVar[bool] = True

    def apply(self, graph: Graph, ctx: PassContext) -> Graph:
        whole = nx.DiGraph((e.source, e.target) for e in graph.edges)
        whole.add_nodes_from(n.path for n in graph)
        # An Input stays: the caller's arrays name it. So does a node that the profile names.
        named = (path for path, _, _ in ctx.profile.overrides)
        wanted = {p for p in (*graph.inputs, *graph.outputs, *ctx.keep, *self.keep, *named) if p in graph}
        used = set(wanted)
        for path in wanted:
            used |= nx.ancestors(whole, path)
        gone = [n.path for n in graph if n.path not in used]
        if not gone:
            return graph
        smaller = graph.without(gone)
        old = delays_of(graph, ctx.profile)
        return with_delays(smaller, ctx.profile, {k: d for k, d in old.items() if k[0] in smaller and k[1] in smaller}) or graph
