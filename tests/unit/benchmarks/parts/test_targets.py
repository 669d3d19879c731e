"""Tests of what a benchmark says about its targets."""

from benchmarks.parts.targets import Target, report


def test_a_target_is_reached_at_its_bound_and_missed_beyond() -> None:
    assert Target("latency", 1.0, at_most=1.0).reached
    assert not Target("latency", 1.01, at_most=1.0).reached


def test_what_was_not_measured_is_missed() -> None:
    lines, status = report([Target("latency", None, at_most=1.0, unit="x")])
    assert lines == ["MISSED   latency: not measured, at most 1.00x"]
    assert status == 1


def test_the_exit_status_is_good_when_every_target_is_reached() -> None:
    lines, status = report([Target("lost", 0, at_most=0), Target("slower", 1.05, at_most=1.1, unit="x")])
    assert lines[1] == "reached  slower: 1.05x, at most 1.10x"
    assert status == 0


def test_a_bound_from_below() -> None:
    lines, status = report([Target("speed", 3.97, at_least=4)])
    assert lines == ["MISSED   speed: 3.97, at least 4.00"]
    assert status == 1
    assert Target("speed", 4.0, at_least=4).reached
