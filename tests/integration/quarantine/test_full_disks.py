"""A disk that fills up in the middle: vault, journal and outbox are on it, the file is not.

Whatever the disk still takes: the file is in its place or in the vault, every entry is reported once, nothing is left
over once there is room again.
"""

import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from agent.domain.errors import BucklerError
from agent.domain.quarantine import CaptureFailure, CaptureState
from agent.storage.database import AgentDatabase, open_database
from tests.scratch_mounts import needs_root, scratch_tmpfs
from tests.unit.agent.quarantine.scene import Scene, scanned

pytestmark = [pytest.mark.root, needs_root]

PAGE = 4096
CONTENT_PAGES = 40


@contextmanager
def only_left(disk: Path, pages: int) -> Iterator[None]:
    """The disk takes so many pages more during the block."""
    filler = disk / "filler"
    free = os.statvfs(disk).f_bavail
    with filler.open("wb") as target:
        os.posix_fallocate(target.fileno(), 0, max(0, free - pages) * PAGE or 1)
    try:
        yield
    finally:
        filler.unlink()


async def capture_with(scene: Scene, disk: Path, number: int, pages: int) -> str:
    path = scene.infected(f"{number:04d}", content=os.urandom(CONTENT_PAGES * PAGE))
    content = path.read_bytes()
    request = scanned(path, number)
    with only_left(disk, pages):
        try:
            entry = await scene.vault.capture(request)
            outcome = entry.state.value if entry.state is CaptureState.DONE else entry.detail.partition(":")[0]
        except BucklerError as error:
            outcome = error.code
    await scene.new_vault(seed=10_000 + number).resume()
    entries = [entry for entry in scene.entries() if entry.original_path == str(path)]
    assert len(entries) <= 1
    if path.exists():
        assert path.read_bytes() == content
        assert [entry.state for entry in entries] in ([], [CaptureState.FAILED])
        path.unlink()
    else:
        assert [entry.state for entry in entries] == [CaptureState.DONE]
        restored = scene.root / f"restored-{number}"
        await scene.vault.restore(entries[0].id, str(restored), allow=False)
        assert restored.read_bytes() == content
    assert scene.staged() == scene.sealed() == []
    return outcome


async def fill_up(root: Path, disk: Path, database: AgentDatabase) -> Counter[str]:
    scene = Scene(root, database)
    scene.vault_dir = disk / "vault"
    scene.vault = scene.new_vault()
    await capture_with(scene, disk, 0, pages=400)
    outcomes = Counter([await capture_with(scene, disk, number, pages=number - 1) for number in range(1, 90)])
    entries, incidents = scene.entries(), scene.incidents()
    assert Counter(entry.incident_uuid for entry in entries) == Counter(incident.uuid for incident in incidents)
    return outcomes


async def test_a_disk_that_fills_up_at_any_moment_loses_nothing(tmp_path: Path) -> None:
    with scratch_tmpfs(tmp_path / "disk", "size=8m") as disk:
        database = open_database(disk / "agent.db")
        try:
            outcomes = await fill_up(tmp_path, disk, database)
        finally:
            database.close()
    assert set(outcomes) <= {"done", CaptureFailure.DISK_FULL.value, "DATABASE_FULL", "CAPTURE_UNFINISHED"}
    assert outcomes["done"]
    assert outcomes[CaptureFailure.DISK_FULL.value]
