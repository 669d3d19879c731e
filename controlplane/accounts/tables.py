"""Organisations, people, their tokens, and the audit."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
    false,
)

from controlplane.storage.metadata import metadata
from controlplane.storage.types import Instant

organisations = Table(
    "organisations",
    metadata,
    Column("org_id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    # household or company.
    Column("kind", Text, nullable=False, server_default="household"),
    Column("created_at", Instant, nullable=False),
)

#: Who can sign in. A person exists apart from organisations: an e-mail address signs in before any is known.
people = Table(
    "people",
    metadata,
    Column("user_id", Text, primary_key=True),
    # Normalised by `accounts.model.normalise_email`.
    Column("email", Text, nullable=False, unique=True),
    Column("password_hash", Text, nullable=False),
    # Made up and handed over: somebody else has seen it.
    Column("password_is_initial", Boolean, nullable=False, server_default=false()),
    Column("created_at", Instant, nullable=False),
    Column("last_signed_in_at", Instant),
)

#: What signing in takes besides the password.
second_factors = Table(
    "second_factors",
    metadata,
    Column("user_id", Text, ForeignKey("people.user_id"), primary_key=True),
    Column("sealed_secret", LargeBinary, nullable=False),
    # NULL: shown, and no code of it came back yet; signing in does not ask for it.
    Column("confirmed_at", Instant),
    # Of the newest code that was used: neither it nor an older one counts again.
    Column("last_step", BigInteger),
)

#: For whoever lost the app; each signs in once.
recovery_codes = Table(
    "recovery_codes",
    metadata,
    Column("user_id", Text, ForeignKey("people.user_id"), primary_key=True),
    Column("code_sha256", LargeBinary, primary_key=True),
    Column("used_at", Instant),
)

#: What a person is to an organisation; today to exactly one, which the unique constraint says.
members = Table(
    "members",
    metadata,
    Column("org_id", Text, ForeignKey("organisations.org_id"), primary_key=True),
    Column("user_id", Text, ForeignKey("people.user_id"), primary_key=True),
    Column("role", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    UniqueConstraint("user_id"),
    CheckConstraint("role IN ('owner', 'admin', 'support', 'viewer')", name="role"),
)

#: Bearer tokens; only the hash of the secret part is stored.
api_tokens = Table(
    "api_tokens",
    metadata,
    Column("org_id", Text, primary_key=True),
    Column("token_id", Text, primary_key=True),
    Column("user_id", Text, nullable=False),
    Column("name", Text, nullable=False),
    # Separated by commas; NULL: a session, which may do everything its person may.
    Column("scopes", Text),
    Column("secret_sha256", LargeBinary, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("last_used_at", Instant),
    Column("revoked_at", Instant),
    ForeignKeyConstraint(["org_id", "user_id"], ["members.org_id", "members.user_id"]),
    Index("ix_api_tokens_org_id_user_id", "org_id", "user_id"),
    Index("ix_api_tokens_newest", "org_id", "created_at", "token_id"),
    Index("ix_api_tokens_ended", "org_id", "expires_at"),
)

#: One row per change, written in the change's own transaction; triggers (revision 0033) refuse to change any, and to
#: delete any that is younger than a year.
audit = Table(
    "audit",
    metadata,
    Column("org_id", Text, primary_key=True),
    Column("audit_id", Text, primary_key=True),
    Column("at", Instant, nullable=False),
    # user:…, device:…, operator, anonymous or system.
    Column("actor", Text, nullable=False),
    # What was done, e.g. subscription.renewed.
    Column("action", Text, nullable=False),
    # Id of what it was done to.
    Column("subject", Text, nullable=False),
    # JSON object of strings; never a secret.
    Column("details", Text, nullable=False),
    Column("request_id", Text, nullable=False),
    Index("ix_audit_newest", "org_id", "at", "audit_id"),
    Index("ix_audit_by_subject", "org_id", "subject", "at", "audit_id"),
)
