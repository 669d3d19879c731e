"""Everything that is written into a column comes back as it was."""

import os
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.domain.facts import Finding, Severity
from agent.storage.encoding import (
    findings_from_column,
    findings_to_column,
    instant_from_column,
    instant_to_column,
    path_from_column,
    path_to_column,
    xattrs_from_column,
    xattrs_to_column,
)

names = st.binary(max_size=40).map(os.fsdecode)
zones = st.integers(min_value=-720, max_value=720).map(lambda minutes: timezone(timedelta(minutes=minutes)))
instants = st.datetimes(min_value=datetime(1971, 1, 1), max_value=datetime(9000, 1, 1), timezones=zones)  # noqa: DTZ001
findings = st.builds(
    Finding,
    rule=st.text(max_size=20),
    namespace=st.text(max_size=20),
    severity=st.sampled_from(Severity),
    member_path=st.lists(names, max_size=3).map(tuple),
    threat_name=names,
)


@given(name=st.binary(max_size=300))
def test_every_name_a_kernel_can_hold(name: bytes) -> None:
    assert path_to_column(path_from_column(name)) == name


@given(first=instants, second=instants)
def test_instants_keep_their_value_and_sort_like_time(first: datetime, second: datetime) -> None:
    assert instant_from_column(instant_to_column(first)) == first
    assert instant_from_column(instant_to_column(first)).tzinfo == UTC
    assert (instant_to_column(first) < instant_to_column(second)) == (first < second)


def test_an_instant_without_a_zone_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="time zone"):
        instant_to_column(datetime(2026, 1, 1))  # noqa: DTZ001 -- that is the mistake


@given(found=st.lists(findings, max_size=4).map(tuple))
def test_findings_with_hostile_member_names(found: tuple[Finding, ...]) -> None:
    assert findings_from_column(findings_to_column(found)) == found


@given(xattrs=st.lists(st.tuples(names, st.binary(max_size=40)), max_size=4).map(tuple))
def test_extended_attributes(xattrs: tuple[tuple[str, bytes], ...]) -> None:
    assert xattrs_from_column(xattrs_to_column(xattrs)) == xattrs
