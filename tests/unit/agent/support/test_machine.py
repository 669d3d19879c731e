import os
from pathlib import Path

import pytest

from agent.support.machine import LocalMachine
from agent.support.surroundings import FolderSeen


def test_this_machine_can_run_what_it_runs() -> None:
    build = LocalMachine().build()
    assert build.machine == build.built_for
    assert build.broken == {}


def test_files_and_room_are_those_of_the_file_system(tmp_path: Path) -> None:
    machine, file = LocalMachine(), tmp_path / "x"
    assert machine.look_at(file) is None
    file.write_bytes(b"")
    file.chmod(0o640)
    assert machine.look_at(file) == FolderSeen(os.geteuid(), 0o640, is_dir=False)
    assert machine.look_at(file / "below") is None
    room = machine.room(tmp_path / "not" / "there" / "yet")
    assert room.free_bytes == machine.room(tmp_path).free_bytes > 0


def test_proxies_are_told_without_names_and_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://ann:canary@proxy.example:3128/x")
    monkeypatch.setenv("ALL_PROXY", "socks.example")
    monkeypatch.setenv("grpc_proxy", "http://[canary")
    monkeypatch.delenv("HTTPS_PROXY", raising=False)
    monkeypatch.delenv("all_proxy", raising=False)
    assert LocalMachine().proxies() == {
        "https_proxy": "proxy.example:3128", "ALL_PROXY": "socks.example", "grpc_proxy": "unreadable",
    }  # fmt: skip
