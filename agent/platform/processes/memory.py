"""Running processes and what is in their memory (Linux: `/proc`).

A process is held by a descriptor of its folder in `/proc`, which stands for this process and no other: whatever is
opened through it after the process has ended fails, even if its number has been given to another one meanwhile.
"""

import os
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Self

_FOLDER = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_CLOEXEC", 0)
_FILE = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0)
_PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096
#: One entry of `pagemap`; its highest bits say whether a page is in memory (63) or swapped out (62).
_ENTRY_BYTES = 8
_IN_USE = bytes(int(top >= 0x40) for top in range(256))  # noqa: PLR2004 -- bit 62 or 63 of an entry, in its top byte
_RUN = re.compile(rb"\x01+")
#: Pages asked about at once: 256 MiB of addresses.
_PAGES_AT_ONCE = 65_536
_HEADER = re.compile(rb"([0-9a-f]+)-([0-9a-f]+) (\S{4}) ([0-9a-f]+) (\S+) (\d+)\s*(.*)")
#: VM_IO and VM_PFNMAP: a device's registers, where reading may have effects.
_DEVICE_FLAGS = frozenset({b"io", b"pf"})
_KIB = 1024


@dataclass(frozen=True, slots=True)
class ProcessFacts:
    """Who a process is.

    Attributes:
        pid: Its number, which another process may be given later.
        parent: Number of its parent.
        started: When it started, in clock ticks since the machine did; with the pid it names one process.
        name: As it calls itself; any text.
        executable: What it runs; empty: a kernel thread, or not for us to know. Ends with ` (deleted)` if that is gone.
    """

    pid: int
    parent: int
    started: int
    name: str
    executable: str


@dataclass(frozen=True, slots=True)
class Region:
    """One mapping, as `smaps` describes it.

    Attributes:
        start: First address.
        end: First address behind it.
        permissions: Four letters, e.g. `rw-p`.
        offset: Where it begins in its file.
        device: `major:minor` of that file.
        inode: Of that file; 0: there is none.
        name: Path of the file, or the kernel's name in brackets; empty: anonymous.
        in_use: Bytes that are in memory or swapped out.
        own: Of those, bytes that belong to this process alone: not those of the file.
        is_device: Its pages are no memory.
    """

    start: int
    end: int
    permissions: str
    offset: int
    device: str
    inode: int
    name: str
    in_use: int = 0
    own: int = 0
    is_device: bool = False


@dataclass(frozen=True, slots=True)
class Span:
    """Addresses with something behind them: from `start`, `size` bytes."""

    start: int
    size: int

    @property
    def end(self) -> int:
        """First address behind it."""
        return self.start + self.size


def can_read_processes() -> bool:
    """Whether this system has a way to read the memory of other processes that we know."""
    return sys.platform == "linux"


def process_ids() -> list[int]:
    """Of all processes there are now."""
    return sorted(int(name) for name in os.listdir("/proc") if name.isdigit())  # noqa: PTH208 -- names, not Paths


class ProcessHandle:
    """One process, and no other, for as long as this is open.

    Args:
        pid: Its number now.

    Raises:
        ProcessLookupError: There is none.
    """

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._memory: int | None = None
        try:
            self._folder = os.open(f"/proc/{pid}", _FOLDER)
        except FileNotFoundError as error:
            raise ProcessLookupError(pid) from error

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Let go of it."""
        if self._memory is not None:
            os.close(self._memory)
        os.close(self._folder)

    def facts(self) -> ProcessFacts:
        """Who it is.

        Raises:
            ProcessLookupError: It has ended.
        """
        name, parent, started = parse_stat(self._read("stat"))
        try:
            executable = os.readlink("exe", dir_fd=self._folder)
        except OSError:
            executable = ""
        return ProcessFacts(self.pid, parent, started, name, executable)

    def open_executable(self) -> int:
        """What it runs, open for reading, even if no name leads there any more.

        Raises:
            OSError: It has ended, is a kernel thread, or is not ours to read.
        """
        return os.open("exe", _FILE, dir_fd=self._folder)

    def regions(self) -> tuple[Region, ...]:
        """What is mapped now; empty for kernel threads and for what has just ended.

        Raises:
            PermissionError: It is not ours to read.
            ProcessLookupError: It has ended.
        """
        return parse_smaps(self._read("smaps"))

    def spans(self, region: Region) -> Iterator[Span]:
        """The parts of a region that are in use; a reserved terabyte with one page in it is one page."""
        try:
            pagemap = os.open("pagemap", _FILE, dir_fd=self._folder)
        except OSError:
            # Without the map of pages, pages that are not there read as zeros.
            yield Span(region.start, region.end - region.start)
            return
        left = region.in_use
        try:
            for first in range(region.start, region.end, _PAGES_AT_ONCE * _PAGE):
                if left <= 0:
                    return
                count = min(_PAGES_AT_ONCE, (region.end - first) // _PAGE)
                entries = os.pread(pagemap, count * _ENTRY_BYTES, first // _PAGE * _ENTRY_BYTES)
                for pages in pages_in_use(entries):
                    left -= len(pages) * _PAGE
                    yield Span(first + pages.start * _PAGE, len(pages) * _PAGE)
        finally:
            os.close(pagemap)

    def read(self, address: int, size: int) -> bytes:
        """At most so many bytes; fewer where something else begins.

        Raises:
            PermissionError: It is not ours to read.
            OSError: Nothing is mapped there any more, or it has ended.
        """
        if self._memory is None:
            self._memory = os.open("mem", _FILE, dir_fd=self._folder)
        return os.pread(self._memory, size, address)

    def _read(self, name: str) -> bytes:
        try:
            descriptor = os.open(name, _FILE, dir_fd=self._folder)
        except FileNotFoundError as error:
            raise ProcessLookupError(self.pid) from error
        with os.fdopen(descriptor, "rb") as file:
            return file.read()


def parse_stat(untrusted_text: bytes) -> tuple[str, int, int]:
    """Name, parent and start time from `/proc/PID/stat`; the name is the process's own and may hold anything.

    Raises:
        ProcessLookupError: There is nothing to read: the process has just ended.
    """
    before, _, after = untrusted_text.rpartition(b")")
    fields = after.split()
    if len(fields) < 20:  # noqa: PLR2004 -- proc(5): starttime is field 22, the name was field 2
        raise ProcessLookupError
    return os.fsdecode(before.partition(b"(")[2]), int(fields[1]), int(fields[19])


def parse_smaps(untrusted_text: bytes) -> tuple[Region, ...]:
    """The mappings in `/proc/PID/smaps`; names are the process's own, line breaks in them escaped by the kernel."""
    regions: list[Region] = []
    header: re.Match[bytes] | None = None
    details: dict[bytes, bytes] = {}
    for line in untrusted_text.split(b"\n"):
        found = _HEADER.fullmatch(line)
        if found is None:
            name, _, value = line.partition(b":")
            details[name] = value
            continue
        if header is not None:
            regions.append(_region(header, details))
        header, details = found, {}
    if header is not None:
        regions.append(_region(header, details))
    return tuple(regions)


def pages_in_use(entries: bytes) -> Iterator[range]:
    """Runs of pages in memory or swapped out, by their number in a stretch of `pagemap`."""
    for run in _RUN.finditer(entries[_ENTRY_BYTES - 1 :: _ENTRY_BYTES].translate(_IN_USE)):
        yield range(run.start(), run.end())


def _region(header: re.Match[bytes], details: dict[bytes, bytes]) -> Region:
    start, end, permissions, offset, device, inode, name = header.groups()
    swapped = _bytes(details, b"Swap")
    return Region(
        start=int(start, 16),
        end=int(end, 16),
        permissions=permissions.decode("ascii", "replace"),
        offset=int(offset, 16),
        device=device.decode("ascii", "replace"),
        inode=int(inode),
        name=os.fsdecode(name),
        in_use=_bytes(details, b"Rss") + swapped,
        own=_bytes(details, b"Anonymous") + swapped,
        is_device=not _DEVICE_FLAGS.isdisjoint(details.get(b"VmFlags", b"").split()),
    )


def _bytes(details: dict[bytes, bytes], name: bytes) -> int:
    words = details.get(name, b"").split()
    return int(words[0]) * _KIB if words else 0
