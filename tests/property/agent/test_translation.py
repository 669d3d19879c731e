"""What crosses the local socket arrives as it was."""

import os
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from agent.domain.exclusions import Exclusion, ExclusionKind
from agent.local_api.status import StatusField
from agent.local_api.translation import (
    exclusion_from_wire,
    exclusion_to_wire,
    field_from_wire,
    field_to_wire,
    path_from_text,
    path_to_text,
)

names = st.binary(max_size=60).map(lambda raw: os.fsdecode(raw.replace(b"\0", b"")))
instants = st.datetimes(datetime(1990, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


@given(names)
def test_a_name_of_any_bytes_survives(name: str) -> None:
    text = path_to_text(name)
    assert text.encode("utf-8").decode("utf-8") == text
    assert path_from_text(text) == name


@given(names.map(lambda name: name.replace("u", "\\u")))
def test_a_name_that_looks_like_an_escape_survives(name: str) -> None:
    assert path_from_text(path_to_text(name)) == name


@given(st.sampled_from(list(ExclusionKind)), names, instants, st.none() | instants)
def test_an_exclusion_survives(kind: ExclusionKind, value: str, created: datetime, expires: datetime | None) -> None:
    exclusion = Exclusion("exc_1", kind, value, "because", created, expires)
    assert exclusion_from_wire(exclusion_to_wire(exclusion)) == exclusion


@given(st.text() | st.integers() | st.booleans() | st.none() | st.lists(names), st.booleans())
def test_a_line_of_the_status_survives(value: str | int | bool | list[str] | None, managed: bool) -> None:  # noqa: FBT001
    field = StatusField("name", value, managed=managed)
    assert field_from_wire(field_to_wire(field)) == field
