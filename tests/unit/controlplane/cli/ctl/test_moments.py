from datetime import UTC, datetime, timedelta, timezone

import pytest

from controlplane.cli.ctl.moments import ago, local, local_and_ago, parse_span

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
CET = timezone(timedelta(hours=1), "CET")


@pytest.mark.parametrize(
    ("age", "said"),
    [
        (timedelta(0), "just now"),
        (timedelta(seconds=-30), "just now"),
        (timedelta(seconds=59), "59 s ago"),
        (timedelta(minutes=3, seconds=59), "3 min ago"),
        (timedelta(hours=23), "23 h ago"),
        (timedelta(days=1), "1 day ago"),
        (timedelta(days=60), "60 days ago"),
        (timedelta(days=61), "2025-12-31 10:00"),
        (timedelta(days=-400), "2027-04-06 10:00"),
    ],
)
def test_moments_are_told_by_their_age_while_that_says_something(age: timedelta, said: str) -> None:
    assert ago(NOW - age, NOW, CET) == said


def test_what_never_happened_says_so() -> None:
    assert (ago(None, NOW), local(None), local_and_ago(None, NOW)) == ("never", "never", "never")


def test_exact_moments_are_local_and_name_their_zone() -> None:
    assert local(NOW, CET) == "2026-03-02 10:00:00 CET"
    assert local_and_ago(NOW - timedelta(minutes=3), NOW, CET) == "2026-03-02 09:57:00 CET (3 min ago)"
    assert local_and_ago(NOW + timedelta(days=3), NOW, CET) == "2026-03-05 10:00:00 CET"


def test_spans() -> None:
    assert [parse_span(text) for text in ("90m", "24h", "7d")] == [
        timedelta(minutes=90),
        timedelta(hours=24),
        timedelta(days=7),
    ]
    assert [parse_span(text) for text in ("", "d", "7", "7 d", "-7d", "\u0667d", "999999d", "7w")] == [None] * 8
