"""What devices say of scans and policies, the threats that they found and left, and devices nobody waits for.

Every device that has reported is due at once: what its agent does not say yet is a part of its condition from now on.
Detections from before are no active threats: nobody has kept whether they were dealt with.
"""

import sqlalchemy as sa
from alembic import op

revision = "0035"
down_revision = "0034"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("device_statuses", sa.Column("scanned_at", sa.BigInteger))
    op.add_column("device_statuses", sa.Column("scan_limit_days", sa.Integer))
    op.add_column("device_statuses", sa.Column("policy_behind_since", sa.BigInteger))
    op.add_column("device_statuses", sa.Column("expired_at", sa.BigInteger))
    op.create_table(
        "fleet_settings",
        sa.Column("org_id", sa.Text, sa.ForeignKey("organisations.org_id"), primary_key=True),
        sa.Column("expire_after_days", sa.Integer, nullable=False),
    )
    op.create_table(
        "active_threats",
        sa.Column("org_id", sa.Text, primary_key=True),
        sa.Column("device_id", sa.Text, primary_key=True),
        sa.Column("place", sa.LargeBinary, primary_key=True),
        sa.Column("uuid", sa.LargeBinary, nullable=False),
        sa.Column("incident_id", sa.Text, nullable=False),
        sa.Column("found_at", sa.BigInteger, nullable=False),
        sa.Column("judged_at", sa.BigInteger),
        sa.ForeignKeyConstraint(["org_id", "device_id"], ["devices.org_id", "devices.device_id"]),
        sa.Index("ix_active_threats_by_incident", "org_id", "incident_id", "device_id"),
    )
    op.execute("UPDATE device_standings SET changes_at = 0 WHERE condition <> 'NEVER_SEEN'")
