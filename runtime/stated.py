"""What a caller names (profile, arithmetic, target) against what a model or a compiled program states itself."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from spikeport.ir.diagnostics import Diagnostic, ProfileError, UsageError
from spikeport.ir.profile import Profile
from spikeport.ir.profiles import differences, parse_profile, same_timing
from spikeport.ir.program import Program
from spikeport.runtime.model import Model

if TYPE_CHECKING:
    from spikeport.hw_profiles.records import Dead
    from spikeport.hw_profiles.target import Target


def stated_profile(model: Model, given: Profile | str | None = None) -> Profile | None:
    """Return the profile that a run of *model* would use, or None where nobody states one."""
    return settled(model, given, None, None)[0] or model.profile


def own_program(model: Model, target: Target | str | None) -> Program | None:
    """Return the compiled program that *model* is, unless another *target* is named; None for a model still to be compiled."""
    program = model.program
    return None if program is None or (target is not None and target_name(target) != program.target) else program


def require_profile(model: Model, profile: Profile | str | None) -> None:
    """Refuse a run without a profile where the dialect of the model's file leaves something open (E338)."""
    if profile is None and model.profile is None and model.leaves_open is not None:
        raise asked_back(model.leaves_open)


def asked_back(leaves_open: Diagnostic) -> ProfileError:
    """Return the refusal to fill in what a dialect leaves open."""
    return ProfileError(replace(leaves_open, severity="error"))


def settled(
    model: Model, profile: Profile | str | None, arith: str | None, target: Target | str | None
) -> tuple[Profile | None, str | None]:
    """Return the profile and arithmetic that are named, held against those that a program or a model of integers carries.

    Raises
    ------
    ProfileError
        E336 for another profile.
    UsageError
        E620 for another arithmetic, E621 for another target.
    """
    named = None if profile is None else parse_profile(profile)
    program = model.program
    if program is not None:
        _hold_profile(model.source, program.profile, named, "program was compiled with", ", or compile the model anew")
        if arith is not None and arith != program.arithmetic:
            raise UsageError(
                Diagnostic("E620", model.source, f"the program was compiled for {program.arithmetic}, {arith} was given",
                           "leave --arith out, or compile the model anew")
            )  # fmt: skip
        if target is not None and program.target and target_name(target) != program.target:
            raise UsageError(
                Diagnostic("E621", model.source, f"the program was compiled for {program.target}, {target_name(target)} was "
                           "given", "leave --target out, or compile the model for the other one")
            )  # fmt: skip
        return program.profile, program.arithmetic
    stated = model.arithmetic
    if stated is None:
        return named, arith
    # A model of integers means nothing in another number system, or in another time.
    if arith is not None and arith != stated:
        raise UsageError(
            Diagnostic("E620", model.source, f"the model is made of integers of {stated}, {arith} was given",
                       f"leave --arith out, or give {stated}")
        )  # fmt: skip
    if model.graph.profile is not None:
        _hold_profile(model.source, model.graph.profile, named, "file states the profile", "")
    return named, stated


def _hold_profile(source: str, carried: Profile, named: Profile | None, how: str, otherwise: str) -> None:
    if named is not None and not same_timing(named, carried):
        raise ProfileError(
            Diagnostic("E336", source, f"the {how} {carried.name}, {named.name} was given: "
                       + "; ".join(differences(carried, named)), f"leave the profile out{otherwise}")
        )  # fmt: skip


def target_name(target: Target | str) -> str:
    """Return the name of a target, or of the one in a TOML file."""
    if isinstance(target, str):
        from spikeport.hw_profiles.target import load_target

        target = load_target(target)
    return target.name


def living(target: Target | str | None, dead: Dead | None, model: Model) -> Target | str | None:
    """Return *target* without what is *dead*.

    Raises
    ------
    UsageError
        E414 without a target, for a target without routing tables, and for a model that is mapped already.
    """
    if not dead:
        return target
    if target is None or model.program is not None:
        what = "no target is named" if target is None else f"{model.source} is mapped already"
        raise UsageError(
            Diagnostic("E414", model.source, f"dead chips, cores or links change the mapping, and {what}",
                       "name --target spinnaker1, and give the .nir or the module that it came from")
        )  # fmt: skip
    from spikeport.hw_profiles.target import load_target

    return (load_target(target) if isinstance(target, str) else target).without(dead)
