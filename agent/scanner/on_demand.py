"""Scans trees of files on somebody's request, several at a time."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

from agent.domain.facts import ScanFacts
from agent.domain.files import FileIdentity
from agent.domain.ports import Scanner
from agent.scanner.cache import ScanCache
from agent.scanner.tree import FoundFile, KnownFile, OpenedFile, UnopenedFile, find_files

#: Files on their way beyond one per worker, so that no worker waits while we open the next file.
_AHEAD = 2

#: Files that need no scan between two turns of the event loop.
_KNOWN_AT_ONCE = 256

#: Takes one scanned file; its identity is None if it was not opened; the last says whether its facts were known before.
Receiver = Callable[[str, ScanFacts, FileIdentity | None, bool], Awaitable[None]]


#: Takes one file that was known to be clean, if that takes no waiting.
KnownReceiver = Callable[[str, ScanFacts], None]


@dataclass(frozen=True, slots=True)
class Receivers:
    """Who takes the files of a scan.

    Attributes:
        receive: Called for every file, in the order of completion, by one task per file under way.
        receive_known: Called instead for files that are known: of a tree that did not change those are all, and
            waiting for nothing would take most of their time. None: they are as all others.
    """

    receive: Receiver
    receive_known: KnownReceiver | None = None


async def _started_already() -> None:
    return


async def scan_trees(
    named: Sequence[str],
    scanner: Scanner,
    workers: int,
    is_excluded: Callable[[str], bool],
    receivers: Receivers,
    *,
    start: Callable[[], Awaitable[None]] = _started_already,
    cache: ScanCache | None = None,
    beside: Iterable[FoundFile] = (),
) -> None:
    """Scan everything at or below the given paths.

    Args:
        named: Files and folders, as `agent.scanner.tree.resolve_named` gave them.
        scanner: Scans.
        workers: How many files it can scan at the same time.
        is_excluded: See `find_files`.
        receivers: Take what was found.
        start: Called once, before the first file that has to be scanned; a tree that is wholly known needs no worker.
        cache: Asked before a file is opened, told what was found; None: every file is scanned.
        beside: Files that no path leads to; scanned first.

    Raises:
        BucklerError: What `start` raises; nothing has been scanned then.
    """
    if cache is None:
        found = chain(beside, *(find_files(path, is_excluded) for path in named))
    else:
        found = chain(beside, *(find_files(path, is_excluded, cache.recall) for path in named))
    first = await _until_one_must_be_scanned(found, receivers)
    if first is None:
        return
    try:
        await start()
    except BaseException:
        os.close(first.descriptor)
        raise
    found = chain((first,), found)
    async with asyncio.TaskGroup() as tasks:
        for _ in range(workers + _AHEAD):
            tasks.create_task(_work_off(found, scanner, receivers, cache))


async def _until_one_must_be_scanned(found: Iterator[FoundFile], receivers: Receivers) -> OpenedFile | None:
    receive_known = receivers.receive_known
    for number, file in enumerate(found):
        if receive_known is not None and isinstance(file, KnownFile):
            receive_known(file.path, file.facts)
        elif isinstance(file, OpenedFile):
            return file
        else:
            await _receive_unscanned(file, receivers)
        if number % _KNOWN_AT_ONCE == 0:
            await asyncio.sleep(0)
    return None


async def _receive_unscanned(file: KnownFile | UnopenedFile, receivers: Receivers) -> None:
    receive = receivers.receive
    if isinstance(file, KnownFile) and receivers.receive_known is not None:
        receivers.receive_known(file.path, file.facts)
    elif isinstance(file, KnownFile):
        await receive(file.path, file.facts, None, True)  # noqa: FBT003 -- a callback's arguments have no names
    else:
        await receive(file.path, ScanFacts("", 0, error=file.error), None, False)  # noqa: FBT003 -- as above


async def _work_off(
    found: Iterator[FoundFile], scanner: Scanner, receivers: Receivers, cache: ScanCache | None
) -> None:
    known_in_a_row = 0
    for file in found:
        if isinstance(file, OpenedFile):
            try:
                begun_at_ns = cache.moment() if cache is not None else 0
                facts = await scanner.scan(file.descriptor, file.path)
                if cache is not None:
                    cache.remember(file.path, file.descriptor, file.identity, facts, begun_at_ns)
            finally:
                os.close(file.descriptor)
            await receivers.receive(file.path, facts, file.identity, False)  # noqa: FBT003 -- as above
        else:
            await _receive_unscanned(file, receivers)
            known_in_a_row = (known_in_a_row + 1) % _KNOWN_AT_ONCE
            if not known_in_a_row:
                # A long run of files that need no waiting must not keep the event loop from its other work.
                await asyncio.sleep(0)
