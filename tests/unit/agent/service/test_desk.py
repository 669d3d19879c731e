from dataclasses import replace

import pytest

from agent.domain.errors import BucklerError
from agent.domain.services import ServiceState, ServiceStatus
from agent.service.desk import PATIENCE_S, DeskParts, Installed, ServiceDesk
from agent.service.remains import Held
from tests.fakes.supervisors import FakeSupervisor

COMMAND = ("/opt/buckler/bin/buckler", "run")
PROOF = "protected roots=/home source=fanotify"


class World:
    """A desk, and what it works with."""

    def __init__(self, supervisor: FakeSupervisor | None = None, *, proofs: tuple[str, ...] = (PROOF,)) -> None:
        self.supervisor = supervisor or FakeSupervisor()
        self.waited_s = 0.0
        self._proofs = list(proofs)
        self.parts = DeskParts(
            supervisor=self.supervisor,
            command=COMMAND,
            own_settings=False,
            program_risk=lambda: "",
            proof=self._proof,
            pause=self._pause,
        )
        self.desk = ServiceDesk(self.parts)

    def _proof(self) -> str:
        return self._proofs.pop(0) if len(self._proofs) > 1 else self._proofs[0]

    def _pause(self, seconds: float) -> None:
        self.waited_s += seconds


class FakeRemains:
    """Implements `Remains`; `later` is found in the vault from the second look on."""

    def __init__(self, files: int = 0, later: int | None = None) -> None:
        self._looks = [files, files if later is None else later]
        self.destroyed = False

    def folder(self) -> str:
        return "/var/lib/buckler"

    def held(self) -> Held:
        files = self._looks.pop(0) if len(self._looks) > 1 else self._looks[0]
        return Held(files, files * 100)

    def destroy(self) -> None:
        self.destroyed = True


def code_of(error: pytest.ExceptionInfo[BucklerError]) -> str:
    assert error.value.next_step
    return error.value.code


# ---------------------------------------------------------------- install


def test_what_was_not_there_is_new() -> None:
    world = World()
    assert world.desk.install() is Installed.NEW
    assert world.supervisor.calls == ["install"]


def test_installing_a_service_that_runs_is_refused_and_changes_nothing() -> None:
    world = World()
    world.desk.install()
    world.desk.start()
    with pytest.raises(BucklerError) as refused:
        world.desk.install()
    assert code_of(refused) == "SERVICE_ALREADY_INSTALLED"
    assert world.supervisor.calls == ["install", "start"]


def test_a_service_that_stands_still_may_be_installed_again() -> None:
    world = World()
    world.desk.install()
    assert world.desk.install() is Installed.ENABLED


def test_another_command_updates_the_service_and_ends_the_old_process() -> None:
    world = World()
    world.desk.install()
    world.desk.start()
    other = ServiceDesk(replace(world.parts, command=(*COMMAND, "--data-dir", "/srv")))
    assert other.install() is Installed.UPDATED
    assert world.supervisor.calls[-2:] == ["install", "stop"]


def test_a_service_of_a_package_is_enabled_and_not_given_options() -> None:
    world = World(FakeSupervisor(packaged=True))
    assert world.desk.install() is Installed.ENABLED
    with pytest.raises(BucklerError) as refused:
        ServiceDesk(replace(world.parts, own_settings=True)).install()
    assert code_of(refused) == "SERVICE_OF_PACKAGE"


def test_a_program_that_others_can_change_never_becomes_a_service_of_root() -> None:
    world = World()
    desk = ServiceDesk(replace(world.parts, program_risk=lambda: "/home/ada/.venv belongs to user 1000"))
    with pytest.raises(BucklerError, match="belongs to user 1000") as refused:
        desk.install()
    assert code_of(refused) == "SERVICE_PROGRAM_UNSAFE"
    assert world.supervisor.calls == []


# ---------------------------------------------------------------- start and stop


@pytest.mark.parametrize("what", ["start", "stop"])
def test_what_is_not_installed_is_neither_started_nor_stopped(what: str) -> None:
    world = World()
    with pytest.raises(BucklerError) as refused:
        getattr(world.desk, what)()
    assert code_of(refused) == "SERVICE_NOT_INSTALLED"
    assert world.supervisor.calls == []


def test_started_means_proven() -> None:
    world = World(proofs=("", "", PROOF))
    world.desk.install()
    assert world.desk.start() == PROOF
    assert world.waited_s > 0


def test_a_service_that_ends_before_the_proof_is_told_with_its_reason() -> None:
    world = World(proofs=("",))
    world.desk.install()
    failed = ServiceStatus("systemd", state=ServiceState.RESTARTING, last_exit="exit status 2 (configuration)")
    world.supervisor.states = [failed]
    with pytest.raises(BucklerError, match=r"exit status 2 \(configuration\)") as refused:
        world.desk.start()
    assert code_of(refused) == "SERVICE_FAILED"
    assert "journalctl" in refused.value.next_step


def test_a_service_that_its_supervisor_started_again_has_failed_too() -> None:
    world = World(proofs=("",))
    world.desk.install()
    world.supervisor.start()
    running = ServiceStatus("launchd", state=ServiceState.RUNNING, restarts=3)
    world.supervisor.states = [running, replace(running, restarts=4)]
    with pytest.raises(BucklerError) as refused:
        world.desk.start()
    assert code_of(refused) == "SERVICE_FAILED"


def test_nobody_waits_for_ever() -> None:
    world = World(proofs=("",))
    world.desk.install()
    with pytest.raises(BucklerError) as refused:
        world.desk.start()
    assert code_of(refused) == "SERVICE_UNPROVEN"
    assert PATIENCE_S <= world.waited_s < PATIENCE_S + 1


def test_stopping_tells_whether_it_ran() -> None:
    world = World()
    world.desk.install()
    world.desk.start()
    assert world.desk.stop()
    assert not world.desk.stop()


# ---------------------------------------------------------------- uninstall


def test_taking_it_away_leaves_what_it_kept() -> None:
    world, remains = World(), FakeRemains(files=3)
    world.desk.install()
    assert world.desk.uninstall(remains, purge=False, discard_quarantine=False)
    assert not remains.destroyed
    assert not world.desk.status().installed


def test_what_is_not_there_cannot_be_taken_away() -> None:
    with pytest.raises(BucklerError) as refused:
        World().desk.uninstall(FakeRemains(), purge=False, discard_quarantine=False)
    assert code_of(refused) == "SERVICE_NOT_INSTALLED"


def test_a_vault_with_files_is_not_destroyed_and_the_service_goes_on() -> None:
    world, remains = World(), FakeRemains(files=1)
    world.desk.install()
    world.desk.start()
    with pytest.raises(BucklerError, match="one file") as refused:
        world.desk.uninstall(remains, purge=True, discard_quarantine=False)
    assert code_of(refused) == "QUARANTINE_NOT_EMPTY"
    assert "restore" in refused.value.next_step
    assert world.desk.status().running
    assert not remains.destroyed


def test_a_file_that_was_taken_at_the_last_moment_is_not_destroyed_either() -> None:
    world, remains = World(), FakeRemains(files=0, later=2)
    world.desk.install()
    with pytest.raises(BucklerError, match="2 files") as refused:
        world.desk.uninstall(remains, purge=True, discard_quarantine=False)
    assert code_of(refused) == "QUARANTINE_NOT_EMPTY"
    assert not remains.destroyed


@pytest.mark.parametrize(("files", "discard"), [(0, False), (5, True)])
def test_an_empty_vault_or_one_nobody_wants_goes(files: int, *, discard: bool) -> None:
    world, remains = World(), FakeRemains(files)
    world.desk.install()
    assert world.desk.uninstall(remains, purge=True, discard_quarantine=discard)
    assert remains.destroyed


def test_remains_of_a_service_that_is_gone_can_still_be_purged() -> None:
    remains = FakeRemains()
    assert not World().desk.uninstall(remains, purge=True, discard_quarantine=False)
    assert remains.destroyed


def test_a_supervisor_that_refuses_keeps_the_data() -> None:
    world, remains = World(), FakeRemains()
    world.desk.install()
    world.supervisor.refuses = "busy"
    with pytest.raises(BucklerError, match="busy"):
        world.desk.uninstall(remains, purge=True, discard_quarantine=False)
    assert not remains.destroyed
