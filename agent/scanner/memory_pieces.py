"""Which memory of a process is looked at, and how it is cut into pieces. No input, no output.

What is looked at is what no scan of files can see: memory of the process's own, changed pages of mapped files, and
files that have no name any more. Unchanged pages of a file that is still there are that file's bytes, and a scan of
files looks at them; so are reserved pages that were never touched nothing at all.

A piece holds several regions, a page of zeros between two that are not neighbours: strings of one rule may lie in
different regions, as they may for `yara PID`. A region that begins like a program begins a piece, since the conditions
of many rules ask for that at offset 0.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from agent.platform.processes.memory import ProcessFacts, Region, Span

#: Bytes of one piece: what parent and worker hold of a process at a time.
PIECE_BYTES = 64 * 1024 * 1024
#: A string that a cut would divide is whole in one of both pieces, if it is no longer than this.
OVERLAP_BYTES = 64 * 1024
#: Zeros between what is not adjacent, in bytes.
GAP_BYTES = 4096
#: First bytes of ELF and PE programs.
PROGRAM_HEADS = (b"\x7fELF", b"MZ")
#: Pages that the kernel shows to every process.
_KERNEL_NAMES = frozenset({"[vvar]", "[vvar_vclock]", "[vsyscall]", "[vdso]", "[uprobes]"})
#: Files that exist in memory only.
_MEMORY_FILES = ("/memfd:", "/dev/shm/", "/dev/zero", "/SYSV", "/anon_hugepage")  # noqa: S108 -- names, not opened
_GONE = " (deleted)"


@dataclass(frozen=True, slots=True)
class Stretch:
    """Addresses to read.

    Attributes:
        span: Which.
        begins_program: What is there begins like a program.
    """

    span: Span
    begins_program: bool = False


@dataclass(frozen=True, slots=True)
class Piece:
    """Spans that are scanned together, in ascending order."""

    spans: tuple[Span, ...]

    @property
    def size(self) -> int:
        """Bytes, without the zeros between them."""
        return sum(span.size for span in self.spans)

    @property
    def name(self) -> str:
        """As a finding names it."""
        return f"0x{self.spans[0].start:x}-0x{self.spans[-1].end:x}"


def is_looked_at(region: Region) -> bool:
    """Whether a region holds something that no scan of files can see.

    Permissions are not asked: memory that was closed after it was written is still there.
    """
    if not region.in_use or region.is_device or region.name in _KERNEL_NAMES:
        return False
    if region.name.startswith(_MEMORY_FILES) or region.name.endswith(_GONE):
        return True
    if region.name.startswith("/dev/"):
        return False
    return region.inode == 0 or region.own > 0


def shared_key(region: Region) -> tuple[str, int, int] | None:
    """Names what other processes may have mapped too, unchanged: it is looked at once. None: it is this one's own."""
    return (region.device, region.inode, region.offset) if region.inode and not region.own else None


def pieces(stretches: Iterable[Stretch], piece_bytes: int = PIECE_BYTES) -> Iterator[Piece]:
    """Cut stretches, in ascending order, into pieces.

    Every address is in some piece; two neighbouring pieces of one stretch share `OVERLAP_BYTES`.

    Args:
        stretches: What to read.
        piece_bytes: Most bytes of a piece; more than twice `OVERLAP_BYTES`.

    Raises:
        ValueError: It is not.
    """
    if piece_bytes <= 2 * OVERLAP_BYTES:
        raise ValueError("a piece must be larger than what it shares with its neighbours")
    held: list[Span] = []
    size = 0
    for stretch in stretches:
        span = stretch.span
        if stretch.begins_program and held:
            yield Piece(tuple(held))
            held, size = [], 0
        while size + span.size > piece_bytes:
            taken = piece_bytes - size
            if taken > OVERLAP_BYTES:
                held.append(Span(span.start, taken))
                span = Span(span.start + taken - OVERLAP_BYTES, span.size - taken + OVERLAP_BYTES)
            yield Piece(tuple(held))
            held, size = [], 0
        held.append(span)
        size += span.size
    if held:
        yield Piece(tuple(held))


def with_descendants(pids: Iterable[int], processes: Iterable[ProcessFacts]) -> frozenset[int]:
    """Processes and all that they started, directly or not."""
    children: dict[int, list[int]] = {}
    for process in processes:
        children.setdefault(process.parent, []).append(process.pid)
    found: set[int] = set()
    waiting = list(pids)
    while waiting:
        pid = waiting.pop()
        if pid not in found:
            found.add(pid)
            waiting.extend(children.get(pid, ()))
    return frozenset(found)
