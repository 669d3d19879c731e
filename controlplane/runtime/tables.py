"""Tables of the machinery: remembered answers, counted attempts, durable jobs, the clocks of sandboxes."""

from sqlalchemy import BigInteger, Boolean, CheckConstraint, Column, Index, Integer, LargeBinary, Table, Text, false

from controlplane.storage.metadata import metadata
from controlplane.storage.types import Instant

#: The first answer to a request that its caller may repeat; see `runtime.idempotency`.
idempotent_requests = Table(
    "idempotent_requests",
    metadata,
    Column("org_id", Text, primary_key=True),
    Column("caller", Text, primary_key=True),
    Column("method", Text, primary_key=True),
    Column("idempotency_key", Text, primary_key=True),
    Column("request_sha256", LargeBinary, nullable=False),
    # NULL only inside the transaction that is making it.
    Column("response", LargeBinary),
    Column("created_at", Instant, nullable=False),
    Index("ix_idempotent_requests_oldest", "org_id", "created_at"),
)

#: Attempts that may not come too often; see `runtime.attempts`.
refused_attempts = Table(
    "refused_attempts",
    metadata,
    Column("kind", Text, primary_key=True),
    Column("subject", Text, primary_key=True),
    # When the bucket is full again; in the past: it is.
    Column("full_at", Instant, nullable=False),
    Index("ix_refused_attempts_by_full_at", "full_at"),
)

#: Work that must happen at its own instant, once; see `runtime.jobs`. Jobs of no tenant have an empty org_id.
jobs = Table(
    "jobs",
    metadata,
    Column("org_id", Text, primary_key=True),
    Column("kind", Text, primary_key=True),
    # What it is about: a job exists once per (tenant, kind, subject).
    Column("subject", Text, primary_key=True),
    Column("due_at", Instant, nullable=False),
    # NULL: runs once and is gone.
    Column("every_us", BigInteger),
    Column("attempts", Integer, nullable=False, server_default="0"),
    # Wall time until which somebody is working on it, or until which it rests after a failure.
    Column("claimed_until", Instant),
    # Names one claim of one process; NULL while it rests.
    Column("claimed_by", Text),
    # Scheduled anew while somebody was working on it.
    Column("moved", Boolean, nullable=False, server_default=false()),
    # Failed too often: since then it waits for a person.
    Column("parked_at", Instant),
    # A stable code and a sentence; see `runtime.jobs.Failure`.
    Column("last_error", Text),
    Column("last_error_sentence", Text),
    Column("last_run_at", Instant),
    Index("ix_jobs_due_at", "due_at"),
)

#: Which organisations are sandboxes, from their first day on or never, and how far each one's time runs ahead.
sandbox_clocks = Table(
    "sandbox_clocks",
    metadata,
    Column("org_id", Text, primary_key=True),
    Column("offset_us", BigInteger, nullable=False, server_default="0"),
    # Wall time until which somebody takes it through its jobs; nobody else runs them meanwhile.
    Column("moving_until", Instant),
    Column("moving_by", Text),
    CheckConstraint("offset_us >= 0", name="forward"),
)
