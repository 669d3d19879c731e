"""Devices and their status; activation keys, seats, entitlements; detections."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_TO_DEVICE = (["org_id", "device_id"], ["devices.org_id", "devices.device_id"])


def upgrade() -> None:
    _devices()
    _keys()
    _seats()
    _entitlements()
    _detections()


def _devices() -> None:
    op.create_table(
        "devices",
        sa.Column("org_id", sa.Text, primary_key=True),
        sa.Column("device_id", sa.Text, primary_key=True),
        sa.Column("public_key_sha256", sa.LargeBinary, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("os", sa.Text, nullable=False),
        sa.Column("os_version", sa.Text, nullable=False),
        sa.Column("architecture", sa.Text, nullable=False),
        sa.Column("agent_version", sa.Text, nullable=False),
        sa.Column("activated_at", sa.BigInteger, nullable=False),
        sa.Column("deactivated_at", sa.BigInteger),
        sa.Column("revoked_at", sa.BigInteger),
        sa.UniqueConstraint("org_id", "public_key_sha256"),
        sa.Index("ix_devices_by_name", "org_id", "name", "device_id"),
    )
    op.create_table(
        "device_fingerprints",
        sa.Column("org_id", sa.Text, primary_key=True),
        sa.Column("device_id", sa.Text, primary_key=True),
        sa.Column("kind", sa.Text, primary_key=True),
        sa.Column("digest", sa.LargeBinary, primary_key=True),
        sa.Column("seen_at", sa.BigInteger, nullable=False),
        sa.ForeignKeyConstraint(*_TO_DEVICE),
        sa.Index("ix_device_fingerprints_by_digest", "org_id", "kind", "digest"),
    )
    op.create_table(
        "device_statuses",
        sa.Column("org_id", sa.Text, primary_key=True),
        sa.Column("device_id", sa.Text, primary_key=True),
        sa.Column("last_seen", sa.BigInteger, nullable=False),
        sa.Column("trusted_serial", sa.BigInteger, nullable=False),
        sa.Column("real_time_enabled", sa.Boolean, nullable=False),
        sa.Column("proven_at", sa.BigInteger),
        sa.Column("health_issues", sa.Text, nullable=False),
        sa.Column("signatures_made_at", sa.BigInteger),
        sa.Column("events_lost", sa.BigInteger, nullable=False),
        sa.Column("events_lost_at", sa.BigInteger),
        sa.Column("report", sa.LargeBinary, nullable=False),
        sa.ForeignKeyConstraint(*_TO_DEVICE),
    )


def _keys() -> None:
    op.create_table(
        "activation_keys",
        sa.Column("org_id", sa.Text, primary_key=True),
        sa.Column("key_id", sa.Text, primary_key=True),
        sa.Column("subscription_id", sa.Text, nullable=False),
        sa.Column("hint", sa.Text, nullable=False),
        sa.Column("max_devices", sa.Integer, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger),
        sa.Column("revoked_at", sa.BigInteger),
        sa.CheckConstraint("max_devices >= 0", name="max_devices_not_negative"),
        sa.ForeignKeyConstraint(
            ["org_id", "subscription_id"], ["subscriptions.org_id", "subscriptions.subscription_id"]
        ),
        sa.Index("ix_activation_keys_by_subscription", "org_id", "subscription_id", "created_at"),
    )
    op.create_table(
        "activation_key_digests",
        sa.Column("digest", sa.LargeBinary, primary_key=True),
        sa.Column("org_id", sa.Text, nullable=False),
        sa.Column("key_id", sa.Text, nullable=False),
        sa.UniqueConstraint("org_id", "key_id"),
    )
    op.create_table(
        "activation_key_uses",
        sa.Column("org_id", sa.Text, primary_key=True),
        sa.Column("key_id", sa.Text, primary_key=True),
        sa.Column("device_id", sa.Text, primary_key=True),
        sa.Column("used_at", sa.BigInteger, nullable=False),
        sa.ForeignKeyConstraint(["org_id", "key_id"], ["activation_keys.org_id", "activation_keys.key_id"]),
        sa.ForeignKeyConstraint(*_TO_DEVICE),
    )


def _seats() -> None:
    op.create_table(
        "seats",
        sa.Column("org_id", sa.Text, primary_key=True),
        sa.Column("subscription_id", sa.Text, primary_key=True),
        sa.Column("slot_no", sa.Integer, primary_key=True),
        sa.Column("seat_id", sa.Text, nullable=False),
        sa.Column("device_id", sa.Text),
        sa.Column("held_since", sa.BigInteger),
        sa.UniqueConstraint("org_id", "seat_id"),
        sa.CheckConstraint("slot_no >= 1", name="slots_count_from_one"),
        sa.CheckConstraint("(device_id IS NULL) = (held_since IS NULL)", name="held_since_goes_with_holder"),
        sa.ForeignKeyConstraint(*_TO_DEVICE),
        sa.ForeignKeyConstraint(
            ["org_id", "subscription_id"], ["subscriptions.org_id", "subscriptions.subscription_id"]
        ),
        sa.Index(
            "uq_seats_one_per_device",
            "org_id",
            "subscription_id",
            "device_id",
            unique=True,
            sqlite_where=sa.text("device_id IS NOT NULL"),
            postgresql_where=sa.text("device_id IS NOT NULL"),
        ),
        sa.Index("ix_seats_by_device", "org_id", "device_id"),
    )
    op.create_table(
        "seat_changes",
        sa.Column("org_id", sa.Text, primary_key=True),
        sa.Column("entry_id", sa.Text, primary_key=True),
        sa.Column("subscription_id", sa.Text, nullable=False),
        sa.Column("seat_id", sa.Text, nullable=False),
        sa.Column("device_id", sa.Text, nullable=False),
        sa.Column("change", sa.Text, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("happened_at", sa.BigInteger, nullable=False),
        sa.CheckConstraint("change IN ('claimed', 'released')", name="change"),
        sa.Index("ix_seat_changes_by_seat", "org_id", "seat_id", "happened_at"),
        sa.Index("ix_seat_changes_by_device", "org_id", "device_id", "happened_at"),
    )


def _entitlements() -> None:
    op.create_table(
        "entitlements",
        sa.Column("org_id", sa.Text, primary_key=True),
        sa.Column("device_id", sa.Text, primary_key=True),
        sa.Column("serial", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("subscription_id", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("claims", sa.LargeBinary, nullable=False),
        sa.Column("basis_sha256", sa.LargeBinary, nullable=False),
        sa.Column("refresh_after", sa.BigInteger, nullable=False),
        sa.Column("planned_at", sa.BigInteger, nullable=False),
        sa.Column("signature", sa.LargeBinary),
        sa.Column("kid", sa.Text),
        sa.Column("issued_at", sa.BigInteger),
        sa.CheckConstraint("state IN ('planned', 'issued')", name="state_known"),
        sa.CheckConstraint(
            "(state = 'issued') = (signature IS NOT NULL AND kid IS NOT NULL AND issued_at IS NOT NULL)",
            name="issued_means_signed",
        ),
        sa.ForeignKeyConstraint(*_TO_DEVICE),
        sa.Index(
            "ix_entitlements_planned",
            "planned_at",
            sqlite_where=sa.text("state = 'planned'"),
            postgresql_where=sa.text("state = 'planned'"),
        ),
    )


def _detections() -> None:
    op.create_table(
        "detections",
        sa.Column("org_id", sa.Text, primary_key=True),
        sa.Column("uuid", sa.LargeBinary, primary_key=True),
        sa.Column("device_id", sa.Text, nullable=False),
        sa.Column("detected_at", sa.BigInteger, nullable=False),
        sa.Column("received_at", sa.BigInteger, nullable=False),
        sa.Column("path", sa.LargeBinary, nullable=False),
        sa.Column("sha256", sa.Text, nullable=False),
        sa.Column("size_bytes", sa.BigInteger, nullable=False),
        sa.Column("findings", sa.Text, nullable=False),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("action_detail", sa.Text, nullable=False),
        sa.Column("origin", sa.Text, nullable=False),
        sa.Column("engine", sa.Text, nullable=False),
        sa.Column("signatures_version", sa.Text, nullable=False),
        sa.Column("quarantine_id", sa.Text, nullable=False),
        sa.ForeignKeyConstraint(*_TO_DEVICE),
        sa.Index("ix_detections_newest", "org_id", "received_at", "detected_at", "uuid"),
        sa.Index("ix_detections_by_device", "org_id", "device_id", "received_at", "detected_at", "uuid"),
    )
