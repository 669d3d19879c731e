"""Commands are done once, and told about until the control plane knows."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from agent.control.command_runner import CommandRunner
from agent.domain.commands import CommandEntry, CommandOutcome, CommandStage
from agent.domain.entitlement import NOT_ACTIVATED, Access, AccessLevel
from agent.domain.errors import BucklerError
from tests.fakes.clock import SOME_MONDAY, FakeClock
from tests.fakes.commands import Worker, a_command
from tests.fakes.store import MemoryStore
from tests.fakes.waiting import until

FULL = Access(AccessLevel.FULL, "PAID", None, {"remote_commands": AccessLevel.GRACE})


@dataclass
class Desk:
    """A device's commands; `again` is the device after a restart."""

    store: MemoryStore = field(default_factory=MemoryStore)
    clock: FakeClock = field(default_factory=FakeClock)
    worker: Worker = field(default_factory=Worker)
    access: Access = FULL
    news: int = 0

    def runner(self) -> CommandRunner:
        return CommandRunner(self.store, [self.worker], lambda: self.access, self.clock, self._note)

    def _note(self) -> None:
        self.news += 1

    @asynccontextmanager
    async def running(self) -> AsyncIterator[CommandRunner]:
        runner = self.runner()
        async with asyncio.TaskGroup() as group:
            task = group.create_task(runner.run())
            await asyncio.sleep(0)
            yield runner
            task.cancel()


@pytest.fixture
def desk() -> Desk:
    return Desk()


def stages(runner: CommandRunner) -> list[tuple[str, str, str]]:
    return [(entry.command.id, entry.stage.value, entry.code) for entry in runner.reports()]


def tell(runner: CommandRunner) -> list[CommandEntry]:
    told = runner.reports()
    runner.told(told)
    return told


def at(runner: CommandRunner, stage: CommandStage) -> Callable[[], bool]:
    return lambda: any(entry.stage is stage for entry in runner.reports())


async def test_a_command_is_begun_told_about_done_and_told_about(desk: Desk) -> None:
    desk.worker.outcome = CommandOutcome(result={"files": "3"})
    async with desk.running() as runner:
        runner.receive([a_command()])
        await until(at(runner, CommandStage.IN_PROGRESS))
        tell(runner)
        assert stages(runner) == []
        desk.worker.release.set()
        await until(at(runner, CommandStage.SUCCEEDED))
        [entry] = tell(runner)
        assert (dict(entry.result), desk.news) == ({"files": "3"}, 2)
        assert stages(runner) == []


async def test_a_command_that_comes_again_is_told_about_again_and_not_done_again(desk: Desk) -> None:
    desk.worker.release.set()
    async with desk.running() as runner:
        runner.receive([a_command()])
        await until(at(runner, CommandStage.SUCCEEDED))
        tell(runner)
        runner.receive([a_command()])
        await asyncio.sleep(0)
        assert stages(runner) == [("cmd_1", "succeeded", "")]
        assert desk.worker.begun == ["cmd_1"]


async def test_a_failure_says_why(desk: Desk) -> None:
    desk.worker.release.set()
    desk.worker.error = BucklerError("QUARANTINE_UNKNOWN", "there is no such file", next_step="list them")
    async with desk.running() as runner:
        runner.receive([a_command()])
        await until(at(runner, CommandStage.FAILED))
        [entry] = runner.reports()
        assert (entry.code, entry.message) == ("QUARANTINE_UNKNOWN", "there is no such file; list them")


async def test_a_mistake_of_a_handler_costs_its_command_only(desk: Desk) -> None:
    desk.worker.release.set()
    desk.worker.error = ZeroDivisionError()
    async with desk.running() as runner:
        runner.receive([a_command()])
        await until(at(runner, CommandStage.FAILED))
        desk.worker.error = None
        runner.receive([a_command(number=2)])
        await until(at(runner, CommandStage.SUCCEEDED))
        assert stages(runner) == [("cmd_1", "failed", "INTERNAL"), ("cmd_2", "succeeded", "")]


@pytest.mark.parametrize(
    ("kind", "access", "late", "code"),
    [
        ("format_disk", FULL, False, "KIND_UNKNOWN"),
        ("work", NOT_ACTIVATED, False, "FEATURE_NOT_ENTITLED"),
        ("work", FULL, True, "EXPIRED"),
    ],
)
async def test_what_must_not_be_begun_is_not(desk: Desk, kind: str, access: Access, *, late: bool, code: str) -> None:
    desk.access = access
    async with desk.running() as runner:
        runner.receive([a_command(kind, expires_at=SOME_MONDAY if late else None)])
        await until(at(runner, CommandStage.FAILED))
        assert stages(runner) == [("cmd_1", "failed", code)]
        assert desk.worker.begun == []


async def test_a_command_is_given_up_while_it_is_done(desk: Desk) -> None:
    async with desk.running() as runner:
        runner.receive([a_command()])
        await until(at(runner, CommandStage.IN_PROGRESS))
        runner.receive([], ["cmd_1", "cmd_none"])
        await until(at(runner, CommandStage.CANCELLED))
        assert stages(runner) == [("cmd_1", "cancelled", "")]


async def test_a_command_is_given_up_before_it_is_begun(desk: Desk) -> None:
    runner = desk.runner()
    runner.receive([a_command()])
    runner.receive([], ["cmd_1"])
    assert stages(runner) == [("cmd_1", "cancelled", "")]


@pytest.mark.parametrize(("may_repeat", "ends_as"), [(True, "succeeded"), (False, "failed")])
async def test_what_a_restart_interrupted_is_repeated_or_called_a_failure(
    desk: Desk, *, may_repeat: bool, ends_as: str
) -> None:
    desk.worker.may_repeat = may_repeat
    async with desk.running() as runner:
        runner.receive([a_command()])
        await until(at(runner, CommandStage.IN_PROGRESS))
    desk.worker.release.set()
    async with desk.running() as runner:
        await until(at(runner, CommandStage(ends_as)))
        assert stages(runner) == [("cmd_1", ends_as, "" if may_repeat else "INTERRUPTED")]


async def test_what_was_received_before_a_restart_is_done_after_it(desk: Desk) -> None:
    desk.worker.release.set()
    desk.runner().receive([a_command()])
    async with desk.running() as runner:
        await until(at(runner, CommandStage.SUCCEEDED))
    assert desk.worker.begun == ["cmd_1"]


async def test_what_has_to_wait_until_the_control_plane_knows_is_done_then(desk: Desk) -> None:
    done: list[str] = []

    async def afterwards() -> None:
        done.append("restarted")

    desk.worker.release.set()
    desk.worker.outcome = CommandOutcome(afterwards=afterwards)
    async with desk.running() as runner:
        runner.receive([a_command()])
        await until(at(runner, CommandStage.SUCCEEDED))
        assert done == []
        tell(runner)
        await until(lambda: done == ["restarted"])
