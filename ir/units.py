"""Numbers with a unit, a class and a source: an unknown one is None, never 0."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, get_args

Kind = Literal["measured", "published", "modelled", "estimated"]
KINDS: tuple[str, ...] = get_args(Kind)

_PREFIX = {"": 1.0, "f": 1e-15, "p": 1e-12, "n": 1e-9, "u": 1e-6, "µ": 1e-6, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9}
_BASE_UNITS = ("Hz", "J", "W", "s", "V")
_BINARY = {"B": 1, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}
_NUMBER = re.compile(r"^\s*([-+]?\d[\d_]*\.?\d*(?:[eE][-+]?\d+)?)\s*(\S*)\s*$")


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number as a report shows it.

    Parameters
    ----------
    value : float or None
        The number in the SI unit *unit*; None where nobody knows it.
    unit : str
        SI unit (``J``, ``s``, ``W``, ``Hz``) or ``1`` for a count.
    kind : {"measured", "published", "modelled", "estimated"}
        How the number came about.
    source : str
        Publication, file or model that it was taken from.
    low, high : float or None
        Bounds, where two cost sets or a source give an interval.
    """

    value: float | None
    unit: str
    kind: Kind
    source: str
    low: float | None = None
    high: float | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"class of a quantity must be one of {', '.join(KINDS)}, not {self.kind!r}")
        if not self.source:
            raise ValueError("a quantity needs a source")

    def __str__(self) -> str:
        if self.value is None:
            return "unknown"
        text = format_si(self.value, self.unit)
        if self.low is not None and self.high is not None and self.low != self.high:
            text += f" [{format_si(self.low, self.unit)} .. {format_si(self.high, self.unit)}]"
        return text

    def as_dict(self) -> dict[str, object]:
        """Return plain data for JSON; the class stands under ``class``."""
        return {
            "value": self.value,
            "unit": self.unit,
            "class": self.kind,
            "source": self.source,
            "low": self.low,
            "high": self.high,
        }


def unknown(unit: str, source: str) -> Quantity:
    """Return the quantity that nobody knows, with the reason as its source."""
    return Quantity(None, unit, "estimated", source)


def parse_quantity(text: str) -> tuple[float, str]:
    """Return ``(value in SI, base unit)`` of a text such as ``"23.6 pJ"``, ``"128 KiB"`` or ``"1024"``.

    Raises
    ------
    ValueError
        If the text is no number with a known unit.
    """
    match = _NUMBER.match(text)
    if match is None:
        raise ValueError(f"expected a number with a unit such as '23.6 pJ', got {text!r}")
    number, unit = float(match.group(1).replace("_", "")), match.group(2)
    if unit in ("", "1"):
        return number, "1"
    if unit in _BINARY:
        return number * _BINARY[unit], "B"
    for base in _BASE_UNITS:
        if unit.endswith(base) and unit[: -len(base)] in _PREFIX:
            return number * _PREFIX[unit[: -len(base)]], base
    raise ValueError(f"unknown unit {unit!r} in {text!r}; known: B, KiB, MiB and {', '.join(_BASE_UNITS)} with SI prefixes")


def format_si(value: float | None, unit: str, digits: int = 4) -> str:
    """Return the number with an SI prefix, such as ``23.6 pJ``; counts are written plainly."""
    if value is None:
        return "unknown"
    if unit in ("", "1"):
        return f"{value:,.{digits}g}" if abs(value) < 10**digits else f"{value:,.0f}"
    factor, prefix = si_prefix(value)
    return f"{value / factor:.{digits}g} {prefix}{unit}"


def si_prefix(value: float) -> tuple[float, str]:
    """Return the factor and the name of the SI prefix that suits *value*: ``(1e-12, "p")`` for 23.6e-12."""
    if value == 0:
        return 1.0, ""
    for factor, prefix in ((1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""), (1e-3, "m"), (1e-6, "u"), (1e-9, "n"), (1e-12, "p")):
        if abs(value) >= factor * 0.9995:
            return factor, prefix
    return 1e-15, "f"
