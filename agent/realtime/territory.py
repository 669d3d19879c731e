"""Which paths are ours to watch: below a root, not below an excluded folder.

Strings alone, and nothing imported that the small process of blocking mode would have to carry.
"""

import os
from collections.abc import Sequence

#: Names of self-test files start with this; the rest is random.
SELF_TEST_PREFIX = ".buckler-selftest-"


class Territory:
    """Answers "is this path watched?" for every event, so it works on strings alone.

    Args:
        roots: Resolved paths.
        excluded: Folders of our own (data, vault), below or outside the roots.
    """

    def __init__(self, roots: Sequence[str], excluded: Sequence[str]) -> None:
        self.roots = tuple(roots)
        self._inside = tuple(_prefix(root) for root in roots)
        self._excluded = tuple(_prefix(path) for path in excluded)

    def covers(self, path: str) -> bool:
        """Whether something at `path` is watched. A root itself is not: it is no file."""
        return path.startswith(self._inside) and not self.excludes(path)

    def reaches(self, folder: str) -> bool:
        """Whether a folder is a root, or lies below one."""
        return _prefix(folder).startswith(self._inside) and not self.excludes(folder)

    def excludes(self, path: str) -> bool:
        """Whether something is one of our own folders or lies below it."""
        return bool(self._excluded) and _prefix(path).startswith(self._excluded)


def printable(path: str) -> str:
    """A path fit for messages and logs: bytes that are no text are shown as escapes."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _prefix(path: str) -> str:
    return path.rstrip("/") + "/"
