"""Incidents, and webhooks with what is to be delivered to them."""

import sqlalchemy as sa
from alembic import op

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _incidents()
    _webhooks()


def _incidents() -> None:
    op.add_column("detections", sa.Column("incident_id", sa.Text))
    op.create_index(
        "ix_detections_by_incident", "detections", ["org_id", "incident_id", "received_at", "detected_at", "uuid"]
    )
    op.create_table(
        "incidents",
        sa.Column("org_id", sa.Text, primary_key=True),
        sa.Column("incident_id", sa.Text, primary_key=True),
        sa.Column("threat", sa.Text, nullable=False),
        sa.Column("severity", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("status_by", sa.Text, nullable=False),
        sa.Column("status_at", sa.BigInteger, nullable=False),
        sa.Column("note", sa.Text, nullable=False),
        sa.Column("opened_at", sa.BigInteger, nullable=False),
        sa.Column("last_at", sa.BigInteger, nullable=False),
        sa.Column("reopened", sa.Integer, nullable=False),
        sa.CheckConstraint("status IN ('new', 'acknowledged', 'resolved', 'false_positive')", name="status"),
        sa.Index("ix_incidents_newest", "org_id", "last_at", "incident_id"),
    )
    op.create_table(
        "incident_devices",
        sa.Column("org_id", sa.Text, primary_key=True),
        sa.Column("incident_id", sa.Text, primary_key=True),
        sa.Column("device_id", sa.Text, primary_key=True),
        sa.Column("detections", sa.BigInteger, nullable=False),
        sa.Column("first_at", sa.BigInteger, nullable=False),
        sa.Column("last_at", sa.BigInteger, nullable=False),
        sa.ForeignKeyConstraint(["org_id", "incident_id"], ["incidents.org_id", "incidents.incident_id"]),
        sa.ForeignKeyConstraint(["org_id", "device_id"], ["devices.org_id", "devices.device_id"]),
    )


def _webhooks() -> None:
    op.create_table(
        "webhooks",
        sa.Column("org_id", sa.Text, sa.ForeignKey("organisations.org_id"), primary_key=True),
        sa.Column("webhook_id", sa.Text, primary_key=True),
        sa.Column("url", sa.Text, nullable=False),
        sa.Column("sealed_secret", sa.LargeBinary, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.UniqueConstraint("org_id", "url"),
    )
    op.create_table(
        "webhook_deliveries",
        sa.Column("org_id", sa.Text, primary_key=True),
        sa.Column("delivery_id", sa.Text, primary_key=True),
        sa.Column("webhook_id", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("due_at", sa.BigInteger),
        sa.Column("last_error", sa.Text, nullable=False),
        sa.ForeignKeyConstraint(
            ["org_id", "webhook_id"], ["webhooks.org_id", "webhooks.webhook_id"], ondelete="CASCADE"
        ),
        sa.Index("ix_webhook_deliveries_due", "org_id", "webhook_id", "due_at"),
        sa.Index("ix_webhook_deliveries_newest", "org_id", "created_at", "delivery_id"),
    )
