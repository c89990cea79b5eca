"""Pipelines of passes: written as text, verified after each pass, timed and recorded; the pass that failed is named."""

from __future__ import annotations

import dataclasses
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, get_args, get_origin, get_type_hints

from spikeport.compiler.passes.base import Pass, PassContext
from spikeport.compiler.passes.table import LEVELS, PASSES
from spikeport.ir.diagnostics import (
    Diagnostic,
    InternalError,
    PassError,
    ProfileError,
    SpikeportError,
    UsageError,
    VerifyError,
    did_you_mean,
)  # fmt: skip
from spikeport.ir.fanout import synapse_count
from spikeport.ir.graph import Graph
from spikeport.ir.shapes import infer_shapes
from spikeport.ir.verify import verify

_ITEM = re.compile(r"\s*([A-Za-z_][A-Za-z0-9_-]*)\s*(?:\{([^{}]*)\})?\s*(,|$)")


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Passes in the order in which they run.

    >>> str(Pipeline.parse("canonicalise, dead{keep=probe}"))
    'canonicalise,dead{keep=probe}'

    Parameters
    ----------
    passes : tuple of Pass
        Each with its options.
    """

    passes: tuple[Pass, ...] = ()

    def __str__(self) -> str:
        return ",".join(_show_pass(item) for item in self.passes)

    @classmethod
    def parse(cls, text: str, known: Mapping[str, type[Pass]] = PASSES) -> Pipeline:
        """Return the pipeline that *text* writes: ``name{option=value,...},name,...``.

        Raises
        ------
        UsageError
            E901 for an unknown pass, E902 for text that cannot be read, E903 for an unknown option or a wrong value.
        """
        return cls(tuple(_make(name, options, known) for name, options in _items(text)))

    @classmethod
    def level(cls, opt: int) -> Pipeline:
        """Return the pipeline of ``-O opt``; raise UsageError E904 for a level that is not there."""
        if opt not in range(len(LEVELS)):
            raise UsageError(
                Diagnostic(
                    "E904", "-O", f"there is no optimisation level {opt}", f"0 to {len(LEVELS) - 1}; see `spikeport passes`"
                )
            )
        return cls.parse(LEVELS[opt])

    def run(self, graph: Graph, ctx: PassContext) -> tuple[Graph, tuple[dict[str, Any], ...]]:
        """Return the graph after all passes, and the record of each.

        A record holds the pass's name and text, the digest, nodes and synapses before and after, the paths that it
        touched, and the seconds that it took.

        Raises
        ------
        PassError
            E9xx, naming the pass that could not do what it was asked to.
        InternalError
            E905 where a pass broke the graph or failed in itself: a bug of ours.
        """
        records = []
        for number, item in enumerate(self.passes):
            where = f"pass {number + 1} of {len(self.passes)}, {_show_pass(item)}"
            started = time.perf_counter()
            after = _apply(item, graph, ctx, where)
            seconds = time.perf_counter() - started
            if after is not graph:
                try:
                    verify(after, ctx.profile)
                except (VerifyError, ProfileError) as error:
                    first = Diagnostic("E905", item.name, f"{where} left a graph that does not verify", "report this bug")
                    raise InternalError((first, *error.diagnostics)) from error
            records.append(_record(item, graph, after, seconds))
            graph = after
        return graph, tuple(records)


def _apply(item: Pass, graph: Graph, ctx: PassContext, where: str) -> Graph:
    try:
        return item.apply(graph, ctx)
    except SpikeportError as error:
        named = tuple(dataclasses.replace(d, message=f"{where}: {d.message}") for d in error.diagnostics)
        raise PassError(named) from error
    except Exception as error:  # whatever it is, the user must learn which pass it came from
        broken = Diagnostic("E905", item.name, f"{where} failed: {type(error).__name__}: {error}", "report this bug")
        raise InternalError(broken) from error


def _record(item: Pass, before: Graph, after: Graph, seconds: float) -> dict[str, Any]:
    size = graph_size(before)
    return {
        "name": item.name,
        "text": _show_pass(item),
        "before": before.digest,
        "after": after.digest,
        "nodes": [len(before), len(after)],
        "synapses": [size, size if after is before else graph_size(after)],
        "touched": touched(before, after),
        "seconds": seconds,
    }


def graph_size(graph: Graph) -> int:
    """Return the number of non-zero synapses of *graph*."""
    shapes = infer_shapes(graph)[0]
    return sum(synapse_count(n.op, shapes.input[n.path]) for n in graph if n.op.is_weighted and n.path in shapes.input)


def touched(before: Graph, after: Graph) -> list[str]:
    """Return the paths of *after* whose op or entering edges are not those of *before*."""
    if before is after:
        return []
    found, there = [], {n.path: n for n in before}
    for node in after:
        old = there.get(node.path)
        if old is None or (node is not old and node.op is not old.op) or before.into(node.path) != after.into(node.path):
            found.append(node.path)
    return found


def _show_pass(item: Pass) -> str:
    options = [f"{f.name}={_show(getattr(item, f.name))}" for f in dataclasses.fields(item)]
    return item.name + (f"{{{','.join(options)}}}" if options else "")


def _show(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return "|".join(_show(v) for v in value)
    return "none" if value is None else repr(value) if isinstance(value, float) else str(value)


def _items(text: str) -> Iterator[tuple[str, str]]:
    at = 0
    while text[at:].strip():
        match = _ITEM.match(text, at)
        if match is None or (match.group(3) == "," and not text[match.end() :].strip()):
            raise UsageError(
                Diagnostic("E902", "--passes", f"cannot read the pipeline from {text[at:]!r}",
                           "write name{option=value,option=value},name; see `spikeport passes`")
            )  # fmt: skip
        yield match.group(1), match.group(2) or ""
        at = match.end()


def _make(name: str, options: str, known: Mapping[str, type[Pass]]) -> Pass:
    if name not in known:
        raise UsageError(
            Diagnostic(
                "E901", "--passes", f"there is no pass {name!r}{did_you_mean(name, known)}", f"one of {', '.join(known)}"
            )
        )
    cls = known[name]
    hints = get_type_hints(cls)
    fields = {f.name: f for f in dataclasses.fields(cls)}
    given: dict[str, Any] = {}
    for option in filter(None, (part.strip() for part in options.split(","))):
        key, equals, value = (part.strip() for part in option.partition("="))
        if not equals or key not in fields or key in given:
            what = f"takes no option {key!r}{did_you_mean(key, fields)}" if equals else f"cannot read {option!r}"
            what = f"has {key!r} twice" if key in given else what
            hint = f"options: {', '.join(fields)}" if fields else f"{name} has no options"
            raise UsageError(Diagnostic("E903", "--passes", f"pass {name} {what}", hint))
        try:
            given[key] = _parse_value(hints[key], value)
        except ValueError:
            raise UsageError(
                Diagnostic(
                    "E903", "--passes", f"option {key} of pass {name} cannot be {value!r}", f"it is of type {hints[key]}"
                )
            ) from None
    try:
        return cls(**given)
    except (TypeError, ValueError) as error:
        raise UsageError(Diagnostic("E903", "--passes", f"pass {name}: {error}", "mend its options")) from None


def _parse_value(hint: Any, text: str) -> Any:
    arguments = get_args(hint)
    if get_origin(hint) is tuple:
        return tuple(_parse_value(arguments[0], part) for part in text.split("|") if part)
    if type(None) in arguments:
        if text == "none":
            return None
        (hint,) = (a for a in arguments if a is not type(None))
    if hint is bool:
        if text not in ("yes", "no"):
            raise ValueError(text)
        return text == "yes"
    return hint(text)
