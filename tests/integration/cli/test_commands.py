"""`buckler` as a person uses it, in this process, without an agent and without a network."""

import json
import os
from datetime import timedelta
from pathlib import Path

import pytest

from agent.cli import exclusion
from agent.cli.main import run_command
from agent.cli.scan.request import ScanPlace, Selection
from agent.cli.scan.wiring import scan_wiring
from agent.domain.errors import ExitStatus
from agent.platform.clock import SystemClock
from agent.platform.files.lock import AgentLock
from tests.fakes.clock import FakeClock


@pytest.fixture(autouse=True)
def _own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BUCKLER_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("BUCKLER_CONFIG", "")
    monkeypatch.setenv("HOME", str(tmp_path))


def test_help_names_every_command_of_this_release(capfd: pytest.CaptureFixture[str]) -> None:
    assert run_command(["--help"]) == 0
    said = capfd.readouterr().out
    for name in ("run", "scan", "status", "activate", "deactivate", "subscription", "quarantine", "exclusion", "mode"):
        assert f"  {name} " in said
    assert "  schedule " in said
    assert "  scan-costs " in said
    assert "  diagnostics " in said
    assert "  doctor " in said
    for later in ("firewall", "tuneup"):
        assert later not in said


def test_a_bundle_is_previewed_written_once_and_its_items_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run_command(["diagnostics", "create", "--preview", "--item", "configuration.json"]) == 0
    assert list(tmp_path.iterdir()) == []
    assert json.loads(capfd.readouterr().out)["scanner.workers"] == {"value": 0, "origin": "default"}
    assert run_command(["diagnostics", "create", "--preview", "--item", "nothing"]) == ExitStatus.BAD_INPUT
    assert "ITEM_UNKNOWN" in capfd.readouterr().err
    assert run_command(["diagnostics", "create", "--to", "b.zip"]) == 0
    said = capfd.readouterr().out
    assert "doctor.json            collected" in said
    assert "Nothing was sent; look into it" in said
    assert run_command(["diagnostics", "create", "--to", "b.zip"]) == ExitStatus.BAD_INPUT
    assert "DIAGNOSTICS_EXISTS" in capfd.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["b.zip"]


def test_every_command_says_alike_that_nothing_is_quarantined_under_an_id(capfd: pytest.CaptureFixture[str]) -> None:
    said = set()
    for command in ("show", "restore", "delete"):
        assert run_command(["quarantine", command, "q_none"]) == ExitStatus.NEGATIVE
        said.add(capfd.readouterr().err)
    assert said == {
        "QUARANTINE_UNKNOWN: there is no quarantined file q_none\nnext: list them with `buckler quarantine list`\n"
    }


@pytest.mark.parametrize("action", ["restore", "delete"])
def test_an_id_that_is_no_text_is_bad_input_and_no_crash(action: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert run_command(["quarantine", action, "q\udcff"]) == ExitStatus.BAD_INPUT
    assert r"NOT_TEXT: 'q\udcff'" in capfd.readouterr().err


def test_what_scans_cost_is_asked_of_an_agent(capfd: pytest.CaptureFixture[str]) -> None:
    assert run_command(["scan-costs"]) == ExitStatus.ENVIRONMENT
    assert "AGENT_NOT_RUNNING" in capfd.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ["fly"],
        ["status", "--what"],
        ["mode"],
        ["mode", "sideways"],
        ["mode", "block", "extra"],
        ["quarantine", "restore"],
        ["quarantine", "delete", "q_1", "--rule", "x"],
        ["exclusion", "add", "/a", "--kind", "colour"],
        ["exclusion", "add", "/a", "--days", "0"],
        ["status", "--output", "xml"],
        ["run", "--mode", "maybe"],
    ],
)
def test_wrong_arguments_are_one_sentence_and_status_2(arguments: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    assert run_command(arguments) == 2
    said = capfd.readouterr()
    assert said.out == ""
    first, second = said.err.strip().splitlines()
    assert first.startswith("USAGE: ")
    depth = {"fly": 0, "quarantine": 2, "exclusion": 2}.get(arguments[0], 1)
    assert second == f"next: see `{' '.join(['buckler', *arguments[:depth]])} --help`"


@pytest.mark.parametrize("arguments", [[], ["quarantine"]])
def test_a_program_called_without_a_command_shows_its_help(
    arguments: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    assert run_command(arguments) == 2
    said = capfd.readouterr()
    assert said.out == ""
    assert said.err.startswith(f"Usage: {' '.join(['buckler', *arguments])} ")


def test_an_error_for_programs_is_json_on_standard_error(capfd: pytest.CaptureFixture[str]) -> None:
    assert run_command(["mode", "block", "--output", "json"]) == ExitStatus.NEGATIVE
    error = json.loads(capfd.readouterr().err)["error"]
    assert error["code"] == "FEATURE_NOT_ENTITLED"
    assert error["facts"]["reason"] == "NOT_ACTIVATED"


def test_options_are_taken_before_and_after_the_command(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for arguments in (["--output", "json", "exclusion", "list"], ["exclusion", "list", "--output", "json"]):
        assert run_command([*arguments, "--data-dir", str(tmp_path / "other")]) == 0
        assert json.loads(capfd.readouterr().out) == []
    assert (tmp_path / "other/agent.db").exists()


def test_status_without_an_agent_says_so_and_is_not_healthy(capfd: pytest.CaptureFixture[str]) -> None:
    assert run_command(["status", "--output", "json"]) == 1
    fields = json.loads(capfd.readouterr().out)
    assert fields["healthy"] is False
    assert fields["health_issues"][0].startswith("agent_not_running")
    assert fields["access"] == "unlicensed"
    assert run_command(["status", "--field", "access"]) == 1
    assert capfd.readouterr().out == "unlicensed\n"
    assert run_command(["status", "--field", "nonsense"]) == 2


def test_an_exclusion_lives_from_add_to_remove(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run_command(["exclusion", "add", str(tmp_path / "build"), "--days", "3", "--output", "json"]) == 0
    added = json.loads(capfd.readouterr().out)
    assert added["expires_at"] is not None
    assert run_command(["exclusion", "list"]) == 0
    assert added["id"] in capfd.readouterr().out
    assert run_command(["exclusion", "remove", added["id"]]) == 0
    assert run_command(["exclusion", "remove", added["id"]]) == 1
    assert "EXCLUSION_UNKNOWN" in capfd.readouterr().err


def test_a_mistyped_key_is_refused_without_a_network(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    key, ca = tmp_path / "key", tmp_path / "ca.pem"
    key.write_text("BKLR-AAAAA-AAAAA-AAAAA")
    ca.write_text("")
    arguments = ["activate", "--server", "host.invalid:1", "--key-file", str(key), "--ca", str(ca)]
    assert run_command(arguments) == 2
    assert "KEY_MISTYPED" in capfd.readouterr().err
    assert run_command(["activate", "--key-file", str(key)]) == 2
    assert "SERVER_MISSING" in capfd.readouterr().err


def test_commands_that_need_a_seat_name_the_way_to_one(capfd: pytest.CaptureFixture[str]) -> None:
    assert run_command(["deactivate"]) == 1
    said = capfd.readouterr().err
    assert "NOT_ACTIVATED" in said
    assert "buckler activate" in said
    assert run_command(["subscription", "--output", "json"]) == 0
    assert "buckler activate" in json.loads(capfd.readouterr().out)["way_back"]


def test_a_second_agent_is_refused(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "data").mkdir()
    with AgentLock(tmp_path / "data/agent.lock"):
        assert run_command(["run", "--root", str(tmp_path)]) == 5
    said = capfd.readouterr().err
    assert "AGENT_RUNNING" in said
    assert str(os.getpid()) in said


def test_a_broken_configuration_stops_every_command(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "agent.toml"
    file.write_text("[realtime]\nmode = 'blok'\n")
    for command in (["status"], ["run"], ["mode", "notify"], ["quarantine", "list"]):
        assert run_command([*command, "--config", str(file)]) == 2
        assert "CONFIG_INVALID" in capfd.readouterr().err


def test_a_data_folder_that_cannot_be_made_is_named(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert run_command(["status", "--data-dir", str(tmp_path / "file/data")]) == 5
    assert "DATA_DIR_UNUSABLE" in capfd.readouterr().err


@pytest.mark.parametrize("action", ["status", "pause", "resume", "cancel"])
def test_without_an_agent_there_is_nothing_to_steer(action: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert run_command(["schedule", action]) == ExitStatus.ENVIRONMENT
    assert capfd.readouterr().err.startswith("AGENT_NOT_RUNNING: ")


def test_a_finished_quick_scan_is_told_by_status_where_an_agent_has_its_data(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    place = ScanPlace(tmp_path / "data", None)
    scan_wiring().note_finished(place, Selection.QUICK)
    assert not (tmp_path / "data").exists()
    run_command(["exclusion", "list"])
    scan_wiring().note_finished(place, Selection.PATHS)
    scan_wiring().note_finished(place, Selection.QUICK)
    capfd.readouterr()
    run_command(["status", "--output", "json"])
    fields = json.loads(capfd.readouterr().out)
    assert fields["last_quick_scan"] is not None
    assert fields["last_full_scan"] is None


def test_an_exclusion_that_is_over_says_so(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    run_command(["exclusion", "add", "/a/b", "--days", "1", "--reason", "build output"])
    capfd.readouterr()
    late = FakeClock(SystemClock().now() + timedelta(days=2))
    monkeypatch.setattr(exclusion, "SystemClock", lambda: late)
    run_command(["exclusion", "list"])
    said = capfd.readouterr().out
    assert "(over)" in said
    assert "build output" in said
