"""What `agent.domain.ports.ServiceSupervisor` promises, for three systems whose tools are played, and for the fake."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from agent.domain.errors import BucklerError
from agent.domain.ports import ServiceSupervisor
from agent.domain.services import DefinitionState, ServiceState
from agent.platform.services.linux import Systemd
from agent.platform.services.macos import Launchd
from agent.platform.services.windows import WindowsServices
from tests.fakes.supervisors import (
    PID,
    SINCE,
    FakeLaunchctl,
    FakeSc,
    FakeSupervisor,
    FakeSystemctl,
    no_pause,
    started,
)


@dataclass
class Machine:
    """A supervisor on a scratch machine."""

    supervisor: ServiceSupervisor
    command: Sequence[str]
    refuse: Callable[[str], None]
    demote: Callable[[], None]


class Rights:
    """Of the person who calls."""

    def __init__(self) -> None:
        self.root = True

    def drop(self) -> None:
        self.root = False


@pytest.fixture(name="machine", params=["systemd", "launchd", "windows", "fake"])
def machine_of(request: pytest.FixtureRequest, tmp_path: Path) -> Machine:
    command = (str(tmp_path / "buckler"), "run")
    rights = Rights()
    if request.param == "fake":
        fake = FakeSupervisor()
        return Machine(fake, command, lambda said: setattr(fake, "refuses", said), lambda: setattr(fake, "root", False))
    tools = {"systemd": FakeSystemctl, "launchd": FakeLaunchctl, "windows": FakeSc}
    tool = tools[request.param](tmp_path)

    def root() -> bool:
        return rights.root

    supervisors: dict[str, Callable[[], ServiceSupervisor]] = {
        "systemd": lambda: Systemd(tool, tmp_path, root),
        "launchd": lambda: Launchd(tool, tmp_path, started, root),
        "windows": lambda: WindowsServices(tool, started, no_pause, root),
    }
    return Machine(supervisors[request.param](), command, lambda said: setattr(tool, "complaint", said), rights.drop)


def test_before_it_is_installed_there_is_nothing(machine: Machine) -> None:
    status = machine.supervisor.status()
    assert status.state is ServiceState.ABSENT
    assert (status.installed, status.enabled, status.running, status.pid) == (False, False, False, None)
    assert machine.supervisor.definition(machine.command) is DefinitionState.ABSENT


def test_an_installed_service_starts_with_the_machine_and_not_yet(machine: Machine) -> None:
    machine.supervisor.install(machine.command)
    status = machine.supervisor.status()
    assert (status.installed, status.enabled, status.running) == (True, True, False)
    assert status.definition
    assert machine.supervisor.definition(machine.command) is DefinitionState.CURRENT


def test_another_command_is_another_definition_and_takes_its_place(machine: Machine) -> None:
    machine.supervisor.install(machine.command)
    other = (*machine.command, "--data-dir", "/srv/with space and $HOME")
    assert machine.supervisor.definition(other) is DefinitionState.DIFFERENT
    machine.supervisor.install(other)
    assert machine.supervisor.definition(other) is DefinitionState.CURRENT
    assert machine.supervisor.definition(machine.command) is DefinitionState.DIFFERENT


def test_a_started_service_runs_and_tells_since_when(machine: Machine) -> None:
    machine.supervisor.install(machine.command)
    machine.supervisor.start()
    status = machine.supervisor.status()
    assert (status.state, status.pid, status.since) == (ServiceState.RUNNING, PID, SINCE)
    assert status.restarts in {0, None}
    assert status.last_exit == ""


def test_starting_twice_is_starting(machine: Machine) -> None:
    machine.supervisor.install(machine.command)
    machine.supervisor.start()
    machine.supervisor.start()
    assert machine.supervisor.status().running


def test_a_stopped_service_still_starts_with_the_machine(machine: Machine) -> None:
    machine.supervisor.install(machine.command)
    machine.supervisor.start()
    machine.supervisor.stop()
    machine.supervisor.stop()
    status = machine.supervisor.status()
    assert (status.installed, status.enabled, status.running) == (True, True, False)


def test_nothing_is_left_of_a_service_that_was_taken_away(machine: Machine) -> None:
    machine.supervisor.install(machine.command)
    machine.supervisor.start()
    machine.supervisor.uninstall()
    assert machine.supervisor.status().state is ServiceState.ABSENT
    assert machine.supervisor.definition(machine.command) is DefinitionState.ABSENT


@pytest.mark.parametrize("what", ["install", "uninstall", "start", "stop"])
def test_an_ordinary_user_changes_nothing_and_sees_everything(machine: Machine, what: str) -> None:
    machine.supervisor.install(machine.command)
    before = machine.supervisor.status()
    machine.demote()
    with pytest.raises(BucklerError) as refused:
        _do(machine, what)
    assert refused.value.code == "NOT_PERMITTED"
    assert machine.supervisor.status() == before


@pytest.mark.parametrize("what", ["install", "start"])
def test_what_the_supervisor_refuses_is_told_in_its_words(machine: Machine, what: str) -> None:
    machine.supervisor.install(machine.command)
    machine.refuse("Unit is masked.")
    with pytest.raises(BucklerError, match="Unit is masked") as refused:
        _do(machine, what)
    assert refused.value.code == "SERVICE_REFUSED"


def _do(machine: Machine, what: str) -> None:
    if what == "install":
        machine.supervisor.install(machine.command)
    else:
        getattr(machine.supervisor, what)()
