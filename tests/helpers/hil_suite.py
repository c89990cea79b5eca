"""Suites of tests on devices, run by a pytest of their own, and what they reported."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

HELPERS = Path(__file__).parent
#: What every suite begins with.
HEAD = """
import numpy as np
import pytest
from hil_parts import X, artifact, network
from spikeport.ir.diagnostics import Diagnostic, RunTimeout
from spikeport.runtime.hil.outcome import HilError, Outcome
"""


class Done:
    """What a suite gave."""

    def __init__(self, process, folder):
        self.code, self.text = process.returncode, process.stdout + process.stderr
        path = folder / "hil-results" / "hil.json"
        self.data = json.loads(path.read_text()) if path.is_file() else {"tests": []}
        self.tests = {re.sub(r".*::", "", t["test"]): t for t in self.data["tests"]}

    @property
    def outcomes(self):
        """Outcomes, or the statuses of what has none, by test."""
        return {name: t["outcome"] or t["status"] for name, t in self.tests.items()}


def run(folder, body, *options, head=HEAD, report="json", path=()):
    """Run the suite *body* in *folder*."""
    (folder / "test_suite.py").write_text(head + body)
    # A report of an earlier run must not be taken for this one's.
    (folder / "hil-results" / "hil.json").unlink(missing_ok=True)
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST_", "SPIKEPORT_", "COV_"))}
    environment["PYTHONPATH"] = os.pathsep.join(map(str, (HELPERS, *path)))
    arguments = [*(["--hil-report", report] if report else []), *map(str, options)]
    process = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", os.devnull, "--rootdir", str(folder),
         "test_suite.py", *arguments],
        cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    return Done(process, folder)
