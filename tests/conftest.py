"""Options, fixtures and Hypothesis profiles of the whole suite."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

# Torch's threads wait for each other busily by default: where cores are shared, with the other xdist worker above all, a
# test then takes several times as long as on a quiet machine. Read when torch is imported, which is later.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# Same examples on every machine and no deadline: a red test means a changed program, not a busy machine.
# `--hypothesis-profile=explore` looks for new examples.
settings.register_profile("ci", derandomize=True, deadline=None, print_blob=True)
settings.register_profile("explore", max_examples=1000, deadline=None, print_blob=True)
settings.load_profile("ci")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--anchors",
        metavar="DIR",
        default=None,
        # With "=": pytest looks for its configuration before it knows this option, and would take a DIR that
        # stands alone for the place to look in.
        help="recorded real graphs, written --anchors=DIR (default: ../shared/anchors from the root)",
    )


@pytest.fixture(scope="session")
def anchors(request: pytest.FixtureRequest) -> Path:
    """Folder of the recorded real graphs; the test is skipped where they are not at hand.

    Given with ``--anchors``, the folder must exist: a misspelt one is an error, not a skip.
    """
    given = request.config.getoption("--anchors")
    if given is not None:
        folder = Path(given)
        if not (folder / "INDEX.md").is_file():
            pytest.fail(f"--anchors={given}: no INDEX.md in there")
        return folder.resolve()
    folder = request.config.rootpath.parent / "shared" / "anchors"
    if not (folder / "INDEX.md").is_file():
        pytest.skip("needs the recorded graphs (anchors): give their folder with --anchors=DIR")
    return folder


@pytest.fixture(scope="session")
def root(request: pytest.FixtureRequest) -> Path:
    """Root of the source tree."""
    return request.config.rootpath
