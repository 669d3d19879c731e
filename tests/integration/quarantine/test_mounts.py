"""What only root can try: other file systems, bind mounts, full and read-only disks, flags, owners, ACLs."""

import os
import struct
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from agent.domain.incident import IncidentAction
from agent.domain.quarantine import CaptureFailure, CaptureState
from agent.platform.files.secure_files import PINNING_FLAGS, read_inode_flags, write_inode_flags
from agent.quarantine.steps import Step
from agent.storage.database import open_database
from tests.unit.agent.quarantine.scene import INFECTED, PowerCutError, Scene, crash, scanned

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root: mounts a file system of its own"),
]

SHARED = f".buckler-vault-{os.geteuid()}"


@contextmanager
def mounted(target: Path, *arguments: str) -> Iterator[Path]:
    target.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", *arguments, str(target)], check=True)
    try:
        yield target
    finally:
        subprocess.run(["umount", "--lazy", str(target)], check=True)


@contextmanager
def tmpfs(target: Path, size: str = "16m") -> Iterator[Path]:
    with mounted(target, "-t", "tmpfs", "-o", f"size={size}", "none") as path:
        yield path


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


async def left_by_a_crash(scene: Scene, path: Path) -> str:
    """The first file that a process takes on a mount has its row before it is moved, and a crash comes then."""
    await crash(scene, path, Step.PLANNED)
    (entry,) = scene.entries()
    assert (entry.state, entry.staged_path) == (CaptureState.PLANNED, f"{path.parent}/{SHARED}/{entry.id}")
    return entry.id


def make_read_only(target: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(target)], check=True)


def exists(path: str) -> bool:
    return os.path.lexists(path)


def plant(folder: Path, name: str = "evil") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_bytes(INFECTED)
    return path


def cut(entry_id: str, step: Step) -> None:
    if step is Step.CAPTURED:
        raise PowerCutError


def acl_with_user(uid: int) -> bytes:
    """`u::rw-,u:UID:r--,g::r--,m::r--,o::---` as Linux keeps it (linux/posix_acl_xattr.h)."""
    none = 0xFFFFFFFF
    entries = [(0x01, 6, none), (0x02, 4, uid), (0x04, 4, none), (0x10, 4, none), (0x20, 0, none)]
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


# ---------------------------------------------------------------- other file systems


async def test_a_file_of_another_file_system_waits_at_the_top_of_its_own_mount(scene: Scene) -> None:
    staged: list[str] = []

    def look(entry_id: str, step: Step) -> None:
        if step is Step.MOVED:
            staged.append(scene.entry(entry_id).staged_path)

    scene.after_step = look
    with tmpfs(scene.root / "other") as other:
        path = plant(other / "deep" / "down")
        os.setxattr(path, "trusted.note", b"kept")
        entry = await scene.vault.capture(scanned(path))
        assert entry.state is CaptureState.DONE
        assert staged == [f"{other}/{SHARED}/{entry.id}"]
        assert list((other / SHARED).iterdir()) == []
        assert scene.vault.is_vault_path(f"{other}/{SHARED}/anything")
        await scene.vault.restore(entry.id, None, allow=False)
        assert path.read_bytes() == INFECTED
        assert os.getxattr(path, "trusted.note") == b"kept"


async def test_a_folder_with_our_name_that_is_not_ours_is_neither_used_nor_spared(scene: Scene) -> None:
    with tmpfs(scene.root / "other") as other:
        theirs = other / SHARED
        theirs.mkdir()
        os.chown(theirs, 1234, 1234)
        path = plant(other)
        entry = await scene.vault.capture(scanned(path))
        assert entry.state is CaptureState.DONE
        assert not scene.vault.is_vault_path(f"{theirs}/evil")
        assert sorted(item.name for item in other.iterdir()) == [SHARED]


async def test_our_folder_exchanged_for_another_is_not_spared_any_more(scene: Scene) -> None:
    with tmpfs(scene.root / "other") as other:
        await scene.vault.capture(scanned(plant(other)))
        assert scene.vault.is_vault_path(f"{other}/{SHARED}/evil")
        (other / SHARED).rename(other / "moved away")
        (other / SHARED).mkdir()
        assert not scene.vault.is_vault_path(f"{other}/{SHARED}/evil")


async def test_moving_our_folder_away_while_we_work_in_it_changes_nothing(scene: Scene) -> None:
    with tmpfs(scene.root / "other") as other:

        def move_away(entry_id: str, step: Step) -> None:
            if step is Step.MOVED:
                (other / SHARED).rename(other / "moved away")

        scene.after_step = move_away
        entry = await scene.vault.capture(scanned(plant(other)))
        assert entry.state is CaptureState.DONE
        assert [item.name for item in other.rglob("*")] == ["moved away"]


async def test_a_file_seen_through_a_bind_mount_is_taken_from_there(scene: Scene) -> None:
    plant(scene.home, "evil")
    with mounted(scene.root / "bound", "--bind", str(scene.home)) as bound:
        entry = await scene.vault.capture(scanned(bound / "evil"))
        assert entry.state is CaptureState.DONE
        assert not (scene.home / "evil").exists()
        await scene.vault.restore(entry.id, None, allow=False)
        assert (scene.home / "evil").read_bytes() == INFECTED


async def test_a_crash_leaves_the_file_in_staging_of_its_mount_and_is_resumed_from_there(scene: Scene) -> None:
    scene.after_step = cut
    with tmpfs(scene.root / "other") as other:
        path = plant(other)
        with pytest.raises(PowerCutError):
            await scene.vault.capture(scanned(path))
        (entry,) = scene.entries()
        assert (entry.state, exists(entry.staged_path)) == (CaptureState.CAPTURED, True)
        scene.steps.clear()
        scene.after_step = lambda entry_id, step: None
        assert await scene.new_vault(seed=1).resume() == 1
        assert scene.entry(entry.id).state is CaptureState.DONE
        assert not exists(entry.staged_path)


async def test_a_medium_that_is_away_is_waited_for(scene: Scene) -> None:
    with tmpfs(scene.root / "stick") as stick:
        path = plant(stick)
        scene.after_step = cut
        with pytest.raises(PowerCutError):
            await scene.vault.capture(scanned(path))
        scene.after_step = lambda entry_id, step: None
        with tmpfs(stick):  # What was there is covered, as if it had been taken out.
            assert await scene.new_vault(seed=1).resume() == 0
            (entry,) = scene.entries()
            assert entry.state is CaptureState.CAPTURED
        assert await scene.new_vault(seed=2).resume() == 1
        assert scene.entry(entry.id).state is CaptureState.DONE


# ---------------------------------------------------------------- disks that refuse


async def test_a_read_only_file_system_keeps_its_file_and_it_is_reported(scene: Scene) -> None:
    with tmpfs(scene.root / "other") as other:
        path = plant(other)
        make_read_only(other)
        entry = await scene.vault.capture(scanned(path))
        assert entry.detail.startswith(CaptureFailure.READ_ONLY.value + ": ")
        assert path.read_bytes() == INFECTED
        assert [row.action for row in scene.incidents()] == [IncidentAction.QUARANTINE_FAILED]


async def test_a_full_vault_puts_the_file_back_unharmed(scene: Scene) -> None:
    content = os.urandom(2 << 20)
    path = scene.infected(content=content)
    path.chmod(0o640)
    before = path.stat()
    with tmpfs(scene.vault_dir, size="1m"):
        entry = await scene.vault.capture(scanned(path))
        assert entry.detail.startswith(CaptureFailure.DISK_FULL.value + ": ")
        after = path.stat()
        assert path.read_bytes() == content
        assert (after.st_ino, after.st_mode, after.st_mtime_ns) == (before.st_ino, before.st_mode, before.st_mtime_ns)
        assert scene.sealed() == []
        small = await scene.vault.capture(scanned(scene.infected("small"), 2))
        assert small.state is CaptureState.DONE


async def test_a_destination_without_room_leaves_the_file_in_the_vault(scene: Scene) -> None:
    entry = await scene.vault.capture(scanned(scene.infected(content=os.urandom(2 << 20))))
    with tmpfs(scene.root / "small", size="1m") as small:
        with pytest.raises(Exception, match="could not be written"):
            await scene.vault.restore(entry.id, str(small), allow=True)
        assert list(small.iterdir()) == []
    assert scene.entry(entry.id).state is CaptureState.DONE
    await scene.vault.restore(entry.id, None, allow=False)


# ---------------------------------------------------------------- flags, owners, ACLs


@contextmanager
def flagged(path: Path, flag: int) -> Iterator[None]:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        write_inode_flags(descriptor, read_inode_flags(descriptor) | flag)
        yield
    except OSError as error:
        if error.errno == 25:
            pytest.skip("this file system knows no inode flags")
        raise
    finally:
        write_inode_flags(descriptor, read_inode_flags(descriptor) & ~PINNING_FLAGS)
        os.close(descriptor)


@pytest.mark.parametrize("flag", [0x10, 0x20], ids=["immutable", "append_only"])
async def test_a_file_nailed_down_by_its_flags_is_taken_and_gets_them_back(scene: Scene, flag: int) -> None:
    path = scene.infected()
    with flagged(path, flag):
        entry = await scene.vault.capture(scanned(path))
        assert (entry.state, entry.metadata.inode_flags) == (CaptureState.DONE, flag)
    await scene.vault.restore(entry.id, None, allow=False)
    descriptor = os.open(path, os.O_RDONLY)
    try:
        assert read_inode_flags(descriptor) & PINNING_FLAGS == flag
        write_inode_flags(descriptor, read_inode_flags(descriptor) & ~PINNING_FLAGS)
    finally:
        os.close(descriptor)


async def test_a_flagged_file_in_a_flagged_folder_keeps_its_flag_when_it_cannot_be_taken(scene: Scene) -> None:
    path = scene.infected()
    with flagged(path, 0x10), flagged(scene.home, 0x10):
        entry = await scene.vault.capture(scanned(path))
        assert entry.detail.startswith(CaptureFailure.PERMISSION.value + ": ")
        descriptor = os.open(path, os.O_RDONLY)
        assert read_inode_flags(descriptor) & PINNING_FLAGS == 0x10
        os.close(descriptor)


async def test_owner_acl_capabilities_and_setuid_come_back(scene: Scene) -> None:
    path = scene.infected()
    os.chown(path, 1234, 5678)
    os.setxattr(path, "system.posix_acl_access", acl_with_user(4321))
    path.chmod(0o4755)
    os.setxattr(path, "security.capability", bytes.fromhex("0000000200200000000000000000000000000000"))
    before = path.stat()
    xattrs = {name: os.getxattr(path, name) for name in os.listxattr(path)}
    assert set(xattrs) >= {"system.posix_acl_access", "security.capability"}
    entry = await scene.vault.capture(scanned(path))
    # The folder now hands an ACL of its own to whatever is made in it.
    os.setxattr(scene.home, "system.posix_acl_default", acl_with_user(9999))
    await scene.vault.restore(entry.id, None, allow=False)
    after = path.stat()
    assert (after.st_uid, after.st_gid, after.st_mode) == (1234, 5678, before.st_mode)
    assert after.st_mtime_ns == before.st_mtime_ns
    assert {name: os.getxattr(path, name) for name in os.listxattr(path)} == xattrs


async def test_a_restored_file_inherits_no_acl(scene: Scene) -> None:
    path = scene.infected()
    entry = await scene.vault.capture(scanned(path))
    os.setxattr(scene.home, "system.posix_acl_default", acl_with_user(9999))
    await scene.vault.restore(entry.id, None, allow=False)
    assert os.listxattr(path) == []


async def test_a_file_from_the_far_future_is_taken_and_given_back(scene: Scene) -> None:
    path = scene.infected()
    late_ns = 13_569_465_600 * 10**9 + 7
    os.utime(path, ns=(late_ns, late_ns))
    stamped = path.stat().st_mtime_ns
    database = open_database(scene.root / "agent.db")
    lasting = Scene(scene.root, database)
    entry = await lasting.vault.capture(scanned(path))
    await lasting.vault.restore(entry.id, None, allow=False)
    assert path.stat().st_mtime_ns == stamped
    database.close()


@pytest.fixture
def open_scene() -> Iterator[Scene]:
    """A scene that another user can walk to; pytest's own folders are closed to others."""
    with tempfile.TemporaryDirectory(prefix="buckler-test-") as folder:
        Path(folder).chmod(0o711)
        yield Scene(Path(folder))


async def test_an_unprivileged_agent_stages_in_the_highest_folder_that_is_its_users(open_scene: Scene) -> None:
    scene = open_scene
    with tmpfs(scene.root / "other") as other:
        other.chmod(0o755)
        home = other / "ann"
        path = plant(home / "Downloads")
        scene.vault_dir.parent.mkdir()
        for item in (home, path.parent, path, scene.vault_dir.parent):
            os.chown(item, 1234, 1234)
        os.seteuid(1234)
        try:
            entry = await scene.vault.capture(scanned(path))
        finally:
            os.seteuid(0)
        assert (entry.state, entry.detail) == (CaptureState.DONE, "")
        assert sorted(item.name for item in home.iterdir()) == [".buckler-vault-1234", "Downloads"]


async def test_a_planned_file_is_taken_after_a_restart(scene: Scene) -> None:
    with tmpfs(scene.root / "stick") as stick:
        path = plant(stick)
        entry_id = await left_by_a_crash(scene, path)
        assert await scene.new_vault(seed=1).resume() == 1
        assert scene.entry(entry_id).state is CaptureState.DONE
        assert not path.exists()


async def test_a_planned_file_that_vanished_while_we_were_away_is_reported_as_such(scene: Scene) -> None:
    with tmpfs(scene.root / "stick") as stick:
        path = plant(stick)
        entry_id = await left_by_a_crash(scene, path)
        path.unlink()
        assert await scene.new_vault(seed=1).resume() == 1
        assert scene.entry(entry_id).detail.startswith("vanished: ")
        assert [row.action for row in scene.incidents()] == [IncidentAction.QUARANTINE_FAILED]


async def test_a_planned_file_that_changed_while_we_were_away_stays(scene: Scene) -> None:
    with tmpfs(scene.root / "stick") as stick:
        path = plant(stick)
        entry_id = await left_by_a_crash(scene, path)
        path.write_bytes(INFECTED[::-1])
        assert await scene.new_vault(seed=1).resume() == 1
        assert scene.entry(entry_id).detail.startswith("changed: ")
        assert path.read_bytes() == INFECTED[::-1]


async def test_the_second_file_of_a_mount_leaves_before_it_has_a_row(scene: Scene) -> None:
    rows_at_the_move: list[int] = []

    def look(entry_id: str, step: Step) -> None:
        if step is Step.MOVED:
            rows_at_the_move.append(sum(entry.id == entry_id for entry in scene.entries()))

    scene.after_step = look
    with tmpfs(scene.root / "stick") as stick:
        for number in range(2):
            entry = await scene.vault.capture(scanned(plant(stick, f"evil-{number}"), number))
            assert entry.state is CaptureState.DONE
        assert list((stick / SHARED).iterdir()) == []
    assert rows_at_the_move == [1, 0]
