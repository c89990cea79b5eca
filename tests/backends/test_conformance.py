"""Every backend that is installed passes the shipped conformance kit, in each of its arithmetics."""

import os

import pytest

from spikeport.backends.registry import backend_names, get_backend
from spikeport.backends.testing import CONTRACT, cases, check_case, check_contract
from spikeport.ir.diagnostics import BackendUnavailable, CapacityError, UnsupportedError

#: Ours that need nothing beyond a core install: absent is broken.
ALWAYS = ("engine", "reference")


def loaded(name):
    """Return the backend called *name*, or None where its module cannot be imported."""
    try:
        return get_backend(name)
    except BackendUnavailable:
        return None


# test_testing.py has the reference, with what makes the kit fail; here it would only compare itself with itself again.
OTHERS = [name for name in backend_names() if name != "reference"]
RUNNERS = {name: backend for name in OTHERS if (backend := loaded(name)) is not None}


def ready(name):
    """Return the backend called *name*; skip where it says itself that it cannot run here."""
    here = RUNNERS[name].available()
    if not here.ok and name == "lava" and os.environ.get("SPIKEPORT_REQUIRE_LAVA"):
        pytest.fail(f"{here.why}: {here.remedy}")
    if not here.ok and name not in ALWAYS:
        pytest.skip(f"{name}: {here.why} ({here.remedy})")
    return RUNNERS[name]


@pytest.mark.parametrize("name", ALWAYS)
def test_our_own_backends_can_be_imported_and_run(name):
    here = get_backend(name).available()
    assert here.ok, f"{here.why} ({here.remedy})"


#: These make objects and code, or a process, for every case: the fast tests take one case in so many, `make test-all` all.
TAKES_LONG = {"brian2": 20, "lava": 12}


def pairs():
    """Yield (case, backend, arithmetic), the most of a slow backend's marked as slow."""
    for name, backend in RUNNERS.items():
        for number, arithmetic in enumerate(backend.arithmetics):
            for index, case in enumerate(cases()):
                every = TAKES_LONG.get(name, 1) * (1 + 3 * number) if name in TAKES_LONG else 1
                marks = (pytest.mark.slow,) if index % every else ()
                yield pytest.param(case, name, arithmetic, marks=marks, id=f"{name}-{arithmetic}-{case}")


@pytest.mark.parametrize(("case", "name", "arithmetic"), list(pairs()))
def test_case(case, name, arithmetic):
    check_case(ready(name), case, arithmetic).require()


@pytest.mark.parametrize("promise", CONTRACT)
@pytest.mark.parametrize("name", RUNNERS)
def test_contract(name, promise):
    check_contract(ready(name), promise).require()


@pytest.mark.parametrize("name", [name for name in RUNNERS if name in ALWAYS])
def test_our_own_backends_run_all_that_the_reference_runs(name):
    reference = get_backend("reference")
    for arithmetic in RUNNERS[name].arithmetics:
        wanted = {c.name for c in cases() if not _refused(reference, c, arithmetic)}
        assert sorted(wanted & {c.name for c in cases() if _refused(RUNNERS[name], c, arithmetic)}) == []


def _refused(backend, case, arithmetic):
    try:
        program = case.program(arithmetic)
    except (UnsupportedError, CapacityError):  # the lowering refuses it, for all backends alike
        return True
    return any(d.severity == "error" for d in backend.check(program))
