"""Reading a graph in a dialect: recognised or stated, completed to an execution profile, or asked back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from spikeport.compiler.importers.dialects import DIALECTS, Dialect, Question
from spikeport.compiler.importers.dialects.base import Filled, neurons
from spikeport.ir import Diagnostic, Graph
from spikeport.ir.diagnostics import ImportModelError, ProfileError, UsageError, did_you_mean
from spikeport.ir.profiles import parse_profile


@dataclass(frozen=True, slots=True)
class Stated:
    """A dialect as the user states it: ``NAME[:RESET][,field=value]``.

    Parameters
    ----------
    dialect : Dialect
        The one that is named.
    reset : str
        RESET, or an empty text.
    items : tuple of str
        Further fields of the profile, as written.
    """

    dialect: Dialect
    reset: str = ""
    items: tuple[str, ...] = ()

    @property
    def fields(self) -> dict[str, str]:
        """The fields that the user states, with ``reset`` for RESET."""
        own = dict(item.split("=", 1) for item in self.items if "=" in item and not item.startswith("@"))
        return ({"reset": self.reset} if self.reset else {}) | {k.strip(): v.strip() for k, v in own.items()}


def parse_dialect(text: str) -> Stated:
    """Return the dialect that *text* names, ``NAME[:RESET][,field=value]``; RESET and fields are those of its profile.

    Raises
    ------
    UsageError
        E041 for an unknown name.
    ProfileError
        E332, E333 for a field or a reset that its profile does not have.
    """
    head, *items = [part.strip() for part in text.replace(",@", "@").replace("@", ",@").split(",")]
    name, _, reset = head.partition(":")
    name = name.strip().lower()
    name = name.replace("_", "-") if name.replace("_", "-") in DIALECTS else name
    if name not in DIALECTS:
        hint = f"one of {', '.join(DIALECTS)}; for other files state the profile: --profile NAME"
        raise UsageError(Diagnostic("E041", "--dialect", f"unknown dialect {name!r}{did_you_mean(name, DIALECTS)}", hint))
    stated = Stated(DIALECTS[name], reset, tuple(items))
    parse_profile(_text(stated, {}))
    return stated


def _text(stated: Stated, shown: Mapping[str, str]) -> str:
    """Return the profile of *stated* as written, with what the file shows wherever the user does not state it."""
    name, _, reset = stated.dialect.profile.partition(":")
    reset = stated.reset or reset
    own = {item.rpartition("=")[0].strip() for item in stated.items}
    fields = [f"{key}={value}" for key, value in shown.items() if key not in own]
    return ",".join([f"{name}:{reset}" if reset else name, *fields, *stated.items])


def recognised(graph: Graph, filled: Filled = frozenset()) -> dict[str, str]:
    """Return the dialects whose marks *graph* bears, with what shows them; *filled* is what its file left out."""
    return {name: why for name, dialect in DIALECTS.items() if (why := dialect.evidence(graph, filled)) is not None}


def in_dialect(graph: Graph, text: str | None, found: list[Diagnostic]) -> Graph:
    """Return *graph* as its producer's dialect has it, with the profile where nothing is left open.

    Parameters
    ----------
    graph : Graph
        As read and repaired.
    text : str or None
        The dialect that the user states; None leaves it to the marks in the graph, and a graph without (or with those of
        several libraries) is returned as it is.
    found : list of Diagnostic
        What was said of the file before, fields that it left out (E010) above all. Takes E040 (which dialect, by what, which
        profile that gives), what was mended (E044), what the exporter drops (E046), and E338 as a note where a question is
        open: a run then needs a profile.

    Raises
    ------
    ImportModelError
        E042 where the graph bears the marks of another library than the stated one.
    UsageError
        As `parse_dialect`.
    ProfileError
        E338 where the graph cannot be read without an answer.
    """
    if text is not None:
        parse_dialect(text)
    if not all(len({value.shape for value in p.values()}) == 1 for p in neurons(graph).values()):
        return graph  # parameters of several shapes: the verifier refuses them by name
    with np.errstate(all="ignore"):
        return _in_dialect(graph, text, found)


def _in_dialect(graph: Graph, text: str | None, found: list[Diagnostic]) -> Graph:
    filled = frozenset((d.path, str(d.facts["field"])) for d in found if d.code == "E010")
    filled |= {(d.path, "") for d in found if d.code == "E018" and d.path in graph.outputs}
    marks = recognised(graph, filled)
    stated = None if text is None else parse_dialect(text)
    if stated is None:
        if len(marks) != 1:
            return graph
        stated = Stated(DIALECTS[next(iter(marks))])
    elif marks and stated.dialect.name not in marks:
        raise _contradiction(stated, marks)
    dialect = stated.dialect
    answers = stated.fields
    open_questions = [q for q in dialect.questions if q.concerns(graph) and not answers.keys() & set(q.keys)]
    if any(q.to_read for q in open_questions):
        raise ProfileError(leaves_open(stated, open_questions, "error"))
    reading = dialect.read(graph, answers, filled)
    written = _text(stated, reading.fields)
    profile = parse_profile(written)
    why = marks.get(dialect.name)
    by = "as stated with --dialect" if text is not None else f"recognised: {why}"
    facts = {"dialect": dialect.name, "evidence": why}
    unsaid = f"; {dialect.unsaid}" if dialect.unsaid else ""
    if open_questions:
        result = f"{', '.join(f'{k}={v}' for k, v in reading.fields.items()) or 'nothing else'} follows from it"
        found.append(Diagnostic("E040", "", f"a file of {dialect.library} ({by}); {result}{unsaid}", "", facts, "note"))
        found += [*reading.found, leaves_open(stated, open_questions, "note")]
        return reading.graph
    text = f"a file of {dialect.library} ({by}); its profile is {written}{unsaid}"
    hint = "state --profile if it was not" if stated.items == () and why else ""
    found += [Diagnostic("E040", "", text, hint, facts, "note"), *reading.found]
    return dialect.refine(reading.graph, profile).replace(profile=profile)


def leaves_open(stated: Stated, questions: list[Question], severity: str) -> Diagnostic:
    """Return what a file of the dialect does not show, with all that is to be stated (E338)."""
    dialect = stated.dialect
    lines = "\n".join(f"  {q.asks}" for q in questions)
    answers = [q.example for q in questions]
    reset = f":{stated.reset}" if stated.reset else next((a for a in answers if a.startswith(":")), "")
    items = ",".join([dialect.name + reset, *stated.items, *(a for a in answers if not a.startswith(":"))])
    return Diagnostic(
        "E338", "", f"a file of {dialect.library} does not show all that changes its spikes. Not stated:\n{lines}",
        f"for a model with the library's defaults: --dialect {items} (in Python dialect={items!r}); or state all of it with "
        f"--profile {dialect.profile.partition(':')[0]}...",
        {"dialect": dialect.name, "open": [q.keys[0] for q in questions]}, severity,  # type: ignore[arg-type]
    )  # fmt: skip


def _contradiction(stated: Stated, marks: dict[str, str]) -> ImportModelError:
    """Return the refusal of a dialect that the file contradicts: each mends what only its own exporter wrote wrongly."""
    told = "; ".join(f"{DIALECTS[name].library}: {why}" for name, why in marks.items())
    return ImportModelError(
        Diagnostic(
            "E042", "", f"--dialect {stated.dialect.name} was given, and the file bears the marks of another library ({told})",
            f"--dialect {next(iter(marks))}, or leave it out; to run the file's plain equations state the profile alone: "
            f"--profile {stated.dialect.profile.partition(':')[0]}",
            {"stated": stated.dialect.name, "marks": dict(marks)},
        )
    )  # fmt: skip
