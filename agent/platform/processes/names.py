"""Programs of processes, looked up while they are there: what wrote a file has often ended when the file is scanned."""

import os
from collections import OrderedDict

#: Processes that are remembered; beyond it the one noted first is forgotten.
_KEPT = 4096


class ProcessNames:
    """Remembers the program of each process that was noted; Linux only, elsewhere nothing is known."""

    def __init__(self) -> None:
        self._names: OrderedDict[int, str] = OrderedDict()

    def note(self, pid: int) -> None:
        """It has just done something; a number that another process got since means that one from now on.

        A look at one link of /proc, some microseconds. If the process has ended already, what was known of its number
        stays: a moment ago it was that process.
        """
        try:
            program = os.readlink(f"/proc/{pid}/exe")  # noqa: PTH115 -- for every event: a Path costs more than the look
        except OSError:
            return
        self._names[pid] = program.removesuffix(" (deleted)")
        if len(self._names) > _KEPT:
            self._names.popitem(last=False)

    def name(self, pid: int) -> str:
        """Path of its program; empty: it ended before it could be looked at."""
        return self._names.get(pid, "")
