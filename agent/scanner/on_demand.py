"""Scans trees of files on somebody's request, several at a time."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

from agent.domain.facts import ScanFacts
from agent.domain.files import FileIdentity
from agent.scanner.cache import ScanCache
from agent.scanner.tree import FoundFile, IsExcluded, KnownFiles, OpenedFile, UnopenedFile, find_files

if TYPE_CHECKING:
    from agent.domain.ports import Scanner

#: Files on their way beyond one per worker, so that no worker waits while we open the next file.
_AHEAD = 2

#: Findings of the walk that need no scan between two turns of the event loop.
_UNSCANNED_AT_ONCE = 32

#: Takes one scanned file; its identity is None if it was not opened; the last says whether its facts were known before.
Receiver = Callable[[str, ScanFacts, FileIdentity | None, bool], Awaitable[None]]


#: Takes files that were known to be clean, if that takes no waiting.
KnownReceiver = Callable[[KnownFiles], None]


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


async def scan_trees(
    named: Sequence[str],
    start: Callable[[], Awaitable["Scanner"]],
    workers: int,
    is_excluded: IsExcluded,
    receivers: Receivers,
    *,
    cache: ScanCache | None = None,
    beside: Iterable[FoundFile] = (),
) -> None:
    """Scan everything at or below the given paths.

    Args:
        named: Files and folders, as `agent.scanner.tree.resolve_named` gave them.
        start: Gives what scans; called once, before the first file that has to be scanned: a tree that is wholly known
            needs no worker.
        workers: How many files it can scan at the same time.
        is_excluded: See `find_files`.
        receivers: Take what was found.
        cache: Asked before a file is opened, told what was found; None: every file is scanned.
        beside: Files that no path leads to; scanned first.

    Raises:
        BucklerError: What `start` raises; nothing has been scanned then.
    """
    recall = None if cache is None else cache.recall
    found = chain(beside, *(find_files(path, is_excluded, recall) for path in named))
    first = await _until_one_must_be_scanned(found, receivers, cache)
    if first is None:
        return
    try:
        scanner = await start()
    except BaseException:
        os.close(first.descriptor)
        raise
    found = chain((first,), found)
    async with asyncio.TaskGroup() as tasks:
        for _ in range(workers + _AHEAD):
            tasks.create_task(_work_off(found, scanner, receivers, cache))


async def _until_one_must_be_scanned(
    found: Iterator[FoundFile], receivers: Receivers, cache: ScanCache | None
) -> OpenedFile | None:
    for number, file in enumerate(found):
        if isinstance(file, OpenedFile):
            return file
        await _receive_unscanned(file, receivers, cache)
        if number % _UNSCANNED_AT_ONCE == 0:
            await asyncio.sleep(0)
    return None


async def _receive_unscanned(file: KnownFiles | UnopenedFile, receivers: Receivers, cache: ScanCache | None) -> None:
    receive = receivers.receive
    if isinstance(file, UnopenedFile):
        await receive(file.path, ScanFacts("", 0, error=file.error), None, False)  # noqa: FBT003 -- a callback's arguments have no names
    elif receivers.receive_known is not None:
        receivers.receive_known(file)
    else:
        assert cache is not None, "whoever knows files has them from there"
        for path, size_bytes, digest in file.files:
            await receive(path, cache.facts(size_bytes, digest), None, True)  # noqa: FBT003 -- as above


async def _work_off(
    found: Iterator[FoundFile], scanner: "Scanner", receivers: Receivers, cache: ScanCache | None
) -> None:
    unscanned_in_a_row = 0
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
            await _receive_unscanned(file, receivers, cache)
            unscanned_in_a_row = (unscanned_in_a_row + 1) % _UNSCANNED_AT_ONCE
            if not unscanned_in_a_row:
                # A long run of files that need no waiting must not keep the event loop from its other work.
                await asyncio.sleep(0)
