"""Arguments come out as Typer would convert them, whether by us or by it."""

import sys
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import pytest
import typer

from agent.cli.plain_values import convert_plainly


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


def outcome(arguments: list[str], *, plainly: bool) -> tuple[int, Any, str]:
    """Exit status, values and what was said, of a command with a parameter of every kind."""
    got: list[Any] = []
    app = typer.Typer(add_completion=False, rich_markup_mode=None)

    @app.command()
    def command(
        words: Annotated[list[str] | None, typer.Argument()] = None,
        *,
        path: Annotated[Path | None, typer.Option()] = None,
        paths: Annotated[list[Path] | None, typer.Option()] = None,
        there: Annotated[Path | None, typer.Option(exists=True, dir_okay=False)] = None,
        colour: Annotated[Colour, typer.Option()] = Colour.RED,
        number: Annotated[int, typer.Option(min=0, max=9)] = 3,
        share: Annotated[float | None, typer.Option()] = None,
        flag: Annotated[bool, typer.Option("--flag")] = False,
        text: Annotated[str, typer.Option(envvar="SOME_TEXT")] = "",
    ) -> None:
        got.append((words, path, paths, there, colour, number, share, flag, text))

    parsed = typer.main.get_command(app)
    if plainly:
        convert_plainly(parsed.params)
    try:
        status = parsed.main(arguments, standalone_mode=False) or 0
    except Exception as error:  # noqa: BLE001 -- whatever it is, both ways have to agree on it
        return 2, got, f"{type(error).__name__} {error}"
    return status, got, ""


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["a", "b/c", "\udcff"],
        ["--path", "x//y/", "--paths", "a", "--paths", "."],
        ["--there", sys.executable],
        ["--there", "/nowhere/at/all"],
        ["--there", "/"],
        ["--colour", "blue"],
        ["--colour", "green"],
        ["--number", "7"],
        ["--number", "70"],
        ["--number", "007"],
        ["--number", "-1"],
        ["--number", " 7"],
        ["--number", "\u0667"],
        ["--number", "9" * 30],
        ["--number", "many"],
        ["--share", "1.5"],
        ["--share", "7"],
        ["--share", "0.1"],
        ["--share", "1e3"],
        ["--share", "nan"],
        ["--share", "x"],
        ["--flag", "--text", "7"],
        ["--path"],
        ["--what"],
    ],
)
def test_values_and_refusals_are_those_of_typer(arguments: list[str]) -> None:
    plain, full = outcome(arguments, plainly=True), outcome(arguments, plainly=False)
    assert repr(plain) == repr(full)


def test_a_variable_is_a_value_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_TEXT", "said")
    assert outcome([], plainly=True) == outcome([], plainly=False)
    assert outcome([], plainly=True)[1][0][-1] == "said"
