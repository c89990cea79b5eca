"""Usage errors that the command-line library finds (a missing option, a value out of range), as findings of ours."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from spikeport.ir.diagnostics import UsageError

#: Base of all that the library raises about arguments; typer keeps its own copy of click, so it is asked for by name.
CLICK_ERRORS: type[Exception] = next(cls for cls in typer.BadParameter.__mro__ if cls.__name__ == "ClickException")


def shows_help(error: Exception) -> bool:
    """Whether *error* only says that no command was given: what is to be shown then is the help."""
    return type(error).__name__ == "NoArgsIsHelpError"


def usage_error(error: Exception) -> UsageError:
    """Return *error*, one of ``CLICK_ERRORS``, as UsageError E600 with the option or argument that it is about."""
    from spikeport.ir.diagnostics import Diagnostic, UsageError, did_you_mean

    text = str(error.format_message() if hasattr(error, "format_message") else error).strip().rstrip(".")
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "spikeport"
    where = _where(error)
    if type(error).__name__ == "NoSuchOption" and context is not None and "ossible options" not in text:
        text += did_you_mean(where, [name for p in context.command.params for name in p.opts])
    given = _given(error)
    text = text[:1].lower() + text[1:] + (f", not {given!r}" if given else "")
    hint = f"{_usage(context)}; " if context is not None and context.parent is not None else ""
    return UsageError(Diagnostic("E600", where, text, f"{hint}{command} --help tells more"))


def _given(error: Exception) -> str:
    """Return the value that was refused, where the message leaves it out; newer typers have it in the cause."""
    try:
        return str(error.__cause__.errors()[0]["input"])  # type: ignore[union-attr] # pydantic's, asked for by its form
    except (AttributeError, LookupError, TypeError):
        return ""


def _usage(context: typer.Context) -> str:
    """Return what the command needs, on one line: ``spikeport run MODEL --input X.npy|X.npz [OPTIONS]``."""
    words = [context.command_path]
    for parameter in context.command.params:
        if parameter.required:
            value = getattr(parameter, "metavar", None) or str(parameter.name).upper()
            is_argument = parameter.param_type_name == "argument"
            words.append(value if is_argument else f"{max(parameter.opts, key=len)} {value}")
    return " ".join([*words, "[OPTIONS]"])


def _where(error: Exception) -> str:
    """Return the option or argument that *error* is about; empty where it is about the whole line."""
    named = getattr(error, "option_name", None) or getattr(error, "param_hint", None)
    if isinstance(named, str):
        return named
    parameter = getattr(error, "param", None)
    if parameter is None:
        return ""
    if parameter.param_type_name == "option":
        return str(max(parameter.opts, key=len))
    return str(parameter.metavar or parameter.name)
