"""Policies, their revisions, labels of devices, and what devices say of the policy they were given."""

from sqlalchemy import BigInteger, Column, ForeignKey, ForeignKeyConstraint, Index, Integer, LargeBinary, Table, Text

from controlplane.storage.metadata import metadata
from controlplane.storage.types import Instant

#: One row per organisation that ever had a policy: changes are counted here, and wait for each other.
policy_books = Table(
    "policy_books",
    metadata,
    Column("org_id", Text, ForeignKey("organisations.org_id"), primary_key=True),
    Column("generation", BigInteger, nullable=False),
)

policies = Table(
    "policies",
    metadata,
    Column("org_id", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("newest", Integer, nullable=False),
    # The oldest revision that a device may still be at.
    Column("oldest", Integer, nullable=False),
    Column("removed_at", Instant),
    ForeignKeyConstraint(["org_id"], ["policy_books.org_id"]),
)

policy_revisions = Table(
    "policy_revisions",
    metadata,
    Column("org_id", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("revision", Integer, primary_key=True),
    # Canonical JSON, and its hash.
    Column("document", LargeBinary, nullable=False),
    Column("sha256", Text, nullable=False),
    # JSON, as are stages.
    Column("selectors", Text, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("author", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("made_at", Instant, nullable=False),
    Column("stages", Text, nullable=False),
    # The rollout's clock: what it showed when it last stopped, and since when it runs; empty: it stands.
    Column("progress_us", BigInteger, nullable=False),
    Column("running_since", Instant),
    Column("superseded_at", Instant),
    ForeignKeyConstraint(["org_id", "name"], ["policies.org_id", "policies.name"]),
)

device_labels = Table(
    "device_labels",
    metadata,
    Column("org_id", Text, primary_key=True),
    Column("device_id", Text, primary_key=True),
    Column("label", Text, primary_key=True),
    ForeignKeyConstraint(["org_id", "device_id"], ["devices.org_id", "devices.device_id"]),
    Index("ix_device_labels_by_label", "org_id", "label", "device_id"),
)

#: Written when what a device says changes, and not at each check-in.
policy_reports = Table(
    "policy_reports",
    metadata,
    Column("org_id", Text, primary_key=True),
    Column("device_id", Text, primary_key=True),
    Column("desired", Text, nullable=False),
    Column("applied", Text, nullable=False),
    Column("refusal", Text, nullable=False),
    Column("reported_at", Instant, nullable=False),
    ForeignKeyConstraint(["org_id", "device_id"], ["devices.org_id", "devices.device_id"]),
)
