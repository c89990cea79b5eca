"""Layers of spiking libraries that have no importer yet: refused by name, with the way round by a ``.nir`` file.

A layer's library is the top-level package of its class, or of one that it derives from; nothing of the library is
imported. Tracing would stumble over such a layer somewhere inside it, and blame the forward.
"""

from __future__ import annotations

from typing import Any

from spikeport.compiler.importers.torch_library import class_name, library_of
from spikeport.ir.diagnostics import Diagnostic

#: Package -> (what writes a .nir with it, profile that the file then has).
EXPORTERS = {
    "rockpool": ("rockpool.nn.modules.to_nir", "rockpool"),
}


def foreign_library(module: Any) -> str | None:
    """Return the package without an importer that *module* is a layer of, or None."""
    if library_of(module) is not None:
        return None
    tops = (cls.__module__.partition(".")[0] for cls in type(module).__mro__)
    return next((top for top in tops if top in EXPORTERS), None)


def foreign_layers(root: Any) -> list[Diagnostic]:
    """Return an error E030 for every layer in *root* of a library without an importer; what is inside one is part of it.

    The containers of such a library are looked into: what their layers are says more.
    """
    found: list[Diagnostic] = []
    inside: list[str] = []
    for path, module in root.named_modules():
        library = foreign_library(module)
        if library is None or any(path.startswith(f"{outer}.") for outer in inside):
            continue
        if not _is_container(module):
            inside.append(path)
            found.append(_refusal(module, path, library))
    return found


def _is_container(module: Any) -> bool:
    """Whether *module* has both plain layers and foreign ones inside (a neuron may have its own recurrence or surrogate)."""
    below = [m for m in module.modules() if m is not module]
    has_plain = any(type(m).__module__.startswith("torch.nn.") and not any(True for _ in m.children()) for m in below)
    return has_plain and any(foreign_library(m) is not None for m in below)


def _refusal(module: Any, path: str, library: str) -> Diagnostic:
    exporter, profile = EXPORTERS[library]
    name = class_name(module)
    own = "" if type(module).__module__.startswith(f"{library}.") else f", derived from {library}"
    return Diagnostic(
        "E030", path, f"importing {library} modules is not built yet, and this layer is one: {name}{own}",
        f"write the network to a .nir with {exporter}, and give that file --profile {profile}",
        {"class": name, "library": library},
    )  # fmt: skip
