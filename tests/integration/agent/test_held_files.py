"""Files whose writer closes them while nobody listens: real events, real processes, a real database."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from agent.domain.ports import EventSource
from agent.platform.clock import SystemClock
from agent.platform.processes.writers import held_for_writing
from agent.realtime.life_sign import LIFE_SIGN
from agent.realtime.sources.fanotify import FanotifySource
from agent.storage.database import open_database
from tests.fakes.eicar import EICAR
from tests.fakes.protected_folder import ProtectedFolder
from tests.fakes.waiting import until
from tests.scratch_mounts import needs_root, scratch_tmpfs

pytestmark = [pytest.mark.root, needs_root]

WRITE_AND_HOLD = """
import sys
held = open(sys.argv[1], "r+b")
held.write(bytes.fromhex(sys.argv[2]))
held.flush()
print("written", flush=True)
sys.stdin.read()
"""
MAP_AND_HOLD = """
import mmap, os, sys
held = mmap.mmap(os.open(sys.argv[1], os.O_RDWR), 0)
held[:] = bytes.fromhex(sys.argv[2])
print("written", flush=True)
sys.stdin.read()
"""
#: In a mount namespace of its own, in which the file has another path.
ELSEWHERE = 'mount --make-private "$1" && mount --bind "$1/root" "$1/outside" && shift && exec "$@"'


@contextmanager
def writer(script: str, path: Path, *before: str) -> Iterator[None]:
    """It has written when the block begins, and closes when the block ends."""
    command = [*before, sys.executable, "-c", script, str(path), EICAR.hex()]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline()
        yield
        process.communicate(timeout=30)


def source() -> EventSource:
    return FanotifySource(excluded=[], own_pids=frozenset, clock=SystemClock())


@pytest.mark.parametrize("way", ["open", "mapped", "elsewhere"])
@pytest.mark.parametrize("killed", [False, True])
async def test_what_was_written_long_ago_and_is_closed_between_two_lives_is_taken(
    way: str, tmp_path: Path, *, killed: bool
) -> None:
    with scratch_tmpfs(tmp_path / "disk") as disk, ExitStack() as writing:
        # Without a margin, what is written before a life sign counts as long ago.
        stage = ProtectedFolder(disk, source(), margin_s=0.0, self_test_within_s=10.0)
        stage.store, stage.held_for_writing = open_database(tmp_path / "agent.db"), held_for_writing
        stage.build()
        path = stage.write("bad.txt", bytes(len(EICAR)))
        async with stage.running():
            if way == "elsewhere":
                before = ["unshare", "-m", "--propagation", "unchanged", "sh", "-c", ELSEWHERE, "sh", str(disk)]
                writing.enter_context(writer(WRITE_AND_HOLD, stage.outside / "bad.txt", *before))
            else:
                writing.enter_context(writer(MAP_AND_HOLD if way == "mapped" else WRITE_AND_HOLD, path))
            await until(lambda: stage.proofs > 0)
            await until(stage.settled)
            written_us = path.stat().st_ctime_ns // 1000
            if killed:
                await asyncio.to_thread(stage.write, "another.txt", b"x")
                await until(lambda: int(stage.setting(LIFE_SIGN) or 0) > written_us)
                stage.held_for_writing = lambda: frozenset(range(100_000))  # of so many, no sign is given at the end
        assert int(stage.setting(LIFE_SIGN) or 0) > written_us
        assert stage.quarantine.taken() == set()

        writing.close()
        stage.build()
        async with stage.running():
            await until(lambda: stage.quarantine.taken() == {str(path)})
