"""A command of a loaded program is a process with streams, an environment, a folder and an end of its own."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.integration.loaded_programs import Ended, loaded_programs


def run(program: str, *arguments: str, stdin: bytes = b"", timeout_s: float = 60.0, **environment: str) -> Ended:
    return loaded_programs().run(
        program, arguments, stdin=stdin, environment={**os.environ, **environment}, timeout_s=timeout_s
    )


def test_it_says_how_it_ended_and_what_it_said(tmp_path: Path) -> None:
    assert run("buckler", "--version").stdout.startswith(b"buckler ")
    refused = run(
        "buckler", "scan-costs", "--output", "json", BUCKLER_DATA_DIR=str(tmp_path / "\udcff"), BUCKLER_CONFIG=""
    )
    assert (refused.status, refused.stdout) == (5, b"")
    assert json.loads(refused.stderr)["error"]["code"] == "AGENT_NOT_RUNNING"
    assert run("bucklerctl", "fly").status == 2
    assert run("buckler-server", "--help").status == 0


def test_it_reads_what_it_is_given_in_the_folder_of_its_caller(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    customer = ("--org", "Example", "--admin-email", "a@example.com", "--admin-password-stdin")
    made = ("init", "--data-dir", "here", *customer)
    refused = run("buckler-server", *made, stdin=b"short\n")
    assert refused.stderr.startswith(b"PASSWORD_UNFIT")
    assert run("buckler-server", *made, stdin=b"correct horse battery\n").status == 0
    assert (tmp_path / "here" / "server.toml").exists()


def test_none_runs_longer_than_it_may(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    endless = ("run", "--root", str(tmp_path / "root"), "--data-dir", str(tmp_path / "data"))
    with pytest.raises(subprocess.TimeoutExpired):
        run("buckler", *endless, timeout_s=0.5, BUCKLER_CONFIG="")
    assert run("buckler", "--version").status == 0
