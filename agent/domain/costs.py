"""What scanning has cost, and who caused it: totals by process, folder, format and step, in bounded memory.

A bucket holds the total exactly and the names that cost most. When it holds too many names the lesser half is added to
what it calls the rest, so a name that is shown cost at least what is shown, and at most the rest more. Buckets of five
minutes are added up to hours, and those to what was since the start.
"""

import heapq
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum

from agent.domain.facts import ScanFacts

#: Names of one kind that a bucket keeps; beyond it the lesser half becomes the rest.
NAMES_KEPT = 256
#: Files that a bucket keeps, the slowest.
FILES_KEPT = 20
#: Folders are told apart this deep; what lies below counts for the folder above. A build tree is one line or two.
FOLDER_DEPTH = 6
#: A suffix that is longer is no format.
_LONGEST_SUFFIX = 12
_SHORT_NS = 300 * 1_000_000_000
_SHORT_IN_HOUR = 12
_HOURS_IN_DAY = 24

#: Who asked for a scan when no process did.
BACKGROUND = "(scan in the background)"
WALK = "(walk over the watched folders)"
UNKNOWN = "(not known)"
#: It had ended when its event was read, some milliseconds later at most: scripts start such programs by the hundred.
ENDED = "(programs that ended at once)"
#: Where the time of a file went that was too quick to be asked; see `ScanFacts.costs`.
NOT_ITEMISED = "(quick files, not itemised)"


class CostKind(Enum):
    """What costs are told by."""

    #: Program of the process that wrote or opened the file.
    PROCESS = "process"
    FOLDER = "folder"
    #: Suffix of the file's name.
    FORMAT = "format"
    #: Reading, matching rules, unpacking a container format; known of slow files only.
    STEP = "step"


class CostWindow(Enum):
    """Since when."""

    #: The last 60 to 65 minutes.
    HOUR = "hour"
    #: The last 24 to 25 hours.
    DAY = "day"
    #: Since the agent started.
    START = "start"


@dataclass(slots=True)
class Spent:
    """Time in scan workers (wall time, microseconds) and how many files it was."""

    microseconds: int = 0
    files: int = 0

    def add(self, microseconds: int, files: int) -> None:
        """More of it."""
        self.microseconds += microseconds
        self.files += files


@dataclass(frozen=True, slots=True, order=True)
class CostlyFile:
    """One of the slowest; ordered by time."""

    microseconds: int
    path: str
    size_bytes: int = field(compare=False)
    cause: str = field(compare=False)


@dataclass(frozen=True, slots=True)
class CostLine:
    """What one name cost at least."""

    name: str
    microseconds: int
    files: int


@dataclass(frozen=True, slots=True)
class CostReport:
    """What a window came to.

    Attributes:
        window: Which.
        covers_s: How long it is so far, in seconds.
        microseconds: All scans; wall time in workers.
        files: Scans.
        lines: By kind, the most first; together with `rest` exactly the total.
        rest: By kind: what names cost that are not kept.
        slowest: Files, the slowest first.
    """

    window: CostWindow
    covers_s: float
    microseconds: int
    files: int
    lines: dict[CostKind, tuple[CostLine, ...]]
    rest: dict[CostKind, CostLine]
    slowest: tuple[CostlyFile, ...]


@dataclass(slots=True)
class _Names:
    """Costs by name, of one kind."""

    named: dict[str, Spent] = field(default_factory=dict)
    rest: Spent = field(default_factory=Spent)

    def add(self, name: str, microseconds: int, files: int = 1) -> None:
        spent = self.named.get(name)
        if spent is None:
            if len(self.named) >= NAMES_KEPT:
                self._give_up_half()
            self.named[name] = Spent(microseconds, files)
        else:
            spent.microseconds += microseconds
            spent.files += files

    def _give_up_half(self) -> None:
        ranked = sorted(self.named.items(), key=lambda item: -item[1].microseconds)
        for _, spent in ranked[NAMES_KEPT // 2 :]:
            self.rest.add(spent.microseconds, spent.files)
        self.named = dict(ranked[: NAMES_KEPT // 2])

    def take(self, other: "_Names") -> None:
        for name, spent in other.named.items():
            self.add(name, spent.microseconds, spent.files)
        self.rest.add(other.rest.microseconds, other.rest.files)


@dataclass(slots=True)
class _Bucket:
    total: Spent = field(default_factory=Spent)
    kinds: dict[CostKind, _Names] = field(default_factory=lambda: {kind: _Names() for kind in CostKind})
    slowest: list[CostlyFile] = field(default_factory=list)

    def keep(self, file: CostlyFile) -> None:
        if len(self.slowest) < FILES_KEPT:
            heapq.heappush(self.slowest, file)
        elif file.microseconds > self.slowest[0].microseconds:
            heapq.heapreplace(self.slowest, file)

    def take(self, other: "_Bucket") -> None:
        self.total.add(other.total.microseconds, other.total.files)
        for kind, names in other.kinds.items():
            self.kinds[kind].take(names)
        for file in other.slowest:
            self.keep(file)


class CostBook:
    """Adds up what scans cost; called on one thread.

    Args:
        now_ns: Monotonic time of the beginning.
    """

    def __init__(self, now_ns: int) -> None:
        self._began_ns = now_ns
        self._until_ns = now_ns + _SHORT_NS
        self._current = _Bucket()
        self._recent: deque[_Bucket] = deque(maxlen=_SHORT_IN_HOUR)
        self._closed = 0
        self._hour = _Bucket()
        self._hours: deque[_Bucket] = deque(maxlen=_HOURS_IN_DAY)
        self._older = _Bucket()

    def add(self, path: str, facts: ScanFacts, cause: str, now_ns: int) -> None:
        """One more scan.

        Args:
            path: Of the file.
            facts: What the scan said; its costs if it has them, else its elapsed time.
            cause: Program, or one of the names in parentheses above.
            now_ns: Monotonic.
        """
        self._turn(now_ns)
        bucket = self._current
        spent_us = sum(cost.microseconds for cost in facts.costs) or int(facts.elapsed_ms * 1_000)
        bucket.total.add(spent_us, 1)
        kinds = bucket.kinds
        kinds[CostKind.PROCESS].add(cause, spent_us)
        kinds[CostKind.FOLDER].add(folder_of(path), spent_us)
        kinds[CostKind.FORMAT].add(format_of(path), spent_us)
        if facts.costs:
            for cost in facts.costs:
                kinds[CostKind.STEP].add(cost.name, cost.microseconds)
        else:
            kinds[CostKind.STEP].add(NOT_ITEMISED, spent_us)
        if len(bucket.slowest) < FILES_KEPT or spent_us > bucket.slowest[0].microseconds:
            bucket.keep(CostlyFile(spent_us, path, facts.size_bytes, cause))

    def report(self, window: CostWindow, now_ns: int) -> CostReport:
        """What a window came to."""
        self._turn(now_ns)
        whole = _Bucket()
        for bucket in self._parts(window):
            whole.take(bucket)
        return CostReport(
            window=window,
            covers_s=self._covers_s(window, now_ns),
            microseconds=whole.total.microseconds,
            files=whole.total.files,
            lines={kind: _ranked(names) for kind, names in whole.kinds.items()},
            rest={kind: CostLine("", names.rest.microseconds, names.rest.files) for kind, names in whole.kinds.items()},
            slowest=tuple(sorted(whole.slowest, reverse=True)),
        )

    def _parts(self, window: CostWindow) -> Iterable[_Bucket]:
        match window:
            case CostWindow.HOUR:
                return (*self._recent, self._current)
            case CostWindow.DAY:
                return (*self._hours, self._hour, self._current)
            case CostWindow.START:
                return (self._older, *self._hours, self._hour, self._current)

    def _covers_s(self, window: CostWindow, now_ns: int) -> float:
        begun_ns = self._until_ns - _SHORT_NS
        match window:
            case CostWindow.HOUR:
                begun_ns -= len(self._recent) * _SHORT_NS
            case CostWindow.DAY:
                begun_ns -= (len(self._hours) * _SHORT_IN_HOUR + self._closed % _SHORT_IN_HOUR) * _SHORT_NS
            case CostWindow.START:
                begun_ns = self._began_ns
        return (now_ns - begun_ns) / 1_000_000_000

    def _turn(self, now_ns: int) -> None:
        """Close what is over. After a long rest at most a day of empty buckets is closed one by one."""
        if now_ns < self._until_ns:
            return
        over = (now_ns - self._until_ns) // _SHORT_NS + 1
        for _ in range(min(over, _SHORT_IN_HOUR * (_HOURS_IN_DAY + 1))):
            self._close()
        self._until_ns += over * _SHORT_NS

    def _close(self) -> None:
        self._hour.take(self._current)
        self._recent.append(self._current)
        self._current = _Bucket()
        self._closed += 1
        if self._closed % _SHORT_IN_HOUR == 0:
            if len(self._hours) == _HOURS_IN_DAY:
                self._older.take(self._hours[0])
            self._hours.append(self._hour)
            self._hour = _Bucket()


def folder_of(path: str) -> str:
    """The folder that a file counts for, at most `FOLDER_DEPTH` deep; `/` for what lies in none."""
    parts = path.split("/", FOLDER_DEPTH + 1)
    return "/".join(parts[: min(FOLDER_DEPTH + 1, len(parts) - 1)]) or "/"


def format_of(path: str) -> str:
    """The suffix of a file's name, in lower case with its dot; `(none)` if it has none worth the name."""
    stem, dot, suffix = path[path.rfind("/") + 1 :].rpartition(".")
    if not dot or not stem or len(suffix) > _LONGEST_SUFFIX or not suffix.isalnum():
        return "(none)"
    return f".{suffix.lower()}"


def _ranked(names: _Names) -> tuple[CostLine, ...]:
    lines = (CostLine(name, spent.microseconds, spent.files) for name, spent in names.named.items())
    return tuple(sorted(lines, key=lambda line: -line.microseconds))
