"""The vault's own folder: its key, its lock, its sealed files.

::

    <vault_dir>/            0700, ours
        vault.key           0600, 32 random bytes, made once
        vault.lock          flock: shared while a file is being taken or given back, exclusive to resume after a crash
        staging/            files of the same mount, between their place and their seal
        <entry id>.bkq      sealed files (`agent.quarantine.inert`)

The key lies beside what it protects: sealing makes content inert and ties it to its entry, it does not keep secrets
from root. The service and the commands of `buckler` use one vault at the same time, hence the lock; it is released by
the kernel when a process dies.
"""

import errno
import fcntl
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from agent.domain.errors import BucklerError, ExitStatus
from agent.domain.ports import Randomness
from agent.platform.files.secure_files import PlaceOfFile, open_folder, rename_without_overwriting, sync
from agent.quarantine.inert import KEY_BYTES

SEALED_SUFFIX = ".bkq"
_UNFINISHED_SUFFIX = ".part"
_KEY_NAME = "vault.key"
_LOCK_NAME = "vault.lock"
#: Resuming waits this long for captures in other processes to end, in seconds; a large file takes a few.
PATIENCE_S = 30.0
#: And looks this often, in seconds.
_PAUSE_S = 0.05
_PRIVATE = 0o700
_NEW_FILE = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC


class VaultFolder:
    """The folder on disk. Nothing is touched before the first use.

    Args:
        path: Trusted: it comes from the settings, not from a scan.
        randomness: Makes the key.
        patience_s: How long `to_ourselves` waits.
    """

    def __init__(self, path: Path, randomness: Randomness, patience_s: float = PATIENCE_S) -> None:
        self._path = os.path.realpath(path)
        self._randomness = randomness
        self._patience_s = patience_s
        self._key: bytes | None = None

    @property
    def path(self) -> str:
        """Absolute, without links."""
        return self._path

    @contextmanager
    def opened(self) -> Iterator[int]:
        """A descriptor of the folder, which is made if it is not there.

        Raises:
            OSError: It cannot be made or is somebody else's.
        """
        try:
            descriptor = open_folder(self._path)
        except FileNotFoundError:
            with suppress(FileExistsError):
                Path(self._path).mkdir(mode=_PRIVATE, parents=True)
            descriptor = open_folder(self._path)
        try:
            found = os.fstat(descriptor)
            if found.st_uid != os.geteuid():
                raise PermissionError(errno.EACCES, "the vault belongs to another user", self._path)
            if stat.S_IMODE(found.st_mode) != _PRIVATE:
                os.fchmod(descriptor, _PRIVATE)
            yield descriptor
        finally:
            os.close(descriptor)

    @contextmanager
    def in_use(self) -> Iterator[int]:
        """`opened`, while no other process resumes after a crash."""
        with self.opened() as folder, _lock_file(folder) as lock:
            fcntl.flock(lock, fcntl.LOCK_SH)
            yield folder

    @contextmanager
    def to_ourselves(self) -> Iterator[int]:
        """`opened`, while nobody takes or restores a file, in any process.

        Raises:
            BucklerError: `VAULT_BUSY`, somebody did not finish in time.
        """
        with self.opened() as folder, _lock_file(folder) as lock:
            waited_s = 0.0
            while not _try_lock(lock):
                if waited_s >= self._patience_s:
                    raise BucklerError(
                        "VAULT_BUSY",
                        f"another program has been working in {self._path} for {self._patience_s:.0f} s",
                        next_step="wait for `buckler` commands on this device to end, then start the agent again",
                        exit_status=ExitStatus.ENVIRONMENT,
                        facts={"path": self._path},
                    )
                time.sleep(_PAUSE_S)
                waited_s += _PAUSE_S
            yield folder

    def key(self, folder: int) -> bytes:
        """The vault's key, made once.

        Raises:
            OSError: It cannot be read or made.
            BucklerError: `VAULT_DAMAGED`, its file does not hold a key.
        """
        if self._key is None:
            try:
                self._key = self._read_key(folder)
            except FileNotFoundError:
                self._make_key(folder)
                self._key = self._read_key(folder)
        return self._key

    def _read_key(self, folder: int) -> bytes:
        descriptor = os.open(_KEY_NAME, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
        try:
            key = os.read(descriptor, KEY_BYTES + 1)
        finally:
            os.close(descriptor)
        if len(key) != KEY_BYTES:
            raise BucklerError(
                "VAULT_DAMAGED",
                f"{self._path}/{_KEY_NAME} does not hold a key",
                next_step="bring it back from a backup, or move it aside and give up what the vault holds now",
                exit_status=ExitStatus.ENVIRONMENT,
                facts={"path": self._path},
            )
        return key

    def _make_key(self, folder: int) -> None:
        """Two processes may do this at once: whoever comes second uses the first one's."""
        unfinished = f"{_KEY_NAME}.{self._randomness.uuid().hex}"
        descriptor = os.open(unfinished, _NEW_FILE, 0o600, dir_fd=folder)
        try:
            os.write(descriptor, self._randomness.token_bytes(KEY_BYTES))
            sync(descriptor)
        finally:
            os.close(descriptor)
        try:
            rename_without_overwriting(PlaceOfFile(folder, unfinished), PlaceOfFile(folder, _KEY_NAME))
        except FileExistsError:
            os.unlink(unfinished, dir_fd=folder)
        sync(folder)


@contextmanager
def new_sealed_file(folder: int, entry_id: str) -> Iterator[int]:
    """A file to write a seal into; it gets its name, durably, when the block ends well, and vanishes otherwise."""
    unfinished = entry_id + SEALED_SUFFIX + _UNFINISHED_SUFFIX
    with suppress(FileNotFoundError):
        os.unlink(unfinished, dir_fd=folder)
    descriptor = os.open(unfinished, _NEW_FILE, 0o600, dir_fd=folder)
    try:
        try:
            yield descriptor
            sync(descriptor)
        finally:
            os.close(descriptor)
        # What a crash left under the final name was sealed from the same file and is replaced.
        os.rename(unfinished, entry_id + SEALED_SUFFIX, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(unfinished, dir_fd=folder)
        raise
    sync(folder)


def open_sealed_file(folder: int, entry_id: str) -> int:
    """Open a sealed file for reading.

    Raises:
        OSError: `ENOENT`: it is not there.
    """
    return os.open(entry_id + SEALED_SUFFIX, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)


def remove_sealed_file(folder: int, entry_id: str) -> None:
    """Destroy a sealed file, durably; one that is not there is fine."""
    with suppress(FileNotFoundError):
        os.unlink(entry_id + SEALED_SUFFIX, dir_fd=folder)
    sync(folder)


def sealed_ids(folder: int) -> list[str]:
    """Ids of all sealed files; what a crash left unfinished is removed on the way."""
    found: list[str] = []
    for name in os.listdir(folder):
        if name.endswith(SEALED_SUFFIX + _UNFINISHED_SUFFIX):
            os.unlink(name, dir_fd=folder)
        elif name.endswith(SEALED_SUFFIX):
            found.append(name.removesuffix(SEALED_SUFFIX))
    return found


@contextmanager
def _lock_file(folder: int) -> Iterator[int]:
    # A description of its own each time: threads of one process exclude each other like processes do.
    descriptor = os.open(_LOCK_NAME, os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=folder)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
