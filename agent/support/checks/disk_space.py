"""Is there room for what the agent writes?"""

from dataclasses import replace
from pathlib import Path

from agent.support.check import Check
from agent.support.checkup import STILL_PROTECTED, CheckResult, Fixer, failing, passing, warning
from agent.support.surroundings import Surroundings

#: Below this SQLite, journal and a capture of usual size no longer fit: our own estimate, generous for the first two.
FULL_BYTES = 16 << 20
#: Below this somebody should look; a quarantined file needs its size once more.
LOW_BYTES = 256 << 20
#: The same in files.
FULL_FILES = 100


def look(around: Surroundings) -> CheckResult:
    """Bytes and file numbers where the data folder is."""
    folder = around.place.data_dir
    room = around.machine.room(folder)
    megabytes = room.free_bytes >> 20
    can_make_room = _is_disposable(around)
    if room.free_files is not None and room.free_files < FULL_FILES:
        full = _full(folder, f"the file system of {folder} takes {room.free_files} more files")
        return replace(full, fixable=can_make_room)
    if room.free_bytes < FULL_BYTES:
        return replace(_full(folder, f"{megabytes} MiB are free where {folder} is"), fixable=can_make_room)
    if room.free_bytes < LOW_BYTES:
        low = warning(
            "DISK_LOW",
            f"{megabytes} MiB are free where {folder} is",
            effect=f"{STILL_PROTECTED}; large files may soon not fit into the vault",
            fixer=Fixer.ADMINISTRATOR,
            next_step=f"free some space on the file system of {folder}",
        )
        return replace(low, fixable=can_make_room)
    return passing(f"{megabytes} MiB are free where {folder} is")


def _is_disposable(around: Surroundings) -> bool:
    try:
        return any(around.machine.look_at(path) is not None for path in around.place.disposable)
    except PermissionError:
        return False


def _full(folder: Path, evidence: str) -> CheckResult:
    return failing(
        "DISK_FULL",
        evidence,
        effect="files are watched, but nothing can be taken to the vault or recorded",
        fixer=Fixer.ADMINISTRATOR,
        next_step=f"free space on the file system of {folder}; --fix deletes what Buckler can make anew",
    )


def mend(around: Surroundings, _result: CheckResult) -> str:
    """Caches go."""
    return around.repairs.make_room()


CHECK = Check("disk_space", "there is room to work", look, mend)
