"""The oracle of a mapping: what a machine's own tools make of the same network, on the same spikes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from spikeport.backends.base import Backend
from spikeport.backends.mapping_check import MappingCheck
from spikeport.ir.diagnostics import Diagnostic, UsageError
from spikeport.ir.program import Program
from spikeport.ir.trace import Recording
from spikeport.runtime.inputs import prepare_inputs
from spikeport.runtime.scripts import made_up
from spikeport.runtime.session import explained

#: Steps of input that nobody gave.
STEPS = 100


def ask_oracle(
    program: Program,
    backend: Backend,
    inputs: Any = None,
    *,
    steps: int | None = None,
    encode: str | None = None,
    seed: int = 0,
) -> MappingCheck:
    """Return the mapping of *program* beside that of the machine's own tools.

    Parameters
    ----------
    program : Program
        Mapped.
    backend : Backend
        Whose tools; it runs the program for the spikes, too.
    inputs : array or Mapping, optional
        None draws spikes at 5 % a step, one sample of *steps* (100).
    steps, encode, seed
        As for `run`.

    Raises
    ------
    UsageError
        E554 for a backend without an oracle, or a program that is not mapped on its machine.
    BackendUnavailable, UnsupportedError, RunError
        See `Backend.check_mapping`.
    """
    if backend.oracle_target and program.routing is None:
        where = f"mapped on {program.target}" if program.target else "not mapped"
        raise UsageError(
            Diagnostic(
                "E554", "--oracle", f"the program is {where}, which has no routing tables",
                f"compile it for {backend.oracle_target}: --target {backend.oracle_target}",
            )
        )  # fmt: skip
    given = made_up(program.graph, steps or STEPS, seed) if inputs is None else inputs
    prepared = prepare_inputs(given, program.graph, steps=steps, encode=encode, seed=seed)
    activity: Mapping[str, Any] = {}
    if backend.oracle_target:
        with explained(backend), backend.emit(program) as executable:
            activity = executable.run(prepared.values, Recording(), seed).activity
    with explained(backend):
        return backend.check_mapping(program, prepared.values, activity)


__all__ = ["ask_oracle"]
