"""Seats that are pinned, closed, transferred and reclaimed; keys that are re-issued; devices that come back."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0010"
branch_labels = None
depends_on = None

_CHANGES = "change IN ('claimed', 'released', 'transferred', 'reclaimed', 'surplus', 'rebound')"


def upgrade() -> None:
    _devices()
    _seats()
    _seat_allotments()
    _keys()
    _refused_attempts()
    if op.get_bind().dialect.name == "postgresql":
        op.drop_constraint("ck_seat_changes_change", "seat_changes")
        op.create_check_constraint("change", "seat_changes", _CHANGES)
        _guards_of_postgresql()
    else:
        _seat_changes_again()
        _guards_of_sqlite()
    op.create_index("ix_seat_changes_by_subscription", "seat_changes", ["org_id", "subscription_id", "happened_at"])


def _devices() -> None:
    op.add_column("devices", sa.Column("renamed_at", sa.BigInteger))
    op.create_table(
        "former_device_keys",
        sa.Column("org_id", sa.Text, primary_key=True),
        sa.Column("device_id", sa.Text, primary_key=True),
        sa.Column("public_key_sha256", sa.LargeBinary, primary_key=True),
        sa.Column("replaced_at", sa.BigInteger, primary_key=True),
        sa.ForeignKeyConstraint(["org_id", "device_id"], ["devices.org_id", "devices.device_id"]),
    )
    op.create_table(
        "fingerprint_salts",
        sa.Column("org_id", sa.Text, sa.ForeignKey("organisations.org_id"), primary_key=True),
        sa.Column("salt", sa.LargeBinary, nullable=False),
    )


def _seats() -> None:
    # In this form both databases take a constraint along, and SQLite keeps those that the table has.
    for column, name, check in (
        ("pinned_at", "pins_go_with_holder", "pinned_at IS NULL OR device_id IS NOT NULL"),
        ("closed_at", "closed_means_free", "closed_at IS NULL OR device_id IS NULL"),
    ):
        op.execute(f"ALTER TABLE seats ADD COLUMN {column} BIGINT CONSTRAINT ck_seats_{name} CHECK ({check})")
    free = sa.text("device_id IS NULL AND closed_at IS NULL")
    columns = ["org_id", "subscription_id", "slot_no"]
    op.create_index("ix_seats_free", "seats", columns, sqlite_where=free, postgresql_where=free)


def _seat_allotments() -> None:
    op.create_table(
        "seat_allotments",
        sa.Column("org_id", sa.Text, primary_key=True),
        sa.Column("subscription_id", sa.Text, primary_key=True),
        sa.Column("seats", sa.Integer, nullable=False),
        sa.Column("choose_until", sa.BigInteger),
        sa.CheckConstraint("seats >= 0", name="seats_not_negative"),
        sa.ForeignKeyConstraint(
            ["org_id", "subscription_id"], ["subscriptions.org_id", "subscriptions.subscription_id"]
        ),
    )
    op.execute(
        "INSERT INTO seat_allotments (org_id, subscription_id, seats) "
        "SELECT org_id, subscription_id, count(*) FROM seats GROUP BY org_id, subscription_id"
    )


def _keys() -> None:
    op.add_column("activation_keys", sa.Column("replaces_key_id", sa.Text))


def _refused_attempts() -> None:
    op.create_table(
        "refused_attempts",
        sa.Column("kind", sa.Text, primary_key=True),
        sa.Column("subject", sa.Text, primary_key=True),
        sa.Column("full_at", sa.BigInteger, nullable=False),
        sa.Index("ix_refused_attempts_by_full_at", "full_at"),
    )


def _seat_changes_again() -> None:
    """SQLite changes no constraint: the table is made anew around its rows."""
    op.rename_table("seat_changes", "seat_changes_before")
    for index in ("ix_seat_changes_by_seat", "ix_seat_changes_by_device"):
        op.drop_index(index, "seat_changes_before")
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
        sa.CheckConstraint(_CHANGES, name="change"),
        sa.Index("ix_seat_changes_by_seat", "org_id", "seat_id", "happened_at"),
        sa.Index("ix_seat_changes_by_device", "org_id", "device_id", "happened_at"),
    )
    op.execute("INSERT INTO seat_changes SELECT * FROM seat_changes_before")
    op.drop_table("seat_changes_before")


def _guards_of_sqlite() -> None:
    for change in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER seat_changes_no_{change.lower()} BEFORE {change} ON seat_changes "
            "BEGIN SELECT RAISE(ABORT, 'seat_changes only ever grows'); END"
        )
    op.execute(
        "CREATE TRIGGER activation_keys_stay_revoked BEFORE UPDATE ON activation_keys "
        "WHEN OLD.revoked_at IS NOT NULL AND NEW.revoked_at IS NOT OLD.revoked_at "
        "BEGIN SELECT RAISE(ABORT, 'a revoked key stays revoked'); END"
    )


def _guards_of_postgresql() -> None:
    op.execute(
        "CREATE FUNCTION licensing_refuse_change() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION '% keeps what is in it', TG_TABLE_NAME; END $$"
    )
    op.execute(
        "CREATE TRIGGER seat_changes_only_grow BEFORE UPDATE OR DELETE ON seat_changes "
        "FOR EACH ROW EXECUTE FUNCTION licensing_refuse_change()"
    )
    op.execute(
        "CREATE TRIGGER activation_keys_stay_revoked BEFORE UPDATE ON activation_keys FOR EACH ROW "
        "WHEN (OLD.revoked_at IS NOT NULL AND NEW.revoked_at IS DISTINCT FROM OLD.revoked_at) "
        "EXECUTE FUNCTION licensing_refuse_change()"
    )
