"""A stage of a plan: a piece of work of the kernels, as a row of the stage table."""

from __future__ import annotations

from dataclasses import dataclass, field

from spikeport.backends.engine.ports import Port


@dataclass(frozen=True, slots=True)
class Floats:
    """Floats that a stage needs in the workspace, once or for each sample."""

    count: int
    each_sample: bool = False


@dataclass(slots=True, eq=False)
class Stage:
    """A piece of work; ``fields`` are columns of the stage table."""

    op: int
    source: Port
    target: Port
    delay: int = 0
    counted: str | None = None
    fields: dict[int, int | Floats] = field(default_factory=dict)


__all__ = ["Floats", "Stage"]
