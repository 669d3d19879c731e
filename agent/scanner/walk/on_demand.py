"""Scans the files that a walk comes upon, several at a time."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

from agent.domain.facts import ScanFacts
from agent.domain.files import FileIdentity
from agent.scanner.cache import ScanCache
from agent.scanner.walk.tree import FoundFile, KnownFiles, OpenedFile, UnopenedFile

if TYPE_CHECKING:
    from agent.domain.ports import Scanner

#: Files on their way beyond one per worker, so that no worker waits while we open the next file.
_AHEAD = 2

#: Findings of the walk that need no scan between two turns of the event loop.
_UNSCANNED_AT_ONCE = 32

#: Takes one scanned file.
Receiver = Callable[[str, FileIdentity, ScanFacts], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Receivers:
    """Who takes the files of a scan.

    Attributes:
        receive: Called for every scanned file, in the order of completion, by one task per file under way.
        pass_by: Called for what needs no scan or cannot have one. Of a tree that did not change that is everything, and
            waiting for nothing would take most of the time.
        rest: Awaited now and then while nothing has to be scanned, so that the event loop gets to its other work.
    """

    receive: Receiver
    pass_by: Callable[[KnownFiles | UnopenedFile, ScanCache | None], None]
    rest: Callable[[], Awaitable[None]]


async def scan_found(
    found: Iterator[FoundFile],
    start: "Callable[[], Awaitable[Scanner]]",
    workers: int,
    receivers: Receivers,
    *,
    cache: ScanCache | None = None,
) -> None:
    """Scan everything that is found.

    Args:
        found: As `agent.scanner.walk.tree.find_files` finds it.
        start: Gives what scans; called once, before the first file that has to be scanned: a tree that is wholly known
            needs no worker.
        workers: How many files it can scan at the same time.
        receivers: Take what was found.
        cache: Told what was found; None: nobody is.

    Raises:
        BucklerError: What `start` raises; nothing has been scanned then.
    """
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
        receivers.pass_by(file, cache)
        if number % _UNSCANNED_AT_ONCE == 0:
            await receivers.rest()
    return None


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
            await receivers.receive(file.path, file.identity, facts)
        else:
            receivers.pass_by(file, cache)
            unscanned_in_a_row = (unscanned_in_a_row + 1) % _UNSCANNED_AT_ONCE
            if not unscanned_in_a_row:
                await receivers.rest()
