"""The demo of hardware in the loop: ends well, says what happened, sees what is not as intended, and leaves nothing running."""

import tempfile
from pathlib import Path
from xml.etree import ElementTree

import pytest

from spikeport.models import hil_demo
from spikeport.runtime.hil.daemon.line import MARK

pytest.importorskip("sklearn")
pytest.importorskip("grpc")


def left_running(folder):
    """Return the processes that work in *folder*: those of the demo's daemon."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/environ"):
        try:
            if f"{MARK}={folder}/".encode() in entry.read_bytes():
                found.append(entry.parent.name)
        except OSError:
            continue
    return found


@pytest.mark.slow
def test_the_demo(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert hil_demo.main(["--out", str(tmp_path / "demo")]) == 0
    said = capsys.readouterr().out
    assert said.count("as intended: ") == 4
    assert "first divergence: spikes/" in said
    assert said.rstrip().endswith("everything came out as it should, the two failures too")
    results = tmp_path / "demo" / "hil-results"
    assert all((results / name).stat().st_size > 500 for name in hil_demo.REPORTS)
    suites = ElementTree.parse(results / "hil-junit.xml").getroot()
    assert len(suites.findall(".//failure")) == 2
    assert list(results.glob("*/divergence.npz"))
    assert list(results.glob("*/raster.png"))
    assert left_running(tmp_path) == []
    assert [path.name for path in tmp_path.iterdir()] == ["demo"]


@pytest.mark.slow
def test_a_demo_that_comes_out_otherwise_says_so(tmp_path, monkeypatch, capsys):
    suite = hil_demo.SUITE.replace("energy_uj=0.001", "energy_uj=5")
    suite = suite.replace("def test_so_do_both_chips", "def test_of_another_name")
    monkeypatch.setattr(hil_demo, "SUITE", suite)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert hil_demo.main(["--out", str(tmp_path / "demo")]) == 1
    said = capsys.readouterr().out
    assert "NOT AS INTENDED: passed       test_a_budget_that_is_too_small" in said
    assert "test_so_do_both_chips did not run" in said
    assert "everything came out" not in said
    assert left_running(tmp_path) == []


def test_the_users_test_is_under_ten_lines():
    first = hil_demo.SUITE.partition("\n\n\n")[2].partition("\n\n\n")[0]
    assert first.startswith("@pytest.mark.hil(")
    assert len(first.splitlines()) < 10
    compile(hil_demo.SUITE, "test_digits.py", "exec")


def test_a_daemon_that_does_not_start_is_told(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(hil_demo, "CONFIG", "this is no TOML")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert hil_demo.main(["--out", str(tmp_path / "demo")]) == 1
    assert "the daemon did not start" in capsys.readouterr().out
