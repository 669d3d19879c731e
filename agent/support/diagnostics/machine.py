"""What a bundle tells of the machine itself. Looks, changes nothing, and asks no running agent."""

import os
import platform
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterable, Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil

from agent.domain.ports import Clock
from agent.platform.inotify_observer import events_queued, watches_allowed
from agent.platform.program import app_version, program_path, program_risk
from agent.platform.system_facts import competitors, read_system_facts
from agent.platform.system_tools import run_tool
from agent.support.diagnostics.collecting import NotHereError
from agent.support.redaction import Json

#: What scanning and talking is done with.
_LIBRARIES = (
    "cryptography", "grpcio", "protobuf", "psutil", "pydantic", "watchdog", "yara-python", "boreal-python",
)  # fmt: skip
_MOST_FILES = 200
_MOST_CRASHES = 10
_LONGEST_CRASH = 64 * 1024
_LOG_LINES = 5_000
_MOST_PROCESSES = 40
_OUR_PROGRAM = "buckler"


def versions() -> Json:
    """Of this program, what it is made with and what it runs on."""
    machine = read_system_facts()
    return {
        "buckler": app_version(),
        "program": str(program_path()),
        "program_risk": program_risk() or None,
        "python": sys.version,
        "libraries": {name: _version(name) for name in _LIBRARIES},
        "os": machine.os,
        "os_version": machine.os_version,
        "kernel": platform.release(),
        "architecture": machine.architecture,
        "as_root": hasattr(os, "geteuid") and os.geteuid() == 0,
    }


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def resources(clock: Clock, data_dir: Path) -> Json:
    """Memory, processors, disks and limits of the kernel."""
    memory, swap = psutil.virtual_memory(), psutil.swap_memory()
    return {
        "time": clock.now().isoformat(),
        "up_for_s": round(clock.now().timestamp() - psutil.boot_time()),
        "processors": os.cpu_count(),
        "load": [round(value, 2) for value in psutil.getloadavg()],
        "memory_mb": memory.total >> 20,
        "memory_available_mb": memory.available >> 20,
        "swap_used_mb": swap.used >> 20,
        "disks": {name: _disk(path) for name, path in (("data", data_dir), ("temporary", Path(tempfile.gettempdir())))},
        "inotify_watches": watches_allowed(),
        "inotify_events": events_queued(),
        "other_products": list(competitors()),
    }


def _disk(path: Path) -> Json:
    try:
        usage = shutil.disk_usage(next(p for p in (path, *path.parents) if p.exists()))
    except (OSError, StopIteration):
        return None
    return {"free_mb": usage.free >> 20, "size_mb": usage.total >> 20}


def own_processes() -> Json:
    """Processes of this program: how old, how large, how busy."""
    found: list[Json] = []
    names = ["pid", "ppid", "name", "cmdline", "create_time", "memory_info", "cpu_times", "num_fds", "status"]
    for process in psutil.process_iter(names):
        words = process.info["cmdline"] or []
        if not any(_OUR_PROGRAM in Path(word).name for word in words[:2]) or len(found) >= _MOST_PROCESSES:
            continue
        memory, cpu = process.info["memory_info"], process.info["cpu_times"]
        found.append(
            {
                "pid": process.info["pid"],
                "parent": process.info["ppid"],
                "command": " ".join(words[:6]),
                "began": process.info["create_time"],
                "state": process.info["status"],
                "memory_mb": memory.rss >> 20 if memory else None,
                "cpu_s": round(cpu.user + cpu.system, 1) if cpu else None,
                "open_files": process.info.get("num_fds"),
            }
        )
    return found


def data_folder(folder: Path) -> Json:
    """What lies in the data folder: names, sizes, owners and permissions, one level deep; no content.

    Raises:
        NotHereError: There is none.
    """
    if not folder.is_dir():
        raise NotHereError(f"there is no folder {folder}")
    listed = [folder, *sorted(folder.iterdir())[:_MOST_FILES]]
    return [_described(path, "." if path == folder else path.name) for path in listed]


def _described(path: Path, name: str) -> Json:
    status = path.lstat()
    return {
        "name": name,
        "kind": "folder" if stat.S_ISDIR(status.st_mode) else "file" if stat.S_ISREG(status.st_mode) else "other",
        "size": status.st_size,
        "mode": f"{stat.S_IMODE(status.st_mode):o}",
        "owner": status.st_uid,
        "ours": not hasattr(os, "geteuid") or status.st_uid == os.geteuid(),
        "changed": status.st_mtime,
    }


def crash_reports(folders: Iterable[Path]) -> str:
    """The newest reports of unexpected failures, as far as they are ours.

    Args:
        folders: Where they are; folders that are not there count as empty.

    Raises:
        NotHereError: There are no reports.
    """
    found = sorted(_reports(folders), key=lambda item: -item[0])[:_MOST_CRASHES]
    if not found:
        raise NotHereError("nothing of this program has failed unexpectedly, or its reports are gone")
    return "\n".join(f"==== {path}\n{_read(path)}" for _, path in found)


def crash_folders(kept: Path) -> list[Path]:
    """Where they are: in the data folder, and where commands leave theirs.

    Args:
        kept: The one in the data folder.
    """
    return [kept, *Path(tempfile.gettempdir()).glob("buckler-crash-*")]


def _reports(folders: Iterable[Path]) -> Iterator[tuple[float, Path]]:
    for folder in folders:
        try:
            inside = sorted(folder.iterdir())
            mine = not folder.is_symlink() and _is_mine(folder.lstat())
        except OSError:
            continue
        for path in inside if mine else ():
            status = path.lstat()
            # Where everybody may make folders, somebody may offer us one with something else in it.
            if stat.S_ISREG(status.st_mode) and _is_mine(status):
                yield status.st_mtime, path


def _is_mine(status: os.stat_result) -> bool:
    return not hasattr(os, "geteuid") or status.st_uid == os.geteuid()


def _read(path: Path) -> str:
    with path.open("rb") as file:
        return file.read(_LONGEST_CRASH).decode("utf-8", "backslashreplace")


#: What asks the journal; told in the manifest.
LOG_COMMAND = ("journalctl", "--unit=buckler.service", f"--lines={_LOG_LINES}", "--output=short-iso", "--no-hostname")


def service_log() -> str:
    """What the service has logged last, as far as this system keeps it.

    Raises:
        NotHereError: It keeps nothing, or not for this user.
    """
    if sys.platform != "linux":
        raise NotHereError("on this system the service's log is a file of its supervisor; attach it by hand")
    ran = run_tool(LOG_COMMAND)
    if ran.status:
        raise NotHereError(f"journalctl ended with status {ran.status}: {ran.complaint.strip()}")
    if not ran.output.strip() or ran.output.startswith("-- No entries"):
        raise NotHereError("the journal has nothing of the service, or not for this user")
    return ran.output
