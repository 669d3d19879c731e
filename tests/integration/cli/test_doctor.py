"""`buckler doctor` as a person uses it, without an agent, and after an activation that failed."""

import json
from pathlib import Path
from typing import Any

import pytest

from agent.cli.doctor import explain_failed_activation
from agent.cli.invocation import Common
from agent.cli.main import run_command
from tests.fakes.strangers import closed_port
from wire.activation_key import format_activation_key, generate_activation_key

KEY = format_activation_key(generate_activation_key(b"eleven byte"))


@pytest.fixture(autouse=True)
def _own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BUCKLER_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("BUCKLER_CONFIG", "")
    monkeypatch.setenv("HOME", str(tmp_path))


def test_without_anything_it_works_finds_what_is_missing_and_makes_nothing(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run_command(["doctor", "--output", "json"]) == 1
    report: dict[str, Any] = json.loads(capfd.readouterr().out)
    assert report["first_code"] == "AGENT_NOT_RUNNING"
    assert [result["code"] for result in report["results"] if result["status"] == "failing"] == ["AGENT_NOT_RUNNING"]
    by_name = {result["check"]: result for result in report["results"]}
    # The worker is real, and so is what it found.
    assert by_name["self_test"]["status"] == "passing"
    assert not (tmp_path / "data").exists()


def test_one_check_is_told_in_text_and_passes(capfd: pytest.CaptureFixture[str]) -> None:
    assert run_command(["doctor", "--check", "disk_space"]) == 0
    said = capfd.readouterr().out
    assert said.startswith("passing disk_space: ")
    assert said.endswith("0 failing, 0 warning, 0 unknown, 1 passing\n")


def test_a_check_that_does_not_exist_is_bad_usage(capfd: pytest.CaptureFixture[str]) -> None:
    assert run_command(["doctor", "--check", "karma"]) == 2
    said = capfd.readouterr()
    assert said.err.startswith("USAGE: ")
    assert "disk_space" in said.err


def test_a_failed_activation_is_explained_at_once(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    key = tmp_path / "key"
    key.write_text(KEY)
    arguments = ["activate", "--server", closed_port(), "--key-file", str(key)]
    assert run_command(arguments) == 4
    said = capfd.readouterr()
    assert said.out == ""
    first, *lines = said.err.splitlines()
    assert first.startswith("SERVER_UNREACHABLE: ")
    assert any(line.startswith("failing port: NET_PORT: ") for line in lines)
    assert "  who       : the operator of the control plane" in lines
    # Programs get one object, and later the same refusal from the doctor.
    assert run_command([*arguments, "--output", "json"]) == 4
    assert json.loads(capfd.readouterr().err)["error"]["code"] == "SERVER_UNREACHABLE"


def test_a_refusal_that_nothing_here_explains_is_not_left_hanging(capfd: pytest.CaptureFixture[str]) -> None:
    explain_failed_activation(Common(), "SEAT_LIMIT", None, None)
    said = capfd.readouterr()
    assert said.out == ""
    assert said.err.splitlines()[-1] == "Nothing on this device is in the way; what counts is said above."
