"""How both programs end when something goes wrong: one sentence, its code, the next step, an exit status."""

import json
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum
from typing import Annotated, NoReturn

import typer

from controlplane.cli.exit_status import EXIT_STATUS_OF
from controlplane.cli.visible import visible
from controlplane.runtime.refusal import Kind, Refusal

#: Set to anything to see where a mistake of ours was made.
DEBUG_VARIABLE = "BUCKLER_DEBUG"


class Output(Enum):
    """How to print."""

    TEXT = "text"
    JSON = "json"


OutputOption = Annotated[Output, typer.Option("--output", help="How to print the answer.")]

#: What it was is not repeated: it may have been a password.
_NOT_TEXT = Refusal(
    Kind.INVALID,
    "NOT_TEXT",
    "what was given on the command line or standard input holds bytes that are no text in UTF-8",
    "Write it in UTF-8; only names of files on this machine may hold any bytes",
)
#: How Python keeps a byte that is no text.
_LONE_BYTES = re.compile("[\udc80-\udcff]")


@contextmanager
def failing_clearly(output: Output, explained: Callable[[Exception], Refusal]) -> Iterator[None]:
    """Turn whatever goes wrong inside into one sentence, its code, the next step and an exit status.

    Args:
        output: For people or for programs.
        explained: Puts an exception that is no refusal into words.
    """
    try:
        yield
    except Refusal as refusal:
        fail(output, refusal)
    # Supervision point of every command: nobody is shown a traceback who did not ask for one.
    except Exception as error:
        if isinstance(error, typer.Exit | typer.Abort) or os.environ.get(DEBUG_VARIABLE):
            raise
        fail(output, _NOT_TEXT if _is_no_text(error) else explained(error))


def system_refused(error: OSError) -> Refusal:
    """What the operating system did not do."""
    place = f" at {error.filename}" if error.filename else ""
    return Refusal(
        Kind.ENVIRONMENT,
        "SYSTEM_REFUSED",
        f"the operating system refused{place}: {error.strerror or type(error).__name__}",
        "Check the path, its owner and the room on the disk",
    )


def _is_no_text(error: Exception) -> bool:
    return isinstance(error, UnicodeEncodeError) and _LONE_BYTES.search(error.object) is not None


def fail(output: Output, refusal: Refusal) -> NoReturn:
    """Print a failure to stderr and end the process."""
    raise typer.Exit(tell_failure(output, refusal))


def tell_failure(output: Output, refusal: Refusal) -> int:
    """Print a failure to stderr; the exit status that goes with it."""
    status = EXIT_STATUS_OF[refusal.kind]
    if output is Output.JSON:
        error = {
            "code": refusal.reason,
            "message": refusal.message,
            "next_step": refusal.next_step,
            "retry_after_s": refusal.retry_after_s,
            "facts": refusal.facts,
            "exit_status": int(status),
        }
        typer.echo(json.dumps({"error": error}), err=True)
    else:
        typer.echo(f"{refusal.reason}: {visible(refusal.message)}", err=True)
        typer.echo(f"next: {visible(refusal.next_step)}", err=True)
    return int(status)
