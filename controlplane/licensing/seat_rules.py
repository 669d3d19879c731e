"""Who keeps a seat, who may take one, and what happened to it. Pure: values and `now` in, decisions out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

#: How long an owner may choose who gives up a seat after a downgrade.
CHOICE_WINDOW = timedelta(days=14)
#: Unseen for this long, a device gives its seat to one that needs it.
STALE_AFTER = timedelta(days=30)
#: Over which changes of hands are counted.
ROTATION_WINDOW = timedelta(days=30)


class Change(Enum):
    """What can happen to a seat; stable names, in the history and on the wire."""

    CLAIMED = "claimed"
    RELEASED = "released"
    #: Given to another device by a person.
    TRANSFERRED = "transferred"
    #: Taken from a device that was not seen for `STALE_AFTER`.
    RECLAIMED = "reclaimed"
    #: Lost after a downgrade.
    SURPLUS = "surplus"
    #: Its device came back under a new key.
    REBOUND = "rebound"


#: What a device that lost its seat is told, by how it lost it.
REASON_OF_LOSS: Mapping[Change, str] = {
    Change.RELEASED: "SEAT_RELEASED",
    Change.TRANSFERRED: "SEAT_TRANSFERRED",
    Change.RECLAIMED: "SEAT_RECLAIMED",
    Change.SURPLUS: "SEAT_OVER_LIMIT",
}


@dataclass(frozen=True, slots=True)
class Standing:
    """A held seat, as far as deciding who keeps theirs needs it.

    Attributes:
        slot_no: Its number.
        held_since: When its device took it.
        last_seen: Last contact of its device; None: there was none.
        pinned: Its owner wants it kept.
    """

    slot_no: int
    held_since: datetime
    last_seen: datetime | None
    pinned: bool

    @property
    def last_sign(self) -> datetime:
        """Last contact; taking the seat was one."""
        return max(self.held_since, self.last_seen or self.held_since)


def in_order_of_keeping(standings: Sequence[Standing]) -> list[Standing]:
    """Who keeps a seat first: pinned ones, then the last in contact, then the older slot."""
    return sorted(standings, key=lambda each: (not each.pinned, -each.last_sign.timestamp(), each.slot_no))


def who_loses(standings: Sequence[Standing], seats: int) -> list[Standing]:
    """The surplus over `seats`, the first to go first."""
    return in_order_of_keeping(standings)[seats:][::-1]


def reclaimable(standings: Sequence[Standing], now: datetime) -> list[Standing]:
    """Seats of devices that are not seen any more, the longest unseen first; pinned ones are left alone."""
    stale = [each for each in standings if not each.pinned and now - each.last_sign >= STALE_AFTER]
    return sorted(stale, key=lambda each: (each.last_sign, each.slot_no))


def intake_allowance(seats: int) -> int:
    """How many different devices may take a seat within `ROTATION_WINDOW`: each seat once, and as many again, or 3."""
    return seats + max(3, seats)


def cools_until(first_claims: Mapping[str, datetime], device_id: str, seats: int, now: datetime) -> datetime | None:
    """When a further device may take a seat; None: now.

    Args:
        first_claims: Devices that took a seat within the window, and when each did first.
        device_id: Who wants one; a device of the window comes back freely.
        seats: What the plan covers.
        now: The present.
    """
    recent = sorted(at for other, at in first_claims.items() if other != device_id and at > now - ROTATION_WINDOW)
    allowance = intake_allowance(seats)
    if device_id in first_claims or len(recent) < allowance:
        return None
    return recent[len(recent) - allowance] + ROTATION_WINDOW
