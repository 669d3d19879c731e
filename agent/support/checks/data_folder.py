"""Does the data folder belong to the agent alone, and can it be written to?"""

import stat
from dataclasses import replace
from pathlib import Path

from agent.support.check import Check
from agent.support.checkup import NOT_PROTECTED, CheckResult, Fixer, failing, passing, unknown
from agent.support.surroundings import Place, Surroundings

_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH
_SECRET = stat.S_IRWXG | stat.S_IRWXO


def look(around: Surroundings) -> CheckResult:
    """Owner, permissions, and whether the file system takes anything."""
    place, machine = around.place, around.machine
    folder = machine.look_at(place.data_dir)
    if folder is None:
        return unknown(f"{place.data_dir} is not there yet: no agent has run here", "buckler service install")
    if not folder.is_dir:
        return _unusable(place, f"{place.data_dir} is not a folder")
    open_to = _open_to_others(around, place)
    if open_to:
        return replace(_open(place, open_to), fixable=True)
    if machine.user() not in {0, folder.owner}:
        return unknown(
            f"{place.data_dir} belongs to user {folder.owner}", "run `buckler doctor` as root, or as that user"
        )
    if machine.room(place.data_dir).read_only:
        return _unusable(place, f"the file system of {place.data_dir} is mounted read-only")
    if not folder.mode & stat.S_IWUSR:
        return replace(_unusable(place, f"{place.data_dir} may not be written to by its owner"), fixable=True)
    return passing(f"{place.data_dir} belongs to user {folder.owner} and nobody else writes there")


def _open_to_others(around: Surroundings, place: Place) -> list[str]:
    """What others may do that they should not."""
    found = []
    for path, bits, what in (
        (place.data_dir, _BY_OTHERS, "others may write to {}"),
        (place.device_key, _SECRET, "others may read the device key {}"),
        (place.database, _SECRET, "others may read the database {}"),
        (place.vault, _SECRET, "others may look into the vault {}"),
    ):
        seen = _seen(around, path)
        if seen is not None and seen & bits:
            found.append(what.format(path))
    return found


def _seen(around: Surroundings, path: Path) -> int | None:
    """Permission bits; None: it is not there, or not for us to see, which is as it should be."""
    try:
        seen = around.machine.look_at(path)
    except PermissionError:
        return None
    return None if seen is None else seen.mode


def _open(place: Place, what: list[str]) -> CheckResult:
    return failing(
        "DATA_DIR_OPEN",
        "; ".join(what),
        effect="another user of this device could switch protection off or pass for this device",
        fixer=Fixer.ADMINISTRATOR,
        next_step=f"buckler doctor --fix, or: chmod go-w {place.data_dir} and chmod go-rwx for the files in it",
    )


def _unusable(place: Place, why: str) -> CheckResult:
    return failing(
        "DATA_DIR_UNUSABLE",
        why,
        effect=f"{NOT_PROTECTED}, or not for long: nothing can be taken to the vault or recorded",
        fixer=Fixer.ADMINISTRATOR,
        next_step=f"make {place.data_dir} a folder that its owner may write to, or choose one with --data-dir",
    )


def mend(around: Surroundings, _result: CheckResult) -> str:
    """Close it."""
    return around.repairs.close_folder()


CHECK = Check("data_folder", "the data folder is private and can be written to", look, mend)
