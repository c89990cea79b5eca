"""Outcomes: how a test on a device ended, kept apart so that a broken bench is never taken for a broken network."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from spikeport.ir.diagnostics import (
    ArtifactError,
    BackendUnavailable,
    CapacityError,
    Diagnostic,
    ImportModelError,
    PassError,
    ProfileError,
    RunError,
    RunTimeout,
    SpikeportError,
    UnsupportedError,
    UsageError,
    VerifyError,
)


class Outcome(StrEnum):
    """How a test on a device ended.

    ``passed``, ``marginal`` and ``flaky`` are good ends; all others are failures, each with somebody else to turn to.
    """

    #: The device did what the model did, within the policy and every budget.
    PASSED = "passed"
    #: It did, and some number lies within the stated margin of its limit.
    MARGINAL = "marginal"
    #: It did something else than the model.
    MISMATCH = "mismatch"
    #: It did what the model did, and took more than it may.
    OVER_BUDGET = "over_budget"
    #: The bench failed: a connection, a worker, a driver, a full disk. Retried.
    INFRASTRUCTURE = "infrastructure"
    #: It did not end in its time. Retried.
    TIMEOUT = "timeout"
    #: What was handed over, a model, an artifact or an input, is damaged or contradicts itself.
    BAD_ARTIFACT = "bad_artifact"
    #: The device cannot do what is asked, or a number that is asked for does not exist.
    UNSUPPORTED = "unsupported"
    #: It passed, and an earlier attempt failed by infrastructure or timeout.
    FLAKY = "flaky"
    #: The device was taken out of use: its state after a reset is not that of a fresh one.
    QUARANTINED = "quarantined"


#: The only outcomes that are tried again: a wrong result is a result.
RETRIED = frozenset({Outcome.INFRASTRUCTURE, Outcome.TIMEOUT})
#: Outcomes with which a test passes.
GOOD = frozenset({Outcome.PASSED, Outcome.MARGINAL, Outcome.FLAKY})
#: From good to bad: of several findings in a test, the last in this order is the test's.
SEVERITY = (
    Outcome.PASSED, Outcome.MARGINAL, Outcome.FLAKY, Outcome.OVER_BUDGET, Outcome.MISMATCH, Outcome.UNSUPPORTED,
    Outcome.BAD_ARTIFACT, Outcome.TIMEOUT, Outcome.INFRASTRUCTURE, Outcome.QUARANTINED,
)  # fmt: skip

#: Failed runs that say something about the model or its input, and nothing about the bench.
_OF_THE_MODEL = {"E805": Outcome.UNSUPPORTED, "E806": Outcome.UNSUPPORTED, "E811": Outcome.UNSUPPORTED}


class HilError(SpikeportError):
    """What went wrong on the bench, with the outcome that it means.

    Parameters
    ----------
    diagnostics : Iterable[Diagnostic] or Diagnostic
        All findings.
    outcome : Outcome
        How the test ends.
    """

    exit_code = 9

    def __init__(self, diagnostics: Diagnostic | Iterable[Diagnostic], outcome: Outcome = Outcome.INFRASTRUCTURE) -> None:
        super().__init__(diagnostics)
        self.outcome = outcome


class HilMismatch(HilError, AssertionError):
    """The device did something else than the model: a failed test, not a failed bench."""

    def __init__(self, diagnostics: Diagnostic | Iterable[Diagnostic], outcome: Outcome = Outcome.MISMATCH) -> None:
        super().__init__(diagnostics, outcome)


def outcome_of(error: BaseException) -> Outcome:
    """Return the outcome that *error* means.

    >>> str(outcome_of(TimeoutError()))
    'timeout'

    Errors that are no verdict on network or artifact (a lost connection, a full disk, a failed backend, our own bug) are the
    bench's: ``infrastructure``.
    """
    if isinstance(error, HilError):
        return error.outcome
    if isinstance(error, AssertionError):
        return Outcome.MISMATCH
    if isinstance(error, (RunTimeout, TimeoutError)):
        return Outcome.TIMEOUT
    if isinstance(error, RunError):
        return next((_OF_THE_MODEL[d.code] for d in error.diagnostics if d.code in _OF_THE_MODEL), Outcome.INFRASTRUCTURE)
    if isinstance(error, BackendUnavailable):
        return Outcome.INFRASTRUCTURE
    if isinstance(error, (UnsupportedError, CapacityError)):
        return Outcome.UNSUPPORTED
    if isinstance(error, (ArtifactError, UsageError, ProfileError, ImportModelError, VerifyError, PassError)):
        return Outcome.BAD_ARTIFACT
    return Outcome.INFRASTRUCTURE


def worst(outcomes: Iterable[Outcome]) -> Outcome:
    """Return the gravest of *outcomes*, ``passed`` where there are none.

    >>> str(worst([Outcome.MARGINAL, Outcome.MISMATCH, Outcome.PASSED]))
    'mismatch'
    """
    return max(outcomes, key=SEVERITY.index, default=Outcome.PASSED)
