"""How answers and errors reach people and programs. The only file that writes to standard output and error."""

import json
import sys
from collections.abc import Sequence
from typing import Any

from agent.domain.errors import BucklerError

Json = dict[str, Any] | list[Any]


def say(text: str) -> None:
    """One line for the reader of standard output.

    File names may hold any bytes; those that are no UTF-8 come out as they are in the file system.
    """
    sys.stdout.buffer.write(text.encode("utf-8", "surrogateescape") + b"\n")
    sys.stdout.buffer.flush()


def note(text: str) -> None:
    """One line beside the answer, on standard error."""
    sys.stderr.buffer.write(text.encode("utf-8", "surrogateescape") + b"\n")
    sys.stderr.buffer.flush()


def say_json(value: Json) -> None:
    """An answer for programs: one JSON document, in ASCII, so that every file name survives."""
    say(json.dumps(value, indent=2))


def say_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Aligned columns."""
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    for row in (header, *rows):
        say("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def note_error(error: BucklerError, *, as_json: bool) -> None:
    """A refusal or failure, on standard error."""
    if as_json:
        details = {"code": error.code, "message": error.message, "next_step": error.next_step, "facts": error.facts}
        note(json.dumps({"error": details}))
        return
    note(f"{error.code}: {error.message}")
    note(f"next: {error.next_step}")
