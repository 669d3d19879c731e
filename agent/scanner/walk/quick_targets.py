"""Where a quick scan looks: what runs, what starts by itself, and where new files arrive."""

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent.platform.autostart.targets import autostart_targets
from agent.platform.files.regular_files import identity_of
from agent.platform.people import download_folders, home_folders, temporary_folders
from agent.platform.processes.memory import ProcessHandle, process_ids
from agent.scanner.walk.tree import OpenedFile

if TYPE_CHECKING:
    from agent.domain.files import FileIdentity

#: How the kernel marks a file that has no name any more.
_GONE = " (deleted)"


@dataclass(frozen=True, slots=True)
class RunningFiles:
    """What processes have mapped to be executed.

    Attributes:
        paths: Files that are there.
        nameless: Programs that run although their file is gone, with the process that holds them.
    """

    paths: tuple[str, ...]
    nameless: tuple[tuple[str, int], ...]


def quick_targets() -> tuple[str, ...]:
    """Files and folders, each once, the most telling first. Waits for the file system."""
    homes = home_folders()
    found = dict.fromkeys(running_files().paths)
    found |= dict.fromkeys(autostart_targets(homes))
    folders = (*download_folders(homes), *temporary_folders())
    outer = [folder for folder in folders if not any(_is_inside(folder, other) for other in folders)]
    # What lies in a folder that is walked anyway must not be scanned, and counted, twice.
    single = [path for path in found if not any(_is_inside(path, folder) for folder in outer)]
    return (*single, *dict.fromkeys(outer))


def running_files() -> RunningFiles:
    """Ask every process that we may ask; those of others stay unknown to everybody but root."""
    if sys.platform != "linux":
        return RunningFiles(_running_programs(), ())
    paths: dict[str, None] = {}
    nameless: dict[tuple[str, int], None] = {}
    for pid in process_ids():
        try:
            with ProcessHandle(pid) as process:
                executable = process.facts().executable
                if executable.endswith(_GONE):
                    nameless[executable, pid] = None
                mapped = (region for region in process.regions() if region.inode and "x" in region.permissions)
                paths |= dict.fromkeys((executable, *(region.name for region in mapped)))
        except OSError:
            continue
    return RunningFiles(tuple(os.path.realpath(path) for path in paths if os.path.isfile(path)), tuple(nameless))  # noqa: PTH113


def open_nameless(running: RunningFiles) -> Iterator[OpenedFile]:
    """The programs whose file is gone; their bytes are still to be had from the process, as long as it runs."""
    seen: set[FileIdentity] = set()
    for path, pid in running.nameless:
        try:
            with ProcessHandle(pid) as process:
                descriptor = process.open_executable()
        except OSError:
            continue
        identity = identity_of(os.fstat(descriptor))
        if identity in seen:
            os.close(descriptor)
            continue
        seen.add(identity)
        yield OpenedFile(path, descriptor, identity)


def _running_programs() -> tuple[str, ...]:
    import psutil

    programs = (process.info["exe"] for process in psutil.process_iter(["exe"]))
    return tuple(dict.fromkeys(path for path in programs if path))


def _is_inside(path: str, folder: str) -> bool:
    return path.startswith(folder.rstrip("/") + "/")
