from datetime import UTC, datetime, timedelta

import pytest

from controlplane.cli.ctl.sandbox import read_span
from controlplane.cli.instants import read_instant
from controlplane.runtime.refusal import Refusal


def test_spans_are_days_hours_or_minutes() -> None:
    assert [read_span(text) for text in ("400d", "36h", "90m")] == [
        timedelta(days=400),
        timedelta(hours=36),
        timedelta(minutes=90),
    ]


@pytest.mark.parametrize("text", ["", "0d", "-1d", "1", "d", "1y", "1d1h", "1234567d", "٣d", " 1d"])
def test_what_is_no_span_is_refused(text: str) -> None:
    with pytest.raises(Refusal) as refused:
        read_span(text)
    assert refused.value.reason == "SPAN_INVALID"


def test_moments_are_utc_unless_they_say_otherwise() -> None:
    assert read_instant("2027-03-31") == datetime(2027, 3, 31, tzinfo=UTC)
    assert read_instant("2027-03-31T12:00:00+02:00") == datetime(2027, 3, 31, 10, tzinfo=UTC)
    with pytest.raises(Refusal) as refused:
        read_instant("tomorrow")
    assert refused.value.reason == "INSTANT_INVALID"
