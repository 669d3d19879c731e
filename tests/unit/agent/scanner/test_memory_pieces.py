import pytest

from agent.platform.processes.memory import ProcessFacts, Region, Span
from agent.scanner.memory_pieces import (
    OVERLAP_BYTES,
    Piece,
    Stretch,
    is_looked_at,
    pieces,
    shared_key,
    with_descendants,
)

KIB = 1024


def region(
    name: str = "", permissions: str = "rw-p", inode: int = 0, in_use: int = 8192, own: int = 0, *, device: bool = False
) -> Region:
    return Region(0x1000, 0x9000, permissions, 0, "8:1", inode, name, in_use, own, device)


@pytest.mark.parametrize(
    ("looked_at", "what"),
    [
        (True, region()),
        (True, region("[heap]")),
        (True, region(permissions="---p")),
        (True, region("/lib/libc.so", "r-xp", inode=7, own=4096)),
        (True, region("/tmp/dropped (deleted)", "r-xp", inode=7)),
        (True, region("/memfd:x (deleted)", "r-xs", inode=7)),
        (True, region("/dev/shm/x", "rw-s", inode=7)),
        (False, region("/lib/libc.so", "r-xp", inode=7)),
        (False, region(in_use=0)),
        (False, region("[vvar]", "r--p")),
        (False, region("[vsyscall]", "--xp")),
        (False, region("/dev/dri/card0", "rw-s", inode=7)),
        (False, region("/dev/mem", "rw-s", inode=7, device=True)),
        (False, region("anon_inode:[uring]", "rw-s", inode=7)),
    ],
)
def test_what_no_scan_of_files_can_see_is_looked_at(looked_at: bool, what: Region) -> None:  # noqa: FBT001
    assert is_looked_at(what) is looked_at


def test_only_what_others_have_too_is_looked_at_once() -> None:
    assert shared_key(region("/tmp/gone (deleted)", inode=7)) == ("8:1", 7, 0)
    assert shared_key(region("/lib/libc.so", inode=7, own=4096)) is None
    assert shared_key(region()) is None


def test_regions_are_scanned_together_and_programs_by_themselves() -> None:
    stretches = [
        Stretch(Span(0x1000, KIB)),
        Stretch(Span(0x9000, KIB)),
        Stretch(Span(0x20000, KIB), begins_program=True),
        Stretch(Span(0x20400, KIB)),
    ]
    assert list(pieces(stretches)) == [
        Piece((Span(0x1000, KIB), Span(0x9000, KIB))),
        Piece((Span(0x20000, KIB), Span(0x20400, KIB))),
    ]


def test_a_large_region_is_cut_so_that_no_short_string_is_divided() -> None:
    size = 4 * OVERLAP_BYTES
    cut = list(pieces([Stretch(Span(0, size))], 3 * OVERLAP_BYTES))
    assert [piece.spans for piece in cut] == [
        (Span(0, 3 * OVERLAP_BYTES),),
        (Span(2 * OVERLAP_BYTES, 2 * OVERLAP_BYTES),),
    ]


def test_a_piece_smaller_than_its_overlap_is_refused() -> None:
    with pytest.raises(ValueError, match="larger"):
        list(pieces([], OVERLAP_BYTES))


def test_a_finding_says_where_it_is() -> None:
    assert Piece((Span(0x1000, 0x1000), Span(0x5000, 0x1000))).name == "0x1000-0x6000"


def test_what_a_process_started_is_found_however_deep() -> None:
    def process(pid: int, parent: int) -> ProcessFacts:
        return ProcessFacts(pid, parent, 0, "x", "/x")

    family = [process(1, 0), process(2, 1), process(3, 2), process(4, 1), process(9, 8), process(8, 9)]
    assert with_descendants([2], family) == {2, 3}
    assert with_descendants([1], family) == {1, 2, 3, 4}
    assert with_descendants([8], family) == {8, 9}
    assert with_descendants([77], family) == {77}
