"""The proof of protection: a harmless test file, planted in each root, has to come all the way through.

"Protected" is what came back, not what was configured. The files are the EICAR test file under a name nobody can
guess, known to the pipeline by inode before they are written, so that they are never reported and never taken. Their
names are stored before they are planted; what a crash leaves behind is removed at the next start.
"""

import asyncio
import contextlib
import json
import os
import stat
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from agent.domain.files import EventKind
from agent.domain.health import HealthIssue
from agent.domain.ports import Randomness, Store
from agent.realtime.territory import SELF_TEST_PREFIX, printable

PLANTED_FILES = "realtime.self_test_files"
#: Kept in parts, so that this source file is not what it describes.
EICAR = b"".join((b"X5O!P%@AP[4\\PZX5", b"4(P^)7CC)7}$EICAR-STAND", b"ARD-ANTIVIRUS-TEST-F", b"ILE!$H+H*"))


class Registry(Protocol):
    """Knows which files are ours; the pipeline."""

    def plant(self, path: str, *, device: int, inode: int) -> None:
        """Before anything is written."""

    def uproot(self, *, device: int, inode: int) -> None:
        """After the file is gone."""


@dataclass(frozen=True, slots=True)
class _Planted:
    path: str
    device: int
    inode: int


class SelfTest:
    """Plants, waits, removes.

    Args:
        store: Keeps the names of planted files.
        randomness: For names.
        registry: The pipeline's knowledge of them.
        within_s: How long a file may take to come through.
    """

    def __init__(self, *, store: Store, randomness: Randomness, registry: Registry, within_s: float) -> None:
        self._store = store
        self._randomness = randomness
        self._registry = registry
        self._within_s = within_s
        self._waiting: dict[str, asyncio.Future[bool]] = {}

    def clean_up(self) -> None:
        """Remove what an earlier run may have left."""
        with self._store.transaction() as tables:
            stored = tables.settings.get(PLANTED_FILES)
        for path in json.loads(stored or "[]"):
            with contextlib.suppress(OSError):
                if _is_left_by_us(path):
                    os.unlink(path)  # noqa: PTH108 -- a name of any bytes
        self._remember([])

    def seen(self, path: str, kind: EventKind, *, found: bool) -> None:
        """A planted file came through; only an event proves the source, a walk does not."""
        future = self._waiting.get(path)
        if future is not None and not future.done() and kind is not EventKind.RECONCILED:
            future.set_result(found)

    async def prove(self, roots: Sequence[str]) -> tuple[HealthIssue, ...]:
        """Test every root; returns one issue per root that is not protected."""
        paths = [f"{root.rstrip('/')}/{SELF_TEST_PREFIX}{self._randomness.token_bytes(16).hex()}" for root in roots]
        await asyncio.to_thread(self._remember, paths)
        async with asyncio.TaskGroup() as tests:
            tasks = [tests.create_task(self._prove_one(root, path)) for root, path in zip(roots, paths, strict=True)]
        await asyncio.to_thread(self._remember, [])
        return tuple(issue for task in tasks if (issue := task.result()) is not None)

    async def _prove_one(self, root: str, path: str) -> HealthIssue | None:
        future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting[path] = future
        planted: _Planted | None = None
        try:
            planted = self._plant(path)
            async with asyncio.timeout(self._within_s):
                found = await future
        except TimeoutError:
            reason = f"the test file was not noticed within {self._within_s:g} s"
            return HealthIssue("self_test_failed", f"{printable(root)} is not protected: {reason}")
        except OSError as failure:
            reason = f"no test file can be written there: {failure.strerror}"
            return HealthIssue("self_test_impossible", f"{printable(root)} is not proven to be protected: {reason}")
        finally:
            del self._waiting[path]
            if planted is not None:
                self._remove(planted)
        if found:
            return None
        reason = "the scanner does not recognise the test file"
        return HealthIssue("self_test_failed", f"{printable(root)} is not protected: {reason}")

    def _plant(self, path: str) -> _Planted:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
        descriptor = os.open(path, flags | getattr(os, "O_BINARY", 0), 0o600)
        try:
            status = os.fstat(descriptor)
            planted = _Planted(path, status.st_dev, status.st_ino)
            self._registry.plant(path, device=planted.device, inode=planted.inode)
            os.write(descriptor, EICAR)
        finally:
            os.close(descriptor)
        return planted

    def _remove(self, planted: _Planted) -> None:
        with contextlib.suppress(OSError):
            status = os.lstat(planted.path)
            if (status.st_dev, status.st_ino) == (planted.device, planted.inode):
                os.unlink(planted.path)  # noqa: PTH108 -- a name of any bytes
        self._registry.uproot(device=planted.device, inode=planted.inode)

    def _remember(self, paths: list[str]) -> None:
        with self._store.transaction() as tables:
            tables.settings.put(PLANTED_FILES, json.dumps(paths))


def _is_left_by_us(path: str) -> bool:
    """Whether a stored path still names what was planted: our name, our file, not more in it than we wrote."""
    status = os.lstat(path)
    return (
        os.path.basename(path).startswith(SELF_TEST_PREFIX)  # noqa: PTH119 -- a string
        and stat.S_ISREG(status.st_mode)
        and (sys.platform == "win32" or status.st_uid == os.geteuid())
        and status.st_size <= len(EICAR)
    )
