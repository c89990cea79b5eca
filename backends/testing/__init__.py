"""The conformance kit: what any backend, ours or an outside package's, must pass.

It needs no more than a core install (neither pytest nor Hypothesis). A case is a small seeded graph with its execution
profile and input; the backend runs it, the reference interpreter runs it, and all that they record and count is compared
by the fidelity that the backend declares: for ``bit_exact`` every spike, output, membrane and count is equal, for ``float``
and ``fixed_point`` within `TOLERANCES`. A refusal is fine where it is said beforehand: an E5xx diagnostic of ``check`` that
names the layer (or the field of the profile), raised by ``emit``. Everything else is a failure, with the first divergence.

In a script::

    from spikeport.backends.testing import format_results, run_kit

    print(format_results(run_kit(BACKEND)))

In the tests of a package, with pytest::

    import pytest
    from spikeport.backends.testing import CONTRACT, cases, check_case, check_contract

    pytestmark = pytest.mark.skipif(not BACKEND.available().ok, reason=BACKEND.available().why)

    @pytest.mark.parametrize("arithmetic", BACKEND.arithmetics)
    @pytest.mark.parametrize("case", cases(BACKEND), ids=str)
    def test_case(case, arithmetic):
        check_case(BACKEND, case, arithmetic).require()

    @pytest.mark.parametrize("name", CONTRACT)
    def test_contract(name):
        check_contract(BACKEND, name).require()

>>> from spikeport.backends.reference import BACKEND
>>> from spikeport.backends.testing import cases, check_case
>>> print(check_case(BACKEND, cases()[0], "float32"))
passed  affine/double weights (reference, float32)
"""

from __future__ import annotations

import functools
from collections.abc import Iterable

from spikeport.backends.base import Backend
from spikeport.backends.testing import inputs, primitives, timing, wiring
from spikeport.backends.testing.case import Case
from spikeport.backends.testing.check import Result, check_case
from spikeport.backends.testing.compare import TOLERANCES, Tolerance
from spikeport.backends.testing.contract import CONTRACT, check_contract
from spikeport.ir.diagnostics import CapacityError, UnsupportedError

__all__ = [
    "CONTRACT", "TOLERANCES", "Case", "Result", "Tolerance", "cases", "check_case", "check_contract", "format_results",
    "run_kit",
]  # fmt: skip


@functools.cache
def _all() -> tuple[Case, ...]:
    return tuple(case for module in (primitives, wiring, timing, inputs) for case in module.build())


def cases(backend: Backend | None = None, *, target: str | None = None) -> tuple[Case, ...]:
    """Return all cases, or those that *backend* does not refuse in every one of its arithmetics.

    Parameters
    ----------
    backend : Backend or None
        Whose ``check`` is asked.
    target : str or None
        Chip to map the cases on, for a backend that runs mapped programs only.
    """
    if backend is None:
        return _all()
    return tuple(c for c in _all() if any(_takes(backend, c, arithmetic, target) for arithmetic in backend.arithmetics))


def _takes(backend: Backend, case: Case, arithmetic: str, target: str | None) -> bool:
    try:
        program = case.program(arithmetic, target)
    except (UnsupportedError, CapacityError):
        return False
    return all(d.severity != "error" for d in backend.check(program))


def run_kit(backend: Backend, *, target: str | None = None) -> list[Result]:
    """Return how *backend* does in all cases, in each of its arithmetics, and in all checks of the contract."""
    found = [check_contract(backend, name, target=target) for name in CONTRACT]
    if backend.available().ok:
        found += [check_case(backend, case, a, target=target) for a in backend.arithmetics for case in _all()]
    return found


def format_results(results: Iterable[Result]) -> str:
    """Return a line for each result that is not passed, and the numbers of all."""
    results = list(results)
    numbers = {status: sum(r.status == status for r in results) for status in ("passed", "refused", "failed")}
    lines = [str(r) for status in ("refused", "failed") for r in results if r.status == status]
    return "\n".join([*lines, ", ".join(f"{number} {status}" for status, number in numbers.items())])
