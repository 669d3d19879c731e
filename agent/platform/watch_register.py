"""One agent per watched folder: two that watch the same files would wait for, and take, each other's work.

The lock of the data folder (`platform.files.lock`) keeps two agents from one memory; this one keeps two agents with
memories of their own from one folder. Each running agent of a user keeps a file here, locked while it runs, that says
what it watches. The kernel drops the lock when a process ends, however it ends, so a file that can be locked is one a
crash left behind.

Only the user's own agents are in it: a register that others can open would let them keep the agent from starting.
"""

import fcntl
import json
import os
import stat
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import structlog

from agent.domain.errors import BucklerError, ExitStatus

log = structlog.get_logger(__name__)

_SUFFIX = ".watch"
_GATE = "register.lock"


@dataclass(frozen=True, slots=True)
class _Watcher:
    pid: int
    data_dir: str
    roots: tuple[str, ...]


def register_folder() -> Path:
    """Where the agents of this user register; gone after a restart of the machine, as they are."""
    if os.geteuid() == 0:
        return Path("/run/buckler/watching")
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    return Path(runtime or tempfile.gettempdir()) / f"buckler-{os.geteuid()}" / "watching"


@contextmanager
def watching(folder: Path, roots: Sequence[str], data_dir: Path) -> Iterator[None]:
    """Be the only agent of this user that watches these folders, for the length of the block.

    Args:
        folder: See `register_folder`. If it cannot be used the agent goes on without: protection comes first.
        roots: Absolute.
        data_dir: Of this agent, for the message another one gives.

    Raises:
        BucklerError: `ROOT_WATCHED`: another agent watches one of them, a folder above or a folder below.
    """
    own = _Watcher(os.getpid(), str(data_dir), tuple(os.path.realpath(root) for root in roots))
    try:
        entry = _register(folder, own)
    except OSError as error:
        log.warning("register_unusable", folder=str(folder), reason=error.strerror)
        yield
        return
    descriptor, path = entry
    try:
        yield
    finally:
        with suppress(OSError):
            path.unlink()
        os.close(descriptor)


def _register(folder: Path, own: _Watcher) -> tuple[int, Path]:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o022:
        raise PermissionError(0, "it belongs to somebody else", str(folder))
    # One at a time, so that of two agents that start together one sees the other.
    gate = os.open(folder / _GATE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(gate, fcntl.LOCK_EX)
        for other in _running(folder):
            _refuse_overlap(own, other)
        return _enter(folder, own)
    finally:
        os.close(gate)


def _running(folder: Path) -> Iterator[_Watcher]:
    for path in folder.glob(f"*{_SUFFIX}"):
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            with suppress(ValueError, KeyError, TypeError):
                told = json.loads(os.pread(descriptor, 1 << 20, 0))
                yield _Watcher(told["pid"], told["data_dir"], tuple(told["roots"]))
        else:
            path.unlink(missing_ok=True)
        finally:
            os.close(descriptor)


def _enter(folder: Path, own: _Watcher) -> tuple[int, Path]:
    path = folder / f"{own.pid}-{os.urandom(4).hex()}{_SUFFIX}"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    told = json.dumps({"pid": own.pid, "data_dir": own.data_dir, "roots": own.roots})
    os.pwrite(descriptor, told.encode("ascii"), 0)
    return descriptor, path


def _refuse_overlap(own: _Watcher, other: _Watcher) -> None:
    for ours in own.roots:
        for theirs in other.roots:
            if _is_within(ours, theirs) or _is_within(theirs, ours):
                raise BucklerError(
                    "ROOT_WATCHED",
                    f"{ours!r} is watched already, by the agent with process {other.pid} and data folder "
                    f"{other.data_dir!r}, as part of {theirs!r}",
                    next_step="stop that agent first, or name other folders with --root",
                    exit_status=ExitStatus.ENVIRONMENT,
                    facts={"root": repr(ours), "pid": str(other.pid), "data_dir": repr(other.data_dir)},
                )


def _is_within(path: str, folder: str) -> bool:
    return (path.rstrip("/") + "/").startswith(folder.rstrip("/") + "/")
