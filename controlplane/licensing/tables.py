"""Keys, seats and entitlements.

What must never happen is said here, not only in code: a slot belongs to one device at most (it is one column of one
row), a device holds one slot of a subscription at most (partial unique index), a serial is given once (primary key).
"""

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
    UniqueConstraint,
    text,
)

from controlplane.storage.metadata import metadata
from controlplane.storage.types import Instant

activation_keys = Table(
    "activation_keys",
    metadata,
    Column("org_id", Text, primary_key=True),
    Column("key_id", Text, primary_key=True),
    Column("subscription_id", Text, nullable=False),
    # Last group of the key, to recognise it by.
    Column("hint", Text, nullable=False),
    # Different devices that may use it; 0: as many as there are seats.
    Column("max_devices", Integer, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant),
    # Monotonic: once set it stays, which a trigger sees to.
    Column("revoked_at", Instant),
    # The key in whose place this one was made; its devices count against this one as well.
    Column("replaces_key_id", Text),
    CheckConstraint("max_devices >= 0", name="max_devices_not_negative"),
    ForeignKeyConstraint(["org_id", "subscription_id"], ["subscriptions.org_id", "subscriptions.subscription_id"]),
    Index("ix_activation_keys_by_subscription", "org_id", "subscription_id", "created_at"),
)

#: From a typed key to its row. Nobody knows the organisation before this look-up, so this table has no tenant.
activation_key_digests = Table(
    "activation_key_digests",
    metadata,
    Column("digest", LargeBinary, primary_key=True),
    Column("org_id", Text, nullable=False),
    Column("key_id", Text, nullable=False),
    UniqueConstraint("org_id", "key_id"),
)

#: The devices that a key brought in; counting rows cannot drift as a counter could.
activation_key_uses = Table(
    "activation_key_uses",
    metadata,
    Column("org_id", Text, primary_key=True),
    Column("key_id", Text, primary_key=True),
    Column("device_id", Text, primary_key=True),
    Column("used_at", Instant, nullable=False),
    ForeignKeyConstraint(["org_id", "key_id"], ["activation_keys.org_id", "activation_keys.key_id"]),
    ForeignKeyConstraint(["org_id", "device_id"], ["devices.org_id", "devices.device_id"]),
)

#: One row per slot that a subscription ever had. Taking a seat is one conditional update of one row.
seats = Table(
    "seats",
    metadata,
    Column("org_id", Text, primary_key=True),
    Column("subscription_id", Text, primary_key=True),
    Column("slot_no", Integer, primary_key=True),
    Column("seat_id", Text, nullable=False),
    # NULL: free.
    Column("device_id", Text),
    Column("held_since", Instant),
    # Its holder is not to lose it to another device by itself.
    Column("pinned_at", Instant),
    # Set: the plan does not cover it any more, nobody can take it. Only free slots are closed.
    Column("closed_at", Instant),
    UniqueConstraint("org_id", "seat_id"),
    CheckConstraint("slot_no >= 1", name="slots_count_from_one"),
    CheckConstraint("(device_id IS NULL) = (held_since IS NULL)", name="held_since_goes_with_holder"),
    CheckConstraint("pinned_at IS NULL OR device_id IS NOT NULL", name="pins_go_with_holder"),
    CheckConstraint("closed_at IS NULL OR device_id IS NULL", name="closed_means_free"),
    ForeignKeyConstraint(["org_id", "device_id"], ["devices.org_id", "devices.device_id"]),
    ForeignKeyConstraint(["org_id", "subscription_id"], ["subscriptions.org_id", "subscriptions.subscription_id"]),
    Index(
        "uq_seats_one_per_device",
        "org_id",
        "subscription_id",
        "device_id",
        unique=True,
        sqlite_where=text("device_id IS NOT NULL"),
        postgresql_where=text("device_id IS NOT NULL"),
    ),
    Index("ix_seats_by_device", "org_id", "device_id"),
    Index(
        "ix_seats_free",
        "org_id",
        "subscription_id",
        "slot_no",
        sqlite_where=text("device_id IS NULL AND closed_at IS NULL"),
        postgresql_where=text("device_id IS NULL AND closed_at IS NULL"),
    ),
)

#: How many slots a plan covers, and until when a customer who holds more may choose which to give up. Whoever changes
#: the number of open slots holds the lock of this row.
seat_allotments = Table(
    "seat_allotments",
    metadata,
    Column("org_id", Text, primary_key=True),
    Column("subscription_id", Text, primary_key=True),
    Column("seats", Integer, nullable=False),
    # NULL: no more seats are held than the plan covers.
    Column("choose_until", Instant),
    CheckConstraint("seats >= 0", name="seats_not_negative"),
    ForeignKeyConstraint(["org_id", "subscription_id"], ["subscriptions.org_id", "subscriptions.subscription_id"]),
)

#: One row per change of hands; only ever grows, which a trigger sees to.
seat_changes = Table(
    "seat_changes",
    metadata,
    Column("org_id", Text, primary_key=True),
    Column("entry_id", Text, primary_key=True),
    Column("subscription_id", Text, nullable=False),
    Column("seat_id", Text, nullable=False),
    Column("device_id", Text, nullable=False),
    # See `licensing.model.Change`.
    Column("change", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("happened_at", Instant, nullable=False),
    CheckConstraint(
        "change IN ('claimed', 'released', 'transferred', 'reclaimed', 'surplus', 'rebound')", name="change"
    ),
    Index("ix_seat_changes_by_seat", "org_id", "seat_id", "happened_at"),
    Index("ix_seat_changes_by_device", "org_id", "device_id", "happened_at"),
    Index("ix_seat_changes_by_subscription", "org_id", "subscription_id", "happened_at"),
)

#: What was or will be signed, byte for byte.
entitlements = Table(
    "entitlements",
    metadata,
    Column("org_id", Text, primary_key=True),
    Column("device_id", Text, primary_key=True),
    Column("serial", BigInteger, primary_key=True, autoincrement=False),
    Column("subscription_id", Text, nullable=False),
    # planned: decided and durable, not signed yet; issued: signature and kid are set.
    Column("state", Text, nullable=False),
    Column("claims", LargeBinary, nullable=False),
    # SHA-256 of everything the statement says besides its number and times: equal means nothing changed.
    Column("basis_sha256", LargeBinary, nullable=False),
    Column("refresh_after", Instant, nullable=False),
    Column("planned_at", Instant, nullable=False),
    Column("signature", LargeBinary),
    Column("kid", Text),
    Column("issued_at", Instant),
    CheckConstraint("state IN ('planned', 'issued')", name="state_known"),
    CheckConstraint(
        "(state = 'issued') = (signature IS NOT NULL AND kid IS NOT NULL AND issued_at IS NOT NULL)",
        name="issued_means_signed",
    ),
    ForeignKeyConstraint(["org_id", "device_id"], ["devices.org_id", "devices.device_id"]),
    # The sweeper's question; planned rows are few, whatever the size of the table.
    Index(
        "ix_entitlements_planned",
        "planned_at",
        sqlite_where=text("state = 'planned'"),
        postgresql_where=text("state = 'planned'"),
    ),
    Index("ix_entitlements_oldest", "org_id", "issued_at"),
)
