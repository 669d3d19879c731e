"""Both programs answer wrong usage as they answer every other failure."""

import json

import pytest
import typer

from controlplane.cli.bucklerctl import app as bucklerctl
from controlplane.cli.interrupted import EXIT_INTERRUPTED
from controlplane.cli.program import run_program


@pytest.mark.parametrize(
    ("arguments", "sentence", "help_of"),
    [
        (["fleet", "status", "--nope"], "No such option: --nope", "bucklerctl fleet status --help"),
        (["nosuch"], "No such command 'nosuch'", "bucklerctl --help"),
        (["device", "show"], "Missing argument 'device_id'", "bucklerctl device show --help"),
    ],
)
def test_wrong_usage_is_a_sentence_with_a_code_and_the_next_step(
    arguments: list[str], sentence: str, help_of: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_program(bucklerctl, "bucklerctl", arguments) == 2
    assert capsys.readouterr().err == f"USAGE: {sentence}\nnext: See: {help_of}\n"


@pytest.mark.parametrize("option", [["--output", "json"], ["--output=json"]])
def test_programs_are_told_of_wrong_usage_in_json(option: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run_program(bucklerctl, "bucklerctl", ["device", "list", *option, "--nope"]) == 2
    assert json.loads(capsys.readouterr().err)["error"]["code"] == "USAGE"


def test_no_command_at_all_is_answered_with_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_program(bucklerctl, "bucklerctl", ["fleet"]) == 2
    assert "status" in "".join(capsys.readouterr())


@pytest.mark.parametrize(
    ("ended_by", "status"), [(KeyboardInterrupt(), EXIT_INTERRUPTED), (typer.Exit(4), 4), (None, 0)]
)
def test_however_a_command_ends_there_is_a_status(ended_by: BaseException | None, status: int) -> None:
    program = typer.Typer()

    @program.command()
    def end() -> None:
        if ended_by is not None:
            raise ended_by

    assert run_program(program, "program", []) == status
