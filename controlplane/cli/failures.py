"""How both programs end when something goes wrong: one sentence, its code, the next step, an exit status."""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum
from typing import Annotated, NoReturn

import typer

from controlplane.cli.exit_status import EXIT_STATUS_OF
from controlplane.cli.visible import visible
from controlplane.runtime.refusal import Refusal

#: Set to anything to see where a mistake of ours was made.
DEBUG_VARIABLE = "BUCKLER_DEBUG"


class Output(Enum):
    """How to print."""

    TEXT = "text"
    JSON = "json"


OutputOption = Annotated[Output, typer.Option("--output", help="How to print the answer.")]


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
        fail(output, explained(error))


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
