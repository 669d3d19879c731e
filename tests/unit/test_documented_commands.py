"""The documents show command lines; whoever types them must not be told `USAGE`."""

import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
import typer

from agent.cli.main import buckler
from controlplane.cli.buckler_server import app as buckler_server
from controlplane.cli.bucklerctl import app as bucklerctl
from deploy.building.command_tree import Command, Option, read_program
from tests.unit.test_documents import DOCUMENTS, TOP

PROGRAMS: dict[str, typer.Typer] = {"buckler": buckler, "bucklerctl": bucklerctl, "buckler-server": buckler_server}
#: Figures, among which `buckler` is a column; and decisions, which tell of the day they were made.
_HISTORY = ("docs/adr/", "docs/benchmarks.md")
_FENCE = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"`((?:buckler|bucklerctl|buckler-server) [^`]+)`")
_LINE = re.compile(r"^(?:\S*\.venv/bin/)?((?:buckler|bucklerctl|buckler-server) .+)$", re.MULTILINE)
#: What a reader puts something of their own for.
_PLACEHOLDER = re.compile(r"…|[A-Z_]+")
_TREES = {name: read_program(name, app) for name, app in PROGRAMS.items()}


def command_lines(text: str) -> Iterator[str]:
    """What a document has its reader type, without comments, redirections and what reads the output."""
    lines = [line for block in _FENCE.findall(text) for line in _LINE.findall(block)]
    for line in [*lines, *_INLINE.findall(_FENCE.sub("", text))]:
        yield re.split(r"\s+(?:#|[<>]|\||&&)", line.replace(r"\|", "|"))[0]


def complaints(line: str) -> Iterator[str]:
    """What is wrong with a command line: `a|b` stands for either, `[…]` for what may be left out."""
    program, *words = re.sub(r"[\[\]]", "", line.replace(" | ", "|")).split()
    ways = [_TREES[program]]
    while words and ways and all(way.commands for way in ways) and not words[0].startswith("-") and words[0] != "…":
        names, below = words.pop(0).split("|"), {command.name: command for way in ways for command in way.commands}
        yield from (f"there is no command {name}" for name in names if name not in below)
        ways = [below[name] for name in names if name in below]
    for way in ways:
        yield from _complaints_about_options(way, _TREES[program], words)


def _complaints_about_options(command: Command, program: Command, words: list[str]) -> Iterator[str]:
    known = {name: option for option in (*program.options, *command.options) for name in option.names}
    for word, following in pairwise([*words, ""]):
        for name in filter(lambda part: part.startswith("--"), word.split("|")):
            if name not in known:
                yield f"{' '.join(command.path)} has no option {name}"
            else:
                yield from _complaints_about_value(known[name], following)


def _complaints_about_value(option: Option, value: str) -> Iterator[str]:
    if option.choices and not _PLACEHOLDER.fullmatch(value):
        yield from (
            f"{option.names[0]} does not take {one}" for one in re.split(r"[|,]", value) if one not in option.choices
        )


@pytest.mark.parametrize(
    "document",
    [path for path in DOCUMENTS if not path.relative_to(TOP).as_posix().startswith(_HISTORY)],
    ids=lambda path: path.relative_to(TOP).as_posix(),
)
def test_every_command_line_can_be_typed(document: Path) -> None:
    found = [
        f"{line}: {complaint}"
        for line in command_lines(document.read_text(encoding="utf-8"))
        for complaint in complaints(line)
    ]
    assert found == []


def test_command_lines_are_found() -> None:
    found = list(command_lines((TOP / "docs/operations.md").read_text(encoding="utf-8")))
    assert "bucklerctl sandbox advance --by 400d" in found
    assert "buckler service install" in found
    assert "buckler-server migrate" in found


def test_a_wrong_command_line_is_noticed() -> None:
    assert list(complaints("bucklerctl fleet status --output csv")) == []
    assert list(complaints("bucklerctl fleet state")) == ["there is no command state"]
    assert list(complaints("buckler scan [--quick|--fast] PATH…")) == ["buckler scan has no option --fast"]
    assert list(complaints("buckler status --output xml")) == ["--output does not take xml"]
