"""Models: whatever a user names, as a graph with the profile that its source states."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from spikeport.ir.diagnostics import Diagnostic, ImportModelError, SpikeportError, UsageError, did_you_mean
from spikeport.ir.graph import Graph
from spikeport.ir.ops import Shape
from spikeport.ir.profile import Profile
from spikeport.ir.program import Program
from spikeport.runtime.files import near_file


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """A graph, where it came from, and what was said about it.

    Parameters
    ----------
    graph : Graph
        What is computed.
    source : str
        File, ``FILE.py:FUNCTION`` or the class of the module.
    program : Program or None
        The mapped form, where the source is a compiled ``.spk``; its profile and arithmetic then stand.
    diagnostics : tuple of Diagnostic
        Repairs and doubts of the import.
    leaves_open : Diagnostic or None
        What the dialect of the source does not show (E338): the answer to a run without a profile.
    """

    graph: Graph
    source: str = ""
    program: Program | None = None
    diagnostics: tuple[Diagnostic, ...] = ()
    leaves_open: Diagnostic | None = None

    @property
    def profile(self) -> Profile | None:
        """The execution profile that the source states, or None."""
        return self.graph.profile if self.program is None else self.program.profile

    @property
    def arithmetic(self) -> str | None:
        """The number system that the source states (a program, or the note ``arithmetic`` of a ``.net`` file), or None."""
        return self.graph.notes.get("arithmetic") if self.program is None else self.program.arithmetic

    @property
    def inputs(self) -> dict[str, Shape]:
        """Shape of every Input node."""
        return {path: self.graph[path].op.shape for path in self.graph.inputs}  # type: ignore[attr-defined]


def load(source: Any, input_shape: Shape | None = None, *, like: Shape | None = None, dialect: str | None = None) -> Model:
    """Return the model that *source* names.

    Parameters
    ----------
    source : path, str, Graph, Program, Model or torch.nn.Module
        A ``.nir``, ``.net`` (lava-dl) or ``.spk`` file; ``FILE.py:FUNCTION``, which **runs the user's own code** and is
        trusted, as against every other kind of file; or something that is a model already. FUNCTION takes no arguments and
        returns a torch module, (module, input shape), or a Graph.
    input_shape : tuple of int, optional
        Shape of the input without batch and time, for a torch module or ``.net`` file that does not fix it (convolutions).
    like : tuple of int, optional
        Shape of an array that will be run: where the module or ``.net`` file leaves its input shape open and only one
        number of this array's last axes fits, these are taken.
    dialect : str, optional
        Library that wrote the ``.nir`` file, ``NAME[:RESET][,field=value]``: it knows what its exporter did to the model,
        and gives the profile. Without it the marks that the file bears decide.

    Raises
    ------
    UsageError
        E630 for a name that is no model, E041 for an unknown dialect.
    ImportModelError
        E0xx for a model that cannot be expressed.
    ArtifactError
        E7xx for a bad ``.spk``.
    """
    if isinstance(source, (str, Path)) and Path(source).suffix == ".nir" and Path(source).is_file():
        return _load_nir(Path(source), str(source), dialect)
    model = _load(source, input_shape, like)
    if dialect is None:
        return model
    text = f"this is no .nir file of another program, so it says what it means: the dialect {dialect} is not used"
    unused = Diagnostic("E047", model.source, text, "leave the dialect out", severity="warning")
    return replace(model, diagnostics=(*model.diagnostics, unused))


def _load(source: Any, input_shape: Shape | None, like: Shape | None) -> Model:
    if isinstance(source, Model):
        return source
    if isinstance(source, Graph):
        return Model(source)
    if isinstance(source, Program):
        return Model(source.graph, program=source)
    if isinstance(source, (str, Path)):
        return _load_file(str(source), input_shape, like)
    if _is_torch(source):
        return _from_module(source, input_shape, like)
    raise UsageError(
        Diagnostic("E630", "", f"a {type(source).__name__} is no model",
                   "give a .nir, .net or .spk file, FILE.py:FUNCTION, a torch module, or a Graph")
    )  # fmt: skip


def from_torch(module: Any, input_shape: Shape | None = None, sample: Any = None, *, time_axis: int | None = None) -> Model:
    """Return the model of a ``torch.nn.Module`` built with a supported library.

    Reset kind and delay, dt, decays and learned thresholds are read from the module itself.

    Parameters
    ----------
    module : torch.nn.Module
        The trained network.
    input_shape : tuple of int, optional
        Shape of the input without batch and time; needed where no layer fixes it.
    sample : torch.Tensor or array, optional
        What the module takes: the module and its import run on it and must give the same spikes (E034 otherwise); it also
        tells the shape of the input. A forward of one step gets it for 32 steps.
    time_axis : int, optional
        For a forward of one step: the axis of *sample* that counts steps.

    Raises
    ------
    ImportModelError
        E0xx, with the path and class of every layer that cannot be expressed.
    """
    from spikeport.compiler.importers.torch_module import import_module

    name = f"{type(module).__module__}.{type(module).__qualname__}"
    graph, found = import_module(module, input_shape, sample, time_axis)
    return Model(graph, name, None, found)


def _is_torch(value: Any) -> bool:
    return any(cls.__module__.startswith("torch.nn") for cls in type(value).__mro__)


def _from_module(module: Any, input_shape: Shape | None, like: Shape | None) -> Model:
    """Return the model of *module*; where its input shape is open, the one reading of *like* that fits."""
    try:
        return from_torch(module, input_shape)
    except ImportModelError as error:
        if input_shape is not None or like is None or {d.code for d in error.diagnostics} != {"E024"}:
            raise
        fitting = []
        for axes in range(1, min(len(like), 5)):
            try:
                fitting.append(from_torch(module, like[-axes:]))
            except SpikeportError:
                continue
        if len(fitting) != 1:
            raise
        return fitting[0]


def _load_nir(path: Path, text: str, dialect: str | None) -> Model:
    from spikeport.compiler.importers.nir_file import load_nir

    graph, found = load_nir(path, dialect)
    asked = next((d for d in found if d.code == "E338"), None)
    return Model(graph, text, None, tuple(d for d in found if d is not asked), asked)


def _load_file(text: str, input_shape: Shape | None, like: Shape | None) -> Model:
    path, function = _split(text)
    if function:
        return _from_function(path, function, text, input_shape, like)
    if not path.is_file():
        what = "is a folder" if path.is_dir() else f"is not there{near_file(path)}"
        raise UsageError(Diagnostic("E630", text, f"{text} {what}", "give a .nir, .net or .spk file, or FILE.py:FUNCTION"))
    if path.suffix == ".spk":
        from spikeport.runtime.artifact import load_artifact

        program = load_artifact(path)
        return Model(program.graph, text, program)
    if path.suffix == ".net":
        from spikeport.compiler.importers.netx import load_netx

        graph, found = load_netx(path, input_shape, like)
        return Model(graph, text, None, found)
    hint = (
        f"write {text}:FUNCTION to run a function of it"
        if path.suffix == ".py"
        else "give a .nir, .net or .spk file, or FILE.py:FUNCTION"
    )
    raise UsageError(Diagnostic("E630", text, f"{text} is no model: unknown suffix {path.suffix!r}", hint))


def _split(text: str) -> tuple[Path, str]:
    file, colon, function = text.rpartition(":")
    return (Path(file), function) if colon and file.endswith(".py") else (Path(text), "")


def _from_function(path: Path, function: str, text: str, input_shape: Shape | None, like: Shape | None) -> Model:
    """Run the user's own function and import what it returns."""
    if not path.is_file():
        raise UsageError(Diagnostic("E630", text, f"{path} is not there{near_file(path)}", "give FILE.py:FUNCTION"))
    name = f"_spikeport_user_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise UsageError(Diagnostic("E630", text, f"{path} is no Python file", "give FILE.py:FUNCTION"))
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pickles in the file look their module up
    folder = str(path.resolve().parent)
    sys.path.insert(0, folder)  # the file's own imports work as under `python FILE.py`
    try:
        spec.loader.exec_module(module)
        build = getattr(module, function, None)
        if not callable(build):
            known = [n for n in vars(module) if callable(getattr(module, n)) and not n.startswith("_")]
            raise UsageError(
                Diagnostic("E630", text, f"{path} has no function {function!r}{did_you_mean(function, known)}",
                           f"it has {', '.join(sorted(known)[:12]) or 'none'}")
            )  # fmt: skip
        built = build()
    except SpikeportError:
        raise
    except (Exception, SystemExit) as error:  # the user's code may raise anything, and exit() is no verdict of ours
        raise ImportModelError(
            Diagnostic("E080", text, f"{function}() of {path} raised {type(error).__name__}: {error}{_where(error, path)}",
                       f"run `python -c` on it alone, or mend {path}")
        ) from error  # fmt: skip
    finally:
        sys.path.remove(folder)
    if isinstance(built, tuple) and len(built) == 2 and isinstance(built[1], (tuple, list)):
        built, input_shape = built[0], tuple(int(n) for n in built[1]) if input_shape is None else input_shape
    if isinstance(built, (Graph, Program, Model)) or _is_torch(built):
        model = load(built, input_shape, like=like)
        return Model(model.graph, text, model.program, model.diagnostics)
    raise ImportModelError(
        Diagnostic("E081", text, f"{function}() of {path} returned a {type(built).__name__}",
                   "return a torch module, (module, input shape), or a spikeport Graph")
    )  # fmt: skip


def _where(error: BaseException, path: Path) -> str:
    """Return the line of the user's file that the error passed, if any."""
    lines = []
    trace = error.__traceback__
    while trace is not None:
        if Path(trace.tb_frame.f_code.co_filename) == path or trace.tb_frame.f_code.co_filename == str(path.resolve()):
            lines.append(trace.tb_lineno)
        trace = trace.tb_next
    return f" (line {lines[-1]})" if lines else ""
