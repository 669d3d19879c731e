"""Incidents as devices reported them, each stored once."""

from sqlalchemy import BigInteger, Column, ForeignKeyConstraint, Index, LargeBinary, Table, Text

from controlplane.storage.metadata import metadata
from controlplane.storage.types import Instant

detections = Table(
    "detections",
    metadata,
    Column("org_id", Text, primary_key=True),
    # Made by the device; a repeat of the same report finds its row and changes nothing.
    Column("uuid", LargeBinary, primary_key=True),
    Column("device_id", Text, nullable=False),
    # By the device's clock.
    Column("detected_at", Instant, nullable=False),
    # By the server's clock: the order of lists, because devices' clocks disagree.
    Column("received_at", Instant, nullable=False),
    Column("path", LargeBinary, nullable=False),
    Column("sha256", Text, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    # JSON, see `detections.service`.
    Column("findings", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("action_detail", Text, nullable=False),
    Column("origin", Text, nullable=False),
    Column("engine", Text, nullable=False),
    Column("signatures_version", Text, nullable=False),
    Column("quarantine_id", Text, nullable=False),
    ForeignKeyConstraint(["org_id", "device_id"], ["devices.org_id", "devices.device_id"]),
    Index("ix_detections_newest", "org_id", "received_at", "detected_at", "uuid"),
    Index("ix_detections_by_device", "org_id", "device_id", "received_at", "detected_at", "uuid"),
)
