"""The fields of a ``.net`` file's groups, each held against what it must be; all that is wrong is found at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from spikeport.ir import Diagnostic
from spikeport.ir.diagnostics import did_you_mean
from spikeport.ir.ops import Array

#: Whole numbers up to here are exact in float32, in which weights are written.
MAX_WHOLE = 2**24
EXPORT = "export the network anew with lava-dl's export_hdf5"


@dataclass(frozen=True, slots=True)
class Fields:
    """A group of the file.

    Parameters
    ----------
    data : Mapping
        What the file holds, as ``read_hdf5`` returns it.
    where : str
        Key of the group in the file, ``layer/0`` or ``layer/0/neuron``.
    found : list of Diagnostic
        Takes what is wrong, with the key of the field: E052 missing, E053 wrong kind or value.
    """

    data: Mapping[str, Any]
    where: str
    found: list[Diagnostic]

    def key(self, name: str) -> str:
        """Return the key of the field *name* in the file."""
        return f"{self.where}/{name}"

    def has(self, name: str) -> bool:
        """Whether the file has the field."""
        return name in self.data

    def say(self, code: str, name: str, message: str, hint: str = EXPORT, *, warn: bool = False, **facts: Any) -> None:
        """Add a finding at the field *name*, or at the group where *name* is empty."""
        path = self.key(name) if name else self.where
        self.found.append(Diagnostic(code, path, message, hint, facts, "warning" if warn else "error"))

    def group(self, name: str) -> Fields | None:
        """Return the group *name*; E053 where a number or a text stands there."""
        value = self.data.get(name)
        if isinstance(value, Mapping):
            return Fields(value, self.key(name), self.found)
        if value is not None:
            self.say("E053", name, f"{name} is {_what(value)}, not a group of fields")
        return None

    def text(self, name: str) -> str | None:
        """Return a text (one, or an array of one)."""
        value = self._given(name)
        if isinstance(value, np.ndarray) and value.dtype == object and value.size == 1:
            value = value.reshape(-1)[0]
        if value is None or isinstance(value, str):
            return value
        self.say("E053", name, f"{name} is {_what(value)}, not a text")
        return None

    def whole(self, name: str, least: int, most: int, *, round_down: bool = False) -> Array | None:
        """Return an array of whole numbers from *least* to *most*, as int64.

        Parameters
        ----------
        name : str
            The field.
        least, most : int
            Range.
        round_down : bool
            Take the floor of what is not whole, as the exporter means it.
        """
        value = self._given(name)
        if value is None:
            return None
        array = np.asarray(value)
        if array.dtype.kind not in "biuf":
            self.say("E053", name, f"{name} is {_what(value)}, not a number")
            return None
        if not array.size:
            self.say("E053", name, f"{name} is an empty array of shape {array.shape}")
            return None
        if array.dtype.kind == "f":
            if not bool(np.isfinite(array).all()):
                bad = int(np.count_nonzero(~np.isfinite(array)))
                self.say("E053", name, f"{name} has {bad} of {array.size} values that are NaN or infinite", "repair the layer")
                return None
            array = np.floor(array) if round_down else array
            odd = array[array != np.rint(array)]
            if odd.size:
                self.say(
                    "E053", name, f"{name} has {odd.size} of {array.size} values that are not whole, the first {odd[0]:.7g}; "
                    "a .net file holds Loihi's integers", value=float(odd[0]),
                )  # fmt: skip
                return None
        low, high = array.min().item(), array.max().item()
        if low < least or high > most:
            worst = low if low < least else high
            self.say(
                "E053", name, f"{name} is {worst:.10g}, outside {least:,} to {most:,}", "mend the value", value=worst,
                least=least, most=most,
            )  # fmt: skip
            return None
        return array.astype(np.int64)

    def number(self, name: str, least: int, most: int) -> int | None:
        """Return one whole number from *least* to *most*; an array of one counts as one."""
        array = self.whole(name, least, most)
        if array is not None and array.size != 1:
            self.say("E053", name, f"{name} has {array.size} values of shape {array.shape}; it takes one")
            return None
        return None if array is None else int(array.reshape(-1)[0])

    def pair(self, name: str, least: int, most: int) -> tuple[int, int] | None:
        """Return two whole numbers, (height, width); one counts for both."""
        array = self.whole(name, least, most)
        if array is None:
            return None
        if array.ndim > 1 or array.size > 2:
            self.say("E053", name, f"{name} has the shape {array.shape}; it takes one number, or height and width")
            return None
        flat = array.reshape(-1)
        return int(flat[0]), int(flat[-1])

    def only(self, known: tuple[str, ...], what: str) -> None:
        """Warn (E059) of fields that are not among *known*: nothing here reads them."""
        for name in sorted(set(self.data) - set(known)):
            near = did_you_mean(name, known)
            self.say("E059", name, f"a {what} has no field {name!r}{near}; it is not read", "leave it out, or mend its name",
                     warn=True)  # fmt: skip

    def _given(self, name: str) -> Any:
        if name not in self.data:
            near = did_you_mean(name, self.data)
            self.say("E052", name, f"{self.where} has no {name}{near}; it has {', '.join(sorted(self.data)[:12]) or 'nothing'}")
            return None
        return self.data[name]


def _what(value: Any) -> str:
    if isinstance(value, np.ndarray) and value.dtype == object and value.size == 1:
        value = value.reshape(-1)[0]
    if isinstance(value, str):
        return f"the text {value[:40]!r}"
    if isinstance(value, Mapping):
        return "a group"
    if isinstance(value, np.ndarray) and value.dtype == object:
        return f"an array of {value.size} texts"
    return f"an array of {value.dtype} of shape {value.shape}" if isinstance(value, np.ndarray) else type(value).__name__
