"""How both programs of the control plane begin and end: wrong usage is answered as every other failure is."""

import sys
from itertools import pairwise
from typing import NoReturn

import typer

# The exceptions of command-line parsing, which Typer keeps in its own copy of Click and does not re-export.
from typer._click.exceptions import ClickException, NoArgsIsHelpError, UsageError

from controlplane.cli.exit_status import ExitStatus
from controlplane.cli.failures import Output, tell_failure
from controlplane.cli.interrupted import EXIT_INTERRUPTED
from controlplane.cli.standard_streams import prepare_streams
from controlplane.runtime.refusal import Kind, Refusal


def end_with_program(app: typer.Typer, name: str, arguments: list[str]) -> NoReturn:
    """Run one command with streams that can be used, and end the process with its exit status.

    Args:
        app: The program.
        name: What it is called.
        arguments: What follows its name.
    """
    output = Output.JSON if _wants_json(arguments) else Output.TEXT
    prepare_streams(lambda refusal: tell_failure(output, refusal))
    status = run_program(app, name, arguments)
    # Here, and not when the interpreter ends, its failure can still be told.
    sys.stdout.flush()
    sys.exit(status)


def run_program(app: typer.Typer, name: str, arguments: list[str]) -> int:
    """Run one command.

    Args:
        app: The program.
        name: What it is called.
        arguments: What follows its name.

    Returns:
        The exit status (docs/exit-status.md).
    """
    try:
        return int(app(arguments, prog_name=name, standalone_mode=False) or ExitStatus.OK)
    except NoArgsIsHelpError as error:
        if error.format_message():
            typer.echo(error.format_message(), err=True)
        return int(ExitStatus.BAD_INPUT)
    except ClickException as error:
        return tell_failure(Output.JSON if _wants_json(arguments) else Output.TEXT, _bad_usage(error, name))
    except (KeyboardInterrupt, typer.Abort):
        return EXIT_INTERRUPTED


def _bad_usage(error: ClickException, name: str) -> Refusal:
    asked = error.ctx.command_path if isinstance(error, UsageError) and error.ctx is not None else name
    sentence = " ".join(error.format_message().split()).rstrip(".")
    return Refusal(Kind.INVALID, "USAGE", sentence, f"See: {asked} --help")


def _wants_json(arguments: list[str]) -> bool:
    """Looked up by hand, because bad usage is exactly when the parser cannot tell."""
    pairs = pairwise([*arguments, ""])
    return any(word == "--output=json" or (word, following) == ("--output", "json") for word, following in pairs)
