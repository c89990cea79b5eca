"""A mapping beside the one that a machine's own tools make of the same network: figures in pairs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Pair:
    """A figure of both mappings.

    Parameters
    ----------
    name : str
        What is counted.
    ours, theirs : float or int
        By us, and by the machine's tools.
    text : str
        What it means, for people.
    """

    name: str
    ours: float
    theirs: float
    text: str


@dataclass(frozen=True, slots=True, eq=False)
class MappingCheck:
    """What an oracle of the mapping found.

    Parameters
    ----------
    tool : str
        Whose mapping ours stands beside, with its version.
    pairs : tuple of Pair
        Figures.
    connections : int
        Pairs of layers between which spikes go.
    missing, surplus : tuple of (str, str)
        Pairs of layers that the tool's mapping does not connect, or connects without being asked to.
    seconds : Mapping[str, float]
        Time of the tool's algorithms.
    """

    tool: str
    pairs: tuple[Pair, ...]
    connections: int
    missing: tuple[tuple[str, str], ...] = ()
    surplus: tuple[tuple[str, str], ...] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether both connect the same layers."""
        return not self.missing and not self.surplus

    def figure(self, name: str) -> Pair:
        """Return the pair called *name*."""
        return next(pair for pair in self.pairs if pair.name == name)

    def as_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {
            "tool": self.tool, "ok": self.ok, "connections": self.connections,
            "missing": [list(p) for p in self.missing], "surplus": [list(p) for p in self.surplus],
            "figures": {p.name: {"ours": p.ours, "theirs": p.theirs, "text": p.text} for p in self.pairs},
            "seconds": dict(self.seconds),
        }  # fmt: skip

    def lines(self) -> list[str]:
        """Return a table for people."""
        rows = [("", "ours", self.tool), *((p.text, _number(p.ours), _number(p.theirs)) for p in self.pairs)]
        widths = [max(len(row[column]) for row in rows) for column in range(3)]
        done = [f"{row[0]:{widths[0]}s}  {row[1]:>{widths[1]}s}  {row[2]:>{widths[2]}s}" for row in rows]
        done.append(f"both connect the same {self.connections} pairs of layers" if self.ok else self._clash())
        return done

    def _clash(self) -> str:
        parts = [("does not connect", self.missing), ("connects without being asked to", self.surplus)]
        said = [f"{what} {', '.join(f'{a} -> {b}' for a, b in pairs)}" for what, pairs in parts if pairs]
        return f"{self.tool} {'; '.join(said)}"


def _number(value: float) -> str:
    return f"{value:,.0f}".replace(",", " ")


__all__ = ["MappingCheck", "Pair"]
