"""Scans the memory of running processes, in pieces that workers get as descriptors like any file.

The parent copies bytes and never looks at them, but for the first four of a region. A process that ends meanwhile is
`vanished`; one that we may not read is an error, `unreadable`.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import BinaryIO

from agent.domain.facts import Finding, Incomplete, ScanFacts
from agent.domain.ports import Scanner
from agent.platform.files.anonymous_file import anonymous_file
from agent.platform.processes.memory import ProcessFacts, ProcessHandle, Region, Span, process_ids
from agent.scanner.costs.scan_costs import added_up
from agent.scanner.limits import Limits
from agent.scanner.memory_pieces import (
    GAP_BYTES,
    OVERLAP_BYTES,
    PIECE_BYTES,
    PROGRAM_HEADS,
    Piece,
    Stretch,
    is_looked_at,
    pieces,
    shared_key,
    with_descendants,
)

_HEAD_BYTES = max(map(len, PROGRAM_HEADS))
_COPY_BYTES = 1024 * 1024
#: A piece in which something was found is scanned again span by span, if it has no more than this, to say where.
_MOST_SPANS = 512
#: A piece must have room for what it shares with its neighbours, whatever a person's limit on files says.
_LEAST_PIECE_BYTES = 4 * OVERLAP_BYTES

#: Takes one process with what was found in it.
ProcessReceiver = Callable[[ProcessFacts, ScanFacts], Awaitable[None]]


async def scan_processes(
    scanner: Scanner,
    limits: Limits,
    own_pids: Iterable[int],
    is_excluded: Callable[[str], bool],
    receive: ProcessReceiver,
    *,
    at_once: int = 1,
    pids: Callable[[], list[int]] = process_ids,
) -> None:
    """Scan the memory of every process there is.

    Args:
        scanner: Scans pieces; should open no containers.
        limits: `max_expanded_size` bounds the bytes read from one process; a piece is no larger than `max_file_size`.
        own_pids: Left out with everything they started: an engine's memory holds what it looks for.
        is_excluded: Whether an executable is to be left alone.
        receive: Called for each process.
        at_once: How many are read at the same time.
        pids: Which there are.
    """
    listed = await asyncio.to_thread(_list, pids())
    ours = with_descendants(own_pids, listed)
    waiting = iter(process for process in listed if process.pid not in ours and not is_excluded(process.executable))
    reader = _Reader(limits)

    async def work_off() -> None:
        for process in waiting:
            facts = await _scan_process(process, reader, scanner)
            if facts is not None:
                await receive(process, facts)

    async with asyncio.TaskGroup() as tasks:
        for _ in range(at_once):
            tasks.create_task(work_off())


def _list(pids: Iterable[int]) -> list[ProcessFacts]:
    found = []
    for pid in pids:
        try:
            with ProcessHandle(pid) as process:
                found.append(process.facts())
        except OSError:
            continue
    return found


async def _scan_process(process: ProcessFacts, reader: "_Reader", scanner: Scanner) -> ScanFacts | None:
    """What is in its memory; None: it has none, or is not there any more."""
    gathered = _Gathered()
    try:
        with ProcessHandle(process.pid) as handle:
            if handle.facts().started != process.started:
                return None
            cut = await asyncio.to_thread(reader.cut, handle, gathered)
            for piece in cut:
                facts = await _scan_piece(handle, process, piece, reader, scanner, gathered)
                gathered.add(piece, facts)
                if facts.findings and 1 < len(piece.spans) <= _MOST_SPANS:
                    for span in piece.spans:
                        part = Piece((span,))
                        gathered.locate(part, await _scan_piece(handle, process, part, reader, scanner, gathered))
            if cut and handle.facts().executable != process.executable:
                # It runs another program now: what was read is a mixture of both.
                gathered.note(Incomplete("changed"))
    except PermissionError:
        return replace(gathered.facts, error="unreadable")
    except OSError:
        return replace(gathered.facts, error="vanished")
    return gathered.facts if cut else None


async def _scan_piece(
    handle: ProcessHandle,
    process: ProcessFacts,
    piece: Piece,
    reader: "_Reader",
    scanner: Scanner,
    gathered: "_Gathered",
) -> ScanFacts:
    descriptor = await asyncio.to_thread(reader.copy, handle, piece, gathered)
    try:
        return await scanner.scan(descriptor, process.executable or process.name)
    finally:
        os.close(descriptor)


@dataclass(slots=True)
class _Gathered:
    """What is known of a process so far."""

    facts: ScanFacts = field(default_factory=lambda: ScanFacts("", 0))

    def note(self, item: Incomplete) -> None:
        """Something was not looked at."""
        if item not in self.facts.incomplete:
            self.facts = replace(self.facts, incomplete=(*self.facts.incomplete, item))

    def add(self, piece: Piece, facts: ScanFacts) -> None:
        """One more piece has been scanned."""
        where = (piece.name,)
        findings = tuple(_at(finding, where) for finding in facts.findings)
        incomplete = tuple(Incomplete(item.reason, item.limit, where) for item in facts.incomplete)
        self.facts = ScanFacts(
            sha256="",
            size_bytes=self.facts.size_bytes + piece.size,
            findings=self.facts.findings + findings,
            incomplete=self.facts.incomplete + incomplete,
            error=self.facts.error or facts.error,
            engine=facts.engine,
            signatures_version=facts.signatures_version,
            elapsed_ms=self.facts.elapsed_ms + facts.elapsed_ms,
            costs=added_up((*self.facts.costs, *facts.costs)),
        )

    def locate(self, part: Piece, facts: ScanFacts) -> None:
        """A part of a piece, scanned by itself, shows where in the piece its findings are."""
        here = {(finding.namespace, finding.rule) for finding in facts.findings}
        self.facts = replace(
            self.facts,
            findings=tuple(
                _at(finding, (part.name,)) if (finding.namespace, finding.rule) in here else finding
                for finding in self.facts.findings
            ),
        )


def _at(finding: Finding, where: tuple[str, ...]) -> Finding:
    return replace(finding, member_path=where)


class _Reader:
    """Copies memory; its methods wait for the kernel and are called in threads.

    Args:
        limits: Of one process.
    """

    def __init__(self, limits: Limits) -> None:
        self._limit = limits.max_expanded_size
        self._piece_bytes = max(_LEAST_PIECE_BYTES, min(PIECE_BYTES, limits.max_file_size))
        self._shared: set[tuple[str, int, int]] = set()

    def cut(self, process: ProcessHandle, gathered: _Gathered) -> tuple[Piece, ...]:
        """What to read of a process.

        Raises:
            OSError: As `ProcessHandle.regions`.
        """
        return tuple(pieces(self._stretches(process, gathered), self._piece_bytes))

    def copy(self, process: ProcessHandle, piece: Piece, gathered: _Gathered) -> int:
        """A piece as an anonymous file; the caller closes its descriptor.

        Raises:
            OSError: The process has ended, or is not ours to read.
        """

        def write(file: BinaryIO) -> None:
            end = piece.spans[0].start
            for span in piece.spans:
                if span.start > end:
                    file.write(bytes(GAP_BYTES))
                end = span.end
                self._copy_span(process, span, file, gathered)

        return anonymous_file("buckler-memory", write)

    def _stretches(self, process: ProcessHandle, gathered: _Gathered) -> Iterator[Stretch]:
        left = self._limit
        for region in process.regions():
            if not self._is_new(region):
                continue
            for number, span in enumerate(process.spans(region)):
                taken = Span(span.start, min(span.size, left))
                left -= taken.size
                if taken.size:
                    at_start = number == 0 and span.start == region.start
                    yield Stretch(taken, at_start and _begins_program(process, taken))
                if taken.size < span.size:
                    gathered.note(Incomplete("max_expanded_size", self._limit))
                    return

    def _is_new(self, region: Region) -> bool:
        if not is_looked_at(region):
            return False
        key = shared_key(region)
        if key is None:
            return True
        if key in self._shared:
            return False
        self._shared.add(key)
        return True

    @staticmethod
    def _copy_span(process: ProcessHandle, span: Span, file: BinaryIO, gathered: _Gathered) -> None:
        at = span.start
        while at < span.end:
            try:
                copied = process.read(at, min(_COPY_BYTES, span.end - at))
            except PermissionError:
                raise
            except OSError:
                if not _is_mapped(process, at):
                    return
                copied = b""
            if not copied:
                gathered.note(Incomplete("unreadable_memory"))
                return
            file.write(copied)
            at += len(copied)


def _is_mapped(process: ProcessHandle, address: int) -> bool:
    """A running process gives memory back all the time; what is gone was not left out."""
    return any(region.start <= address < region.end for region in process.regions())


def _begins_program(process: ProcessHandle, span: Span) -> bool:
    try:
        return process.read(span.start, _HEAD_BYTES).startswith(PROGRAM_HEADS)
    except PermissionError:
        raise
    except OSError:
        return False
