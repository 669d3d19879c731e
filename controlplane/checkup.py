"""The operator's doctor: looks at one installation, one finding per question; reads, changes nothing."""

import stat
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from pathlib import Path

from sqlalchemy import func, select
from sqlalchemy.exc import DBAPIError

from controlplane import app
from controlplane.billing.invoices.account import changed_documents
from controlplane.config import DataDir, ServerConfig
from controlplane.runtime.clock import Clock, SystemClock
from controlplane.runtime.counting import counted
from controlplane.runtime.jobs.board import parked_jobs
from controlplane.runtime.refusal import Refusal
from controlplane.runtime.tables import jobs
from controlplane.serving import check_schema
from controlplane.storage.database import Database
from controlplane.storage.outages import DatabaseUnavailableError

#: A running server renews its certificate 60 days before its end; later than this, none has run for weeks.
SERVER_CERTIFICATE_WARNING = timedelta(days=30)
#: New issuers need the root from its safe place, and a new root has to reach every device in time.
AUTHORITY_WARNING = timedelta(days=400)
#: A running server keeps jobs to the second; after this nobody runs them.
JOBS_LATE_AFTER = timedelta(minutes=10)
#: Steps that time services make.
CLOCK_TOLERANCE = timedelta(minutes=5)
_OTHERS = 0o077


class Verdict(Enum):
    """How a check ended."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Finding:
    """The answer to one question.

    Attributes:
        check: What was looked at.
        verdict: How it is.
        code: Stable code; empty when all is well.
        detail: One sentence.
        next_step: What to do; empty when all is well.
    """

    check: str
    verdict: Verdict
    code: str
    detail: str
    next_step: str = ""


async def check_up(config: ServerConfig, wall: Clock | None = None) -> tuple[Finding, ...]:
    """Look at everything, whatever is found on the way."""
    wall = wall or SystemClock()
    findings = [_key_files(config.data_dir), *_certificates(config.data_dir, wall.now())]
    database = Database(config.database_url)
    try:
        reached = await _look("database", _schema, database, wall)
        findings.append(reached)
        if reached.verdict is Verdict.OK:
            findings.append(await _look("clock", _clock, database, wall))
            findings.append(await _look("jobs", _jobs, database, wall))
            findings.append(await _look("documents", _documents, database, wall))
    finally:
        await database.close()
    return tuple(findings)


def _key_files(data_dir: DataDir) -> Finding:
    exposed = [path for path in (data_dir.keys, data_dir.database, *_files(data_dir.keys)) if _is_exposed(path)]
    if exposed:
        return Finding(
            "key_files",
            Verdict.FAILED,
            "KEY_FILE_EXPOSED",
            f"others than the owner may read {', '.join(str(path) for path in exposed)}",
            "Run: chmod -R go-rwx on them; if they may have been read, replace the keys",
        )
    return Finding("key_files", Verdict.OK, "", f"only their owner may read {data_dir.keys}")


def _certificates(data_dir: DataDir, now: datetime) -> tuple[Finding, ...]:
    try:
        ends = app.load_keys(data_dir.keys).authority.ends()
    except Refusal as refusal:
        return (Finding("keys", Verdict.FAILED, refusal.reason, refusal.message, refusal.next_step),)
    return (
        _certificate(
            "server_certificate",
            ends.server,
            now,
            SERVER_CERTIFICATE_WARNING,
            "Start buckler-server: it renews the certificate by itself",
        ),
        _certificate(
            "authority_certificate",
            ends.authority,
            now,
            AUTHORITY_WARNING,
            "Certify new issuers: buckler-server keys rotate-device-ca; see the key ceremonies in docs/operations.md",
        ),
    )


def _certificate(check: str, ends: datetime, now: datetime, warning: timedelta, next_step: str) -> Finding:
    left = ends - now
    said = f"ends on {ends.date().isoformat()}, in {counted(left.days, 'day')}"
    if left <= timedelta(0):
        return Finding(check, Verdict.FAILED, "CERTIFICATE_ENDED", f"ended on {ends.date().isoformat()}", next_step)
    if left <= warning:
        return Finding(check, Verdict.WARNING, "CERTIFICATE_ENDS_SOON", said, next_step)
    return Finding(check, Verdict.OK, "", said)


async def _look(
    check: str, question: Callable[[Database, Clock], Awaitable[Finding]], database: Database, wall: Clock
) -> Finding:
    try:
        return await question(database, wall)
    except Refusal as refusal:
        return Finding(check, Verdict.FAILED, refusal.reason, refusal.message, refusal.next_step)
    except (DBAPIError, DatabaseUnavailableError, OSError) as error:
        return Finding(
            check,
            Verdict.FAILED,
            "DATABASE_UNAVAILABLE",
            f"the database did not answer ({type(error).__name__})",
            "Check that it runs and accepts this user; the embedded one: that its folder is there and has room",
        )


async def _schema(database: Database, _wall: Clock) -> Finding:
    await check_schema(database)
    return Finding(
        "database", Verdict.OK, "", f"answers ({database.engine.dialect.name}) and has the schema of this program"
    )


async def _clock(database: Database, wall: Clock) -> Finding:
    async with database.reading() as connection:
        newest = await connection.scalar(select(func.max(jobs.c.last_run_at)))
    now = wall.now()
    if newest is not None and now < newest - CLOCK_TOLERANCE:
        return Finding(
            "clock",
            Verdict.FAILED,
            "CLOCK_BEHIND",
            f"this machine says {now.isoformat(timespec='seconds')}, but work was done at {newest.isoformat()}",
            "Set the clock of this machine; a time service keeps it right",
        )
    return Finding("clock", Verdict.OK, "", now.isoformat(timespec="seconds"))


async def _jobs(database: Database, wall: Clock) -> Finding:
    async with database.reading() as connection:
        parked = await parked_jobs(connection)
        lively = select(func.min(jobs.c.due_at), func.max(jobs.c.attempts)).where(jobs.c.parked_at.is_(None))
        oldest, failing = (await connection.execute(lively)).one()
    if parked:
        return Finding(
            "jobs",
            Verdict.FAILED,
            "JOBS_PARKED",
            "given up after too many failures: "
            + ", ".join(f"{how_many} × {kind} ({error})" for kind, error, how_many in parked),
            "Look: buckler-server jobs list --state parked; mend the cause, then: buckler-server jobs retry --all",
        )
    if failing:
        return Finding(
            "jobs",
            Verdict.WARNING,
            "JOBS_FAILING",
            f"a job failed {failing} times in a row",
            "Look: buckler-server jobs list --state resting, and for job_failed in the server's log",
        )
    if oldest is not None and wall.now() > oldest + JOBS_LATE_AFTER:
        return Finding(
            "jobs",
            Verdict.WARNING,
            "JOBS_LATE",
            f"work has been waiting since {oldest.isoformat(timespec='seconds')}",
            "Start buckler-server serve, or run: buckler-server jobs run",
        )
    return Finding("jobs", Verdict.OK, "", "nothing is waiting")


async def _documents(database: Database, _wall: Clock) -> Finding:
    async with database.reading() as connection:
        changed = await changed_documents(connection)
    if changed:
        return Finding(
            "documents",
            Verdict.FAILED,
            "DOCUMENT_CHANGED",
            f"invoices or credit notes were changed after they went out: {', '.join(changed)}",
            "Compare with a back-up: somebody has written to the database by hand",
        )
    return Finding("documents", Verdict.OK, "", "every invoice and credit note is as it went out")


def _files(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def _is_exposed(path: Path) -> bool:
    try:
        return bool(stat.S_IMODE(path.stat().st_mode) & _OTHERS)
    except OSError:
        # Missing or unreadable: the checks that need it say so.
        return False
