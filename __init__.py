"""spikeport compiles spiking neural networks trained in PyTorch for neuromorphic chips.

This module is a lazy facade: ``import spikeport`` loads neither torch nor numba nor any backend. A name is
fetched from its room when it is first used.

>>> import spikeport
>>> "compile" in dir(spikeport)
True
"""

from typing import TYPE_CHECKING

__version__ = "0.1.0"

__all__ = [
    "Graph",
    "Profile",
    "Report",
    "Target",
    "__version__",
    "check",
    "compare",
    "compile",
    "emit",
    "export",
    "format_reports",
    "from_torch",
    "load",
    "run",
]

if TYPE_CHECKING:
    from spikeport.hw_profiles.target import Target
    from spikeport.ir import Graph, Profile
    from spikeport.runtime.api import check, compare, compile, emit, export, from_torch, load, run
    from spikeport.runtime.report import Report
    from spikeport.runtime.report_text import format_reports
else:
    # Hidden from type checkers: a module with __getattr__ would accept any misspelt name.
    _HOME = {
        "Graph": "spikeport.ir",
        "Profile": "spikeport.ir",
        "Report": "spikeport.runtime.report",
        "Target": "spikeport.hw_profiles.target",
        "check": "spikeport.runtime.api",
        "compare": "spikeport.runtime.api",
        "compile": "spikeport.runtime.api",
        "emit": "spikeport.runtime.api",
        "export": "spikeport.runtime.api",
        "format_reports": "spikeport.runtime.report_text",
        "from_torch": "spikeport.runtime.api",
        "load": "spikeport.runtime.api",
        "run": "spikeport.runtime.api",
    }

    def __getattr__(name):
        """Fetch a public name from its room and keep it."""
        if name not in _HOME:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        value = getattr(import_module(_HOME[name]), name)
        globals()[name] = value
        return value

    def __dir__():
        """Name what is public, loaded or not."""
        return sorted({*globals(), *__all__})
