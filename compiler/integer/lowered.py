"""What a lowering gives back, and the answers that all of them share: taken as it is, a reset changed on request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from spikeport.compiler.integer.chip import Chip
from spikeport.compiler.integer.links import readouts
from spikeport.compiler.integer.neurons import RESET_CHANGE, reset_of
from spikeport.compiler.integer.table import Row
from spikeport.ir.diagnostics import Diagnostic, UnsupportedError, VerifyError
from spikeport.ir.graph import Graph
from spikeport.ir.network import StepNetwork, build_network
from spikeport.ir.ops import Array
from spikeport.ir.profile import Profile


@dataclass(frozen=True, slots=True, eq=False)
class Lowered:
    """A graph on a chip's grid.

    Parameters
    ----------
    graph, profile : Graph, Profile
        What runs.
    rows : tuple of Row
        The conversion table.
    lags : Mapping[str, int]
        Steps by which each population runs behind the source model.
    measured : Mapping
        What the calibration data showed, or empty.
    diagnostics : tuple of Diagnostic
        Warnings and notes.
    further : Mapping
        What else the report says of the lowering, as plain data.
    """

    graph: Graph
    profile: Profile
    rows: tuple[Row, ...]
    lags: Mapping[str, int]
    measured: Mapping[str, Any]
    diagnostics: tuple[Diagnostic, ...]
    further: Mapping[str, Any] = field(default_factory=dict)

    @property
    def drain(self) -> int:
        """Steps that must follow the input until the outputs have shown all that the source model's show."""
        shown = {source for output in self.graph.outputs for source, _ in readouts(self.graph, output)}
        return max((self.lags.get(path, 0) for path in shown), default=0)

    def notes(self) -> dict[str, Any]:
        """Return what a program carries of it, as plain data."""
        return {
            "conversion": [row.as_dict() for row in self.rows],
            "lags": {path: lag for path, lag in self.lags.items() if lag},
            "drain": self.drain,
            "measured": dict(self.measured),
            "calibrated": bool(self.measured),
            **self.further,
        }


def as_it_is(graph: Graph, profile: Profile, chip: Chip) -> Lowered | None:
    """Return *graph* unchanged where it is on the grid already, else None."""
    try:
        build_network(graph, profile, chip.arithmetic)
    except (VerifyError, UnsupportedError):
        return None
    note = Diagnostic("E539", "", f"the model is on {chip.name}'s integer grid already: it is taken as it is", "", {}, "note")
    return Lowered(graph, profile, (), {}, {}, (note,))


def changed_resets(network: StepNetwork, data: Mapping[str, Array] | None) -> list[Diagnostic]:
    """Return a warning for every reset that was changed on request; refuse to change one without data (E536)."""
    changed = [path for path, model in network.models.items() if reset_of(model)]
    if not changed:
        return []
    if data is None:
        raise UnsupportedError(
            Diagnostic(
                "E536", changed[0], f"--allow {RESET_CHANGE} changes the reset of {', '.join(changed)}, and what that costs "
                "can only be measured on data", "give calibration input: --data FILE.npz",
            )
        )  # fmt: skip
    return [
        Diagnostic(
            "E536", path, f"{reset_of(network.models[path])} became a reset to 0, as --allow {RESET_CHANGE} asks; the report "
            "says what it costs on the calibration data", "", {}, "warning",
        )
        for path in changed
    ]  # fmt: skip
