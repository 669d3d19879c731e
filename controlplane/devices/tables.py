"""Devices, the hardware evidence they gave, and what they last said about themselves."""

from sqlalchemy import (
    BigInteger,
    Boolean,
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

devices = Table(
    "devices",
    metadata,
    Column("org_id", Text, primary_key=True),
    Column("device_id", Text, primary_key=True),
    # The identity: SHA-256 of the SubjectPublicKeyInfo of the device's own key.
    Column("public_key_sha256", LargeBinary, nullable=False),
    Column("name", Text, nullable=False),
    # Set: a person gave the name, and what the device calls itself does not change it.
    Column("renamed_at", Instant),
    Column("os", Text, nullable=False),
    Column("os_version", Text, nullable=False),
    Column("architecture", Text, nullable=False),
    Column("agent_version", Text, nullable=False),
    Column("activated_at", Instant, nullable=False),
    Column("deactivated_at", Instant),
    # Monotonic: once set it stays.
    Column("revoked_at", Instant),
    UniqueConstraint("org_id", "public_key_sha256"),
    Index("ix_devices_by_name", "org_id", "name", "device_id"),
)

#: The keys that a device had before it was re-bound: its identity then, refused now.
former_device_keys = Table(
    "former_device_keys",
    metadata,
    Column("org_id", Text, primary_key=True),
    Column("device_id", Text, primary_key=True),
    Column("public_key_sha256", LargeBinary, primary_key=True),
    Column("replaced_at", Instant, primary_key=True),
    ForeignKeyConstraint(["org_id", "device_id"], ["devices.org_id", "devices.device_id"]),
)

#: Under which an organisation's devices hash what they know about their hardware.
fingerprint_salts = Table(
    "fingerprint_salts",
    metadata,
    Column("org_id", Text, ForeignKey("organisations.org_id"), primary_key=True),
    Column("salt", LargeBinary, nullable=False),
)

#: Evidence for re-binding after a re-install, never the identity.
device_fingerprints = Table(
    "device_fingerprints",
    metadata,
    Column("org_id", Text, primary_key=True),
    Column("device_id", Text, primary_key=True),
    # A device has several of a kind: a network interface each, say.
    Column("kind", Text, primary_key=True),
    Column("digest", LargeBinary, primary_key=True),
    Column("seen_at", Instant, nullable=False),
    ForeignKeyConstraint(["org_id", "device_id"], ["devices.org_id", "devices.device_id"]),
    Index("ix_device_fingerprints_by_digest", "org_id", "kind", "digest"),
)

#: A row exists from the first check-in on; apart from `devices`, because it changes every minute.
device_statuses = Table(
    "device_statuses",
    metadata,
    Column("org_id", Text, primary_key=True),
    Column("device_id", Text, primary_key=True),
    Column("last_seen", Instant, nullable=False),
    Column("trusted_serial", BigInteger, nullable=False),
    # What the verdict needs, in columns; the whole report beside it, as serialized buckler.v1.DeviceStatus.
    Column("real_time_enabled", Boolean, nullable=False),
    Column("proven_at", Instant),
    Column("health_issues", Text, nullable=False),
    Column("signatures_made_at", Instant),
    Column("events_lost", BigInteger, nullable=False),
    # When the device's counter last grew.
    Column("events_lost_at", Instant),
    Column("report", LargeBinary, nullable=False),
    # The nonce it showed last, see `devices.lineage`; no name: none yet.
    Column("contact_depth", BigInteger, nullable=False, server_default="0"),
    Column("contact_name", LargeBinary),
    # Two machines call as this device: it is held.
    Column("cloned_at", Instant),
    # End of the last whole scan, and how many days old it may become (0: any number); NULL: the agent does not say.
    Column("scanned_at", Instant),
    Column("scan_limit_days", Integer),
    # When it was first heard that another policy than the given one is in force.
    Column("policy_behind_since", Instant),
    # Since when it is hidden, because nobody has seen it for long.
    Column("expired_at", Instant),
    ForeignKeyConstraint(["org_id", "device_id"], ["devices.org_id", "devices.device_id"]),
)

#: What an organisation wants of its fleet as a whole.
fleet_settings = Table(
    "fleet_settings",
    metadata,
    Column("org_id", Text, ForeignKey("organisations.org_id"), primary_key=True),
    # Devices are hidden that nobody has seen for so long; 0: none.
    Column("expire_after_days", Integer, nullable=False),
)

#: Files with a threat that devices reported and left where they are, see `devices.threats`; a row goes when the file is
#: dealt with.
active_threats = Table(
    "active_threats",
    metadata,
    Column("org_id", Text, primary_key=True),
    Column("device_id", Text, primary_key=True),
    # SHA-256 of the path: the newest detection of a place stands for it.
    Column("place", LargeBinary, primary_key=True),
    # Of that detection.
    Column("uuid", LargeBinary, nullable=False),
    Column("incident_id", Text, nullable=False),
    Column("found_at", Instant, nullable=False),
    # People resolved its incident, or called it a false positive: it counts no more.
    Column("judged_at", Instant),
    ForeignKeyConstraint(["org_id", "device_id"], ["devices.org_id", "devices.device_id"]),
    Index("ix_active_threats_by_incident", "org_id", "incident_id", "device_id"),
)

#: How each device in use counts in the summary of its fleet, see `devices.standing`; a row exists from its activation
#: until it is deactivated.
device_standings = Table(
    "device_standings",
    metadata,
    Column("org_id", Text, primary_key=True),
    Column("device_id", Text, primary_key=True),
    # Of the device, again here: filtered lists are read from an index of this table.
    Column("name", Text, nullable=False),
    # Of the seat; empty: it holds none.
    Column("subscription_id", Text, nullable=False),
    Column("condition", Text, nullable=False),
    # When time alone may change the condition; a job and every reader settle what is due.
    Column("changes_at", Instant),
    ForeignKeyConstraint(["org_id", "device_id"], ["devices.org_id", "devices.device_id"]),
    Index("ix_device_standings_listed", "org_id", "subscription_id", "condition", "name", "device_id"),
    Index("ix_device_standings_due", "org_id", "changes_at"),
    # The job's question, whosever they are.
    Index("ix_device_standings_due_anywhere", "changes_at"),
)

#: How many devices count as what: the sum of these and of `fleet_changes`.
fleet_counts = Table(
    "fleet_counts",
    metadata,
    Column("org_id", Text, primary_key=True),
    Column("subscription_id", Text, primary_key=True),
    Column("condition", Text, primary_key=True),
    Column("devices", BigInteger, nullable=False),
)

#: What is to be added to `fleet_counts`: written in the transaction of the change, so that a thousand devices that
#: change at once do not wait for one row; a job adds them up.
fleet_changes = Table(
    "fleet_changes",
    metadata,
    Column("org_id", Text, primary_key=True),
    Column("change_id", Text, primary_key=True),
    Column("subscription_id", Text, nullable=False),
    Column("condition", Text, nullable=False),
    Column("devices", BigInteger, nullable=False),
)
