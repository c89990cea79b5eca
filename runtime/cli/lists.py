"""What there is: ``spikeport targets``, ``passes`` and ``explain``."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from spikeport.runtime.cli import options, output


def targets(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="One target, with every number and its source.")] = None,
    as_json: options.Json = False,
) -> None:
    """List the chips, or all that is known of one."""
    from spikeport.hw_profiles.target import load_target, target_names
    from spikeport.runtime.cli.target_text import target_dict, target_line, target_text

    if name is not None:
        target = load_target(name)
        output.result_json(target_dict(target)) if as_json else output.result(target_text(target))
        return
    found = [load_target(n) for n in target_names()]
    if as_json:
        output.result_json([target_dict(t) for t in found])
    else:
        for target in found:
            output.result(target_line(target))


def passes(as_json: options.Json = False) -> None:
    """List the passes, their options, and what each level of -O runs."""
    import dataclasses

    from spikeport.compiler.passes.table import LEVELS, PASSES

    rows: list[dict[str, Any]] = [
        {
            "name": name,
            "summary": cls.summary,
            "lossless": cls.is_lossless,
            "options": {f.name: {"type": str(f.type), "default": _default(f)} for f in dataclasses.fields(cls)},
            "levels": [i for i, text in enumerate(LEVELS) if name in text.split(",")],
        }
        for name, cls in PASSES.items()
    ]
    if as_json:
        output.result_json({"passes": rows, "levels": list(LEVELS)})
        return
    for row in rows:
        kind = "changes no recorded bit" if row["lossless"] else "lossy: runs only when asked for"
        output.result(f"{row['name']:14s} {row['summary']}\n{'':14s} {kind}; runs at {_levels(row['levels'])}")
        for option, about in row["options"].items():
            output.result(f"{'':14s}   {option}: {about['type']} = {about['default']!r}")
    for number, text in enumerate(LEVELS):
        output.result(f"-O {number}  {text or '(no pass)'}")


def _default(field: object) -> object:
    import dataclasses

    assert isinstance(field, dataclasses.Field)
    return None if field.default is dataclasses.MISSING else field.default


def _levels(levels: list[int]) -> str:
    return " and ".join(f"-O {n}" for n in levels) or "no level"


def explain(
    code: Annotated[str | None, typer.Argument(metavar="[CODE]", help="Such as E203; without it, all codes.")] = None,
    as_json: options.Json = False,
) -> None:
    """Say what an error code means and what helps, or list the codes."""
    from spikeport.ir.codes import CODES, FAMILIES, explanation

    if code is None:
        if as_json:
            output.result_json([{"code": c.code, "title": c.title, "text": c.text} for c in CODES.values()])
            return
        for digit, about in FAMILIES.items():
            inside = [c for c in CODES.values() if c.code[1] == digit]
            output.result("\n".join([f"{about}:", *(f"  {c.code}  {c.title}" for c in inside)]))
        return
    found = explanation(code)
    if as_json:
        output.result_json({"code": found.code, "title": found.title, "text": found.text})
    else:
        output.result(f"{found.code}: {found.title}\n\n{found.text}")
