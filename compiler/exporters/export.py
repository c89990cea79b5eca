"""Exports a graph as a ``.nir`` file in one library's dialect: written beside, tried there, and only then put in place."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from spikeport.compiler.exporters.check import check
from spikeport.compiler.exporters.libraries import LIBRARIES, REFUSED, Library
from spikeport.compiler.exporters.rewrite import rewrite
from spikeport.ir import Diagnostic, Graph
from spikeport.ir.diagnostics import UnsupportedError, UsageError, did_you_mean
from spikeport.ir.network import build_network
from spikeport.ir.nir_io import save_nir
from spikeport.ir.profile import Profile
from spikeport.ir.verify import verify

#: Names of our own form, which loses nothing.
OWN = ("spikeport", "nir")
#: What ``--dialect`` of an export takes.
DIALECTS = (*LIBRARIES, *OWN)


def export_nir(graph: Graph, profile: Profile | None, path: str | os.PathLike[str], dialect: str) -> tuple[Diagnostic, ...]:
    """Write *graph* to *path* so that the importer of *dialect*'s library builds the same network.

    Parameters
    ----------
    graph : Graph
        Verified or not.
    profile : Profile or None
        Its time semantics; needed for every library's dialect. Our own takes None: the file then states none.
    path : path
        What is there stays whole unless the export succeeds.
    dialect : str
        ``snntorch``, ``sinabs``, ``norse``, ``spikingjelly``, or ``spikeport`` (``nir``) for our own exact form.

    Returns
    -------
    tuple of Diagnostic
        Notes: what was written differently (E585), and that the file was checked (E583); warnings where it was not (E582) and
        where weights were rounded (E586).

    Raises
    ------
    UsageError
        E041 for an unknown dialect, E690 for a path that cannot be written.
    UnsupportedError
        E584 for a library whose importer reads nothing correctly; E580 for what this one does not; E581 where the
        library's own import of the file gave other outputs.
    VerifyError
        Where the graph does not verify under the profile.
    """
    name = dialect.strip().lower()
    if os.path.exists(path) and not os.path.isfile(path):  # a device or a folder is never replaced
        raise UsageError(Diagnostic("E690", str(path), f"cannot be written: {path} is no file", "choose another place"))
    if name in OWN:
        save_nir(graph if profile is None else graph.replace(profile=profile), path)
        return ()
    library = _library(name)
    if profile is None:
        raise AssertionError("a library's dialect needs a profile")
    warnings = tuple(d for d in verify(graph, profile) if d.severity == "warning")
    written, notes = rewrite(build_network(graph, profile), library)
    where = Path(path)
    try:
        handle, hold = tempfile.mkstemp(prefix=f".{where.name[:64]}.", suffix=".nir", dir=where.parent)
    except OSError as error:
        reason = error.strerror or str(error)
        raise UsageError(Diagnostic("E690", str(path), f"cannot be written: {reason}", "choose another place")) from error
    os.close(handle)
    try:
        save_nir(written, hold)
        found = check(hold, build_network(graph, profile, "float32"), library)
        os.replace(hold, where)
    except OSError as error:
        reason = error.strerror or str(error)
        raise UsageError(Diagnostic("E690", str(path), f"cannot be written: {reason}", "choose another place")) from error
    finally:
        Path(hold).unlink(missing_ok=True)
    checked = Diagnostic(found.code, str(path), found.message, found.hint, found.facts, found.severity)
    return (*warnings, *notes, checked)


def _library(name: str) -> Library:
    key = name.replace("_", "-")
    if name in LIBRARIES:
        return LIBRARIES[name]
    if key in REFUSED:
        hint = f"choose one of {', '.join(DIALECTS)}"
        raise UnsupportedError(Diagnostic("E584", "--dialect", f"nothing is exported for {key}: {REFUSED[key]}", hint))
    known = (*DIALECTS, *REFUSED)
    hint = f"one of {', '.join(DIALECTS)}"
    raise UsageError(Diagnostic("E041", "--dialect", f"unknown dialect {name!r}{did_you_mean(name, known)}", hint))
