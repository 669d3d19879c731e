"""What this machine starts by itself: the files that say so, and the programs they name.

Files that say what to start belong to whoever can write them, so they are not parsed: what looks like an absolute path
is taken for one. That finds the program of a unit, a job, a desktop entry and a script alike, and now and then a file
that is merely mentioned, which costs one scan.
"""

import os
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from agent.platform.autostart import linux, macos, windows
from agent.platform.files.regular_files import open_regular

#: What a file that starts something is read of; the largest on real machines have a few thousand bytes.
_READ_BYTES = 256 * 1024
#: Programs that one file may name.
_MOST_PROGRAMS = 500
#: Files that one pattern may find.
_MOST_FILES = 5_000
_ABSOLUTE = re.compile(r"""(?<![\w.$/~*:])/[^\s"'`;|&<>()\[\]{},=:*?$\\\x00]{1,4095}""")
_WINDOWS_PATH = re.compile(r"""(?i)"([a-z]:\\[^"]+)"|([a-z]:\\[^\s"]+)""")


def programs_named_in(untrusted_text: str) -> tuple[str, ...]:
    """What looks like an absolute path in a text, each once, in its order."""
    if sys.platform == "win32":
        found = (quoted or plain for quoted, plain in _WINDOWS_PATH.findall(untrusted_text))
    else:
        found = (path.rstrip("/.!%") for path in _ABSOLUTE.findall(untrusted_text))
    return tuple(dict.fromkeys(path for path in found if len(path) > 1))[:_MOST_PROGRAMS]


def autostart_files(homes: Iterable[str], top: Path = Path("/")) -> Iterator[str]:
    """Files that say what is started, as far as they are there.

    Args:
        homes: Home folders.
        top: Where the file system begins.
    """
    rules = {"linux": linux, "darwin": macos, "win32": windows}.get(sys.platform)
    if rules is None:
        return
    for pattern in rules.SYSTEM_PATTERNS:
        yield from _matching(top, pattern)
    for home in homes:
        for pattern in rules.HOME_PATTERNS:
            yield from _matching(Path(home), pattern)


def autostart_targets(homes: Iterable[str], top: Path = Path("/")) -> Iterator[str]:
    """The files of `autostart_files` and the regular files that they name; some more than once."""
    for file in autostart_files(homes, top):
        yield file
        yield from _programs(_beginning_of(file))
    for command in windows.run_key_commands():
        yield from _programs(command)


def _programs(untrusted_text: str) -> Iterator[str]:
    resolved = (os.path.realpath(path) for path in programs_named_in(untrusted_text))
    return (path for path in resolved if os.path.isfile(path))  # noqa: PTH113 -- a name of any bytes


def _matching(folder: Path, pattern: str) -> Iterator[str]:
    try:
        for number, path in enumerate(folder.glob(pattern)):
            if number >= _MOST_FILES:
                return
            # Units are often links into another folder; what they lead to is what is started.
            resolved = os.path.realpath(path)
            if os.path.isfile(resolved):  # noqa: PTH113 -- a name of any bytes
                yield resolved
    except OSError:
        return


def _beginning_of(path: str) -> str:
    try:
        opened = open_regular(path)
        if opened is None:
            return ""
        try:
            return os.pread(opened.descriptor, _READ_BYTES, 0).decode("utf-8", "surrogateescape")
        finally:
            os.close(opened.descriptor)
    except OSError:
        return ""
