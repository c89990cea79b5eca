"""How input enters: spikes as they are, other values as integers of a unit that the calibration data shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from spikeport.ir.diagnostics import Diagnostic, UsageError
from spikeport.ir.graph import Graph
from spikeport.ir.loihi import INPUT_NOTE
from spikeport.ir.ops import Array

#: Values of data that no unit fits are rounded to this many levels on each side of 0.
LEVELS = 127
#: Largest unit that is looked for: values that are multiples of 1/unit.
MAX_UNIT = 1024


@dataclass(frozen=True, slots=True)
class Entry:
    """An input's integers.

    Parameters
    ----------
    scale : float
        What values are multiplied by.
    least, most : int
        Range that sums are bounded for.
    rounding : float
        Largest distance to a whole number that is accepted; 0.5 rounds.
    """

    scale: float
    least: int
    most: int
    rounding: float = 1e-4

    def note(self) -> dict[str, object]:
        """Return what the lowered Input node carries."""
        return {INPUT_NOTE: {"scale": self.scale, "least": self.least, "most": self.most, "rounding": self.rounding}}


def entries(graph: Graph, data: Mapping[str, Array] | None) -> tuple[dict[str, Entry], list[Diagnostic]]:
    """Return the entry of every input, and warnings where values are rounded.

    Raises
    ------
    UsageError
        E623 where *data* lacks an input.
    """
    done, found = {}, []
    for path in graph.inputs:
        if data is None:
            done[path] = Entry(1.0, 0, 1)
            continue
        if path not in data:
            raise UsageError(Diagnostic("E623", path, f"the calibration data has nothing for the input {path}", "give it too"))
        done[path] = _entry(np.asarray(data[path]))
        if done[path].rounding == 0.5:
            step = 1 / done[path].scale
            found.append(
                Diagnostic(
                    "E535", path, f"its values are multiples of no common unit: they are rounded to steps of {step:.6g}, at "
                    f"most {step / 2:.6g} off", "encode the input as spikes, or round it as the model shall see it",
                    {"step": step}, "warning",
                )
            )  # fmt: skip
    return done, found


def _entry(values: Array) -> Entry:
    found = np.unique(values.astype(np.float64))
    if not found.size or np.all((found == 0) | (found == 1)):
        return Entry(1.0, 0, 1)
    least, most = min(0.0, float(found[0])), max(0.0, float(found[-1]))
    alone = found[found != 0]
    if alone.size == 1:
        return _of_unit(1 / abs(float(alone[0])), least, most)
    if found.size <= 4 * MAX_UNIT:
        for unit in range(1, MAX_UNIT + 1):
            exact = found * unit
            if np.abs(exact - np.rint(exact)).max() < 1e-4:
                return _of_unit(float(unit), least, most)
    # Twice the range of the data, since other data will not end where this ends.
    scale = LEVELS / max(most, -least)
    return Entry(scale, -2 * LEVELS if least < 0 else 0, 2 * LEVELS if most > 0 else 0, 0.5)


def _of_unit(unit: float, least: float, most: float) -> Entry:
    return Entry(unit, int(np.rint(least * unit)), int(np.rint(most * unit)))
