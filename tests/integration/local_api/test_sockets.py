"""The two sockets, with real gRPC on real Unix sockets."""

import asyncio
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from agent.control.policy.book import ConfiguredPolicy, PolicyBook
from agent.domain.costs import CostBook, CostKind, CostLine, CostlyFile, CostWindow
from agent.domain.entitlement import NOT_ACTIVATED
from agent.domain.errors import BucklerError, ExitStatus
from agent.domain.exclusions import ExclusionKind
from agent.domain.facts import ScanFacts
from agent.domain.policy import Mode
from agent.local_api.actions import DirectActions, NewExclusion
from agent.local_api.client import agent_answers, ask_status, remote_actions
from agent.local_api.server import LocalApi
from agent.local_api.settings import LocalApiSettings
from agent.local_api.status import StatusField
from agent.local_api.steering import ScanAction
from agent.quarantine.vault import Vault, VaultSettings
from tests.fakes.clock import FakeClock
from tests.fakes.randomness import SeededRandomness
from tests.fakes.store import MemoryStore
from tests.fakes.waiting import until
from wire.v1 import local_pb2
from wire.v1.local_pb2_grpc import LocalControlServiceStub


@asynccontextmanager
async def served(folder: Path, *, fails: bool = False) -> AsyncIterator[tuple[LocalApiSettings, list[bool]]]:
    settings = LocalApiSettings(folder / "agent.sock", folder / "status.sock")
    store, clock, randomness = MemoryStore(), FakeClock(), SeededRandomness()
    book = PolicyBook(store, ConfiguredPolicy(), lambda: NOT_ACTIVATED, lambda: None)
    vault = Vault(VaultSettings(folder / "vault"), store, clock, randomness)
    actions = DirectActions(store, vault, clock, randomness, book.set_mode)
    reloaded: list[bool] = []

    async def status() -> tuple[StatusField, ...]:
        if fails:
            raise ZeroDivisionError
        return (StatusField("healthy", value=True), StatusField("watched_roots", ["/a\udcff"]))

    def steer(action: ScanAction) -> tuple[StatusField, ...]:
        if action is ScanAction.CANCEL:
            raise BucklerError("NO_SCAN_TO_CANCEL", "none", next_step="wait", exit_status=ExitStatus.NEGATIVE)
        return (StatusField("state", action.value or "waiting"),)

    costs = CostBook(0)
    costs.add("/srv/\udcff/a.zip", ScanFacts("", 1, elapsed_ms=2.5), "/usr/bin/cp", 0)
    api = LocalApi(
        settings,
        actions,
        status,
        lambda: reloaded.append(agent_answers(settings.control_socket)),
        steer,
        lambda window: costs.report(window, 0),
    )
    async with asyncio.TaskGroup() as group:
        serving = group.create_task(api.run())
        await until(lambda: agent_answers(settings.status_socket))
        yield settings, reloaded
        serving.cancel()


@pytest.mark.parametrize("name", ["data", "with space", "100%"])
async def test_the_kernel_decides_who_may_change_things(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    folder.mkdir()
    async with served(folder) as (settings, _):
        assert stat.S_IMODE(settings.control_socket.stat().st_mode) == 0o600
        assert stat.S_IMODE(settings.status_socket.stat().st_mode) == 0o666
        assert agent_answers(settings.control_socket)
    assert not agent_answers(settings.control_socket)
    assert not settings.control_socket.exists()


async def test_both_sockets_tell_the_status(tmp_path: Path) -> None:
    async with served(tmp_path) as (settings, _):
        for socket in (settings.control_socket, settings.status_socket):
            healthy, roots = await ask_status(socket)
            assert healthy.value is True
            assert roots.value == ["/a\udcff"]


async def test_the_reading_socket_changes_nothing(tmp_path: Path) -> None:
    async with served(tmp_path) as (settings, reloaded), remote_actions(settings.status_socket) as actions:
        with pytest.raises(BucklerError) as refused:
            await actions.reload_enrolment()
        assert refused.value.code == "AGENT_NOT_ANSWERING"
        assert len(reloaded) == 1


async def test_what_was_activated_before_it_listened_is_read_once_it_can_be_told(tmp_path: Path) -> None:
    async with served(tmp_path) as (_, reloaded):
        assert reloaded == [True]


async def test_exclusions_are_added_listed_and_removed(tmp_path: Path) -> None:
    async with served(tmp_path) as (settings, _), remote_actions(settings.control_socket) as actions:
        wanted = NewExclusion(ExclusionKind.PATH, "/home/a/\udcff\\build", "compiler output")
        added = await actions.add_exclusion(wanted)
        assert (added.value, added.reason) == (wanted.value, wanted.reason)
        assert await actions.exclusions() == (added,)
        await actions.remove_exclusion(added.id)
        assert await actions.exclusions() == ()


async def test_a_refusal_arrives_with_code_next_step_and_exit_status(tmp_path: Path) -> None:
    async with served(tmp_path) as (settings, _), remote_actions(settings.control_socket) as actions:
        with pytest.raises(BucklerError) as refused:
            await actions.set_mode(Mode.BLOCK)
        assert (refused.value.code, refused.value.exit_status) == ("FEATURE_NOT_ENTITLED", ExitStatus.NEGATIVE)
        assert "buckler activate" in refused.value.next_step
        assert await actions.set_mode(Mode.NOTIFY) is Mode.NOTIFY
        with pytest.raises(BucklerError) as unknown:
            await actions.restore("q_none", None, allow=True)
        assert unknown.value.code == "QUARANTINE_UNKNOWN"
        assert await actions.quarantined() == ()


async def test_nonsense_on_the_socket_is_refused(tmp_path: Path) -> None:
    import grpc

    async with (
        served(tmp_path) as (settings, _),
        grpc.aio.insecure_channel(f"unix:{settings.control_socket}") as channel,
    ):
        stub = LocalControlServiceStub(channel)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub.SetMode(local_pb2.SetModeRequest(mode="explode"))
        assert refused.value.details() == "MODE_INVALID"


async def test_a_bug_in_one_call_shows_none_of_its_insides(tmp_path: Path) -> None:
    async with served(tmp_path, fails=True) as (settings, reloaded):
        with pytest.raises(BucklerError) as failed:
            await ask_status(settings.status_socket)
        assert failed.value.code == "INTERNAL"
        assert "Zero" not in failed.value.message
        async with remote_actions(settings.control_socket) as actions:
            await actions.reload_enrolment()
        assert reloaded == [True, True]


async def test_a_socket_left_by_a_crash_is_no_agent_and_in_nobodys_way(tmp_path: Path) -> None:
    (tmp_path / "agent.sock").write_bytes(b"")
    assert not agent_answers(tmp_path / "agent.sock")
    async with served(tmp_path) as (settings, _):
        assert agent_answers(settings.control_socket)


async def test_a_path_that_no_socket_can_have_is_named(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 100)
    deep.mkdir()
    with pytest.raises(ExceptionGroup) as failed:
        async with served(deep):
            pass
    error = failed.value.exceptions[0]
    assert isinstance(error, BucklerError)
    assert error.code == "SOCKET_PATH_TOO_LONG"


async def test_scheduled_scans_are_steered_over_the_changing_socket(tmp_path: Path) -> None:
    async with served(tmp_path) as (settings, _), remote_actions(settings.control_socket) as actions:
        assert await actions.steer_scans(ScanAction.TELL) == (StatusField("state", "waiting"),)
        assert await actions.steer_scans(ScanAction.PAUSE) == (StatusField("state", "pause"),)
        with pytest.raises(BucklerError) as refused:
            await actions.steer_scans(ScanAction.CANCEL)
    assert (refused.value.code, refused.value.exit_status) == ("NO_SCAN_TO_CANCEL", ExitStatus.NEGATIVE)


async def test_what_scanning_cost_is_told_on_the_changing_socket_only(tmp_path: Path) -> None:
    async with served(tmp_path) as (settings, _):
        async with remote_actions(settings.control_socket) as actions:
            report = await actions.scan_costs(CostWindow.HOUR)
        async with remote_actions(settings.status_socket) as actions:
            with pytest.raises(BucklerError):
                await actions.scan_costs(CostWindow.HOUR)
    assert (report.microseconds, report.files) == (2_500, 1)
    assert report.lines[CostKind.FOLDER] == (CostLine("/srv/\udcff", 2_500, 1),)
    assert report.slowest == (CostlyFile(2_500, "/srv/\udcff/a.zip", 1, "/usr/bin/cp"),)
