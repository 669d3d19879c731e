"""The machine a doctor looks at, real and fake: files and room are those of the file system."""

import os
from pathlib import Path

import pytest

from agent.support.machine import LocalMachine
from agent.support.surroundings import FolderSeen, Machine
from tests.fakes.patient import FakeMachine


@pytest.fixture(params=[LocalMachine, FakeMachine])
def machine(request: pytest.FixtureRequest) -> Machine:
    made: Machine = request.param()
    return made


def test_a_file_is_told_with_owner_and_permissions(machine: Machine, tmp_path: Path) -> None:
    file = tmp_path / "x"
    assert machine.look_at(file) is None
    file.write_bytes(b"")
    file.chmod(0o640)
    assert machine.look_at(file) == FolderSeen(os.geteuid(), 0o640, is_dir=False)
    assert machine.look_at(file / "below") is None
    assert machine.user() == os.geteuid()


def test_room_is_that_of_the_nearest_folder_that_is_there(machine: Machine, tmp_path: Path) -> None:
    assert machine.room(tmp_path / "not" / "there" / "yet").read_only == machine.room(tmp_path).read_only
    assert machine.room(tmp_path / "not").free_bytes > 0


def test_build_fits_and_nobody_else_is_made_up(machine: Machine) -> None:
    build = machine.build()
    assert build.machine == build.built_for
    assert build.broken == {}
    assert all(isinstance(name, str) for name in (*machine.competitors(), *machine.proxies()))
