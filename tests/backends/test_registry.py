"""Backends by name: what is not there, what cannot be imported, and what is misspelt."""

from importlib.metadata import EntryPoint

import pytest

from spikeport.backends import registry
from spikeport.backends.reference import BACKEND
from spikeport.ir.diagnostics import BackendUnavailable, UsageError
from spikeport.ir.graph import Graph
from spikeport.ir.profiles import parse_profile
from spikeport.ir.program import Program


def offered(monkeypatch, **values):
    entries = [EntryPoint(name, value, registry.GROUP) for name, value in values.items()]
    monkeypatch.setattr(registry, "entry_points", lambda group: entries)


def test_a_backend_is_found_by_its_entry_point(monkeypatch):
    offered(monkeypatch, mine="spikeport.backends.reference:BACKEND")
    assert registry.backend_names() == ("mine",)
    assert registry.get_backend("mine") is BACKEND


@pytest.mark.parametrize(
    ("name", "kind", "message"),
    [
        ("refrence", UsageError, "E601: unknown backend 'refrence' (did you mean 'reference'?)"),
        ("lava", BackendUnavailable, "E500: no installed package offers a backend 'lava'"),
        ("absent", BackendUnavailable, "E500: backend absent cannot be imported: No module named 'not_there'"),
        ("empty", BackendUnavailable, "E500: backend empty cannot be imported: module 'json' has no attribute 'BACKEND'"),
        ("foreign", BackendUnavailable, "E500: entry point json:dumps is no Backend"),
    ],
)
def test_why_not(monkeypatch, name, kind, message):
    offered(monkeypatch, reference="spikeport.backends.reference:BACKEND", absent="not_there:BACKEND",
            empty="json:BACKEND", foreign="json:dumps")  # fmt: skip
    with pytest.raises(kind) as caught:
        registry.get_backend(name)
    assert message in str(caught.value)


def test_a_package_that_fails_at_its_import_is_no_bug_of_ours(monkeypatch, tmp_path):
    (tmp_path / "broken_backend_package.py").write_text("raise RuntimeError('no licence')")
    monkeypatch.syspath_prepend(tmp_path)
    offered(monkeypatch, broken="broken_backend_package:BACKEND")
    with pytest.raises(BackendUnavailable, match="RuntimeError: no licence"):
        registry.get_backend("broken")


def installed(folder, entry, *extras):
    """Write the metadata of a package ``maker`` with one backend, and return its folder for the import path."""
    info = folder / "maker-1.0.dist-info"
    info.mkdir()
    lines = ["Metadata-Version: 2.1", "Name: maker", "Version: 1.0", *(f"Provides-Extra: {e}" for e in extras)]
    (info / "METADATA").write_text("\n".join(lines) + "\n")
    (info / "entry_points.txt").write_text(f"[{registry.GROUP}]\n{entry}\n")
    return folder


@pytest.mark.parametrize(
    ("entry", "extras", "hint"),
    [
        ("gone = not_there.inside:BACKEND", ("gone", "test"), "pip install 'maker[gone]'"),
        ("gone = not_there.inside:BACKEND", ("test",),
         "install the package that has the module not_there, or maker (which offers the backend) anew"),
        ("gone = json:BACKEND", (), "install maker (which offers the backend) anew, or report this to its authors"),
    ],
)  # fmt: skip
def test_only_extras_that_the_package_lists_are_named(monkeypatch, tmp_path, entry, extras, hint):
    monkeypatch.syspath_prepend(installed(tmp_path, entry, *extras))
    with pytest.raises(BackendUnavailable) as caught:
        registry.get_backend("gone")
    assert caught.value.diagnostics[0].hint == hint


def test_who_runs_an_arithmetic(monkeypatch):
    assert registry.backends_with("loihi")[0] == "engine"
    assert registry.backends_with("spinnaker1") == ("spinnaker", "reference")
    assert registry.backends_with("abacus") == ()
    offered(monkeypatch, reference="spikeport.backends.reference:BACKEND", broken="nowhere:BACKEND")
    assert registry.backends_with("float64") == ("reference",)


def test_a_backend_that_lacks_an_arithmetic_names_those_that_have_it():
    program = Program(Graph((), ()), parse_profile("snntorch:zero,dt=1e-3"), "spinnaker1", "", 0, (), ())
    (found,) = registry.get_backend("engine").check(program)
    assert found.code == "E501"
    assert found.hint.startswith("choose --backend spinnaker | reference, or compile with --arith float64 |")
