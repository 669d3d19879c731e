"""Second factors, tokens with scopes, kinds of organisations; an audit that only grows.

Wrong passwords are counted in `refused_attempts` from here on.
"""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    kind = sa.Column("kind", sa.Text, nullable=False, server_default="household")
    op.add_column("organisations", kind)
    op.drop_column("people", "failed_sign_ins")
    op.drop_column("people", "locked_until")
    op.add_column("people", sa.Column("password_is_initial", sa.Boolean, nullable=False, server_default=sa.false()))
    op.add_column("people", sa.Column("last_signed_in_at", sa.BigInteger))
    op.add_column("api_tokens", sa.Column("scopes", sa.Text))
    op.add_column("api_tokens", sa.Column("last_used_at", sa.BigInteger))
    op.create_index("ix_api_tokens_newest", "api_tokens", ["org_id", "created_at", "token_id"])
    op.create_table(
        "second_factors",
        sa.Column("user_id", sa.Text, sa.ForeignKey("people.user_id"), primary_key=True),
        sa.Column("sealed_secret", sa.LargeBinary, nullable=False),
        sa.Column("confirmed_at", sa.BigInteger),
        sa.Column("last_step", sa.BigInteger),
    )
    op.create_table(
        "recovery_codes",
        sa.Column("user_id", sa.Text, sa.ForeignKey("people.user_id"), primary_key=True),
        sa.Column("code_sha256", sa.LargeBinary, primary_key=True),
        sa.Column("used_at", sa.BigInteger),
    )
    op.drop_index("ix_audit_org_id_at", "audit")
    op.create_index("ix_audit_newest", "audit", ["org_id", "at", "audit_id"])
    op.create_index("ix_audit_by_subject", "audit", ["org_id", "subject", "at", "audit_id"])
    _audit_only_grows()


def _audit_only_grows() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            "CREATE FUNCTION audit_refuse_change() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE EXCEPTION 'the audit only ever grows'; END $$"
        )
        op.execute(
            "CREATE TRIGGER audit_only_grows BEFORE UPDATE OR DELETE ON audit "
            "FOR EACH ROW EXECUTE FUNCTION audit_refuse_change()"
        )
        return
    for change in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER audit_no_{change.lower()} BEFORE {change} ON audit "
            "BEGIN SELECT RAISE(ABORT, 'the audit only ever grows'); END"
        )
