"""One worker with the real Lava for a whole session; where there is none the tests fail under `make test`, else skip."""

import pytest
from aside import needed

from spikeport.backends.lava.environment import KIT
from spikeport.backends.lava.line import Line


@pytest.fixture(scope="session")
def environment():
    """The worker's environment."""
    return needed(KIT)


class Worker:
    """A line that is made anew when a test has ended it."""

    def __init__(self, place):
        self.place, self.line = place, None

    def get(self):
        if self.line is None or self.line.process.poll() is not None:
            self.line = Line(self.place)
        return self.line


@pytest.fixture(scope="session")
def worker(environment):
    """A worker that several executables take turns in."""
    found = Worker(environment)
    yield found
    if found.line is not None:
        found.line.close()
