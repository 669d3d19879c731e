"""What scanning cost: the windows, and that whatever is forgotten is still in the total."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.domain import costs
from agent.domain.costs import NOT_ITEMISED, CostBook, CostKind, CostLine, CostWindow, folder_of, format_of
from agent.domain.facts import Cost, ScanFacts

MINUTE_NS = 60 * 1_000_000_000
HOUR_NS = 60 * MINUTE_NS


def quick(ms: float) -> ScanFacts:
    return ScanFacts("", 10, elapsed_ms=ms)


def test_a_scan_counts_for_its_program_folder_format_and_step() -> None:
    book = CostBook(0)
    book.add("/srv/app/a.ZIP", quick(2.0), "/usr/bin/cp", 0)
    slow = ScanFacts("", 10, elapsed_ms=900.0, costs=(Cost("zip", 300_000, 7), Cost("matching", 100_000, 8)))
    book.add("/srv/app/b.zip", slow, "/usr/bin/cp", 0)
    report = book.report(CostWindow.HOUR, 30 * 1_000_000_000)
    assert (report.microseconds, report.files, report.covers_s) == (402_000, 2, 30.0)
    assert report.lines[CostKind.PROCESS] == (CostLine("/usr/bin/cp", 402_000, 2),)
    assert report.lines[CostKind.FOLDER] == (CostLine("/srv/app", 402_000, 2),)
    assert report.lines[CostKind.FORMAT] == (CostLine(".zip", 402_000, 2),)
    steps = (CostLine("zip", 300_000, 1), CostLine("matching", 100_000, 1), CostLine(NOT_ITEMISED, 2_000, 1))
    assert report.lines[CostKind.STEP] == steps
    assert [file.path for file in report.slowest] == ["/srv/app/b.zip", "/srv/app/a.ZIP"]


def test_what_is_over_leaves_the_hour_then_the_day_and_never_the_whole() -> None:
    book = CostBook(0)
    book.add("/a/x", quick(1.0), "p", 0)
    book.add("/a/x", quick(2.0), "p", 30 * MINUTE_NS)

    def in_each(now_ns: int) -> list[int]:
        return [book.report(window, now_ns).microseconds for window in CostWindow]

    assert in_each(59 * MINUTE_NS) == [3_000, 3_000, 3_000]
    assert in_each(66 * MINUTE_NS) == [2_000, 3_000, 3_000]
    assert in_each(24 * HOUR_NS) == [0, 3_000, 3_000]
    assert in_each(26 * HOUR_NS) == [0, 0, 3_000]
    assert in_each(400 * HOUR_NS) == [0, 0, 3_000]
    assert book.report(CostWindow.START, 400 * HOUR_NS).covers_s == 400 * 3600


def test_a_window_never_says_it_covers_more_than_the_agent_has_run() -> None:
    book = CostBook(0)
    for minutes in (1, 59, 61, 600, 1_600):
        spans = [book.report(window, minutes * MINUTE_NS).covers_s for window in CostWindow]
        assert spans[0] <= min(spans[2], 65 * 60)
        assert spans[1] <= min(spans[2], 25 * 3600)
        assert spans[2] == minutes * 60


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 10_000), st.integers(0, 90)), min_size=1, max_size=120))
def test_names_that_are_given_up_are_in_the_rest(scans: list[tuple[int, int, int]]) -> None:
    true: Counter[str] = Counter()
    now_ns = 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(costs, "NAMES_KEPT", 6)
        book = CostBook(0)
        for name, spent_us, minutes in scans:
            now_ns += minutes * MINUTE_NS
            book.add("/f/x", quick(spent_us / 1_000), f"p{name}", now_ns)
            true[f"p{name}"] += int(spent_us / 1_000 * 1_000)
        report = book.report(CostWindow.START, now_ns)
    lines, rest = report.lines[CostKind.PROCESS], report.rest[CostKind.PROCESS]
    assert len(lines) <= 6
    assert sum(line.microseconds for line in lines) + rest.microseconds == report.microseconds == true.total()
    assert sum(line.files for line in lines) + rest.files == report.files == len(scans)
    assert all(line.microseconds <= true[line.name] <= line.microseconds + rest.microseconds for line in lines)


@pytest.mark.parametrize(
    ("path", "folder", "kind"),
    [
        ("/a.txt", "/", ".txt"),
        ("/srv/data/x.tar.GZ", "/srv/data", ".gz"),
        ("/1/2/3/4/5/6/7/8/x", "/1/2/3/4/5/6", "(none)"),
        ("/home/u/.bashrc", "/home/u", "(none)"),
        ("/d/odd.no-suffix", "/d", "(none)"),
        ("/d/x." + "y" * 13, "/d", "(none)"),
        ("name", "/", "(none)"),
    ],
)
def test_where_a_file_counts(path: str, folder: str, kind: str) -> None:
    assert (folder_of(path), format_of(path)) == (folder, kind)
