"""Environments of simulators: found, built aside and at once, by one at a time, and nothing left of a build that failed."""

import json
import shutil
import threading
import time

import pytest
from typer.testing import CliRunner

from spikeport.backends import environments, setups
from spikeport.backends.environments import Interpreter
from spikeport.backends.lava.environment import KIT
from spikeport.backends.spinnaker.environment import KIT as SPYNNAKER
from spikeport.ir.diagnostics import BackendUnavailable, UsageError
from spikeport.runtime.cli.main import app, run_command


def fake_python(path, version="3.11", then="exit 4"):
    """Write an interpreter that tells *version*, and fails at all else."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'#!/bin/sh\ncase "$*" in *version_info*) echo {version};; *) {then};; esac\n')
    path.chmod(0o755)
    return str(path)


def mark(place, pins=None, kit=KIT):
    """Make *place* look like an environment."""
    fake_python(place / "bin" / "python")
    about = {"pins": pins or kit.digest(), "python": "3.11.0", "numpy": "2"}
    (place / kit.mark).write_text(json.dumps(about))


@pytest.fixture(autouse=True)
def nobody_s(monkeypatch, tmp_path):
    """Neither the environment of this machine nor its cache counts here."""
    monkeypatch.delenv("SPIKEPORT_LAVA_ENV", raising=False)
    monkeypatch.delenv("SPIKEPORT_SPYNNAKER_ENV", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(environments.sys, "prefix", str(tmp_path / "venv"))
    environments.version_at.cache_clear()


def test_a_failed_build_leaves_nothing_and_says_which_step(tmp_path):
    python = fake_python(tmp_path / "python3.11", then="echo 'Error: the disk is full' >&2; exit 4")
    said = []
    with pytest.raises(
        BackendUnavailable, match=r"E547: .*virtual environment ended with exit code 4: Error: the disk is full"
    ):
        setups.set_up(KIT, tmp_path / "there" / "lava", said.append, python)
    assert [p.name for p in (tmp_path / "there").iterdir()] == [".lava.lock"]
    assert said[0].startswith("Python 3.11")


def test_an_interpreter_that_does_not_run_is_no_candidate(tmp_path, monkeypatch):
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "pyenv"))
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    shim = fake_python(tmp_path / "path" / "python3.10")
    (tmp_path / "path" / "python3.10").write_text("#!/bin/sh\necho pyenv: version not installed >&2\nexit 127\n")
    good = fake_python(tmp_path / "pyenv" / "versions" / "3.10.13" / "bin" / "python", "3.10")
    assert KIT.interpreter_at(shim) is None
    assert KIT.find_interpreter() == Interpreter(good, "3.10")
    shutil.rmtree(tmp_path / "pyenv")
    other = fake_python(tmp_path / "path" / "python3.11")
    assert KIT.find_interpreter() == Interpreter(other, "3.11")
    with pytest.raises(BackendUnavailable, match=r"E547: .*is no Python 3.10 or 3.11 that runs and has venv"):
        setups.set_up(KIT, tmp_path / "x", print, fake_python(tmp_path / "path" / "python3.13", "3.13"))


def test_two_at_once_build_it_once(tmp_path, monkeypatch):
    built, said, answers = [], [], []

    def build(kit, place, python, say):
        built.append(place)
        time.sleep(0.3)
        mark(place)
        return "built"

    monkeypatch.setattr(setups, "_build", build)
    python = fake_python(tmp_path / "python3.11")
    threads = [
        threading.Thread(target=lambda: answers.append(setups.set_up(KIT, tmp_path / "lava", said.append, python)))
        for _ in "ab"
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert built == [tmp_path / "lava"]
    assert sorted(a.split(":")[0] for a in answers) == ["Lava's environment is there", "built"]
    assert said == ["another setup is at work on it: waiting"]


def test_what_is_there_is_kept_and_what_is_another_s_is_left_alone(tmp_path):
    mark(tmp_path / "lava")
    assert setups.set_up(KIT, tmp_path / "lava", print).startswith("Lava's environment is there: Python 3.11.0")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("keep me")
    with pytest.raises(BackendUnavailable, match=r"E547: .*holds something else"):
        setups.set_up(KIT, tmp_path / "mine", print)
    assert (tmp_path / "mine" / "notes.txt").read_text() == "keep me"
    (tmp_path / "file").write_text("")
    with pytest.raises(BackendUnavailable, match=r"E547"):
        setups.set_up(KIT, tmp_path / "file" / "lava", print)


def test_environments_are_found_by_variable_then_beside_spikeport_then_in_the_cache(tmp_path, monkeypatch):
    assert KIT.find() == (None, "Lava's environment is not there")
    mark(KIT.default_place())
    assert KIT.find()[0] == tmp_path / "cache" / "spikeport" / f"lava-{KIT.digest()}"
    mark(tmp_path / "venv" / "lava")
    assert KIT.find()[0] == tmp_path / "venv" / "lava"
    monkeypatch.setenv("SPIKEPORT_LAVA_ENV", str(tmp_path / "named"))
    assert KIT.find()[0] is None
    mark(tmp_path / "named", pins="others")
    assert KIT.find() == (None, "Lava's environment was built for another version of spikeport")


def test_the_command_says_what_it_is_for(tmp_path, capsys, monkeypatch):
    mark(tmp_path / "lava")
    assert run_command(["backends", "setup", "lava", "--path", str(tmp_path / "lava")]) == 0
    assert "is there" in capsys.readouterr().out
    assert run_command(["backends", "setup", "engine"]) == UsageError.exit_code
    assert "E548" in capsys.readouterr().err
    python = fake_python(tmp_path / "python3.11")
    assert run_command(["backends", "setup", "lava", "--path", str(tmp_path / "new"), "--python", python]) == 5
    assert "E547" in capsys.readouterr().err
    shown = CliRunner().invoke(app, ["backends", "--json"])
    (row,) = (r for r in json.loads(shown.stdout) if r["name"] == "lava")
    assert row["remedy"] == "spikeport backends setup lava"
    assert row["fidelities"] == {"loihi": "bit_exact", "float64": "float"}


def test_the_doctor_says_what_is_missing(tmp_path, monkeypatch):
    from spikeport.runtime.health import examine

    monkeypatch.setattr(environments, "candidates", lambda versions: iter(()))
    lines = {c.name: c for c in examine()}
    assert lines["lava worker"].remedy == "spikeport backends setup lava"
    assert "no Python 3.10 or 3.11" in lines["lava python"].text
    assert not lines["lava python"].needed
    python = fake_python(tmp_path / "python3.11")
    monkeypatch.setattr(environments, "candidates", lambda versions: iter((python,)))
    lines = {c.name: c for c in examine()}
    assert "its one clash is mended" in lines["lava python"].text
    assert lines["spynnaker worker"].remedy == "spikeport backends setup spinnaker"
    mark(SPYNNAKER.default_place(), kit=SPYNNAKER)
    found = {c.name: c for c in examine()}["spynnaker worker"]
    assert found.ok
    assert "sPyNNaker 7.4.1" in found.text


@pytest.mark.slow
@pytest.mark.parametrize(("kit", "version"), [(kit, v) for kit in (KIT, SPYNNAKER) for v in kit.pins])
def test_every_python_makes_an_environment_that_works(kit, version, tmp_path):
    found = next(
        (p for c in environments.candidates((version,)) if (p := kit.interpreter_at(c)) and p.version == version), None
    )
    if found is None:
        pytest.skip(f"needs Python {version}")
    place = tmp_path / kit.name
    text = setups.set_up(kit, place, print, found.path)  # which runs a network in it, and looks at what it does
    assert text.startswith(f"{kit.title}'s environment is built: Python {version}")
    assert kit.read_mark(place)["python"].startswith(version)
    left = {p.name for p in tmp_path.iterdir()} - {"cache"}  # where pip keeps what it built
    assert left == {f".{kit.name}.lock", kit.name}


def test_an_environment_whose_first_network_does_otherwise_is_not_kept(tmp_path):
    answer = '{"cores": 2, "chips": 1, "python": "3.11.0", "numpy": "2"}'
    # It "makes" an environment by copying itself there; all that runs in it gives the same answer.
    make = 'for place in "$@"; do :; done; case "$*" in *venv*) mkdir -p "$place/bin"; cp "$0" "$place/bin/python";; esac'
    python = fake_python(tmp_path / "python3.11", then=f"{make}; echo '{answer}'")
    with pytest.raises(
        BackendUnavailable, match="E547: sPyNNaker's environment cannot be built: cores of its first network is 2"
    ):
        setups.set_up(SPYNNAKER, tmp_path / "there" / "spynnaker", print, python)
    assert [p.name for p in (tmp_path / "there").iterdir()] == [".spynnaker.lock"]
