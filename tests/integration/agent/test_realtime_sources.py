"""Real-time protection on real event sources, with a real database; scanner and vault are fakes that act for real."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from agent.domain.ports import EventSource
from agent.platform.clock import SystemClock
from agent.realtime.sources.fanotify import FanotifySource
from agent.realtime.sources.watchdog import WatchdogSource
from agent.storage.database import open_database
from tests.fakes.eicar import EICAR
from tests.fakes.protected_folder import ProtectedFolder
from tests.fakes.waiting import until
from tests.scratch_mounts import needs_root, open_descriptors, scratch_tmpfs

ROOM = Path(__file__).parents[3]


def build(kind: str) -> EventSource:
    if kind == "watchdog":
        return WatchdogSource(excluded=[], clock=SystemClock())
    return FanotifySource(excluded=[], own_pids=lambda: frozenset({os.getpid()}), clock=SystemClock())


@pytest.fixture(params=["watchdog", pytest.param("fanotify", marks=[pytest.mark.root, needs_root])])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(name="stage")
def protected(kind: str, tmp_path: Path) -> Iterator[ProtectedFolder]:
    with ExitStack() as stack:
        disk = tmp_path / "disk"
        disk.mkdir()
        if kind == "fanotify":
            stack.enter_context(scratch_tmpfs(disk, "size=512m"))
        yield ProtectedFolder(disk, build(kind), self_test_within_s=10.0)


def in_another_process(script: str, *arguments: str) -> None:
    subprocess.run([sys.executable, "-c", script, *arguments], check=True, timeout=60)


WRITE = """
import os, sys
folder, count, every = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
infected = bytes.fromhex(sys.argv[4])
os.makedirs(folder, exist_ok=True)
for number in range(count):
    with open(f"{folder}/{number}.txt", "wb") as stream:
        stream.write(infected if number % every == 0 else b"clean %d" % number)
"""


async def burst(stage: ProtectedFolder, folder: str, count: int, every: int) -> None:
    await asyncio.to_thread(in_another_process, WRITE, str(stage.root / folder), str(count), str(every), EICAR.hex())


async def test_protection_proves_itself_and_leaves_nothing_behind(stage: ProtectedFolder) -> None:
    before = open_descriptors()
    async with stage.running() as protection:
        await until(lambda: stage.proofs == 1)
        assert protection.state().proven_at is not None
        assert protection.state().issues == ()
        await until(stage.settled)

    assert list(stage.root.iterdir()) == []
    assert stage.quarantine.captured == []
    assert stage.incidents.incidents == {}
    assert open_descriptors() == before


async def test_every_shape_of_arrival_ends_in_the_vault(stage: ProtectedFolder) -> None:
    (stage.outside / "album").mkdir()
    for name in ("moved.txt", "linked.txt", "album/deep.txt"):
        (stage.outside / name).write_bytes(EICAR)
    script = (
        "import os,sys; root,outside=sys.argv[1:3]\n"
        "open(root+'/written.txt','wb').write(bytes.fromhex(sys.argv[3]))\n"
        "open(root+'/clean.txt','wb').write(b'clean')\n"
        "os.rename(outside+'/moved.txt',root+'/moved.txt')\n"
        "os.link(outside+'/linked.txt',root+'/linked.txt')\n"
        "os.rename(outside+'/album',root+'/album')\n"
    )
    async with stage.running():
        await asyncio.to_thread(in_another_process, script, str(stage.root), str(stage.outside), EICAR.hex())
        expected = {str(stage.root / name) for name in ("written.txt", "moved.txt", "linked.txt", "album/deep.txt")}
        await until(lambda: stage.quarantine.taken() >= expected)
        await until(stage.settled)

    assert stage.quarantine.taken() == expected
    assert (stage.root / "clean.txt").read_bytes() == b"clean"


async def test_a_burst_loses_nothing(stage: ProtectedFolder) -> None:
    async with stage.running():
        await burst(stage, "burst", 3000, 30)
        await until(lambda: len(stage.quarantine.taken()) == 100, timeout_s=40)
        await until(stage.settled, timeout_s=40)

    assert sum(1 for _ in (stage.root / "burst").iterdir()) == 2900


async def test_an_overflow_of_the_kernels_queue_is_noticed_and_made_good(stage: ProtectedFolder) -> None:
    async with stage.running() as protection:
        await until(stage.settled)
        # The event loop stands still while more files are written than the kernel's queue can hold.
        in_another_process(WRITE, str(stage.root / "flood"), "20000", "200", EICAR.hex())
        await until(lambda: len(stage.quarantine.taken()) == 100, timeout_s=50)
        assert isinstance(stage.source, WatchdogSource) or protection.state().events_lost > 0


LIFE = """
import asyncio, os, sys
from pathlib import Path
from tests.integration.agent.test_realtime_sources import build
from tests.fakes.protected_folder import ProtectedFolder
from agent.storage.database import open_database

async def live(kind, disk, database):
    stage = ProtectedFolder(Path(disk), build(kind), self_test_within_s=10.0)
    stage.store = open_database(Path(database))
    stage.build()
    async with stage.running(settled=False):
        while not stage.settled():
            await asyncio.sleep(0.01)
        print("settled", flush=True)
        await asyncio.sleep(60)

asyncio.run(live(*sys.argv[1:]))
"""


async def test_a_kill_in_the_middle_of_a_burst_loses_nothing(kind: str, stage: ProtectedFolder, tmp_path: Path) -> None:
    database = tmp_path / "agent.db"
    command = [sys.executable, "-c", LIFE, kind, str(stage.root.parent), str(database)]
    first = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE, cwd=ROOM)
    assert first.stdout is not None
    while b"settled" not in await first.stdout.readline():
        assert first.returncode is None, "the first life ended by itself"
    writing = asyncio.ensure_future(burst(stage, "burst", 2000, 10))
    await asyncio.sleep(0.15)
    first.send_signal(signal.SIGKILL)
    await first.wait()
    await writing

    left_over = [path.name for path in stage.root.iterdir() if path.name.startswith(".buckler-selftest-")]
    stage.store = open_database(database)
    stage.build()
    async with stage.running(settled=False):
        await until(lambda: not list((stage.root / "burst").glob("*0.txt")), timeout_s=40)
        await until(stage.settled, timeout_s=40)

    assert sum(1 for _ in (stage.root / "burst").iterdir()) == 1800
    assert not [name for name in left_over if (stage.root / name).exists()]


@pytest.mark.root
@needs_root
async def test_a_root_that_is_unmounted_and_mounted_again_is_protected_again(tmp_path: Path) -> None:
    stage = ProtectedFolder(tmp_path, build("fanotify"), self_test_within_s=10.0)
    with scratch_tmpfs(stage.root):
        async with stage.running() as protection:
            await until(lambda: stage.proofs == 1)
            await asyncio.to_thread(subprocess.run, ["umount", str(stage.root)], check=True)
            await until(lambda: "root_lost" in [issue.code for issue in protection.state().issues])
            await asyncio.to_thread(subprocess.run, ["mount", "-t", "tmpfs", "t", str(stage.root)], check=True)
            await until(lambda: stage.proofs >= 2)
            await asyncio.to_thread(in_another_process, WRITE, str(stage.root / "a"), "1", "1", EICAR.hex())
            await until(lambda: bool(stage.quarantine.taken()))
            assert stage.quarantine.taken() == {str(stage.root / "a" / "0.txt")}


@pytest.mark.root
@needs_root
async def test_a_read_only_root_is_an_issue_and_no_crash(tmp_path: Path) -> None:
    stage = ProtectedFolder(tmp_path, build("fanotify"))
    with scratch_tmpfs(stage.root, "ro"):
        async with stage.running() as protection:
            await until(lambda: bool(protection.state().issues))
            assert [issue.code for issue in protection.state().issues] == ["self_test_impossible"]
            assert protection.state().proven_at is None
            assert protection.state().enabled


@pytest.mark.root
@needs_root
async def test_what_is_written_through_a_bind_mount_elsewhere_is_found(tmp_path: Path) -> None:
    with scratch_tmpfs(tmp_path / "disk") as disk:
        stage = ProtectedFolder(disk, build("fanotify"))
        elsewhere = disk / "elsewhere"
        elsewhere.mkdir()
        # Only this scratch mount is made private, so that nothing spreads and a chroot will do.
        script = 'mount --make-private "$1" && mount --bind "$1/root" "$1/elsewhere" && shift && exec "$@"'
        write = [sys.executable, "-c", WRITE, str(elsewhere / "deep"), "1", "1", EICAR.hex()]
        arguments = ["unshare", "-m", "--propagation", "unchanged", "sh", "-c", script, "sh", str(disk), *write]
        async with stage.running():
            await asyncio.to_thread(subprocess.run, arguments, check=True)
            await until(lambda: bool(stage.quarantine.taken()))
            assert stage.quarantine.taken() == {str(stage.root / "deep" / "0.txt")}


_PUT = "import sys; open(sys.argv[2], 'wb').write(bytes.fromhex(sys.argv[1]))"


@pytest.mark.root
@needs_root
async def test_a_path_of_another_mount_namespace_is_not_taken_for_ours(tmp_path: Path) -> None:
    """Inside the namespace another folder lies at the root's path: what is written there is not ours, although its
    path says so; and what is written to the root under a foreign path is found where we see it."""
    with scratch_tmpfs(tmp_path / "disk") as disk:
        stage = ProtectedFolder(disk, build("fanotify"))
        script = (
            'mount --make-private "$1" && mkdir "$1/root/deep" && mount --bind "$1/root/deep" "$1/outside/there" && '
            'mount --bind "$1/outside/other" "$1/root" && shift && "$@" "$0/root/x" && "$@" "$0/outside/there/y"'
        )
        for name in ("there", "other"):
            (stage.outside / name).mkdir()
        write = [
            sys.executable,
            "-c",
            "import sys; open(sys.argv[2],'wb').write(bytes.fromhex(sys.argv[1]))",
            EICAR.hex(),
        ]
        arguments = ["unshare", "-m", "--propagation", "unchanged", "sh", "-c", script, str(disk), str(disk), *write]
        async with stage.running():
            await asyncio.to_thread(subprocess.run, arguments, check=True)
            await until(lambda: bool(stage.quarantine.taken()))
            await until(stage.settled)
            assert stage.quarantine.taken() == {str(stage.root / "deep" / "y")}
            assert stage.incidents.incidents == {}
        assert (stage.outside / "other" / "x").read_bytes() == EICAR


@pytest.mark.root
@needs_root
@pytest.mark.parametrize("source", ["fanotify", "watchdog"])
async def test_a_file_system_mounted_below_a_root_is_watched_from_then_on(source: str, tmp_path: Path) -> None:
    with scratch_tmpfs(tmp_path / "disk") as disk:
        stage = ProtectedFolder(disk, build(source), self_test_within_s=10.0)
        (stage.root / "usb").mkdir()
        async with stage.running():
            with scratch_tmpfs(tmp_path / "stick"):
                await asyncio.to_thread(in_another_process, WRITE, str(tmp_path / "stick/old"), "1", "1", EICAR.hex())
                bind = ["mount", "--bind", str(tmp_path / "stick"), str(stage.root / "usb")]
                await asyncio.to_thread(subprocess.run, bind, check=True)
                try:
                    await until(lambda: str(stage.root / "usb/old/0.txt") in stage.quarantine.taken())
                    target = str(stage.root / "usb" / "new")
                    await asyncio.to_thread(in_another_process, WRITE, target, "1", "1", EICAR.hex())
                    await until(lambda: str(stage.root / "usb/new/0.txt") in stage.quarantine.taken())
                    await until(stage.settled)
                    taken = stage.quarantine.taken()
                finally:
                    await asyncio.to_thread(subprocess.run, ["umount", "-l", str(stage.root / "usb")], check=True)
    assert taken == {str(stage.root / name) for name in ("usb/old/0.txt", "usb/new/0.txt")}
