"""Jobs that give up visibly, and a clock for each sandbox instead of one for a whole demonstration."""

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("jobs", sa.Column("moved", sa.Boolean, nullable=False, server_default=sa.false()))
    op.add_column("jobs", sa.Column("parked_at", sa.BigInteger))
    op.add_column("jobs", sa.Column("last_error_sentence", sa.Text))
    op.create_table(
        "sandbox_clocks",
        sa.Column("org_id", sa.Text, primary_key=True),
        sa.Column("offset_us", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("moving_until", sa.BigInteger),
        sa.Column("moving_by", sa.Text),
        sa.CheckConstraint("offset_us >= 0", name="ck_sandbox_clocks_forward"),
    )
    # In a demonstration every organisation lived ahead, and the installation's own sweeps with them: those come back.
    op.execute(
        "INSERT INTO sandbox_clocks (org_id, offset_us) "
        "SELECT organisations.org_id, sandbox_clock.offset_us FROM organisations, sandbox_clock"
    )
    op.execute(
        "UPDATE jobs SET due_at = due_at - (SELECT offset_us FROM sandbox_clock), "
        "last_run_at = last_run_at - (SELECT offset_us FROM sandbox_clock) "
        "WHERE org_id = '' AND EXISTS (SELECT 1 FROM sandbox_clock)"
    )
    op.drop_table("sandbox_clock")
