"""The real sPyNNaker; where there is none the tests fail under `make test`, else skip."""

import os

import pytest

from spikeport.backends.spinnaker.environment import KIT


@pytest.fixture(scope="session")
def environment():
    """The worker's environment."""
    place, why = KIT.find()
    if place is None:
        if os.environ.get("SPIKEPORT_REQUIRE_SPYNNAKER"):
            pytest.fail(f"{why}: {KIT.remedy}")
        pytest.skip(f"needs sPyNNaker; {why}: {KIT.remedy}")
    return place
