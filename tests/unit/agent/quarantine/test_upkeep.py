"""Limits of the vault, and what is finished without a restart."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from pathlib import Path

import pytest

from agent.domain.errors import BucklerError
from agent.domain.quarantine import OWNER, RETENTION, CaptureState, HistoryEvent
from agent.domain.retention import RetentionLimits
from agent.quarantine.steps import Step
from agent.quarantine.upkeep import UpkeepTimes, VaultUpkeep
from tests.fakes.randomness import SeededRandomness
from tests.fakes.store import MemoryStore
from tests.fakes.waiting import until
from tests.unit.agent.quarantine.scene import INFECTED, Scene, scanned

A_DAY = timedelta(days=1)
IMPATIENT = UpkeepTimes(every_s=3600.0, retry_s=0.001)


def limited(root: Path, **limits: object) -> Scene:
    return Scene(root, limits=RetentionLimits(**limits))  # type: ignore[arg-type]  # test code names real limits


@asynccontextmanager
async def kept_in_order(scene: Scene) -> AsyncIterator[None]:
    task = asyncio.ensure_future(VaultUpkeep(scene.vault, SeededRandomness(), IMPATIENT).run())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_a_file_that_grew_old_is_announced_and_deleted_a_week_later_with_its_history_kept(tmp_path: Path) -> None:
    scene = limited(tmp_path, keep_for=30 * A_DAY)
    entry = await scene.vault.capture(scanned(scene.infected()))
    scene.clock.advance(29 * A_DAY)
    plan = await scene.vault.keep_limits()
    assert [item.entry_id for item in plan.announce] == [entry.id]
    assert scene.sealed() == [f"{entry.id}.bkq"]
    scene.clock.advance(6 * A_DAY)
    assert (await scene.vault.keep_limits()).delete == ()
    scene.clock.advance(A_DAY)
    await scene.vault.keep_limits()
    assert (scene.sealed(), scene.entry(entry.id).state) == ([], CaptureState.DELETED)
    assert scene.history(entry.id) == [
        (HistoryEvent.TAKEN, "scan", ""),
        (HistoryEvent.DELETION_ANNOUNCED, RETENTION, "kept for 30 days"),
        (HistoryEvent.DELETED, RETENTION, "kept for 30 days"),
    ]


async def test_a_vault_that_is_too_large_loses_its_oldest_file_a_week_after_saying_so(tmp_path: Path) -> None:
    scene = limited(tmp_path, max_size_bytes=len(INFECTED))
    old = await scene.vault.capture(scanned(scene.infected("old"), 1))
    scene.clock.advance(A_DAY)
    new = await scene.vault.capture(scanned(scene.infected("new"), 2))
    await scene.vault.keep_limits()
    assert scene.entry(old.id).deletion_announced_at == scene.clock.now()
    scene.clock.advance(7 * A_DAY)
    await scene.vault.keep_limits()
    assert [entry.id for entry in scene.entries([CaptureState.DONE])] == [new.id]


async def test_what_its_owner_restores_after_the_announcement_is_not_deleted(tmp_path: Path) -> None:
    scene = limited(tmp_path, keep_for=timedelta(0))
    entry = await scene.vault.capture(scanned(scene.infected()))
    await scene.vault.keep_limits()
    await scene.vault.restore(entry.id, None, allow=True)
    scene.clock.advance(30 * A_DAY)
    await scene.vault.keep_limits()
    assert scene.entry(entry.id).state is CaptureState.RESTORED
    assert scene.history(entry.id)[-1] == (HistoryEvent.RESTORED, OWNER, f"to {scene.home}/evil.exe")


async def test_by_default_nothing_is_ever_deleted(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    entry = await scene.vault.capture(scanned(scene.infected()))
    scene.clock.advance(10_000 * A_DAY)
    await scene.vault.keep_limits()
    assert scene.entry(entry.id).deletion_announced_at is None


async def test_the_history_names_who_destroyed_a_file(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    entry = await scene.vault.capture(scanned(scene.infected()))
    await scene.vault.delete(entry.id)
    assert scene.history(entry.id)[-1] == (HistoryEvent.DELETED, OWNER, "")


async def test_a_capture_that_a_full_disk_interrupted_is_finished_without_a_restart(tmp_path: Path) -> None:
    store = MemoryStore()
    scene = Scene(tmp_path, store)

    def disk_full(entry_id: str, step: Step) -> None:
        if step is Step.CAPTURED:
            store.fail_next = BucklerError("DATABASE_FULL", "the disk is full", next_step="free some space")

    scene.after_step = disk_full
    async with kept_in_order(scene):
        with pytest.raises(BucklerError, match="is on its way to the vault, but the disk is full") as told:
            await scene.vault.capture(scanned(scene.infected()))
        assert (told.value.code, told.value.facts["cause"]) == ("CAPTURE_UNFINISHED", "DATABASE_FULL")
        scene.after_step = lambda entry_id, step: None
        await until(lambda: [entry.state for entry in scene.entries()] == [CaptureState.DONE])
    assert (scene.staged(), scene.names()) == ([], [])
    assert len(scene.incidents()) == 1
