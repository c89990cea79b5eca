"""A million neurons checked, mapped and priced: within 30 s and 2 GB."""

import json
import subprocess
import sys

import pytest


@pytest.mark.slow
def test_a_million_neurons_on_loihi2(root):
    done = subprocess.run(
        [sys.executable, "-P", str(root / "benchmarks" / "million.py"), "loihi2", "10"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["neurons"] == 1_000_000
    assert result["seconds_total"] < 30
    assert result["peak_bytes"] < 2e9
    assert result["cores"] >= 1_000_000 / 8192
    assert result["energy_j_per_sample"] > 0
