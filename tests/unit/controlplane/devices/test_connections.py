from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.devices.connections import (
    TOLD_AT_ONCE,
    Connections,
    Lifetime,
    StreamEnd,
    StreamSettings,
    admission,
)
from controlplane.runtime.principal import DevicePrincipal
from controlplane.runtime.rate_limit import Bucket, Rate
from controlplane.runtime.refusal import Refusal
from controlplane.storage.news import EVERYONE
from tests.fakes.clock import FakeClock
from tests.fakes.randomness import SeededRandomness

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
FEW = StreamSettings(most=2, opened=Rate(burst=3, every=timedelta(seconds=1)))


def device(number: int) -> DevicePrincipal:
    return DevicePrincipal(f"dev_{number}", "org_1", b"key")


def connections(settings: StreamSettings = FEW) -> Connections:
    return Connections(settings, FakeClock(NOW), SeededRandomness())


def refusal_of(opened: Connections, number: int) -> str:
    with pytest.raises(Refusal) as refused:
        opened.open(device(number))
    return refused.value.reason


@given(st.floats(0, 1, exclude_max=True), st.integers(0, 5), st.floats(0, 3))
def test_whoever_is_refused_is_told_when_to_come_back(share: float, connected: int, tokens: float) -> None:
    _, refusal = admission(FEW, connected, Bucket(tokens, NOW), NOW, share)
    assert (refusal is None) == (connected < FEW.most and tokens >= 1)
    if refusal is not None:
        assert 1 <= refusal.retry_after_s <= FEW.retry_within_s


def test_streams_are_bounded_in_number_and_in_pace() -> None:
    opened = connections()
    first = opened.open(device(1))
    opened.open(device(2))
    assert refusal_of(opened, 3) == "STREAMS_FULL"
    opened.close(first)
    opened.open(device(3))
    assert refusal_of(opened, 2) == "STREAMS_RUSHED", "three at once, then one a second"
    assert (len(opened), opened.counts.refused) == (2, 2)


def test_the_newest_stream_of_a_device_takes_the_place_of_the_older_one() -> None:
    opened = connections()
    older = opened.open(device(1))
    newer = opened.open(device(1))
    assert (older.ending, newer.ending, len(opened)) == (StreamEnd.REPLACED, None, 1)
    opened.close(older)
    opened.hint("org_1", "dev_1")
    assert newer.hinted
    assert not older.hinted
    opened.close(newer)
    opened.hint("org_1", "dev_1")
    opened.hint("org_2", "dev_1")
    assert (opened.counts.hinted, opened.counts.missed, len(opened)) == (1, 2, 0)


def test_a_server_that_stops_ends_every_stream_and_admits_no_other() -> None:
    opened = connections()
    only, woken = opened.open(device(1)), list[bool]()
    only.waker = lambda: woken.append(True)
    opened.stop()
    assert only.ending is StreamEnd.STOPPING
    assert woken
    assert refusal_of(opened, 2) == "SERVER_STOPPING"


@given(st.floats(0, 1e6), st.floats(0, 1e6), st.floats(1, 1e6))
def test_a_stream_is_over_exactly_when_there_is_nothing_left_to_wait_for(
    now: float, heard_at: float, silence_s: float
) -> None:
    lifetime = Lifetime(ends_at=5e5, silence_s=silence_s)
    over = lifetime.end(now, heard_at)
    assert (over is StreamEnd.OLD) == (now >= 5e5)
    if over is None:
        assert lifetime.look_again_in(now, heard_at) >= 0
        assert now < heard_at + silence_s + 1e-6


def test_news_for_everyone_reach_those_who_are_connected_one_after_the_other() -> None:
    opened = connections(StreamSettings())
    many = [opened.open(device(number)) for number in range(TOLD_AT_ONCE + 5)]
    other = opened.open(DevicePrincipal("dev_1", "org_2", b"key"))
    opened.hint("org_1", EVERYONE)
    assert not any(each.hinted for each in many)
    assert opened.tell_some()
    assert sum(each.hinted for each in many) == TOLD_AT_ONCE
    gone = next(each for each in many if not each.hinted)
    opened.close(gone)
    assert not opened.tell_some()
    assert [each for each in many if not each.hinted] == [gone]
    assert not other.hinted
