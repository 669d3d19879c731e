"""The operating system, asked; port `agent.support.surroundings.Machine`."""

import importlib
import os
import platform
import stat
import sys
import sysconfig
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from agent.platform.system_facts import competitors
from agent.support.surroundings import BuildSeen, FolderSeen, RoomSeen

#: What the agent cannot do without, and what is made for one processor and one system.
_LIBRARIES = ("yara", "grpc", "cryptography.hazmat.bindings._rust", "psutil")
_PROXY_VARIABLES = ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "grpc_proxy")
#: Names of one and the same architecture.
_SAME = {"amd64": "x86_64", "arm64": "aarch64", "i686": "x86", "i586": "x86", "i386": "x86"}


class LocalMachine:
    """See the module."""

    def build(self) -> BuildSeen:
        """This program against this machine."""
        names = {"Darwin": "macos", "Windows": "windows", "Linux": "linux"}
        return BuildSeen(
            system=names.get(platform.system(), platform.system().lower() or "unknown"),
            machine=_plain(platform.machine()),
            built_for=_plain(sysconfig.get_platform().rpartition("-")[2]),
            python=(sys.version_info.major, sys.version_info.minor),
            broken=_broken_libraries(),
        )

    def user(self) -> int:
        """Id of the user who runs this."""
        return os.geteuid()

    def look_at(self, path: Path) -> FolderSeen | None:
        """A file or folder; None: it is not there."""
        try:
            found = path.stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        return FolderSeen(found.st_uid, stat.S_IMODE(found.st_mode), stat.S_ISDIR(found.st_mode))

    def room(self, folder: Path) -> RoomSeen:
        """What is left for an ordinary user, where a folder is or would be made."""
        there = next(path for path in (folder, *folder.parents) if path.exists())
        found = os.statvfs(there)
        return RoomSeen(
            free_bytes=found.f_bavail * found.f_frsize,
            # File systems that make file numbers as they need them say 0 of 0.
            free_files=found.f_favail if found.f_files else None,
            read_only=bool(found.f_flag & os.ST_RDONLY),
        )

    def competitors(self) -> tuple[str, ...]:
        """Other products that watch files."""
        return competitors()

    def proxies(self) -> Mapping[str, str]:
        """Host and port of each; names and passwords stay where they are."""
        return {name: _host_of(os.environ[name]) for name in _PROXY_VARIABLES if os.environ.get(name)}


def _broken_libraries() -> dict[str, str]:
    broken = {}
    for name in _LIBRARIES:
        try:
            importlib.import_module(name)
        except Exception as error:  # noqa: BLE001 -- whatever a library does while it loads is what is asked for here
            broken[name.partition(".")[0]] = type(error).__name__
    return broken


def _plain(machine: str) -> str:
    return _SAME.get(machine.lower(), machine.lower())


def _host_of(url: str) -> str:
    try:
        parts = urlsplit(url if "//" in url else f"//{url}")
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "unreadable"
    return f"{parts.hostname or 'unreadable'}{port}"
