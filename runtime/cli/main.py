"""The command ``spikeport``: its subcommands, and how it ends.

Exit codes: 0 ok, 1 comparison or budget failed, 2 usage, 3 model unsupported, 4 does not fit, 5 backend missing, 6 backend
or run failed, 7 timeout, 8 bad artifact, 70 our bug.
"""

from __future__ import annotations

import contextlib
import sys
import tempfile
import traceback
from typing import Annotated

import typer

from spikeport import __version__
from spikeport.runtime.cli import backends, output, timeout
from spikeport.runtime.cli.check import check
from spikeport.runtime.cli.compare import compare
from spikeport.runtime.cli.compile import compile_
from spikeport.runtime.cli.doctor import doctor
from spikeport.runtime.cli.emit import emit
from spikeport.runtime.cli.export import export
from spikeport.runtime.cli.hild import devices, hild
from spikeport.runtime.cli.inspect import inspect
from spikeport.runtime.cli.lists import explain, passes, targets
from spikeport.runtime.cli.report import report
from spikeport.runtime.cli.robustness import robustness
from spikeport.runtime.cli.run import run
from spikeport.runtime.cli.usage import CLICK_ERRORS, shows_help, usage_error

app = typer.Typer(
    name="spikeport", no_args_is_help=True, pretty_exceptions_enable=False, add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 ok, 1 comparison or budget failed, 2 usage, 3 model unsupported, 4 does not fit, 5 backend missing, "
    "6 backend or run failed, 7 timeout, 8 bad artifact, 70 our bug.",
)  # fmt: skip
app.command("check")(check)
app.command("compile")(compile_)
app.command("run")(run)
app.command("compare")(compare)
app.command("report")(report)
app.command("export")(export)
app.command("emit")(emit)
app.command("inspect")(inspect)
app.command("targets")(targets)
app.add_typer(backends.app, name="backends")
app.command("hild")(hild)
app.command("devices")(devices)
app.command("robustness")(robustness)
app.command("passes")(passes)
app.command("explain")(explain)
app.command("doctor")(doctor)


def _version(wanted: bool) -> None:
    if wanted:
        output.result(f"spikeport {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")] = False,
) -> None:
    """Compile spiking neural networks trained in PyTorch for neuromorphic chips."""


def run_command(args: list[str]) -> int:
    """Run the command with *args* and return its exit code; nothing is raised."""
    try:
        code = app(args, prog_name="spikeport", standalone_mode=False)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except CLICK_ERRORS as error:
        if shows_help(error):
            output.say(str(error))
            return 2
        return _answer(usage_error(error), "--json" in args)
    except (KeyboardInterrupt, typer.Abort):
        output.say("interrupted")
        return 130
    except BrokenPipeError:
        # Whoever read our output has enough of it; keep Python from complaining about it once more at exit.
        with contextlib.suppress(OSError):
            sys.stdout.close()
        return 141
    except Exception as error:
        return _answer(error, "--json" in args)
    return code if isinstance(code, int) else 0


def _answer(error: Exception, as_json: bool) -> int:
    """Say what went wrong, and return the exit code of its kind."""
    # Here, not at the top: `spikeport --help` answers before numpy is there.
    from spikeport.ir.diagnostics import Diagnostic, InternalError, RunError, SpikeportError

    if isinstance(error, MemoryError):
        error = RunError(
            Diagnostic("E802", "", "the memory of this machine does not suffice", "give fewer samples or steps, record less")
        )
    if isinstance(error, SpikeportError) and not isinstance(error, InternalError):
        return output.failed(error, as_json)
    return _our_bug(error, as_json)


def _our_bug(error: Exception, as_json: bool) -> int:
    trace = "".join(traceback.format_exception(error))
    with tempfile.NamedTemporaryFile("w", prefix="spikeport-bug-", suffix=".txt", delete=False, encoding="utf-8") as file:
        file.write(f"spikeport {__version__}\n{' '.join(sys.argv)}\n\n{trace}")
    text = str(error).splitlines()[0] if str(error) else ""
    output.say(f"error E999: this is a bug in spikeport: {type(error).__name__}: {text}", "error")
    output.say(f"    -> please report it with the traceback in {file.name}")
    if as_json:
        from spikeport.ir.diagnostics import Diagnostic

        bug = Diagnostic("E999", "", f"{type(error).__name__}: {text}", f"report it with {file.name}")
        output.result_json({"ok": False, "exit_code": 70, "diagnostics": [bug.as_dict()]})
    return 70


def main() -> None:
    """Run the command with the arguments of the process."""
    timeout.own_process()
    sys.exit(run_command(sys.argv[1:]))


if __name__ == "__main__":
    main()
