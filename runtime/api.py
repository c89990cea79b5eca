"""The Python API: load, check, compile, run, compare. ``import spikeport`` offers all of it.

>>> import numpy as np
>>> import spikeport
>>> from spikeport.ir.graph import Edge, Graph, Node
>>> from spikeport.ir.ops import LIF, Affine, Input, Output
>>> lif = LIF(tau=np.array([2e-3]), r=np.ones(1), v_leak=np.zeros(1), v_threshold=np.full(1, 0.1), v_reset=np.zeros(1))
>>> graph = Graph(
...     [Node("in", Input((1,))), Node("fc", Affine(np.ones((1, 1)), np.zeros(1))),
...      Node("lif", lif), Node("out", Output((1,)))],
...     [Edge("in", "fc"), Edge("fc", "lif"), Edge("lif", "out")],
... )
>>> result = spikeport.run(graph, np.ones((10, 1)), backend="reference", profile="norse")
>>> result.out["out"][:, 0].astype(int).tolist()
[0, 0, 1, 0, 0, 1, 0, 0, 1, 0]
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spikeport.compiler.driver import lower
from spikeport.compiler.passes.base import Evaluator
from spikeport.ir.diagnostics import Diagnostic, UsageError
from spikeport.ir.profile import Profile
from spikeport.ir.profiles import missing_profile
from spikeport.ir.program import Program
from spikeport.runtime.batches import Progress
from spikeport.runtime.calibration import calibration_data
from spikeport.runtime.check import CheckResult, check
from spikeport.runtime.compare import Comparison, compare
from spikeport.runtime.evaluate import EngineEvaluator
from spikeport.runtime.files import read_arrays
from spikeport.runtime.inputs import drained, only_shape, prepare_inputs
from spikeport.runtime.model import Model, from_torch, load
from spikeport.runtime.session import RunResult, chip_of, compare_programs, run_program, selected
from spikeport.runtime.stated import living, own_program, require_profile, settled, stated_profile

if TYPE_CHECKING:
    from spikeport.hw_profiles.records import Dead
    from spikeport.hw_profiles.target import Target

__all__ = [
    "CheckResult", "Comparison", "Model", "RunResult", "check", "compare", "compare_backends", "compile", "emit",
    "export", "from_torch", "load", "run", "stated_profile",
]  # fmt: skip


def compile(
    model: Any, target: Target | str | None, profile: Profile | str | None = None, *, opt: int = 1, passes: str | None = None,
    data: Any = None, seed: int = 0, chips: int | None = None, arith: str | None = None, keep: tuple[str, ...] = (),
    evaluator: Evaluator | None = None, allow: tuple[str, ...] = (), dead: Dead | None = None,
) -> Program:  # fmt: skip
    """Return *model* mapped on *target*, ready to run, to store (`save_artifact`) or to price.

    Parameters
    ----------
    model : path, Graph, Model or torch.nn.Module
        As for `load`.
    target : Target, str or None
        Chip; None for a program that is only to be simulated.
    profile : Profile, str or None
        Time semantics; None takes the model's own.
    opt : {0, 1, 2}
        Level of clean-ups; none changes a recorded bit.
    passes : str or None
        Pipeline in place of the level's, such as ``"canonicalise,dead{keep=probe}"``.
    data : path, array or Mapping, optional
        Calibration input, for passes that need it and for the scales of chips' integers. A mapping or ``.npz`` may
        hold ``labels`` beside the inputs, an integer for each sample: accuracies are then measured too.
    seed : int
        For passes that draw random numbers.
    chips : int or None
        Chips to spread over; None for as many as it takes.
    arith : str or None
        Number system; None is float64.
    keep : tuple of str
        Paths that must stay, since they will be recorded.
    evaluator : Evaluator or None
        Who runs models for passes that need it; None is the engine.
    allow : tuple of str
        Approximations that are asked for: ``"reset-change"`` lets arithmetics ``loihi`` and ``spinnaker1`` reset to 0 where
        the model subtracts, ``"slow-leak"`` gives ``spinnaker1`` a leak of 1/32768 where the model has none.
    dead : Dead or None
        Chips, cores and links that do not work, beside those of the target's file; only targets with routing tables
        (spinnaker1) go around them.

    Raises
    ------
    UsageError, ProfileError, ImportModelError, VerifyError, PassError, CapacityError
        See ``spikeport explain CODE``.
    """
    model = load(model)
    if model.program is not None:
        raise UsageError(
            Diagnostic(
                "E618", model.source, "this model is compiled already", "compile the .nir or the module that it came from"
            )
        )
    require_profile(model, profile)
    arith = settled(model, profile, arith, None)[1]
    calibration, labels = calibration_data(data, model.graph)
    return lower(
        model.graph, living(target, dead, model), profile, arithmetic=arith or "float64", opt=opt, passes=passes,
        chips=chips, keep=keep, data=calibration, seed=seed, evaluator=evaluator or EngineEvaluator(), allow=allow,
        labels=labels,
    )  # fmt: skip


def run(
    model: Any, inputs: Any, backend: str = "engine", target: Target | str | None = None, profile: Profile | str | None = None,
    arith: str | None = None, *, steps: int | None = None, encode: str | None = None, seed: int = 0,
    record: tuple[str, ...] | str = (), record_state: bool = False, chips: int | None = None,
    progress: Progress | None = None, backend_options: Mapping[str, str] | None = None, dead: Dead | None = None,
) -> RunResult:  # fmt: skip
    """Run *model* on *inputs*.

    Parameters
    ----------
    model : path, Graph, Model, Program or torch.nn.Module
        As for `load`, or what `compile` returned.
    inputs : path, array or Mapping[str, array]
        (steps, *shape) or (samples, steps, *shape); see `spikeport.runtime.inputs.prepare_inputs`.
    backend : str
        Who runs it; ``spikeport backends`` lists them.
    target : Target, str or None
        Chip to price for. A compiled program has its own.
    profile : Profile, str or None
        Time semantics; None takes the model's own. Naming another than a compiled program's is an error.
    arith : str or None
        Number system; None takes the program's, or the backend's default.
    steps, encode, seed
        See `prepare_inputs`; the seed also goes to the backend.
    record : tuple of str or "all"
        Nodes to keep beside the outputs; ``"all"`` is every neuron population.
    record_state : bool
        Whether to keep membranes too.
    chips : int or None
        Chips to spread over.
    progress : callable, optional
        Called with (samples done, samples in all).
    backend_options : Mapping[str, str], optional
        Options of the backend's own, such as ``{"mode": "cpp_standalone"}`` for brian2.
    dead : Dead or None
        As for `compile`.

    Returns
    -------
    RunResult
        ``spikes``, ``out`` and ``v`` by path, with the leading axes of *inputs*; ``report`` with the prices.

    Raises
    ------
    UsageError, ProfileError, ImportModelError, VerifyError, CapacityError, UnsupportedError, BackendUnavailable, RunError
        See ``spikeport explain CODE``.
    """
    from spikeport.backends.registry import get_backend

    inputs = read_arrays(inputs) if isinstance(inputs, (str, Path)) else inputs
    model = load(model, like=only_shape(inputs))
    runner = get_backend(backend).with_options(backend_options or {})
    named, number = settled(model, profile, arith, target)
    target = living(target, dead, model)
    require_profile(model, named)
    given = prepare_inputs(inputs, model.graph, steps=steps, encode=encode, seed=seed)
    program = own_program(model, target)
    if program is None:
        # Without a target the model runs as it is; with one, as `compile` would have it, recorded nodes kept. Integers
        # get scales that fit what is about to be run.
        program = lower(
            model.graph, target, named, arithmetic=number or runner.arithmetics[0], opt=0 if target is None else 1,
            chips=chips, keep=selected(model.graph, record), data=given.values, evaluator=EngineEvaluator(),
        )  # fmt: skip
    if steps is None:
        given = drained(given, program)
    chip = chip_of(program, target)  # before the run: a price that cannot be had is said at once
    return run_program(
        program, given, runner, record=record, record_state=record_state, seed=seed, target=chip, progress=progress
    )


def compare_backends(
    model: Any, inputs: Any, backends: tuple[str, ...] = ("engine", "reference"), *, profile: Profile | str | None = None,
    arith: str | None = None, steps: int | None = None, encode: str | None = None, seed: int = 0,
) -> Comparison:  # fmt: skip
    """Run *model* in two backends on the same input and compare all spikes, outputs and membranes.

    Raises
    ------
    UsageError
        E609 unless exactly two backends are named; otherwise as `run`.
    """
    from spikeport.backends.registry import get_backend

    inputs = read_arrays(inputs) if isinstance(inputs, (str, Path)) else inputs
    model = load(model, like=only_shape(inputs))
    if len(backends) != 2:
        raise UsageError(
            Diagnostic("E609", "--backends", f"{len(backends)} backends named, two are compared", "--backends A,B")
        )
    runners = [get_backend(name) for name in backends]
    named, number = settled(model, profile, arith, None)
    require_profile(model, named)
    shared = [a for a in runners[0].arithmetics if a in runners[1].arithmetics] or [*runners[0].arithmetics]
    given = prepare_inputs(inputs, model.graph, steps=steps, encode=encode, seed=seed)
    program = model.program or lower(
        model.graph, None, named, arithmetic=number or shared[0], opt=0, data=given.values, evaluator=EngineEvaluator()
    )
    given = given if steps is not None else drained(given, program)
    return compare_programs(program, given, runners, seed=seed)


def export(model: Any, path: str | Path, *, dialect: str, profile: Profile | str | None = None) -> tuple[Diagnostic, ...]:
    """Write *model* as a ``.nir`` file from which a library's own importer builds the same network.

    Where the library is installed, it imports the file and runs beside the model before the file is put in place.

    Parameters
    ----------
    model : path, Graph, Model or torch.nn.Module
        As for `load`.
    path : path
        Where to write; what is there stays whole unless the export succeeds.
    dialect : str
        ``snntorch``, ``sinabs``, ``norse`` or ``spikingjelly``; ``spikeport`` (or ``nir``) for our own form, which loses
        nothing and is plain NIR for others.
    profile : Profile, str or None
        Time semantics; None takes the model's own.

    Returns
    -------
    tuple of Diagnostic
        What was written differently (E585), and that the file was checked (E583) or was not (E582).

    Raises
    ------
    UsageError
        E041 for an unknown dialect, E618 for a compiled program.
    UnsupportedError
        E580, E581, E584: what the library's importer does not read correctly.
    ProfileError, ImportModelError, VerifyError
        See ``spikeport explain CODE``.
    """
    from spikeport.compiler.exporters.export import OWN, export_nir

    model = load(model)
    if model.program is not None:
        raise UsageError(
            Diagnostic("E618", model.source, "this model is compiled already", "export the .nir or the module it came from")
        )
    stated = stated_profile(model, profile)
    if stated is None and dialect not in OWN:
        require_profile(model, None)
        raise missing_profile()
    return export_nir(model.graph, stated, path, dialect)


def emit(
    model: Any, folder: str | Path, backend: str = "brian2", *, inputs: Any = None, profile: Profile | str | None = None,
    arith: str | None = None, steps: int | None = None, encode: str | None = None, seed: int = 0,
) -> tuple[Path, ...]:  # fmt: skip
    """Write *model* as a script of a simulator's own, with its arrays, that runs without spikeport and prints the same spikes.

    Parameters
    ----------
    model : path, Graph, Model, Program or torch.nn.Module
        As for `load`.
    folder : path
        Where to write ``run.py`` and its arrays; made where it is not there.
    backend : str
        Whose simulator; ``brian2``.
    inputs : path, array or Mapping, optional
        What the script runs on by default; None draws spikes at 5 % a step, one sample of *steps* (100).
    profile, arith, steps, encode, seed
        As for `run`.

    Returns
    -------
    tuple of Path
        What was written.

    Raises
    ------
    UsageError
        E608 for a backend without scripts, E633 where files of others are in the way.
    ProfileError, ImportModelError, VerifyError, UnsupportedError
        See ``spikeport explain CODE``.
    """
    from spikeport.backends.registry import get_backend
    from spikeport.runtime.scripts import made_up, write_script

    inputs = read_arrays(inputs) if isinstance(inputs, (str, Path)) else inputs
    model = load(model, like=only_shape(inputs))
    writer = get_backend(backend)
    named, number = settled(model, profile, arith, None)
    require_profile(model, named)
    if inputs is None:
        inputs = made_up(model.graph, steps or 100, seed)
    given = prepare_inputs(inputs, model.graph, steps=steps, encode=encode, seed=seed)
    program = model.program or lower(
        model.graph, None, named, arithmetic=number or writer.arithmetics[0], opt=0, data=given.values,
        evaluator=EngineEvaluator(),
    )  # fmt: skip
    return write_script(writer, program, given.values, Path(folder), model.source)
