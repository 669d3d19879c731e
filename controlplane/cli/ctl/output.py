"""What `bucklerctl` prints: tables for people, JSON for programs, one sentence when something goes wrong."""

import csv
import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer

from controlplane.cli.ctl.session import CONFIG_DIR_VARIABLE, default_config_dir
from controlplane.cli.failures import DEBUG_VARIABLE, Output, OutputOption, fail, failing_clearly, system_refused
from controlplane.cli.visible import visible
from controlplane.runtime.refusal import Kind, Refusal

ConfigDirOption = Annotated[
    Path,
    typer.Option(
        "--config-dir",
        envvar=CONFIG_DIR_VARIABLE,
        default_factory=lambda: default_config_dir(os.environ),
        help="Where the sign-in is kept.",
        file_okay=False,
        show_default="~/.config/bucklerctl",
    ),
]
LimitOption = Annotated[int, typer.Option("--limit", min=1, max=1_000_000, help="At most so many rows.")]


class Listing(Enum):
    """How to print what may go into a spreadsheet."""

    TEXT = "text"
    JSON = "json"
    CSV = "csv"

    @property
    def errors(self) -> Output:
        """How to say what goes wrong."""
        return Output.JSON if self is Listing.JSON else Output.TEXT


ListingOption = Annotated[Listing, typer.Option("--output", help="How to print the answer.")]

Row = Mapping[str, Any]
#: What a spreadsheet takes for the beginning of a formula; names of devices come from devices.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
# Width of a table that nobody's terminal limits: cells must come through whole.
_PIPE_WIDTH = 1_000
_BETWEEN_COLUMNS = 3
#: Letters that a line of a wrapped cell has at least.
_NARROWEST = 3


def reporting(output: Output) -> AbstractContextManager[None]:
    """Turn whatever goes wrong inside into one sentence, its code, the next step and an exit status."""
    return failing_clearly(output, _explained)


def say_json(answer: Any) -> None:
    """An answer for programs: ASCII, so that every file name survives; moments in ISO 8601."""
    typer.echo(json.dumps(answer, indent=2, default=_json_value))


def say_csv(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Rows for a spreadsheet, RFC 4180; a cell that it would take for a formula gets an apostrophe before it."""
    sheet = csv.writer(sys.stdout)
    sheet.writerow(columns)
    for row in rows:
        sheet.writerow([csv_cell(value) for value in row])


def csv_cell(value: object) -> str:
    """One value of a sheet; nothing, moments in ISO 8601, texts made harmless."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.isoformat()
    cell = visible(str(value))
    return f"'{cell}" if cell.startswith(_FORMULA) else cell


def say(text: str = "") -> None:
    """A line for people."""
    typer.echo(text)


def note(text: str) -> None:
    """A line beside the answer, on stderr."""
    typer.echo(text, err=True)


def say_fields(fields: Mapping[str, str]) -> None:
    """Aligned `name : value` lines."""
    width = max(map(len, fields))
    for name, value in fields.items():
        typer.echo(f"{name:<{width}} : {visible(value)}")


def say_table(
    columns: Sequence[str], rows: Sequence[Sequence[str]], *, whole: Sequence[str] = (), empty: str = ""
) -> None:
    """A table; row after row, a line for each cell, where a table would have to leave something out.

    Args:
        columns: Headings.
        rows: Cells; nothing in them is taken for markup.
        whole: Headings of columns that are never wrapped, because people copy from them.
        empty: What is said instead of a table without rows.
    """
    if empty and not rows:
        say(empty)
        return
    # Late: `bucklerctl --help` need not wait for it.
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False) if sys.stdout.isatty() or os.environ.get("COLUMNS") else _pipe()
    if rows and not _fits(columns, rows, whole, console.width):
        _say_rows(columns, rows)
        return
    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold", no_wrap=column in whole)
    for row in rows:
        table.add_row(*(Text(visible(cell)) for cell in row))
    console.print(table)


def _fits(columns: Sequence[str], rows: Sequence[Sequence[str]], whole: Sequence[str], width: int) -> bool:
    """Whether every column has room: for what is never wrapped, and for some letters a line of everything else."""
    needed = -_BETWEEN_COLUMNS
    for number, column in enumerate(columns):
        longest = max(len(visible(text)) for text in (column, *(row[number] for row in rows)))
        needed += _BETWEEN_COLUMNS + (longest if column in whole else min(longest, _NARROWEST))
    return needed <= width


def _say_rows(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    for number, row in enumerate(rows):
        if number:
            say()
        say_fields(dict(zip(columns, row, strict=True)))


def _pipe() -> Any:
    from rich.console import Console

    return Console(highlight=False, width=_PIPE_WIDTH)


def _json_value(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} has no place in an answer")


def _explained(error: Exception) -> Refusal:
    if isinstance(error, OSError):
        return system_refused(error)
    return Refusal(
        Kind.ENVIRONMENT,
        "INTERNAL",
        f"bucklerctl made a mistake ({type(error).__name__})",
        f"Run it again with {DEBUG_VARIABLE}=1 and give the output to support",
    )


__all__ = [
    "ConfigDirOption",
    "LimitOption",
    "Listing",
    "ListingOption",
    "Output",
    "OutputOption",
    "Row",
    "csv_cell",
    "fail",
    "note",
    "reporting",
    "say",
    "say_csv",
    "say_fields",
    "say_json",
    "say_table",
]


IdempotencyKeyOption = Annotated[
    str, typer.Option(help="Name of this wish, 8 to 64 characters: a repeat with the same name changes nothing more.")
]


def wish_name(given: str) -> str:
    """The name a person gave their wish, or one made up for it."""
    from controlplane.runtime.randomness import SystemRandomness, new_id

    return given or new_id(SystemRandomness(), "ctl")
