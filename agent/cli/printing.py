"""How answers and errors reach people and programs. The only file that writes to standard output and error."""

import json
import sys
from collections.abc import Sequence
from typing import Any, Final, TextIO

from agent.domain.errors import BucklerError

Json = dict[str, Any] | list[Any]
#: What Python reads bytes of names as that are no UTF-8 (PEP 383).
_FIRST_LONE_BYTE: Final = "\udc80"
_LAST_LONE_BYTE: Final = "\udcff"
_BYTE: Final = 0xFF


def visible(untrusted_text: str) -> str:
    r"""The text on one line: what is not printable becomes its escape, a byte of a name that is no UTF-8 `\xff`."""
    if untrusted_text.isprintable():
        return untrusted_text
    return "".join(letter if letter.isprintable() else _escape(letter) for letter in untrusted_text)


def say(text: str) -> None:
    """One line for the reader of standard output; a file's name can neither move the cursor nor begin a line."""
    _write(sys.stdout, visible(text))


def say_lines(text: str) -> None:
    """Lines for the reader of standard output, as they are: ours, or asked for byte by byte."""
    _write(sys.stdout, text)


def note(text: str) -> None:
    """One line beside the answer, on standard error, made harmless as `say` does."""
    _write(sys.stderr, visible(text))


def note_lines(text: str) -> None:
    """Lines of ours beside the answer, on standard error."""
    _write(sys.stderr, text)


def say_json(value: Json) -> None:
    """An answer for programs: one JSON document, in ASCII, so that every file name survives."""
    say_lines(json.dumps(value, indent=2))


def say_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Aligned columns."""
    shown = [header, *([visible(cell) for cell in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*shown, strict=True)]
    for row in shown:
        say("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def note_error(error: BucklerError, *, as_json: bool) -> None:
    """A refusal or failure, on standard error."""
    if as_json:
        details = {"code": error.code, "message": error.message, "next_step": error.next_step, "facts": error.facts}
        note(json.dumps({"error": details}))
        return
    note(f"{error.code}: {error.message}")
    note(f"next: {error.next_step}")


def _write(stream: TextIO, text: str) -> None:
    stream.buffer.write(text.encode("utf-8", "surrogateescape") + b"\n")
    stream.buffer.flush()


def _escape(letter: str) -> str:
    if _FIRST_LONE_BYTE <= letter <= _LAST_LONE_BYTE:
        return f"\\x{ord(letter) & _BYTE:02x}"
    return letter.encode("unicode_escape").decode("ascii")
