"""This program, as it is installed."""

import os
import stat
import sys
from pathlib import Path

#: Where the build takes it from. Asking the installed package takes longer than looking through a thousand folders.
VERSION = "0.1.0"


def app_version() -> str:
    """Of this program."""
    return VERSION


def program_path() -> Path:
    """`buckler` of the environment this process runs in."""
    name = "buckler.exe" if sys.platform == "win32" else "buckler"
    return Path(sys.executable).with_name(name)


def program_risk() -> str:
    """Why root must not run this program: somebody else can change it or what it loads; empty: nobody can.

    Looked at are the program, its interpreter and its packages, and every folder on the way to them, links resolved.
    On Windows nothing is looked at: its installer puts programs where only administrators may write.
    """
    if sys.platform == "win32":
        return ""
    packages = Path(__file__).parents[2]
    for path in (program_path(), Path(sys.executable), packages / "agent", packages / "wire"):
        for part in _way_to(path):
            risk = _risk_of(part)
            if risk:
                return risk
    return ""


def _way_to(path: Path) -> list[Path]:
    """The path itself, what it leads to, and all folders above either; those that are not there are left out."""
    both = dict.fromkeys((path, path.resolve()))
    parts = dict.fromkeys(part for way in both for part in (way, *way.parents))
    return [part for part in parts if os.path.lexists(part)]


def _risk_of(path: Path) -> str:
    found = path.stat()
    if found.st_uid != 0:
        return f"{path} belongs to user {found.st_uid}"
    # Others may put files into a sticky folder, but not exchange those of root.
    open_to = found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    if open_to and not (stat.S_ISDIR(found.st_mode) and found.st_mode & stat.S_ISVTX):
        return f"{path} may be written to by others than root"
    return ""
