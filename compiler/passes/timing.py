"""What passes that remove nodes share: edges keep their delays, whatever the profile would fill in afterwards."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from spikeport.ir.diagnostics import VerifyError
from spikeport.ir.graph import Edge, Graph
from spikeport.ir.profile import Profile
from spikeport.ir.schedule import schedule

Link = tuple[str, str, int]


def link(edge: Edge) -> Link:
    """Return what names an edge within a graph: its ends and its place in the sum."""
    return edge.source, edge.target, edge.rank


def delays_of(graph: Graph, profile: Profile) -> dict[Link, int]:
    """Return the steps that each edge of *graph* waits under *profile*."""
    return {link(edge): steps for edge, steps in schedule(graph, profile).delays.items()}


def with_delays(graph: Graph, profile: Profile, wanted: Mapping[Link, int]) -> Graph | None:
    """Return *graph* with every edge waiting as *wanted*; None where that cannot be had.

    Delays come from the kinds of the nodes at an edge's ends and from the loops around it, so taking a node away may
    change them. Where they differ, the edge gets its delay written down; that may in turn change which edge closes a
    loop, hence the second look.
    """
    try:
        now = delays_of(graph, profile)
        if now == wanted:
            return graph
        edges = [e if now[link(e)] == wanted[link(e)] else dataclasses.replace(e, delay=wanted[link(e)]) for e in graph.edges]
        mended = graph.replace(edges=edges)
        return mended if delays_of(mended, profile) == wanted else None
    except VerifyError:
        return None
