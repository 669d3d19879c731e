"""The outbox of notices: a row is written in the transaction of what happened and is never taken out again."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from controlplane.storage.metadata import metadata
from controlplane.storage.types import Instant

_WITH_TEXT = text("mail_text <> ''")

notices = Table(
    "notices",
    metadata,
    Column("org_id", Text, ForeignKey("organisations.org_id"), primary_key=True),
    Column("notice_id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    # Id of what it is about.
    Column("subject", Text, nullable=False),
    # Names the occasion: the same one is told once.
    Column("occasion", Text, nullable=False),
    Column("recipient", Text, nullable=False),
    # As it goes out, frozen when it was queued.
    Column("mail_subject", Text, nullable=False),
    Column("mail_text", Text, nullable=False),
    Column("mail_html", Text, nullable=False),
    # The charge it announces; all NULL: none.
    Column("subscription_id", Text),
    Column("period_start", Instant),
    Column("currency", Text),
    Column("amount", BigInteger),
    Column("state", Text, nullable=False),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("last_error", Text, nullable=False, server_default=""),
    Column("queued_at", Instant, nullable=False),
    Column("delivered_at", Instant),
    UniqueConstraint("org_id", "occasion"),
    CheckConstraint("state IN ('queued', 'delivered', 'failed')", name="state"),
    CheckConstraint("(state = 'delivered') = (delivered_at IS NOT NULL)", name="delivered_when"),
    CheckConstraint("(amount IS NULL) = (currency IS NULL)", name="amount_has_currency"),
    CheckConstraint("(amount IS NULL) = (period_start IS NULL)", name="amount_has_period"),
    Index("ix_notices_newest", "org_id", "queued_at", "notice_id"),
    Index("ix_notices_by_period", "org_id", "subscription_id", "period_start"),
    # Texts are emptied after a while: few rows of many, later on.
    Index("ix_notices_bodies", "org_id", "queued_at", sqlite_where=_WITH_TEXT, postgresql_where=_WITH_TEXT),
)
