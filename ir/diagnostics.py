"""Findings and errors: every message says what, where, the numbers that clash, and what to do.

A :class:`Diagnostic` is one finding. An exception carries all the findings of its kind that were there at once, so a
user mends a file in one go. Each exception class has the exit code that the command line answers with.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, ClassVar, Literal

Severity = Literal["error", "warning", "note"]


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One finding about a model, a profile, a target or a run.

    Parameters
    ----------
    code : str
        Stable code such as ``E201``; ``spikeport explain CODE`` tells more.
    path : str
        Where: the dotted path of a node, a file key, or an option; empty for the whole graph.
    message : str
        What is wrong, with the numbers that clash.
    hint : str
        What to do about it.
    facts : Mapping[str, Any]
        The numbers again, for machines.
    severity : {"error", "warning", "note"}
        Errors stop the compile; warnings are repairs and doubts; notes are for the report.
    """

    code: str
    path: str
    message: str
    hint: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)
    severity: Severity = "error"

    def __post_init__(self) -> None:
        object.__setattr__(self, "facts", MappingProxyType(dict(self.facts)))

    def __str__(self) -> str:
        where = f" at {self.path}" if self.path else ""
        hint = f"\n    -> {self.hint}" if self.hint else ""
        return f"{self.code}{where}: {self.message}{hint}"

    def as_dict(self) -> dict[str, Any]:
        """Return the finding as plain data for JSON."""
        return {
            "code": self.code,
            "severity": self.severity,
            "path": self.path,
            "message": self.message,
            "hint": self.hint,
            "facts": dict(self.facts),
        }


class SpikeportError(Exception):
    """Base of all the errors that spikeport raises on purpose.

    Parameters
    ----------
    diagnostics : Iterable[Diagnostic] or Diagnostic
        All findings of this kind.
    """

    exit_code: ClassVar[int] = 70

    def __init__(self, diagnostics: Diagnostic | Iterable[Diagnostic]) -> None:
        found = (diagnostics,) if isinstance(diagnostics, Diagnostic) else tuple(diagnostics)
        self.diagnostics: tuple[Diagnostic, ...] = found
        super().__init__("\n".join(str(d) for d in found))


class UsageError(SpikeportError):
    """An option, an input array or a call that cannot be understood."""

    exit_code = 2


class ProfileError(UsageError):
    """A profile that is missing, misspelt or contradictory."""


class ImportModelError(SpikeportError):
    """A module or a file that cannot be expressed as a graph."""

    exit_code = 3


class VerifyError(SpikeportError):
    """A graph that breaks rules of structure (E1xx), shape (E2xx) or semantics (E3xx)."""

    exit_code = 3


class UnsupportedError(SpikeportError):
    """A construct that a backend or a target does not have (E5xx)."""

    exit_code = 3


class CapacityError(SpikeportError):
    """A program that exceeds a limit of its target (E4xx)."""

    exit_code = 4


class BackendUnavailable(SpikeportError):
    """A backend whose packages are not installed here."""

    exit_code = 5


class PassError(SpikeportError):
    """A pass that could not do what it was asked to."""

    exit_code = 6


class RunError(SpikeportError):
    """A run that failed in a backend."""

    exit_code = 6


class RunTimeout(SpikeportError):
    """A run that did not end in its time."""

    exit_code = 7


class ArtifactError(SpikeportError):
    """An artifact that is corrupt, hostile, too large or of another version."""

    exit_code = 8


class InternalError(SpikeportError):
    """Our own bug: never the user's fault."""

    exit_code = 70


def did_you_mean(word: str, choices: Iterable[str]) -> str:
    """Return ``" (did you mean 'x'?)"`` for the closest of *choices*, or an empty string."""
    close = difflib.get_close_matches(word, list(choices), n=1, cutoff=0.6)
    return f" (did you mean '{close[0]}'?)" if close else ""


def fail_on_errors(kind: type[SpikeportError], findings: Iterable[Diagnostic]) -> tuple[Diagnostic, ...]:
    """Raise *kind* with all findings if one is an error; else return the warnings and notes."""
    found = tuple(findings)
    if any(d.severity == "error" for d in found):
        raise kind(tuple(d for d in found if d.severity == "error"))
    return found
