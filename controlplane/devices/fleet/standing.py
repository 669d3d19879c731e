"""What a device counts as in the summary of a fleet. Pure: what the server knows of it and `now` in, a condition out.

A condition is what only the device can tell, as far as it is known: whether it was ever seen, is silent, and what is
wrong with it. What its seat gives it is not in there, because a subscription changes for all of its devices at once:
counters are kept by (subscription, condition), and the access of each subscription is asked for when they are read.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from controlplane.catalog.model import AccessLevel
from controlplane.devices.model import (
    EVENTS_LOST_SHOWN_FOR,
    OFFLINE_AFTER,
    POLICY_APPLIED_WITHIN,
    SIGNATURES_OLD_AFTER,
    DeviceStatus,
    ProtectionState,
    protection,
    state_of_codes,
)

#: The condition of a device that has not checked in yet.
NEVER_SEEN = "NEVER_SEEN"
#: The group of devices without a seat.
NO_SUBSCRIPTION = ""
#: Thresholds are passed, not reached: a verdict changes one step of the clock after them.
_STEP = timedelta(microseconds=1)
#: A report may date its signatures and scans into any future; its standing is looked at again before.
_FARTHEST = timedelta(days=365)


@dataclass(frozen=True, slots=True)
class Standing:
    """A device in the summary.

    Attributes:
        subscription_id: Of its seat; `NO_SUBSCRIPTION`: it holds none.
        condition: Codes in the order of a verdict, with commas; empty: nothing is wrong.
        changes_at: First instant at which the condition may be another although nothing happens; None: there is none.
    """

    subscription_id: str
    condition: str
    changes_at: datetime | None


def condition_of(status: DeviceStatus | None, now: datetime) -> str:
    """The codes of a verdict that do not come from the device's seat, each once."""
    last_seen = None if status is None else status.last_seen
    verdict = protection(status, access=AccessLevel.FULL, has_seat=True, last_seen=last_seen, now=now)
    return ",".join(dict.fromkeys(reason.code for reason in verdict.reasons))


def changes_at(status: DeviceStatus | None, now: datetime) -> datetime | None:
    """The first instant after `now` at which time alone may change the condition; None: it cannot."""
    if status is None or status.expired_at is not None:
        return None
    turns = [*_turns_in_contact(status, now), status.last_seen + OFFLINE_AFTER + _STEP]
    return min((turn for turn in turns if turn > now), default=None)


def changes_in_contact_at(status: DeviceStatus, now: datetime) -> datetime | None:
    """The same, of a device that does not fall silent."""
    return min((turn for turn in _turns_in_contact(status, now) if turn > now), default=None)


def _turns_in_contact(status: DeviceStatus, now: datetime) -> Iterator[datetime]:
    if status.events_lost_at is not None:
        yield status.events_lost_at + EVENTS_LOST_SHOWN_FOR + _STEP
    if status.report.signatures_made_at is not None:
        made_at = min(status.report.signatures_made_at, now + _FARTHEST)
        yield made_at + SIGNATURES_OLD_AFTER + _STEP
    scans = status.report.scans
    if scans is not None and scans.limit_days:
        scanned_at = min(scans.scanned_at, now + _FARTHEST)
        yield scanned_at + timedelta(days=scans.limit_days) + _STEP
    if status.policy_behind_since is not None:
        yield status.policy_behind_since + POLICY_APPLIED_WITHIN + _STEP


def standing_of(subscription_id: str, status: DeviceStatus | None, now: datetime) -> Standing:
    """How a device counts from now on."""
    return Standing(subscription_id, condition_of(status, now), changes_at(status, now))


def codes_of(condition: str) -> tuple[str, ...]:
    """The reasons that a condition is made of."""
    return tuple(condition.split(",")) if condition else ()


def state_of(condition: str, access: AccessLevel | None) -> ProtectionState:
    """The state of every device of a group.

    Args:
        condition: Theirs.
        access: What the subscription of their seats gives; None: they have none.
    """
    return state_of_codes(codes_of(condition), access)
