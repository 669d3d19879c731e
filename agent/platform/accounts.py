"""Names of accounts, for a process that can no longer ask anybody."""

import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType

_ACCOUNTS = Path("/etc/passwd")
_NAME, _NUMBER = 0, 2


@cache
def local_accounts() -> Mapping[int, str]:
    """Names of the accounts of this machine by number; read once, before the process is confined.

    Directory services are not asked: that would load their libraries, and wait for a network.
    """
    try:
        lines = _ACCOUNTS.read_text(encoding="utf-8", errors="backslashreplace").splitlines()
    except OSError:
        return MappingProxyType({})
    return MappingProxyType(account_names(lines))


def account_names(lines: list[str]) -> dict[int, str]:
    """Names by number, of lines as in passwd(5); of two names for a number the first."""
    names: dict[int, str] = {}
    for line in lines:
        fields = line.split(":")
        if len(fields) > _NUMBER and fields[_NUMBER].isdecimal():
            names.setdefault(int(fields[_NUMBER]), fields[_NAME])
    return names


def account_name(number: int) -> str:
    """Name of an account, its number if it has none here; empty on systems where files have no such owner."""
    return local_accounts().get(number, str(number)) if os.name == "posix" else ""
