"""Scripts of other simulators: written into a folder of their own, never over what somebody else put there."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from spikeport.backends.base import Backend
from spikeport.ir.diagnostics import Diagnostic, UsageError
from spikeport.ir.graph import Graph
from spikeport.ir.ops import Array
from spikeport.ir.program import Program
from spikeport.runtime.files import make_folder, write_atomic, write_npz

#: In the first line of a script; a folder whose script has it may be written anew.
MARK = "written by spikeport"
#: Share of ones in input that nobody gave.
RATE = 0.05


def made_up(graph: Graph, steps: int, seed: int) -> dict[str, Array]:
    """Return spikes for every input of *graph*, one sample: (1, steps, *shape), uint8."""
    rng = np.random.default_rng(seed)
    shapes = {path: graph[path].op.input_shape_hint() or () for path in graph.inputs}
    return {path: (rng.random((1, steps, *shape)) < RATE).astype(np.uint8) for path, shape in shapes.items()}


def write_script(
    backend: Backend, program: Program, inputs: Mapping[str, Array], folder: Path, source: str
) -> tuple[Path, ...]:
    """Write *program* as a script of *backend* into *folder*; return the files.

    Raises
    ------
    UsageError
        E633 where files are in the way that no script of ours came with, E631 where nothing can be written.
    """
    from spikeport import __version__

    named = Path(source).name if source else "a network"
    fields = textwrap.fill(str(program.profile).replace(",", ", "), 118, break_long_words=False, break_on_hyphens=False)
    title = f"{named}, {MARK} {__version__} (graph {program.graph.digest[:16]}).\n\nIts time semantics:\n{fields}"
    files = backend.script(program, inputs, title)
    _refuse_foreign(folder, tuple(files))
    make_folder(folder)
    for name, content in files.items():
        if isinstance(content, str):
            write_atomic(folder / name, lambda stream, text=content: stream.write(text.encode()))  # type: ignore[misc]
        else:
            write_npz(folder / name, content)
    return tuple(folder / name for name in files)


def _refuse_foreign(folder: Path, names: tuple[str, ...]) -> None:
    if folder.exists() and not folder.is_dir():
        raise UsageError(Diagnostic("E633", str(folder), "there is a file of this name", "name a folder"))
    there = [name for name in names if (folder / name).exists() or (folder / name).is_symlink()]
    if not there:
        return
    script = folder / "run.py"
    try:
        with script.open(encoding="utf-8", errors="replace") as file:
            is_ours = not script.is_symlink() and MARK in file.readline()
    except OSError:
        is_ours = False
    if not is_ours:
        raise UsageError(
            Diagnostic(
                "E633", str(folder), f"the folder holds {', '.join(there)}, and no script of ours", "name another folder"
            )
        )
