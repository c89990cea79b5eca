"""Backends by name: found by entry points of the group ``spikeport.backends``, imported only when asked for."""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points

from spikeport.backends.base import Backend
from spikeport.ir.diagnostics import BackendUnavailable, Diagnostic, UsageError, did_you_mean

GROUP = "spikeport.backends"


def backend_names() -> tuple[str, ...]:
    """Return the names of all backends that are installed, outside packages' included."""
    return tuple(sorted({entry.name for entry in entry_points(group=GROUP)}))


def get_backend(name: str) -> Backend:
    """Return the backend called *name*.

    Raises
    ------
    UsageError
        E601 for a name that no installed package offers.
    BackendUnavailable
        E500 where the backend's module cannot be imported.
    """
    found: dict[str, EntryPoint] = {entry.name: entry for entry in entry_points(group=GROUP)}
    if name not in found:
        raise UsageError(
            Diagnostic("E601", "", f"unknown backend {name!r}{did_you_mean(name, found)}", f"one of {', '.join(sorted(found))}")
        )
    try:
        backend = found[name].load()
    except (ImportError, AttributeError) as error:  # AttributeError: the module has no such object
        raise BackendUnavailable(
            Diagnostic("E500", "", f"backend {name} cannot be imported: {error}", f"pip install 'spikeport[{name}]'")
        ) from error
    if not isinstance(backend, Backend):
        raise BackendUnavailable(
            Diagnostic("E500", "", f"entry point {found[name].value} is no Backend", "ask the authors of its package")
        )
    return backend
