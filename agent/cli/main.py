"""`buckler`: the commands, and the one place where a failure becomes a message and an exit status."""

import os
import sys
import traceback
from itertools import pairwise
from pathlib import Path
from typing import Annotated

# gRPC's C library writes to stderr on its own; our sentences say what went wrong. Read when gRPC is imported.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

import typer

# The exceptions of command-line parsing, which Typer keeps in its own copy of Click and does not re-export.
from typer._click.exceptions import ClickException, NoArgsIsHelpError, UsageError

from agent.cli.commands_on_demand import CommandsOnDemand
from agent.cli.interrupted import EXIT_INTERRUPTED
from agent.cli.invocation import Common, ConfigOption, DataDirOption, OutputOption
from agent.cli.printing import note_error, note_lines, say
from agent.cli.standard_streams import prepare_streams
from agent.domain.errors import BucklerError, ExitStatus
from agent.platform.clock import SystemClock
from agent.platform.interpreter import look_rarely

#: BSD's sysexits.h EX_SOFTWARE: our fault, not the caller's.
EXIT_INTERNAL = 70
#: Commands that log nothing before they set the log up themselves: loading it takes longer than a small scan.
_SILENT = frozenset({"scan"})

buckler = typer.Typer(
    name="buckler",
    cls=CommandsOnDemand,
    help="Watches this device's files, scans them and takes what is malicious out of the way.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _print_version(wanted: bool) -> None:  # noqa: FBT001 -- Typer calls it with the option's value
    if wanted:
        from agent.platform.program import app_version

        say(f"buckler {app_version()}")
        raise typer.Exit


@buckler.callback()
def common(
    context: typer.Context,
    output: OutputOption = None,
    data_dir: DataDirOption = None,
    config: ConfigOption = None,
    *,
    version: Annotated[  # noqa: ARG001 -- its callback does the work
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Take the options that stand before the command."""
    if context.invoked_subcommand not in _SILENT:
        from agent.cli.log import configure_log

        configure_log(service=False)
    context.obj = Common(output, data_dir, config)


def main() -> None:
    """Run one command and end the process with its exit status."""
    look_rarely()
    arguments = sys.argv[1:]
    prepare_streams(lambda error: note_error(error, as_json=_wants_json(arguments)))
    status = run_command(arguments)
    # Here, and not when the interpreter ends, its failure can still be told.
    sys.stdout.flush()
    sys.exit(status)


def run_command(arguments: list[str]) -> int:
    """Run one command; every failure ends here as a sentence, a code and an exit status."""
    as_json = _wants_json(arguments)
    try:
        status_or_none = buckler(arguments, prog_name="buckler", standalone_mode=False)
    except BucklerError as error:
        note_error(error, as_json=as_json)
        return int(error.exit_status)
    except NoArgsIsHelpError as error:
        note_lines(error.format_message())
        return int(ExitStatus.BAD_INPUT)
    except ClickException as error:
        note_error(_bad_usage(error), as_json=as_json)
        return int(ExitStatus.BAD_INPUT)
    except (KeyboardInterrupt, typer.Abort):
        return EXIT_INTERRUPTED
    except Exception as error:  # noqa: BLE001 -- supervision point, the last one: a sentence, and a report for support
        if (refused := _no_text(error, arguments)) is not None:
            note_error(refused, as_json=as_json)
            return int(refused.exit_status)
        note_error(_internal(error), as_json=as_json)
        return EXIT_INTERNAL
    return int(status_or_none or 0)


def _wants_json(arguments: list[str]) -> bool:
    """Looked up by hand, because bad usage is exactly when the parser cannot tell."""
    pairs = pairwise([*arguments, ""])
    return any(word == "--output=json" or (word, following) == ("--output", "json") for word, following in pairs)


def _bad_usage(error: ClickException) -> BucklerError:
    asked = error.ctx.command_path if isinstance(error, UsageError) and error.ctx is not None else "buckler"
    sentence = " ".join(error.format_message().replace("Value error, ", "").split()).rstrip(".")
    return BucklerError("USAGE", sentence, next_step=f"see `{asked} --help`")


def _no_text(error: Exception, arguments: list[str]) -> BucklerError | None:
    """An argument that was to be text; only names of files may hold any bytes."""
    if not isinstance(error, UnicodeEncodeError) or not any(error.object in argument for argument in arguments):
        return None
    return BucklerError(
        "NOT_TEXT",
        f"{error.object!r} holds bytes that are no text in UTF-8",
        next_step="write it in UTF-8; only names of files may hold any bytes",
    )


def _internal(error: Exception) -> BucklerError:
    report = _write_crash_report(error)
    return BucklerError(
        "INTERNAL",
        f"something failed that should not have ({type(error).__name__})",
        next_step=f"send the crash report {report} to support" if report else "run it again, and tell support",
    )


def _write_crash_report(error: Exception) -> Path | None:
    """Keep the traceback where support finds it; None when nothing can be written."""
    import tempfile

    now = SystemClock().now()
    try:
        folder = Path(tempfile.mkdtemp(prefix="buckler-crash-"))
        report = folder / f"{now:%Y%m%dT%H%M%SZ}.txt"
        report.write_text("".join(traceback.format_exception(error)), encoding="utf-8", errors="backslashreplace")
    except OSError:
        return None
    return report
