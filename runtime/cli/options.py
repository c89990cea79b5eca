"""Options that several commands share, declared once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from spikeport.hw_profiles.records import Dead

Model = Annotated[
    str,
    typer.Argument(metavar="MODEL", help="A .nir, a .spk, or FILE.py:FUNCTION that builds a torch module (runs your code)."),
]
TargetName = Annotated[
    str | None, typer.Option("--target", "-t", metavar="T", help="Chip: a name of `spikeport targets`, or a .toml file.")
]
NeededTarget = Annotated[
    str, typer.Option("--target", "-t", metavar="T", help="Chip: a name of `spikeport targets`, or a .toml file.")
]
ProfileText = Annotated[
    str | None,
    typer.Option(
        "--profile", "-p", metavar="P", help="Execution profile NAME[:RESET][,field=value], where the model states none."
    ),
]
Dialect = Annotated[
    str | None,
    typer.Option(
        metavar="D", help="Library that wrote MODEL.nir, NAME[:RESET][,field=value]; by default as the file's marks show."
    ),
]
InputShape = Annotated[
    str | None, typer.Option(metavar="N,N,...", help="Input shape of a torch module that does not fix it, such as 1,28,28.")
]
Json = Annotated[bool, typer.Option("--json", help="Write the result as JSON.")]
Seed = Annotated[int, typer.Option(help="Seed of everything that draws random numbers.", min=0)]
Chips = Annotated[int | None, typer.Option(help="Chips to spread over; by default as many as it takes.", min=1)]
DeadChips = Annotated[str, typer.Option("--dead-chips", metavar="X,Y:...", help="Chips that do not work (spinnaker1).")]
DeadCores = Annotated[str, typer.Option("--dead-cores", metavar="X,Y,P:...", help="Cores that do not work, P from 1 to 17.")]
DeadLinks = Annotated[
    str, typer.Option("--dead-links", metavar="X,Y,L:...", help="Links that do not work: 0 E, 1 NE, 2 N, 3 W, 4 SW, 5 S.")
]
Arithmetic = Annotated[
    str | None,
    typer.Option(
        "--arith",
        metavar="A",
        help="Number system, float64 | float32 | loihi | ...; by default the model's own, or the backend's first.",
    ),
]
Steps = Annotated[
    int | None, typer.Option(help="Steps to run: beyond X zeros are appended, below it is cut. Needed with --encode.", min=1)
]
Encode = Annotated[
    str | None,
    typer.Option(metavar="CODE", help="constant | rate | latency: X is (samples, *shape), values 0 to 1 for the last two."),
]

Mode = Annotated[str | None, typer.Option(metavar="M", help="Mode of the backend; brian2: numpy | cython | cpp_standalone.")]
BackendOption = Annotated[
    list[str] | None,
    typer.Option("--backend-option", metavar="NAME=WORD", help="An option of the backend's own; may be repeated."),
]


def backend_options(mode: str | None, given: list[str] | None) -> dict[str, str]:
    """Return the options of the backend's own, by name."""
    found = {} if mode is None else {"mode": mode}
    for text in given or ():
        name, equals, word = text.partition("=")
        if not (name and equals):
            raise typer.BadParameter(f"{text!r} is not NAME=WORD", param_hint="--backend-option")
        found[name.strip()] = word.strip()
    return found


def parse_shape(text: str | None) -> tuple[int, ...] | None:
    """Return the shape written as ``1,28,28``."""
    if text is None:
        return None
    try:
        shape = tuple(int(part) for part in text.replace("x", ",").split(","))
    except ValueError:
        shape = ()
    if not shape or min(shape) < 1:
        raise typer.BadParameter(f"{text!r} is no shape; write such as 1,28,28", param_hint="--input-shape")
    return shape


def parse_list(text: str) -> tuple[str, ...]:
    """Return the parts of a comma-separated list."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


def dead(chips: str, cores: str, links: str) -> Dead | None:
    """Return what --dead-chips, --dead-cores and --dead-links name; None where nothing is given."""
    from spikeport.hw_profiles.records import Dead

    found = Dead(
        _tuples(chips, 2, "--dead-chips"), _tuples(cores, 3, "--dead-cores"), _tuples(links, 3, "--dead-links")  # type: ignore[arg-type]
    )  # fmt: skip
    return found or None


def _tuples(text: str, length: int, option: str) -> tuple[tuple[int, ...], ...]:
    out = []
    for part in filter(None, (p.strip() for p in text.split(":"))):
        numbers = part.split(",")
        if len(numbers) != length or not all(n.strip().isdecimal() and len(n.strip()) <= 5 for n in numbers):
            raise typer.BadParameter(f"{part!r} is not {'X,Y,N'[: 2 * length - 1]}", param_hint=option)
        out.append(tuple(int(n) for n in numbers))
    return tuple(sorted(set(out)))
