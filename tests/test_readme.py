"""The README is true: its commands and snippets run, in its order, and show what it says; what it names exists."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from construct_table import table

from spikeport.backends.registry import backend_names
from spikeport.compiler.passes.table import PASSES
from spikeport.hw_profiles.target import target_names
from spikeport.ir.arithmetic import ARITHMETICS
from spikeport.ir.codes import CODES
from spikeport.ir.profiles import PROFILES
from spikeport.models import digits_conv

SCRIPT = Path(sys.executable).with_name("spikeport")
COMMANDS = (".venv/bin/spikeport ", "spikeport ")
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.M | re.S)
_EXIT = re.compile(r"\s+# exit code (\d+)$")


@pytest.fixture(scope="module")
def readme(root):
    return (root / "README.md").read_text("utf-8")


def test_its_table_of_constructs_is_the_one_that_the_tests_try(readme):
    assert table() in readme, "python tests/helpers/construct_table.py prints the table as it is now"


def run(command, cwd):
    env = {**os.environ, "COLUMNS": "120", "NO_COLOR": "1"}
    return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False, timeout=300)


def squeeze(text):
    """Return *text* with runs of blanks as one: the width of a column is not what the README is about."""
    return " ".join(text.split())


def console(block):
    """Return (command, exit code, lines of output that are shown) for each command of a console block."""
    found = []
    for line in block.splitlines():
        text = line.removeprefix("$ ")
        if text.startswith(COMMANDS):
            code = _EXIT.search(text)
            found.append((_EXIT.sub("", text), int(code.group(1)) if code else 0, []))
        elif line.strip():
            assert found, f"output without a command: {line}"
            found[-1][2].append(line.strip())
    return found


def test_its_commands_and_snippets_run_in_their_order(readme, root, tmp_path):
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "digits_conv.nir").write_bytes((root / "models" / "digits_conv.nir").read_bytes())
    ran = 0
    for language, block in _BLOCK.findall(readme):
        if language == "python":
            done = run([sys.executable, "-P", "-c", block], tmp_path)
            assert done.returncode == 0, f"{block}\n{done.stderr}"
            ran += 1
        else:
            assert language == "console", f"a block of {language}: nobody runs it"
            for command, code, shown in console(block):
                _, *args = shlex.split(command)
                done = run([SCRIPT, *args], tmp_path)
                said = done.stdout + done.stderr
                assert done.returncode == code, f"{command}\n{said}"
                for line in shown:
                    assert line == "..." or squeeze(line) in squeeze(said), f"{command}\nshows {line!r}, not in\n{said}"
                ran += 1
    assert ran > 10


def test_its_test_on_the_bench_passes(readme, root, tmp_path):
    (block,) = [b for language, b in _BLOCK.findall(readme) if language == "python" and "pytest.mark.hil(" in b]
    assert len(block[block.index("@") :].splitlines()) < 10
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "digits_conv.nir").write_bytes((root / "models" / "digits_conv.nir").read_bytes())
    np.save(tmp_path / "images.npy", digits_conv.split()[2][:20])
    (tmp_path / "test_chip.py").write_text(block, "utf-8")
    done = run([sys.executable, "-P", "-m", "pytest", "-p", "no:cacheprovider", "--rootdir", ".", "test_chip.py"], tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout


def test_its_make_targets_links_and_codes_exist(readme, root):
    makefile = (root / "Makefile").read_text("utf-8")
    for target in re.findall(r"^    make (\S+)", readme, re.M):
        assert f"\n{target}:" in makefile, target
    for link in re.findall(r"\]\(([^)#]+)\)", readme.replace("\n", " ")):
        assert (root / link).exists(), link
    assert sorted(set(re.findall(r"\bE\d{3}\b", readme)) - set(CODES)) == []


def test_its_table_names_all_there_is(readme):
    rows = {cells[1].strip(): cells for line in readme.splitlines() if (cells := line.split("|"))[1:] and len(cells) > 3}

    def named(row, column=2):
        return set(re.findall(r"`([^`]+)`", rows[row][column]))

    assert named("Profiles (time semantics)") == set(PROFILES)
    assert named("Arithmetics") == set(ARITHMETICS)
    assert named("Backends") == set(backend_names())
    assert named("Targets") == set(target_names())
    assert named("Passes") == set(PASSES)


def test_its_commands_are_those_of_the_command_line(readme):
    from typer.main import get_command

    from spikeport.runtime.cli.main import app

    (row,) = [line for line in readme.splitlines() if line.startswith("| Command |")]
    assert set(re.findall(r"`([a-z]+)`", row)) == set(get_command(app).commands)
