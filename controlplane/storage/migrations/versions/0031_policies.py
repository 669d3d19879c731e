"""Policies, their revisions, labels of devices, and what devices say of the policy they were given."""

import sqlalchemy as sa
from alembic import op

revision = "0031"
down_revision = "0030"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "policy_books",
        sa.Column("org_id", sa.Text, sa.ForeignKey("organisations.org_id"), primary_key=True),
        sa.Column("generation", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "policies",
        sa.Column("org_id", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("newest", sa.Integer, nullable=False),
        sa.Column("oldest", sa.Integer, nullable=False),
        sa.Column("removed_at", sa.BigInteger),
        sa.ForeignKeyConstraint(["org_id"], ["policy_books.org_id"]),
    )
    _revisions()
    _of_devices()


def _revisions() -> None:
    op.create_table(
        "policy_revisions",
        sa.Column("org_id", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("revision", sa.Integer, primary_key=True),
        sa.Column("document", sa.LargeBinary, nullable=False),
        sa.Column("sha256", sa.Text, nullable=False),
        sa.Column("selectors", sa.Text, nullable=False),
        sa.Column("priority", sa.Integer, nullable=False),
        sa.Column("author", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("made_at", sa.BigInteger, nullable=False),
        sa.Column("stages", sa.Text, nullable=False),
        sa.Column("progress_us", sa.BigInteger, nullable=False),
        sa.Column("running_since", sa.BigInteger),
        sa.Column("superseded_at", sa.BigInteger),
        sa.ForeignKeyConstraint(["org_id", "name"], ["policies.org_id", "policies.name"]),
    )


def _of_devices() -> None:
    op.create_table(
        "device_labels",
        sa.Column("org_id", sa.Text, primary_key=True),
        sa.Column("device_id", sa.Text, primary_key=True),
        sa.Column("label", sa.Text, primary_key=True),
        sa.ForeignKeyConstraint(["org_id", "device_id"], ["devices.org_id", "devices.device_id"]),
    )
    op.create_index("ix_device_labels_by_label", "device_labels", ["org_id", "label", "device_id"])
    op.create_table(
        "policy_reports",
        sa.Column("org_id", sa.Text, primary_key=True),
        sa.Column("device_id", sa.Text, primary_key=True),
        sa.Column("desired", sa.Text, nullable=False),
        sa.Column("applied", sa.Text, nullable=False),
        sa.Column("refusal", sa.Text, nullable=False),
        sa.Column("reported_at", sa.BigInteger, nullable=False),
        sa.ForeignKeyConstraint(["org_id", "device_id"], ["devices.org_id", "devices.device_id"]),
    )
