"""What the agent locks stays locked while it watches: closing a descriptor of a file drops every lock on it (POSIX)."""

import asyncio
import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from agent.domain.files import FileEvent, SourceEvent
from agent.platform.clock import SystemClock
from agent.realtime.sources.fanotify import FanotifySource
from tests.fakes.waiting import until
from tests.scratch_mounts import needs_root, scratch_tmpfs

_WRITE_AND_LOCK = """
import fcntl, sys
open(sys.argv[1], "ab").close()
with open(sys.argv[1], "ab") as stream:
    try:
        fcntl.lockf(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        sys.exit("locked")
"""


async def is_locked(path: Path) -> bool:
    """Whether another process, which opens and closes the file for writing, finds it locked."""
    command = [sys.executable, "-c", _WRITE_AND_LOCK, str(path)]
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.strip()) in {(0, ""), (1, "locked")}
    return done.returncode == 1


@pytest.mark.root
@needs_root
@pytest.mark.parametrize("spared", [True, False])
async def test_files_on_which_the_agent_holds_locks_are_not_opened_for_it(tmp_path: Path, *, spared: bool) -> None:
    with scratch_tmpfs(tmp_path / "disk") as disk:
        own, root = disk / "own", disk / "root"
        own.mkdir()
        root.mkdir()
        database = own / "agent.db"
        database.write_bytes(b"rows")
        locked = [str(database), str(own / "never made")] if spared else []
        source = FanotifySource(excluded=[str(own)], locked=locked, own_pids=frozenset, clock=SystemClock())
        seen = []

        def take(event: SourceEvent) -> None:
            if isinstance(event, FileEvent):
                os.close(event.descriptor)
                seen.append(event.path)

        with database.open("r+b") as ours:
            fcntl.lockf(ours, fcntl.LOCK_EX)
            source.open([str(root)], take)
            try:
                await is_locked(database)
                # Events come in order: once this one is here, so were those of the database.
                (root / "later").write_bytes(b"text")
                await until(lambda: str(root / "later") in seen)
                assert await is_locked(database) is spared
            finally:
                source.close()
