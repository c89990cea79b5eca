"""Outcomes: every kind of error means one, and only the bench's failures are tried again."""

import pytest

from spikeport.ir import diagnostics
from spikeport.ir.diagnostics import Diagnostic, SpikeportError
from spikeport.runtime.hil.outcome import GOOD, RETRIED, SEVERITY, HilError, HilMismatch, Outcome, outcome_of, worst

KINDS = {
    "UsageError": "bad_artifact", "ProfileError": "bad_artifact", "ImportModelError": "bad_artifact",
    "VerifyError": "bad_artifact", "PassError": "bad_artifact", "ArtifactError": "bad_artifact",
    "UnsupportedError": "unsupported", "CapacityError": "unsupported", "BackendUnavailable": "infrastructure",
    "RunError": "infrastructure", "RunTimeout": "timeout", "InternalError": "infrastructure",
    "SpikeportError": "infrastructure",
}  # fmt: skip


def test_every_kind_of_error_means_an_outcome():
    kinds = {n: k for n, k in vars(diagnostics).items() if isinstance(k, type) and issubclass(k, SpikeportError)}
    assert {name: str(outcome_of(kind(Diagnostic("E999", "", "")))) for name, kind in kinds.items()} == KINDS


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (AssertionError(), "mismatch"), (TimeoutError(), "timeout"), (ConnectionResetError(), "infrastructure"),
        (MemoryError(), "infrastructure"), (OSError(28, "full"), "infrastructure"), (KeyError(1), "infrastructure"),
        (diagnostics.RunError(Diagnostic("E805", "", "")), "unsupported"),
        (HilMismatch(Diagnostic("E853", "", "")), "mismatch"),
        (HilMismatch(Diagnostic("E854", "", ""), Outcome.OVER_BUDGET), "over_budget"),
        *((HilError(Diagnostic("E851", "", ""), outcome), str(outcome)) for outcome in Outcome),
    ],
)  # fmt: skip
def test_of(error, outcome):
    assert outcome_of(error) == outcome


def test_only_the_bench_is_tried_again():
    assert {"infrastructure", "timeout"} == RETRIED
    assert not RETRIED & GOOD
    assert set(SEVERITY) == set(Outcome)


def test_the_worst():
    assert worst([]) == Outcome.PASSED
    assert worst(Outcome) == Outcome.QUARANTINED
    assert worst([Outcome.MARGINAL, Outcome.PASSED]) == Outcome.MARGINAL
