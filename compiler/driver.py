"""The driver: from a graph to a program, by way of verification, passes and the target's mapping."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from spikeport.compiler.passes.base import Evaluator, PassContext
from spikeport.compiler.pipeline import Pipeline
from spikeport.ir.arithmetic import Arithmetic
from spikeport.ir.arithmetic import arithmetic as find_arithmetic
from spikeport.ir.diagnostics import Diagnostic, UsageError, did_you_mean
from spikeport.ir.graph import Graph
from spikeport.ir.ops import Array
from spikeport.ir.profile import Profile
from spikeport.ir.profiles import missing_profile, parse_profile, same_timing
from spikeport.ir.program import Program
from spikeport.ir.verify import verify

if TYPE_CHECKING:
    from spikeport.compiler.integer.lowered import Lowered
    from spikeport.hw_profiles.target import Target


def resolve_profile(graph: Graph, given: Profile | str | None) -> tuple[Profile, tuple[Diagnostic, ...]]:
    """Return the profile to use for *graph*, and a note where it is not the one that the graph states.

    What the caller gives wins over what the source of the graph states: the caller may know better than a file's
    metadata, and it is said aloud.

    Raises
    ------
    ProfileError
        E330 where neither states one; E331 to E333 where the text cannot be read.
    """
    if given is None:
        if graph.profile is None:
            raise missing_profile()
        return graph.profile, ()
    profile = parse_profile(given)
    if graph.profile is None or same_timing(graph.profile, profile):
        return profile, ()
    note = Diagnostic(
        "E335", "", f"the profile {profile.name} that was given replaces {graph.profile.name}, which the model states",
        "leave --profile out to run the model as its source did",
        {"given": str(profile), "stated": str(graph.profile)}, "warning",
    )  # fmt: skip
    return profile, (note,)


def lower(
    graph: Graph, target: Target | str | None, profile: Profile | str | None = None, *, arithmetic: str = "float64",
    opt: int = 1, passes: str | Pipeline | None = None, chips: int | None = None, keep: tuple[str, ...] = (),
    data: Mapping[str, Array] | None = None, seed: int = 0, evaluator: Evaluator | None = None,
    allow: tuple[str, ...] = (), labels: Array | None = None,
) -> Program:  # fmt: skip
    """Return *graph* mapped on *target*.

    Parameters
    ----------
    graph : Graph
        What is computed.
    target : Target, str or None
        Chip, its name, or None for a program that is only to be simulated: no mapping, no price.
    profile : Profile, str or None
        Time semantics; None takes the graph's own.
    arithmetic : str
        Number system of the run.
    opt : int
        Level 0, 1 or 2 of passes; none of them changes a recorded bit.
    passes : str, Pipeline or None
        Pipeline to run in place of the level's.
    chips : int or None
        Chips to spread over; None for as many as it takes.
    keep : tuple of str
        Paths that will be recorded: passes leave them.
    data, seed, evaluator
        For passes that calibrate, and for the lowering to integers.
    allow : tuple of str
        Approximations that are asked for: ``reset-change`` (arithmetics ``loihi``, ``spinnaker1``), ``slow-leak``
        (``spinnaker1``).
    labels : array of int, shape (samples,), or None
        Classes of *data*, for accuracies.

    Returns
    -------
    Program
        Its ``notes["warnings"]`` hold what verification had to say, ``notes["mapping"]`` what the mapper had.

    Raises
    ------
    UsageError
        E625 for an approximation that the arithmetic does not have.
    ProfileError
        E33x.
    VerifyError
        E1xx to E3xx.
    PassError
        E9xx.
    UnsupportedError
        E520 for what the target lacks.
    CapacityError
        E4xx, naming layer, resource, need, limit and remedy.
    """
    chosen, said = resolve_profile(graph, profile)
    number = find_arithmetic(arithmetic)
    _known(allow, number)
    found = [*said, *verify(graph, chosen)]
    if isinstance(target, str):
        from spikeport.hw_profiles.target import load_target

        target = load_target(target)
    pipeline = passes if isinstance(passes, Pipeline) else Pipeline.level(opt) if passes is None else Pipeline.parse(passes)
    ctx = PassContext(chosen, target, keep, data, seed, evaluator)
    lowered, records = pipeline.run(graph, ctx)
    notes: dict[str, Any] = {
        "pipeline": str(pipeline),
        "source_digest": graph.digest,
        "warnings": [d.as_dict() for d in found],
    }
    if (lower_to_chip := _lowering(number)) is not None:
        # The last step of all: passes work on the model's own numbers.
        integers = lower_to_chip(lowered, chosen, data=data, evaluator=evaluator, allow=allow, labels=labels)
        if data is None and integers.rows:
            notes["warnings"].append(
                Diagnostic(
                    "E537", "", "no calibration data: the input is taken to be spikes, 0 or 1, and scales are chosen by the "
                    "weights alone", "give --data FILE.npz that is like the input to come", {}, "note",
                ).as_dict()
            )  # fmt: skip
        notes["warnings"] += [d.as_dict() for d in (*integers.diagnostics, *_rewritten(target, lowered, chosen))]
        notes |= integers.notes()
        lowered, chosen = integers.graph, integers.profile
    if target is None:
        return Program(lowered, chosen, number.name, "", 0, (), (), {}, records, notes)
    from spikeport.compiler.mapping import map_graph

    program = map_graph(lowered, chosen, target, arithmetic=number.name, chips=chips)
    return dataclasses.replace(program, passes=records, notes={**program.notes, **notes})


def _lowering(number: Arithmetic) -> Callable[..., Lowered] | None:
    """Return what lowers a graph to the integers of *number*; None for an arithmetic of floats."""
    if number.name == "loihi":
        from spikeport.compiler.loihi import lower_to_loihi

        return lower_to_loihi
    if number.name == "spinnaker1":
        from spikeport.compiler.spinnaker import lower_to_spinnaker

        return lower_to_spinnaker
    return None


def _known(allow: tuple[str, ...], number: Arithmetic) -> None:
    """Refuse a word of --allow that would change nothing (E625)."""
    words = number.approximations
    wrong = [
        Diagnostic(
            "E625", "--allow", f"arithmetic {number.name} has no approximation {word!r}{did_you_mean(word, words)}",
            f"it has {', '.join(words)}" if words else "leave it out, or compile for an arithmetic that has it",
        )
        for word in allow
        if word not in words
    ]  # fmt: skip
    if wrong:
        raise UsageError(wrong)


def _rewritten(target: Target | None, graph: Graph, profile: Profile) -> list[Diagnostic]:
    """Return what of the source model the target has by other means: the lowered graph no longer shows it."""
    if target is None:
        return []
    from spikeport.hw_profiles.support import refusals

    return [d for d in refusals(target.name, target.support, graph, profile) if d.severity == "note"]
