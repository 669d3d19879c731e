"""Detections as devices reported them, each stored once, and the incidents they belong to."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
)

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
    # NULL: received before there were incidents.
    Column("incident_id", Text),
    ForeignKeyConstraint(["org_id", "device_id"], ["devices.org_id", "devices.device_id"]),
    Index("ix_detections_newest", "org_id", "received_at", "detected_at", "uuid"),
    Index("ix_detections_by_device", "org_id", "device_id", "received_at", "detected_at", "uuid"),
    Index("ix_detections_by_incident", "org_id", "incident_id", "received_at", "detected_at", "uuid"),
)

#: What became of a detection that people had its device do something about; no key into `detections`, because those may
#: go sooner.
detection_outcomes = Table(
    "detection_outcomes",
    metadata,
    Column("org_id", Text, primary_key=True),
    Column("uuid", LargeBinary, primary_key=True),
    Column("command_id", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("at", Instant, nullable=False),
    # As the audit names them.
    Column("asked_by", Text, nullable=False),
    Column("code", Text, nullable=False),
    Column("message", Text, nullable=False),
    # Of the copy that the device has then; empty: it has none.
    Column("quarantine_id", Text, nullable=False),
    Index("ix_detection_outcomes_oldest", "org_id", "at"),
)

#: Reports of devices that were taken and could not be stored; a person has them tried again.
dead_reports = Table(
    "dead_reports",
    metadata,
    # Empty: nobody knows whose it is, its seal is not ours.
    Column("org_id", Text, primary_key=True),
    Column("report_id", Text, primary_key=True),
    Column("device_id", Text, nullable=False),
    Column("failed_at", Instant, nullable=False),
    Column("code", Text, nullable=False),
    Column("sentence", Text, nullable=False),
    # As it was buffered.
    Column("sealed", LargeBinary, nullable=False),
    Index("ix_dead_reports_oldest", "org_id", "failed_at"),
)

#: One threat in one organisation, however many devices have it.
incidents = Table(
    "incidents",
    metadata,
    Column("org_id", Text, primary_key=True),
    # Follows from the threat: reports of a thousand devices find the same row.
    Column("incident_id", Text, primary_key=True),
    Column("threat", Text, nullable=False),
    # The worst seen.
    Column("severity", Text, nullable=False),
    Column("status", Text, nullable=False),
    # Empty: nobody has set it.
    Column("status_by", Text, nullable=False),
    Column("status_at", Instant, nullable=False),
    Column("note", Text, nullable=False),
    Column("opened_at", Instant, nullable=False),
    # To the minute: the row of a threat that is everywhere is not written for each detection.
    Column("last_at", Instant, nullable=False),
    Column("reopened", Integer, nullable=False),
    CheckConstraint("status IN ('new', 'acknowledged', 'resolved', 'false_positive')", name="status"),
    Index("ix_incidents_newest", "org_id", "last_at", "incident_id"),
)

#: The devices of an incident.
incident_devices = Table(
    "incident_devices",
    metadata,
    Column("org_id", Text, primary_key=True),
    Column("incident_id", Text, primary_key=True),
    Column("device_id", Text, primary_key=True),
    Column("detections", BigInteger, nullable=False),
    Column("first_at", Instant, nullable=False),
    Column("last_at", Instant, nullable=False),
    ForeignKeyConstraint(["org_id", "incident_id"], ["incidents.org_id", "incidents.incident_id"]),
    ForeignKeyConstraint(["org_id", "device_id"], ["devices.org_id", "devices.device_id"]),
)
