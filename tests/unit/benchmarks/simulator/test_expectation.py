from benchmarks.simulator.expectation import at_least, at_most, exactly, lines, missed

BLOCK = (exactly("stored", 3), at_most("seconds", 2.5), at_least("calls", 10))


def test_a_block_that_is_met_misses_nothing() -> None:
    assert missed(BLOCK, {"stored": 3, "seconds": 2.5, "calls": 10, "more": 7}) == []


def test_each_line_is_missed_by_its_own_value() -> None:
    assert missed(BLOCK, {"stored": 4, "seconds": 2.6, "calls": 9}) == ["stored", "seconds", "calls"]


def test_what_nobody_measured_is_missed() -> None:
    assert missed(BLOCK, {"stored": 3, "calls": 10}) == ["seconds"]


def test_people_read_name_value_and_bound() -> None:
    assert lines(BLOCK, {"stored": 3, "seconds": 3.25, "more": 7_000}) == [
        "reached  stored: 3, exactly 3",
        "MISSED   seconds: 3.25, at most 2.50",
        "MISSED   calls: not measured, at least 10",
        "         more: 7,000",
    ]
