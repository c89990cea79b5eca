"""Backends by name: found by entry points of the group ``spikeport.backends``, imported only when asked for."""

from __future__ import annotations

import contextlib
from importlib.metadata import EntryPoint, entry_points

from spikeport.backends.base import Backend
from spikeport.ir.diagnostics import BackendUnavailable, Diagnostic, UsageError, did_you_mean

GROUP = "spikeport.backends"


def backend_names() -> tuple[str, ...]:
    """Return the names of all backends that are installed, outside packages' included."""
    return tuple(sorted({entry.name for entry in entry_points(group=GROUP)}))


def backends_with(arithmetic: str) -> tuple[str, ...]:
    """Return the names of the backends that run *arithmetic*: the engine before all others, the slow reference behind them.

    One that cannot be imported runs nothing.
    """
    found = []
    for name in sorted(backend_names(), key=lambda n: ({"engine": 0, "reference": 2}.get(n, 1), n)):
        with contextlib.suppress(BackendUnavailable):
            if arithmetic in get_backend(name).arithmetics:
                found.append(name)
    return tuple(found)


def get_backend(name: str) -> Backend:
    """Return the backend called *name*.

    Raises
    ------
    UsageError
        E601 for a name that looks like a misspelt one.
    BackendUnavailable
        E500 where no installed package offers the backend, or its module cannot be imported.
    """
    found: dict[str, EntryPoint] = {entry.name: entry for entry in entry_points(group=GROUP)}
    if name not in found:
        close, known = did_you_mean(name, found), f"one of {', '.join(sorted(found))}"
        if close:
            raise UsageError(Diagnostic("E601", "", f"unknown backend {name!r}{close}", known))
        # Backends come from outside packages too: what is not here may be there where its package is installed.
        raise BackendUnavailable(
            Diagnostic(
                "E500", "", f"no installed package offers a backend {name!r}", f"install the package that has it, or {known}"
            )
        )
    try:
        backend = found[name].load()
    except Exception as error:  # an outside package may fail at its import in any way
        what = str(error) if isinstance(error, (ImportError, AttributeError)) else f"{type(error).__name__}: {error}"
        raise BackendUnavailable(
            Diagnostic("E500", "", f"backend {name} cannot be imported: {what}", _remedy(found[name], error))
        ) from error
    if not isinstance(backend, Backend):
        raise BackendUnavailable(
            Diagnostic("E500", "", f"entry point {found[name].value} is no Backend", "ask the authors of its package")
        )
    return backend


def _remedy(entry: EntryPoint, error: Exception) -> str:
    """Return what mends the import of *entry*: the extra of its package that has its name, where the package lists one."""
    package = entry.dist
    name = "spikeport" if package is None else str(package.metadata["Name"])
    if package is not None and entry.name in (package.metadata.get_all("Provides-Extra") or ()):
        return f"pip install '{name}[{entry.name}]'"
    missing = error.name if isinstance(error, ModuleNotFoundError) else None
    if missing and not missing.startswith("spikeport."):
        return f"install the package that has the module {missing.partition('.')[0]}, or {name} (which offers the backend) anew"
    return f"install {name} (which offers the backend) anew, or report this to its authors"
