"""Environments that simulators have by themselves, as the tests need them."""

import os

import pytest


def needed(kit):
    """Return where the environment of *kit* lies; where there is none the test fails under `make test`, else is skipped."""
    place, why = kit.find()
    if place is None:
        if os.environ.get(f"SPIKEPORT_REQUIRE_{kit.name.upper()}"):
            pytest.fail(f"{why}: {kit.remedy}")
        pytest.skip(f"needs {kit.title}; {why}: {kit.remedy}")
    return place
