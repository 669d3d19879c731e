"""One scheduled scan, from its first file to its last or to where it is stopped.

It has a worker of its own, in the idle classes of the schedulers, so nothing that real-time protection does ever waits
for it, and it works file by file: the next is opened when the last is done with. Folders are read and the cache is
asked in a thread. That thread keeps the agent's own priority: one that holds the interpreter's lock while it may not
run would hold everybody.

Stopping is closing everything, and going on is beginning anew: what was wholly clean is in the scan cache and is
not opened again.
"""

import asyncio
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import structlog

from agent.domain.exclusions import ExclusionKind
from agent.domain.facts import ScanFacts
from agent.domain.files import FileIdentity
from agent.domain.policy import Decision, Policy, decide
from agent.domain.ports import Clock, Scanner
from agent.platform.processes.cpu_time import of_this_thread
from agent.scanner.cache import ScanCache
from agent.scanner.consequences import Consequences
from agent.scanner.scheduled.agenda import ScanCounts
from agent.scanner.walk.pacing import Pace
from agent.scanner.walk.tree import FoundFile, KnownFiles, OpenedFile, find_files

_Result = TypeVar("_Result")
log = structlog.get_logger(__name__)
#: Files that need no scan between two looks at everything else.
_KNOWN_AT_ONCE = 128
_COUNTED = {
    Decision.INFECTED: ("infected",),
    Decision.INCOMPLETE: ("incomplete",),
    Decision.ERROR: ("errors",),
}


@dataclass(frozen=True, slots=True)
class Ground:
    """What is walked.

    Attributes:
        paths: Files and folders.
        not_entered: Folders below them that are left out.
        beside: Opens files to which no path leads.
    """

    paths: tuple[str, ...]
    not_entered: frozenset[str] = frozenset()
    beside: Callable[[], Iterable[FoundFile]] = tuple


@dataclass(frozen=True, slots=True)
class ScanParts:
    """What a scan works with.

    Attributes:
        scanner: Its own.
        cache: What is known; None: everything is scanned.
        pace: Is kept after each bit of work.
        consequences: What follows from a verdict.
        clock: Judges expiry.
        policy: Asked for each file.
        is_own_test: Whether a file is a self-test of this agent.
        goes_on: Asked between two files; False: stop here.
        tell: Given what the walk has come by since it began.
    """

    scanner: Scanner
    cache: ScanCache | None
    pace: Pace
    consequences: Consequences
    clock: Clock
    policy: Callable[[], Policy]
    is_own_test: Callable[[FileIdentity], bool]
    goes_on: Callable[[], bool]
    tell: Callable[[ScanCounts], None]


class BackgroundScan:
    """One walk.

    Args:
        ground: What to walk.
        parts: With what.
    """

    def __init__(self, ground: Ground, parts: ScanParts) -> None:
        self._ground = ground
        self._parts = parts
        self._found = self._everything()
        self._counts = Counter[str]()

    async def run(self) -> bool:
        """Scan; True: everything has been looked at, False: it was stopped."""
        while self._parts.goes_on():
            batch, walking_s = await _uncancelled(self._next_batch, _close_opened)
            if not batch:
                return True
            for file in batch:
                await self._take(file)
            self._parts.tell(ScanCounts(**self._counts))
            await self._parts.pace.keep(walking_s)
        return False

    def _next_batch(self) -> tuple[list[FoundFile], float]:
        """In a thread: what comes next, and the processor time it took to find."""
        since_s = of_this_thread()
        batch = list(_until_opened(self._found))
        return batch, of_this_thread() - since_s

    async def _take(self, file: FoundFile) -> None:
        if isinstance(file, OpenedFile):
            await self._scan(file)
        elif isinstance(file, KnownFiles):
            self._counts["files"] += len(file.files)
        elif file.error != "vanished":
            self._counts.update(("files", "errors"))

    async def _scan(self, file: OpenedFile) -> None:
        try:
            if self._parts.is_own_test(file.identity) or os.fstat(file.descriptor).st_nlink == 0:
                # One that is gone may have been a self-test; nobody can be harmed by it any more.
                return
            cache = self._parts.cache
            begun_at_ns = cache.moment() if cache is not None else 0
            facts = await self._parts.scanner.scan(file.descriptor, file.path)
            if cache is not None:
                cache.remember(file.path, file.descriptor, file.identity, facts, begun_at_ns)
        finally:
            os.close(file.descriptor)
        await self._conclude(file, facts)

    async def _conclude(self, file: OpenedFile, facts: ScanFacts) -> None:
        verdict = decide(facts, file.path, self._parts.policy(), self._parts.clock.now())
        self._counts.update(("files", *_COUNTED.get(verdict.decision, ())))
        if verdict.decision is Decision.INFECTED:
            log.warning("file_infected", path=file.path, rules=[finding.rule for finding in verdict.findings])
        await self._parts.consequences.follow(file.path, file.identity, facts, verdict)

    def _everything(self) -> Iterator[FoundFile]:
        yield from self._ground.beside()
        for path in self._ground.paths:
            yield from self._below(path)

    def _below(self, path: str) -> Iterator[FoundFile]:
        if self._is_left_out(path):
            return iter(())
        cache = self._parts.cache
        return find_files(path, self._is_left_out, None if cache is None else cache.folder)

    def _is_left_out(self, path: str) -> bool:
        if path in self._ground.not_entered:
            return True
        exclusions = self._parts.policy().exclusions
        now = self._parts.clock.now() if exclusions else None
        return now is not None and any(e.kind is ExclusionKind.PATH and e.applies_to(path, now) for e in exclusions)


def _until_opened(found: Iterator[FoundFile]) -> Iterator[FoundFile]:
    """Files that need no scan, up to the first that does."""
    unscanned = 0
    for file in found:
        yield file
        unscanned += len(file.files) if isinstance(file, KnownFiles) else 1
        if isinstance(file, OpenedFile) or unscanned >= _KNOWN_AT_ONCE:
            return


def _close_opened(found: tuple[list[FoundFile], float]) -> None:
    for file in found[0]:
        if isinstance(file, OpenedFile):
            os.close(file.descriptor)


async def _uncancelled(call: Callable[[], _Result], discard: Callable[[_Result], None]) -> _Result:
    """Call in a thread. Cancelled meanwhile, wait for its end all the same: what it opened has to be closed."""
    calling = asyncio.get_running_loop().run_in_executor(None, call)
    try:
        return await asyncio.shield(calling)
    except asyncio.CancelledError:
        discard(await calling)
        raise
