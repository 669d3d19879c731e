"""Where organisations want to be told, and what is to be told."""

from sqlalchemy import (
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
)

from controlplane.storage.metadata import metadata
from controlplane.storage.types import Instant

webhooks = Table(
    "webhooks",
    metadata,
    Column("org_id", Text, ForeignKey("organisations.org_id"), primary_key=True),
    Column("webhook_id", Text, primary_key=True),
    Column("url", Text, nullable=False),
    # Under which deliveries are signed.
    Column("sealed_secret", LargeBinary, nullable=False),
    Column("created_at", Instant, nullable=False),
    UniqueConstraint("org_id", "url"),
)

#: What waits to be delivered or was given up; what was delivered has no row any more.
webhook_deliveries = Table(
    "webhook_deliveries",
    metadata,
    Column("org_id", Text, primary_key=True),
    Column("delivery_id", Text, primary_key=True),
    Column("webhook_id", Text, nullable=False),
    Column("kind", Text, nullable=False),
    # JSON, byte for byte as it is signed.
    Column("body", LargeBinary, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("attempts", Integer, nullable=False),
    # Of the next attempt; NULL: given up.
    Column("due_at", Instant),
    Column("last_error", Text, nullable=False),
    ForeignKeyConstraint(["org_id", "webhook_id"], ["webhooks.org_id", "webhooks.webhook_id"], ondelete="CASCADE"),
    Index("ix_webhook_deliveries_due", "org_id", "webhook_id", "due_at"),
    Index("ix_webhook_deliveries_newest", "org_id", "created_at", "delivery_id"),
)
