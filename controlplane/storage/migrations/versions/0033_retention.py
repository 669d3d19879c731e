"""What deleting old rows needs: how far it has come, indexes by age, and an audit that may be shortened."""

import sqlalchemy as sa
from alembic import op

revision = "0033"
down_revision = "0032"
branch_labels = None
depends_on = None

#: Seconds; the least that `retention.rules` lets anybody keep the audit.
_YEAR_S = 365 * 86_400
_INDEXES = (
    ("ix_idempotent_requests_oldest", "idempotent_requests", ["org_id", "created_at"]),
    ("ix_provider_events_oldest", "provider_events", ["received_at"]),
    ("ix_quotes_oldest", "quotes", ["org_id", "expires_at"]),
    ("ix_api_tokens_ended", "api_tokens", ["org_id", "expires_at"]),
    ("ix_entitlements_oldest", "entitlements", ["org_id", "issued_at"]),
    ("ix_diagnostics_bundles_oldest", "diagnostics_bundles", ["org_id", "expires_at"]),
)


def upgrade() -> None:
    op.create_table(
        "retention_standings",
        sa.Column("rule", sa.Text, primary_key=True),
        sa.Column("deleted", sa.BigInteger, nullable=False),
        sa.Column("oldest_at", sa.BigInteger),
        sa.Column("done_to", sa.Text, nullable=False),
        sa.Column("passed_at", sa.BigInteger),
    )
    op.create_table(
        "dead_reports",
        sa.Column("org_id", sa.Text, primary_key=True),
        sa.Column("report_id", sa.Text, primary_key=True),
        sa.Column("device_id", sa.Text, nullable=False),
        sa.Column("failed_at", sa.BigInteger, nullable=False),
        sa.Column("code", sa.Text, nullable=False),
        sa.Column("sentence", sa.Text, nullable=False),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
    )
    op.create_index("ix_dead_reports_oldest", "dead_reports", ["org_id", "failed_at"])
    for name, table, columns in _INDEXES:
        op.create_index(name, table, columns)
    with_text = sa.text("mail_text <> ''")
    op.create_index(
        "ix_notices_bodies", "notices", ["org_id", "queued_at"], sqlite_where=with_text, postgresql_where=with_text
    )
    _audit_may_be_shortened()


def _audit_may_be_shortened() -> None:
    """Rows are never changed, and deleted only when they are older than a year by the database's own clock."""
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            "CREATE OR REPLACE FUNCTION audit_refuse_change() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN "
            f"IF TG_OP = 'DELETE' AND OLD.at < (extract(epoch FROM now()) - {_YEAR_S})::bigint * 1000000 "
            "THEN RETURN OLD; END IF; "
            "RAISE EXCEPTION 'the audit only ever grows'; END $$"
        )
        return
    op.execute("DROP TRIGGER audit_no_delete")
    op.execute(
        "CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit "
        f"WHEN OLD.at >= (CAST(strftime('%s', 'now') AS INTEGER) - {_YEAR_S}) * 1000000 "
        "BEGIN SELECT RAISE(ABORT, 'the audit only ever grows'); END"
    )
