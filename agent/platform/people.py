"""Where people keep their files on this machine."""

import os
import re
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

#: Below this number accounts belong to the system, root apart.
_FIRST_PERSON = 1000
_NOBODY = 65_534
_XDG_FOLDER = re.compile(r'^XDG_(?:DOWNLOAD|DESKTOP)_DIR="([^"\n]+)"', re.MULTILINE)
_LONGEST_CONFIG = 64 * 1024


def home_folder() -> Path:
    """This user's own; `su` and its like may leave us the variable of somebody whose home is closed to us."""
    named = os.environ.get("HOME", "")
    if sys.platform == "win32" or os.access(named, os.X_OK):
        return Path(named or Path.home())
    import pwd

    try:
        return Path(pwd.getpwuid(os.geteuid()).pw_dir)
    except KeyError:
        return Path(named or os.sep)


def home_folders() -> tuple[str, ...]:
    """Of everybody for root, one's own otherwise; those that are there."""
    own = str(home_folder())
    if sys.platform == "win32" or os.geteuid() != 0:
        return _folders((own,))
    import pwd

    accounts = (a for a in pwd.getpwall() if a.pw_uid == 0 or _FIRST_PERSON <= a.pw_uid < _NOBODY)
    return _folders((own, *(account.pw_dir for account in accounts)))


def download_folders(homes: Iterable[str]) -> tuple[str, ...]:
    """Where browsers put what they fetched, and the desktops it is dragged to."""
    wanted: list[str] = []
    for home in homes:
        wanted += [f"{home}/Downloads", f"{home}/Desktop", *_named_by_xdg(home)]
    return _folders(wanted)


def temporary_folders() -> tuple[str, ...]:
    """Where everybody may write for a while."""
    fixed = ("/tmp", "/var/tmp", "/dev/shm") if sys.platform != "win32" else ()  # noqa: S108 -- read, not written to
    return _folders((*fixed, tempfile.gettempdir()))


def _named_by_xdg(home: str) -> list[str]:
    """What `xdg-user-dirs` calls them in this person's language."""
    try:
        with open(f"{home}/.config/user-dirs.dirs", encoding="utf-8", errors="surrogateescape") as file:  # noqa: PTH123
            untrusted_text = file.read(_LONGEST_CONFIG)
    except OSError:
        return []
    named = (value.replace("$HOME", home, 1) for value in _XDG_FOLDER.findall(untrusted_text))
    # Switched off, it names the home itself; and nobody may send this scan elsewhere.
    return [path for path in named if path.startswith(home + "/") and path.strip("/") != home.strip("/")]


def _folders(paths: Iterable[str]) -> tuple[str, ...]:
    resolved = (os.path.realpath(path) for path in paths)
    return tuple(dict.fromkeys(path for path in resolved if path != "/" and os.path.isdir(path)))  # noqa: PTH112
