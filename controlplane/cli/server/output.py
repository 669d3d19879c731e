"""What operators see: an answer as text or JSON on stdout, a failure as one sentence with its code and next step."""

import json
import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

import typer

from controlplane.cli.exit_status import ExitStatus
from controlplane.cli.failures import DEBUG_VARIABLE, Output, OutputOption, fail, failing_clearly, system_refused
from controlplane.runtime.refusal import Kind, Refusal


def show(output: Output, answer: Mapping[str, Any], *, hints: tuple[str, ...] = ()) -> None:
    """Print an answer.

    Args:
        output: As JSON: one object. As text: aligned `name : value` lines.
        answer: Names and values; values that are None are left out of the text.
        hints: Lines for people, after the answer.
    """
    if output is Output.JSON:
        typer.echo(json.dumps(answer, ensure_ascii=False))
        return
    shown = {name: value for name, value in answer.items() if value is not None}
    width = max((len(name) for name in shown), default=0)
    for name, value in shown.items():
        typer.echo(f"{name:<{width}} : {_text(value)}")
    if hints:
        typer.echo("")
    for hint in hints:
        typer.echo(hint)


def reporting(output: Output) -> AbstractContextManager[None]:
    """Turn whatever goes wrong inside into one sentence, its code, the next step and an exit status."""
    return failing_clearly(output, _explained)


def read_secret(what: str) -> str:
    """One line of stdin, never argv: other users can see that.

    Raises:
        Refusal: SECRET_MISSING.
    """
    line = sys.stdin.readline().rstrip("\r\n")
    if not line:
        raise Refusal(
            Kind.INVALID, "SECRET_MISSING", f"there is no {what} on standard input", f"Pipe the {what} in, on one line"
        )
    return line


def _explained(error: Exception) -> Refusal:
    from sqlalchemy.exc import DBAPIError

    from controlplane.storage.outages import DatabaseUnavailableError

    if isinstance(error, DBAPIError | DatabaseUnavailableError):
        why = type(error.orig).__name__ if isinstance(error, DBAPIError) else str(error)
        return Refusal(
            Kind.UNAVAILABLE,
            "DATABASE_UNAVAILABLE",
            f"the database did not do what it was asked ({why})",
            "Check that it runs, has room on its disk and accepts this user; then: buckler-server doctor",
        )
    if not isinstance(error, OSError):
        return Refusal(
            Kind.ENVIRONMENT,
            "INTERNAL",
            f"buckler-server made a mistake ({type(error).__name__})",
            f"Run it again with {DEBUG_VARIABLE}=1 and give the output to support",
        )
    return system_refused(error)


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


__all__ = ["ExitStatus", "Output", "OutputOption", "fail", "read_secret", "reporting", "show"]
