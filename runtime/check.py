"""All that speaks against compiling a model for a target, as values: nothing is raised."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from spikeport.backends.mapping_check import MappingCheck
from spikeport.compiler.driver import lower
from spikeport.ir.diagnostics import (
    CapacityError,
    Diagnostic,
    ProfileError,
    RunError,
    SpikeportError,
    UnsupportedError,
    UsageError,
    VerifyError,
    fail_on_errors,
)  # fmt: skip
from spikeport.ir.profile import Profile
from spikeport.ir.profiles import missing_profile
from spikeport.ir.program import Program
from spikeport.ir.verify import findings
from spikeport.runtime.model import load
from spikeport.runtime.stated import asked_back, living, own_program, settled

if TYPE_CHECKING:
    from spikeport.hw_profiles.records import Dead
    from spikeport.hw_profiles.target import Target


@dataclass(frozen=True, slots=True, eq=False)
class CheckResult:
    """What `check` found.

    Parameters
    ----------
    diagnostics : tuple of Diagnostic
        All findings: errors, warnings and notes.
    program : Program or None
        The mapped model, where nothing stands in the way.
    exit_code : int
        What the command line answers with: 0, or that of the first kind of error.
    mapping : MappingCheck or None
        The mapping beside that of the machine's own tools, where it was asked for.
    """

    diagnostics: tuple[Diagnostic, ...]
    program: Program | None
    exit_code: int
    mapping: MappingCheck | None = None

    @property
    def ok(self) -> bool:
        """Whether the model can be compiled for the target."""
        return self.exit_code == 0


def check(
    model: Any, target: Target | str | None = None, profile: Profile | str | None = None, arith: str | None = None, *,
    dead: Dead | None = None, backend: str | None = None, oracle: bool = False, inputs: Any = None, steps: int | None = None,
    encode: str | None = None, seed: int = 0,
) -> CheckResult:  # fmt: skip
    """Return all that speaks against compiling *model* for *target*, without raising.

    Parameters
    ----------
    model : path, Graph, Model, Program or torch.nn.Module
        As for `load`.
    target : Target, str or None
        Chip; None checks the model alone.
    profile : Profile, str or None
        Time semantics; None takes the model's own.
    arith : str or None
        Number system to compile for; None takes the model's own, or the backend's first, or float64.
    dead : Dead or None
        Chips, cores and links that do not work, beside those of the target's file.
    backend : str or None
        Who is to run it: what it cannot run is said too.
    oracle : bool
        Whether the mapping is to be held against that of the machine's own tools (backend ``spinnaker``).
    inputs, steps, encode, seed
        For the oracle's packets: what the model runs on, as for `run`; without inputs, spikes at 5 % a step.
    """
    from spikeport.backends.registry import get_backend

    found: list[Diagnostic] = []
    mapping = None
    try:
        runner = None if backend is None else get_backend(backend)
        if oracle and runner is None:
            raise UsageError(Diagnostic("E554", "--oracle", "no backend is named whose tools to ask", "--backend spinnaker"))
        model = load(model)
        found += model.diagnostics
        if runner is not None and model.program is None:
            arith = arith or runner.arithmetics[0]
            target = (runner.oracle_target or None) if oracle and target is None else target
        stated, number = settled(model, profile, arith, target)
        target = living(target, dead, model)
        if stated is None and model.graph.profile is None:
            # The structure can be judged without a profile: say all at once.
            kind = ProfileError
            found += findings(model.graph)
            if any(d.severity == "error" for d in found):
                kind = VerifyError  # type: ignore[assignment]
            missing = missing_profile() if model.leaves_open is None else asked_back(model.leaves_open)
            return CheckResult((*missing.diagnostics, *found), None, kind.exit_code)
        program = own_program(model, target)
        if program is not None:
            _check_limits(program)
        else:
            program = lower(model.graph, target, stated, arithmetic=number or "float64")
        found += program.findings()
        if runner is not None:
            said = runner.check(program)
            fail_on_errors(UnsupportedError, said)
            found += said
        if oracle and runner is not None:
            from spikeport.runtime.oracle import ask_oracle

            mapping = ask_oracle(program, runner, inputs, steps=steps, encode=encode, seed=seed)
            if not mapping.ok:
                raise RunError(Diagnostic("E555", "--oracle", mapping.lines()[-1], "report it, with the model"))
        return CheckResult(tuple(found), program, 0, mapping)
    except SpikeportError as error:
        return CheckResult((*error.diagnostics, *found), None, error.exit_code, mapping)


def _check_limits(program: Program) -> None:
    if program.target:
        from spikeport.hw_profiles.target import load_target

        found = load_target(program.target).check(program)
        fail_on_errors(CapacityError, [d for d in found if d.code.startswith("E4")])
        fail_on_errors(UnsupportedError, found)
