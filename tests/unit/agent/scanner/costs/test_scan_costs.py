from agent.domain.facts import Cost, ScanFacts
from agent.scanner.costs.scan_costs import SLOW_MS, CostTally, SlowFile, slow_record, slow_text


def facts(elapsed_ms: float, *costs: Cost) -> ScanFacts:
    return ScanFacts("", 1 << 20, elapsed_ms=elapsed_ms, costs=costs)


def test_the_slowest_are_kept_however_many_there_are() -> None:
    tally = CostTally()
    for number in range(500):
        tally.add(f"/{number}", facts(9_999.0, Cost("matching", number * 7 % 500 * 1_000, 1)))
    assert [file.elapsed_ms for file in tally.slowest(3)] == [499.0, 498.0, 497.0]
    assert tally.slowest(3, from_ms=SLOW_MS) == ()


def test_time_is_added_up_by_what_it_was_spent_on() -> None:
    tally = CostTally()
    tally.add("/a", facts(5, Cost("matching", 1000, 2), Cost("zip", 3000, 1)))
    tally.add("/b", facts(5, Cost("matching", 4000, 1)))
    assert tally.spent() == (Cost("matching", 5000, 3), Cost("zip", 3000, 1))


def test_a_slow_file_says_why() -> None:
    slow = SlowFile(3500.0, "/a.zip", 5 << 20, (Cost("matching", 2_000_000, 7), Cost("zip", 1_000_000, 6)))
    assert slow_text(slow) == "/a.zip (3.500 s, 5.0 MiB: matching rules in 7 contents 2.000 s, unpacking zip 1.000 s)"
    assert slow_record(slow)["costs"] == [
        {"name": "matching", "ms": 2000.0, "times": 7},
        {"name": "zip", "ms": 1000.0, "times": 6},
    ]


def test_one_that_waited_behind_a_slow_file_is_not_slow_itself() -> None:
    tally = CostTally()
    tally.add("/waited", facts(60_000.0))
    assert tally.slowest(5) == ()
