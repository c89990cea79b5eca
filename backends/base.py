"""The contract of a backend: a name, a fidelity, what it can run, and an executable that gives back a trace."""

from __future__ import annotations

import abc
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Literal

from spikeport.backends.mapping_check import MappingCheck
from spikeport.ir.arithmetic import arithmetic as find_arithmetic
from spikeport.ir.diagnostics import (
    BackendUnavailable,
    Diagnostic,
    RunError,
    UnsupportedError,
    UsageError,
    did_you_mean,
    fail_on_errors,
)
from spikeport.ir.expressible import inexpressible
from spikeport.ir.ops import Array
from spikeport.ir.program import Program
from spikeport.ir.trace import Recording, Trace

Fidelity = Literal["bit_exact", "fixed_point", "float"]


@dataclass(frozen=True, slots=True)
class Availability:
    """Whether a backend can run here; if not, why, and the command that mends it."""

    ok: bool
    why: str = ""
    remedy: str = ""


class Executable(abc.ABC):
    """A program that is ready to run; a context manager."""

    _is_closed = False

    @abc.abstractmethod
    def run(self, inputs: Mapping[str, Array], recording: Recording | None = None, seed: int = 0) -> Trace:
        """Run all samples.

        Parameters
        ----------
        inputs : Mapping[str, array, shape (samples, steps, *shape)]
            Finite values of any number type for every Input node, all of the same samples and steps.
        recording : Recording
            What to keep beside the graph's outputs.
        seed : int
            For backends that draw random numbers.

        Raises
        ------
        RunError
            If the backend fails, and E804 after ``close`` (``require_open`` raises it).
        """

    def close(self) -> None:
        """Release what the executable holds; closing it again does no harm, running it again is an error."""
        self._is_closed = True

    def require_open(self) -> None:
        """Raise RunError E804 where the executable is closed: the first thing that ``run`` does."""
        if self._is_closed:
            raise RunError(Diagnostic("E804", "", "this executable is closed", "emit the program again"))

    def __enter__(self) -> Executable:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None) -> None:
        self.close()


class Backend(abc.ABC):
    """A runner of programs."""

    name: ClassVar[str]
    #: Against the reference of the same arithmetic: the same bits, the chip's integers, or within a tolerance.
    fidelity: ClassVar[Fidelity]
    #: Names of the arithmetics that it runs; the first is its default.
    arithmetics: ClassVar[tuple[str, ...]]
    summary: ClassVar[str]
    #: Options of the backend's own, such as ``mode``, by the words that each takes; the first is its default.
    options: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    #: Target that the oracle of its mapping is for; empty where there is none.
    oracle_target: ClassVar[str] = ""

    def with_options(self, options: Mapping[str, str]) -> Backend:
        """Return the backend with *options* of its own set (``--mode``, ``--backend-option``).

        Raises
        ------
        UsageError
            E607 for an option that the backend does not have, or a word that it does not take.
        """
        found = []
        for name, word in options.items():
            if name not in self.options:
                known = f"it has {', '.join(self.options)}" if self.options else "it has none"
                found.append(
                    Diagnostic(
                        "E607", name, f"backend {self.name} has no option {name!r}{did_you_mean(name, self.options)}", known
                    )
                )
            elif word not in self.options[name]:
                words = self.options[name]
                found.append(
                    Diagnostic(
                        "E607", name, f"option {name} of backend {self.name} takes {' | '.join(words)}, not "
                        f"{word!r}{did_you_mean(word, words)}", "write one of these words",
                    )
                )  # fmt: skip
        if found:
            raise UsageError(found)
        return self._with(**options) if options else self

    def _with(self, **options: str) -> Backend:
        """Return a backend with *options*, which are known to be good; one that lists options says how."""
        raise NotImplementedError(f"{type(self).__name__} lists options and does not take them")

    def fidelity_for(self, arithmetic: str) -> Fidelity:
        """Return the fidelity in *arithmetic*; a backend that has several says so here."""
        return self.fidelity

    def available(self) -> Availability:
        """Return whether the backend can run here."""
        return Availability(True)

    def setup(self, place: Path | None, say: Callable[[str], None], python: str | None = None) -> str:
        """Build what the backend needs outside of spikeport's own environment (``spikeport backends setup NAME``).

        Parameters
        ----------
        place : Path or None
            Where; None for the backend's usual place.
        say : callable
            Told what goes on, a line at a time.
        python : str or None
            Interpreter to build it with.

        Returns
        -------
        str
            What is there now, in a line.

        Raises
        ------
        UsageError
            E548 for a backend that needs nothing of the kind.
        BackendUnavailable
            Where it cannot be built; nothing is left then.
        """
        raise UsageError(
            Diagnostic("E548", "", f"backend {self.name} needs no setup", "`spikeport backends` says what it needs")
        )

    def check(self, program: Program) -> tuple[Diagnostic, ...]:
        """Return what the backend cannot run (errors E5xx) and what it runs differently (warnings).

        A finding names the layer in its path, or the field of the profile. A backend with limits of its own adds them to
        what this method finds: an arithmetic that it does not name, and what no backend can express.
        """
        if program.arithmetic not in self.arithmetics:
            from spikeport.backends.registry import backends_with  # which imports this module

            others = backends_with(program.arithmetic)
            hint = f"choose --backend {' | '.join(others)}, or " if others else ""
            return (
                Diagnostic(
                    "E501", "", f"backend {self.name} does not run arithmetic {program.arithmetic}",
                    f"{hint}compile with --arith {' | '.join(self.arithmetics)}",
                ),
            )  # fmt: skip
        return inexpressible(program.graph, program.profile, find_arithmetic(program.arithmetic))

    @abc.abstractmethod
    def emit(self, program: Program) -> Executable:
        """Return *program* ready to run.

        Raises
        ------
        UnsupportedError
            E5xx, with everything that ``check`` finds.
        BackendUnavailable
            E500 where packages are missing.
        """

    def script(self, program: Program, inputs: Mapping[str, Array], title: str) -> Mapping[str, str | Mapping[str, Array]]:
        """Return *program* as a script of the backend's own simulator that needs nothing of ours, where it can write one.

        Parameters
        ----------
        program : Program
            What to write.
        inputs : Mapping[str, array, shape (samples, steps, *shape)]
            What the script runs on by default.
        title : str
            A line about what it is.

        Returns
        -------
        Mapping[str, text or arrays]
            Files by name; ``run.py`` is the script.

        Raises
        ------
        UsageError
            E608 for a backend that writes none.
        UnsupportedError
            E5xx, with everything that ``check`` finds.
        """
        raise UsageError(
            Diagnostic("E608", "", f"backend {self.name} writes no scripts", "brian2, lava and spinnaker do: --backend brian2")
        )

    def check_mapping(self, program: Program, inputs: Mapping[str, Array], activity: Mapping[str, Array]) -> MappingCheck:
        """Return the mapping of *program* beside the one that the machine's own tools make (``spikeport check --oracle``).

        Parameters
        ----------
        program : Program
            Mapped on `oracle_target`, or a target like it.
        inputs : Mapping[str, array, shape (samples, steps, *shape)]
            What the program that the tools are given runs on.
        activity : Mapping[str, array of int]
            Spikes of every neuron, as a trace has them: what packets are counted by.

        Raises
        ------
        UsageError
            E554 for a backend that has no such tools.
        BackendUnavailable
            E553 where the tools are not there.
        RunError
            E551, E552 where they fail.
        """
        raise UsageError(
            Diagnostic("E554", "--oracle", f"backend {self.name} has no oracle of the mapping", "--backend spinnaker has one")
        )

    def require(self, program: Program) -> None:
        """Raise unless the backend is here and can run *program*: the first thing that ``emit`` does."""
        here = self.available()
        if not here.ok:
            raise BackendUnavailable(Diagnostic("E500", "", f"backend {self.name} is not available: {here.why}", here.remedy))
        fail_on_errors(UnsupportedError, self.check(program))
