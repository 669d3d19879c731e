"""Who uses this machine, and what of it must not be seen by anybody else: for redaction."""

import os
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from agent.platform.people import home_folder

_FIRST_PERSON, _NOBODY = 1000, 65_534
_HOMES = ("/home/", "/Users/", "/export/home/")
#: Variables that tell who somebody is, and those that hold what nobody may know.
_NAMES = ("USER", "LOGNAME", "SUDO_USER", "USERNAME")
_SECRET_NAME = re.compile(r"(?i)passw|secret|token|credential|api_?key|private_?key|access_?key")
_LONGEST_KEY_FILE = 64 * 1024


@dataclass(frozen=True, slots=True)
class PrivateNames:
    """What was found out; see `agent.support.redaction.Private`."""

    users: tuple[str, ...]
    homes: tuple[str, ...]
    secrets: tuple[str, ...]


def private_names(key_files: tuple[Path, ...], environment: Mapping[str, str]) -> PrivateNames:
    """Look at the accounts of this machine, the environment, and the keys that this user may read.

    Args:
        key_files: Files whose lines are secrets.
        environment: Of this process.
    """
    people = list(_people())
    users = [name for name, _ in people] + [environment.get(name, "") for name in _NAMES]
    homes = [home for _, home in people] + [str(home_folder())]
    secrets = [value for name, value in environment.items() if _SECRET_NAME.search(name)]
    for path in key_files:
        secrets += _lines(path)
    return PrivateNames(_told(users), _told(home for home in homes if home != "/root"), _told(secrets))


def _people() -> Iterator[tuple[str, str]]:
    if sys.platform == "win32":
        return
    import pwd

    for account in pwd.getpwall():
        if _FIRST_PERSON <= account.pw_uid < _NOBODY or account.pw_dir.startswith(_HOMES):
            yield account.pw_name, account.pw_dir
            # The full name comes before the first comma; a room and telephone numbers come after it.
            full = account.pw_gecos.partition(",")[0].strip()
            if full:
                yield full, account.pw_dir


def _lines(path: Path) -> list[str]:
    """Of a key file; each line of its body is a secret."""
    try:
        with path.open("rb") as file:
            text = file.read(_LONGEST_KEY_FILE).decode("ascii", "replace")
    except OSError:
        return []
    return [line.strip() for line in text.splitlines() if not line.startswith("-----")]


def _told(texts: "Iterator[str] | list[str]") -> tuple[str, ...]:
    return tuple(dict.fromkeys(text for text in texts if text and text != os.sep))
