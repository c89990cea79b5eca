"""Fixtures of the tests of runtime."""

import pytest

from spikeport.runtime.cli.main import run_command


@pytest.fixture
def call(capsys):
    """Call the command: exit code, stdout, stderr."""

    def run(*args):
        capsys.readouterr()
        code = run_command([str(a) for a in args])
        out = capsys.readouterr()
        return code, out.out, out.err

    return run
