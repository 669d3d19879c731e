"""What `buckler doctor --fix` does; port `agent.support.surroundings.Repairs`."""

import shutil
import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from agent.domain.errors import BucklerError, ExitStatus
from agent.support.surroundings import Place

_FOLDER = stat.S_IWGRP | stat.S_IWOTH
_SECRET = stat.S_IRWXG | stat.S_IRWXO


@dataclass(frozen=True, slots=True)
class LocalRepairs:
    """On this machine.

    Attributes:
        place: Where things are.
        rebuild: Puts a damaged database aside and keeps what can be read; returns what it did.
        start: Starts the service; returns the proof that it protects.
        wake: Has the running agent check in.
    """

    place: Place
    rebuild: Callable[[], str]
    start: Callable[[], str]
    wake: Callable[[], None]

    def close_folder(self) -> str:
        """Take away permissions that nobody needs, and give the owner those that are needed."""
        place = self.place
        secrets = (place.device_key, place.vault, *sorted(place.data_dir.glob(f"{place.database.name}*")))
        changed = [_chmod(place.data_dir, gone=_FOLDER, given=stat.S_IRWXU)]
        changed += [_chmod(path, gone=_SECRET, given=0) for path in secrets]
        return f"permissions taken away: {', '.join(filter(None, changed)) or 'none'}"

    def make_room(self) -> str:
        """Delete what is made anew when it is needed.

        Raises:
            BucklerError: `NOT_PERMITTED`; what went before is gone.
        """
        freed = 0
        for path in self.place.disposable:
            freed += _size(path)
            try:
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path)
                else:
                    path.unlink(missing_ok=True)
            except OSError as error:
                raise _refused(path, error) from error
        return f"{freed >> 20} MiB of caches deleted; they are made anew when needed"

    def rebuild_database(self) -> str:
        """Keep what can be read."""
        return self.rebuild()

    def start_service(self) -> str:
        """Start it and wait for the proof."""
        return self.start()

    def ask_server_again(self) -> str:
        """Do not wait for the next check-in."""
        self.wake()
        return "the agent was told to check in at once"


def disposable(data_dir: Path, scan_cache: Path) -> Sequence[Path]:
    """What may be deleted at any time (docs/ARCHITECTURE.md)."""
    return (*(scan_cache.with_name(scan_cache.name + end) for end in ("", "-wal", "-shm")), data_dir / "compiled-rules")


def _chmod(path: Path, *, gone: int, given: int) -> str:
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        wanted = (mode | given) & ~gone
        if wanted == mode:
            return ""
        path.chmod(wanted)
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise _refused(path, error) from error
    return f"{path} {mode:04o} to {wanted:04o}"


def _size(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.lstat().st_size for file in files if file.is_file())


def _refused(path: Path, error: OSError) -> BucklerError:
    return BucklerError(
        "NOT_PERMITTED",
        f"{path} cannot be changed: {error.strerror}",
        next_step="run `buckler doctor --fix` as root, or as the user the agent runs as",
        exit_status=ExitStatus.ENVIRONMENT,
        facts={"path": str(path)},
    )
