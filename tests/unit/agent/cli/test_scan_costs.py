"""What `buckler scan-costs` says of a report."""

from agent.cli.scan_costs import advice_lines, cost_record
from agent.domain.costs import CostBook, CostWindow
from agent.domain.exclusion_advice import advise
from agent.domain.facts import ScanFacts


def test_the_lines_that_are_shown_and_the_others_make_up_the_whole() -> None:
    book = CostBook(0)
    for number in range(10):
        book.add(f"/srv/ci/x.{number}", ScanFacts("", 1, elapsed_ms=float(number)), f"/bin/p{number}", 0)
    report = book.report(CostWindow.HOUR, 0)
    record = cost_record(report, advise(report), limit=3)
    shown = record["costs"]["process"]
    assert [row["name"] for row in shown] == ["/bin/p9", "/bin/p8", "/bin/p7", "(others)"]
    assert sum(row["ms"] for row in shown) == record["ms"] == 45.0
    assert [row["name"] for row in record["costs"]["folder"]] == ["/srv/ci"]
    assert (len(record["slowest"]), record["suggestions"]) == (3, [])
    assert advice_lines(advise(report)) == [
        "suggestion : none; nothing costs enough to be worth a hole in the protection"
    ]


def test_advice_is_told_with_its_risk() -> None:
    book = CostBook(0)
    book.add("/srv/ci/x.o", ScanFacts("", 1, elapsed_ms=60_000.0), "/bin/cc1", 0)
    book.add("/tmp/y.o", ScanFacts("", 1, elapsed_ms=40_000.0), "/bin/cc1", 0)
    lines = advice_lines(advise(book.report(CostWindow.HOUR, 0)))
    assert lines[0].startswith("suggestion : exclude /srv/ci (60% of scan time")
    assert lines[1].startswith("  risk : what arrives in /srv/ci is neither scanned nor blocked")
    assert lines[3] == "not suggested : /tmp (40% of scan time), because every program may write there"
