"""A bundle as it was read, and what was found in it. Values only."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum

#: A value as JSON has it.
Json = None | bool | int | float | str | Sequence["Json"] | Mapping[str, "Json"]
#: Members of a list that are told.
_MOST_SAID = 20


@dataclass(frozen=True, slots=True)
class BundleItem:
    """One item.

    Attributes:
        name: Of its file.
        status: As the manifest says: collected, truncated, unavailable, failed, held_back.
        error: Why it is not whole.
        value: What it says: JSON, or the text where it is no JSON; None: it is not there.
    """

    name: str
    status: str
    error: str
    value: Json


@dataclass(frozen=True, slots=True)
class ReadBundle:
    """Everything a bundle says; nothing of it can be relied on, its maker may have made it up.

    Attributes:
        made_at: When, by the device's clock; None: it does not say.
        app_version: Of the agent.
        items: By name.
    """

    made_at: datetime | None
    app_version: str
    items: Mapping[str, BundleItem]

    def value(self, name: str) -> Json:
        """What an item says; None: nothing."""
        item = self.items.get(name)
        return None if item is None else item.value

    def facts(self, name: str) -> Mapping[str, Json]:
        """What an item says, if it is an object; empty otherwise."""
        value = self.value(name)
        return value if isinstance(value, Mapping) else {}

    def rows(self, name: str) -> tuple[Mapping[str, Json], ...]:
        """What an item says, if it is a list; its objects."""
        return objects(self.value(name))

    def text(self, name: str) -> str:
        """What an item says, if it is a text; empty otherwise."""
        value = self.value(name)
        return value if isinstance(value, str) else ""

    def error(self, name: str) -> str:
        """Why an item is not whole."""
        item = self.items.get(name)
        return "" if item is None else item.error


def objects(value: Json) -> tuple[Mapping[str, Json], ...]:
    """The objects in a list."""
    if isinstance(value, str) or not isinstance(value, Sequence):
        return ()
    return tuple(row for row in value if isinstance(row, Mapping))


def number(value: Json) -> float | None:
    """A number; None: it is none, or none that can be reckoned with."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        found = float(value)
    except OverflowError:
        return None
    return found if math.isfinite(found) else None


def said(value: Json) -> str:
    """A value as a text; of lists their simple members, since others may be nested without end."""
    if isinstance(value, Mapping):
        return f"{len(value)} fields"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(item for item in value[:_MOST_SAID] if isinstance(item, str))
    return "" if value is None else str(value)


class Certainty(IntEnum):
    """How sure it is that this is what is wrong; the surest first."""

    #: The bundle shows it.
    CERTAIN = 0
    LIKELY = 1
    #: It may well be a coincidence.
    POSSIBLE = 2


@dataclass(frozen=True, slots=True)
class Evidence:
    """Where in the bundle it stands, and what."""

    item: str
    says: str


@dataclass(frozen=True, slots=True)
class Cause:
    """One thing that is wrong.

    Attributes:
        code: Stable.
        certainty: How sure.
        sentence: What is wrong and what follows from it.
        evidence: What shows it.
        next_step: What to do.
    """

    code: str
    certainty: Certainty
    sentence: str
    evidence: tuple[Evidence, ...]
    next_step: str
