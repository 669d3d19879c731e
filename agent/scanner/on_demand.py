"""Scans trees of files on somebody's request, several at a time."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterator, Sequence
from itertools import chain

from agent.domain.facts import ScanFacts
from agent.domain.files import FileIdentity
from agent.domain.ports import Scanner
from agent.scanner.tree import FoundFile, OpenedFile, find_files

#: Files on their way beyond one per worker, so that no worker waits while we open the next file.
_AHEAD = 2

#: Takes one scanned file; its identity is None if it could not be opened.
Receiver = Callable[[str, ScanFacts, FileIdentity | None], Awaitable[None]]


async def scan_trees(
    named: Sequence[str], scanner: Scanner, workers: int, is_excluded: Callable[[str], bool], receive: Receiver
) -> None:
    """Scan everything at or below the given paths.

    Args:
        named: Files and folders, as `agent.scanner.tree.resolve_named` gave them.
        scanner: Scans.
        workers: How many files it can scan at the same time.
        is_excluded: See `find_files`.
        receive: Called for every file, in the order of completion, by one task per file under way.
    """
    found = chain.from_iterable(find_files(path, is_excluded) for path in named)
    async with asyncio.TaskGroup() as tasks:
        for _ in range(workers + _AHEAD):
            tasks.create_task(_work_off(found, scanner, receive))


async def _work_off(found: Iterator[FoundFile], scanner: Scanner, receive: Receiver) -> None:
    for file in found:
        if isinstance(file, OpenedFile):
            try:
                facts = await scanner.scan(file.descriptor, file.path)
            finally:
                os.close(file.descriptor)
            await receive(file.path, facts, file.identity)
        else:
            await receive(file.path, ScanFacts("", 0, error=file.error), None)
        # A long run of files that need no waiting must not keep the event loop from its other work.
        await asyncio.sleep(0)
