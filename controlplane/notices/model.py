"""Notices as values: what there is to tell, which of it announces a charge, and when a mail is tried again."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum
from typing import Final

from controlplane.billing.money import Money
from controlplane.runtime.retries import Retries


class NoticeKind(Enum):
    """What a notice is about; stable names. Each has a text in `rendering.py`."""

    RENEWAL = "renewal"
    TRIAL_END = "trial_end"
    PRICE_CHANGE = "price_change"
    TERMS_CHANGE = "terms_change"
    PAYMENT_FAILED = "payment_failed"
    CARD_EXPIRING = "card_expiring"
    ENDING = "ending"
    ACCESS_CHANGED = "access_changed"
    INACTIVE = "inactive"
    AUTO_RENEW_ON = "auto_renew_on"
    AUTO_RENEW_OFF = "auto_renew_off"
    CANCELLED = "cancelled"
    PLAN_CHANGED = "plan_changed"
    # From here on what licensing tells, see `licensing.ports.NoticeKind`.
    SEAT_RECLAIMED = "seat_reclaimed"
    SEATS_SURPLUS = "seats_surplus"
    SEAT_LOST = "seat_lost"
    DEVICE_REBOUND = "device_rebound"
    DEVICE_COPIED = "device_copied"
    DEVICE_CLONED = "device_cloned"
    DEVICE_REVOKED = "device_revoked"


class NoticeState(Enum):
    """Where a notice is."""

    QUEUED = "queued"
    DELIVERED = "delivered"
    #: Nobody will try again: the address is refused, there is none, or every attempt failed.
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Announced:
    """The charge that a notice announces.

    Attributes:
        subscription_id: For what.
        period_start: Which period of it.
        amount: Exactly so much.
    """

    subscription_id: str
    period_start: datetime
    amount: Money


@dataclass(frozen=True, slots=True)
class NoticeOrder:
    """Something that has to be told.

    Attributes:
        subject: Id of what it is about.
        key: Names the occasion: the same one is told once per organisation.
        facts: What the text is made from; never a secret.
        announced: None: it announces no charge.
    """

    org_id: str
    kind: NoticeKind
    subject: str
    key: str
    facts: Mapping[str, str]
    announced: Announced | None = None


@dataclass(frozen=True, slots=True)
class Rendered:
    """A notice as it goes out."""

    subject: str
    text: str
    html: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """A notice and what became of it.

    Attributes:
        recipient: Mail address of the owner; empty: there was none.
        attempts: How often it was tried.
        delivered_at: When the mail server took it; None: it has not.
        last_error: Of the last attempt that failed; a code, never an address.
    """

    org_id: str
    notice_id: str
    kind: NoticeKind
    subject: str
    recipient: str
    rendered: Rendered
    state: NoticeState
    queued_at: datetime
    attempts: int = 0
    delivered_at: datetime | None = None
    last_error: str = ""
    announced: Announced | None = field(default=None)


#: After so many attempts, a little over three days, a mail is given up and shown as failed.
MAX_ATTEMPTS: Final = 16
_RETRIES: Final = Retries(first=timedelta(minutes=5), longest=timedelta(hours=6), attempts=MAX_ATTEMPTS)


def retry_at(attempts: int, now: datetime) -> datetime | None:
    """When a mail that failed so often is tried again; None: no more.

    Five minutes, doubled each time, at most six hours (RFC 5321, 4.5.4.1, asks for days before giving up).
    """
    rest = _RETRIES.after(attempts)
    return None if rest is None else now + rest


#: An announcement older than this announces nothing any more.
ANNOUNCED_FOR: Final = timedelta(days=60)


def announces(notice: Notice, amount: Money, lead: timedelta, now: datetime) -> bool:
    """Whether a notice permits a charge of exactly this amount now: delivered, long enough before, not too long.

    Args:
        notice: About the period that is charged.
        amount: What shall be charged.
        lead: How long before the charge it has to be there.
        now: Business time.
    """
    if notice.announced is None or notice.delivered_at is None or notice.announced.amount != amount:
        return False
    return lead <= now - notice.delivered_at <= ANNOUNCED_FOR
