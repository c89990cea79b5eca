"""The demo of hardware in the loop: a daemon with two devices, and a user's tests of a trained network against both.

``make hil-demo`` runs it, or ``python -m spikeport.models.hil_demo``. Two of the tests have to fail, one by a fault that is
injected and one by a budget that is too small, and they have to fail for these reasons. Ends with exit code 0 where everything
came out as it should, 1 otherwise, and leaves a folder with the test file, its inputs and the reports. Nothing is left running.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

#: What the user writes. The first test is all that it takes.
SUITE = '''\
"""Tests of a trained network on the bench: pytest runs them on every device that --hil-url offers."""

import numpy as np
import pytest


@pytest.mark.hil(target="loihi2")
@pytest.mark.hil_budget(latency_ms=0.1, energy_uj=5)
def test_the_chip_does_what_the_model_did(hil_artifact, hil_compare):
    hil_compare(hil_artifact("digits_dense.nir"), np.load("samples.npy"))


@pytest.mark.hil(target="loihi2", count=2)
def test_so_do_both_chips(hil_artifact, hil_compare, hil_devices):
    for device in hil_devices():
        hil_compare(hil_artifact("digits_dense.nir"), np.load("samples.npy"), device)


@pytest.mark.hil(target="loihi2")
def test_a_chip_that_loses_spikes(hil_artifact, hil_compare, hil_fault):
    hil_fault("spike_drop:p=0.02,seed=1")
    hil_compare(hil_artifact("digits_dense.nir"), np.load("samples.npy"))


@pytest.mark.hil(target="loihi2")
@pytest.mark.hil_budget(energy_uj=0.001)
def test_a_budget_that_is_too_small(hil_artifact, hil_compare):
    hil_compare(hil_artifact("digits_dense.nir"), np.load("samples.npy"))
'''

#: How each test has to end, and what its message has to say.
WANTED = {
    "test_the_chip_does_what_the_model_did": ("passed", ""),
    "test_so_do_both_chips": ("passed", ""),
    "test_a_chip_that_loses_spikes": ("mismatch", "first divergence"),
    "test_a_budget_that_is_too_small": ("over_budget", "energy"),
}
REPORTS = ("hil.json", "hil-junit.xml", "hil.html")
CONFIG = "".join(f'[devices.{name}]\nbackend = "engine"\ntarget = "loihi2"\n\n' for name in ("chip0", "chip1"))
SAMPLES = 20
#: Seconds after which a daemon or a test session that does not end is ended.
PATIENCE_S = 300.0


def write_files(folder: Path) -> None:
    """Write into *folder* what a user has: the network, inputs of shape (samples, steps, 1, 8, 8), the tests."""
    import numpy as np

    from spikeport.models import digits, digits_dense

    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy2(Path(__file__).with_name("digits_dense.nir"), folder)
    np.save(folder / "samples.npy", digits_dense.encode(digits.split()[2][:SAMPLES]))
    (folder / "test_digits.py").write_text(SUITE)
    (folder / "hild.toml").write_text(CONFIG)


@contextlib.contextmanager
def daemon(folder: Path, state: Path) -> Iterator[str]:
    """Yield the address of a daemon with the devices of *folder*'s ``hild.toml``; end it, and see that it ends well.

    Raises
    ------
    RuntimeError
        Where it does not start, or does not end in good order.
    """
    code = "from spikeport.runtime.cli.main import main\nmain()"
    options = ["--config", str(folder / "hild.toml"), "--state", str(state), "--listen", "127.0.0.1:0"]
    process = subprocess.Popen([sys.executable, "-P", "-c", code, "hild", *options], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        if not line.startswith("listening on "):
            raise RuntimeError("the daemon did not start; what it said stands above")
        yield line.removeprefix("listening on ").strip()
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(PATIENCE_S)
        finally:
            process.kill()
            process.stdout.close()
    if process.returncode != 0:
        raise RuntimeError(f"the daemon ended with exit code {process.returncode}")
    if any((state / "work").iterdir()):  # the folders of its workers, which go when all of their processes are gone
        raise RuntimeError("the daemon has left workers")


def run_tests(folder: Path, url: str) -> dict[str, Any]:
    """Run the user's tests with pytest and return what they reported, by name of the test."""
    command = [sys.executable, "-P", "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", os.devnull, "--rootdir", str(folder)]
    options = ["--hil-url", url, "--hil-report", "json,junit,html", "--hil-out", str(folder / "hil-results")]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}
    done = subprocess.run(
        [*command, "test_digits.py", *options], cwd=folder, env=environment, capture_output=True, text=True,
        timeout=PATIENCE_S, check=False,
    )  # fmt: skip
    (folder / "pytest.txt").write_text(done.stdout + done.stderr)
    try:
        data = json.loads((folder / "hil-results" / "hil.json").read_text())
    except (OSError, ValueError):
        print(done.stdout + done.stderr, file=sys.stderr)
        return {}
    return {str(test["test"]).rpartition("::")[2]: test for test in data["tests"]}


def judge(tests: dict[str, Any], folder: Path) -> list[str]:
    """Return what did not come out as it should, after printing what came out."""
    wrong = [f"{name} did not run" for name in WANTED if name not in tests]
    for name, (outcome, says) in WANTED.items():
        if name not in tests:
            continue
        found, last = tests[name], tests[name]["attempts"][-1]
        is_right = found["outcome"] == outcome and says in found["message"]
        print(f"{'as intended' if is_right else 'NOT AS INTENDED'}: {found['outcome'] or found['status']:12s} {name}")
        told = [line for budget in last.get("budget", []) for line in budget["lines"]]
        told += [line for line in found["message"].splitlines() if outcome == "mismatch" or not is_right][:4]
        for line in (*told, *last.get("evidence", [])):
            print(f"    {line.strip().partition(' (')[0]}")
        if not is_right:
            wrong.append(f"{name}: {found['outcome'] or found['status']}, not {outcome}")
    missing = [name for name in REPORTS if not (folder / "hil-results" / name).is_file()]
    return wrong + [f"no report {name}" for name in missing]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo; return its exit code."""
    parser = argparse.ArgumentParser(prog="spikeport.models.hil_demo", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--out", type=Path, default=Path("hil-demo"), metavar="DIR", help="default: hil-demo")
    folder = parser.parse_args(arguments).out.resolve()
    shutil.rmtree(folder / "hil-results", ignore_errors=True)  # a report of an earlier run must not be taken for this one's
    write_files(folder)
    try:
        with tempfile.TemporaryDirectory(prefix="spikeport-hild-") as state, daemon(folder, Path(state)) as url:
            print(f"a daemon at {url} offers chip0 and chip1, which stand for loihi2 and are simulated")
            print(f"pytest {folder / 'test_digits.py'} --hil-url {url}\n")
            tests = run_tests(folder, url)
            wrong = judge(tests, folder)
    except RuntimeError as error:
        wrong = [str(error)]
    print(f"\nwhat pytest said, and the reports:\n    {folder / 'pytest.txt'}")
    for name in REPORTS:
        print(f"    {folder / 'hil-results' / name}")
    print("\n" + ("everything came out as it should, the two failures too" if not wrong else "\n".join(wrong)))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
