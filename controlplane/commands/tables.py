"""Commands and campaigns."""

from sqlalchemy import Column, ForeignKeyConstraint, Index, Integer, Table, Text, text

from controlplane.storage.metadata import metadata
from controlplane.storage.types import Instant

campaigns = Table(
    "campaigns",
    metadata,
    Column("org_id", Text, primary_key=True),
    # Follows from the organisation, the requester and the idempotency key.
    Column("campaign_id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    # JSON.
    Column("arguments", Text, nullable=False),
    Column("requester", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("requested_at", Instant, nullable=False),
    Column("per_turn", Integer, nullable=False),
    Column("stop_after", Integer, nullable=False),
    Column("state", Text, nullable=False),
    Index("ix_campaigns_newest", "org_id", "requested_at", "campaign_id"),
)

_OPEN = text("ends_at IS NOT NULL")

commands = Table(
    "commands",
    metadata,
    Column("org_id", Text, primary_key=True),
    # Follows from the device and the request, so that a repeat finds its row.
    Column("command_id", Text, primary_key=True),
    Column("device_id", Text, nullable=False),
    Column("kind", Text, nullable=False),
    # JSON, as are results.
    Column("arguments", Text, nullable=False),
    Column("requester", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("requested_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("state", Text, nullable=False),
    # Empty: its campaign has not come to it.
    Column("released_at", Instant),
    Column("delivered_at", Instant),
    Column("started_at", Instant),
    Column("finished_at", Instant),
    Column("cancel_requested_at", Instant),
    # When its state ends by itself; empty: it is final.
    Column("ends_at", Instant),
    Column("code", Text, nullable=False),
    Column("message", Text, nullable=False),
    Column("result", Text, nullable=False),
    Column("campaign_id", Text, nullable=False),
    ForeignKeyConstraint(["org_id", "device_id"], ["devices.org_id", "devices.device_id"]),
    Index("ix_commands_newest", "org_id", "requested_at", "command_id"),
    Index("ix_commands_by_device", "org_id", "device_id", "requested_at", "command_id"),
    Index("ix_commands_by_campaign", "org_id", "campaign_id", "state"),
    # What a device's check-in asks for, and the sweep: few rows of many.
    Index("ix_commands_open", "org_id", "device_id", sqlite_where=_OPEN, postgresql_where=_OPEN),
    Index("ix_commands_ending", "ends_at", sqlite_where=_OPEN, postgresql_where=_OPEN),
)
