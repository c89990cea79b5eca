"""The real sPyNNaker; where there is none the tests fail under `make test`, else skip."""

import pytest
from aside import needed

from spikeport.backends.spinnaker.environment import KIT


@pytest.fixture(scope="session")
def environment():
    """The worker's environment."""
    return needed(KIT)
