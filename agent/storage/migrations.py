"""The schema, as numbered steps that only go forward.

A step, once released, is never edited: a change of the schema is a new step at the end. Each runs in one
transaction that also sets `PRAGMA user_version`, so a database is always exactly at one step, whatever crashed.

How values are kept, in every table:

* paths and other names of the operating system as BLOB (`os.fsencode`): a name is bytes, not text;
* instants as ISO 8601 text in UTC, which sorts like time;
* device, inode and nanoseconds as decimal TEXT: they are unsigned 64 bits or more, SQLite's integers are signed 64,
  and an attacker may set a modification time in the year 2400;
* lists as JSON text, which escapes lone surrogates and gives them back.
"""

import sqlite3
from collections.abc import Sequence

_INITIAL = (
    """
    CREATE TABLE quarantine (
        number             INTEGER PRIMARY KEY AUTOINCREMENT,
        id                 TEXT NOT NULL UNIQUE,
        incident_uuid      TEXT NOT NULL,
        state              TEXT NOT NULL CHECK (state IN
            ('planned', 'captured', 'stored', 'done', 'restored', 'deleted', 'failed')),
        original_path      BLOB NOT NULL,
        device             TEXT NOT NULL,
        inode              TEXT NOT NULL,
        size_bytes         INTEGER NOT NULL CHECK (size_bytes >= 0),
        mtime_ns           TEXT NOT NULL,
        ctime_ns           TEXT NOT NULL,
        sha256             TEXT NOT NULL,
        mode               INTEGER NOT NULL,
        owner_uid          INTEGER NOT NULL,
        owner_gid          INTEGER NOT NULL,
        accessed_ns        TEXT NOT NULL,
        modified_ns        TEXT NOT NULL,
        xattrs             TEXT NOT NULL,
        inode_flags        INTEGER NOT NULL,
        links              INTEGER NOT NULL,
        findings           TEXT NOT NULL,
        planned_at         TEXT NOT NULL,
        detail             TEXT NOT NULL,
        origin             TEXT NOT NULL CHECK (origin IN ('real_time', 'scan', 'reconcile')),
        engine             TEXT NOT NULL,
        signatures_version TEXT NOT NULL,
        detected_at        TEXT,
        staged_path        BLOB NOT NULL,
        restore_path       BLOB NOT NULL
    ) STRICT
    """,
    "CREATE INDEX quarantine_by_state ON quarantine (state, number)",
    """
    CREATE TABLE outbox (
        number             INTEGER PRIMARY KEY AUTOINCREMENT,
        uuid               TEXT NOT NULL UNIQUE,
        priority           INTEGER NOT NULL CHECK (priority IN (0, 1)),
        set_aside_because  TEXT,
        detected_at        TEXT NOT NULL,
        path               BLOB NOT NULL,
        sha256             TEXT NOT NULL,
        size_bytes         INTEGER NOT NULL,
        findings           TEXT NOT NULL,
        action             TEXT NOT NULL CHECK (action IN
            ('reported', 'quarantined', 'quarantine_failed', 'blocked')),
        action_detail      TEXT NOT NULL,
        origin             TEXT NOT NULL CHECK (origin IN ('real_time', 'scan', 'reconcile')),
        engine             TEXT NOT NULL,
        signatures_version TEXT NOT NULL,
        quarantine_id      TEXT NOT NULL
    ) STRICT
    """,
    "CREATE INDEX outbox_in_order ON outbox (set_aside_because, priority, number)",
    "CREATE TABLE outbox_dropped (class TEXT PRIMARY KEY, rows INTEGER NOT NULL CHECK (rows > 0)) STRICT",
    """
    CREATE TABLE exclusion (
        number     INTEGER PRIMARY KEY AUTOINCREMENT,
        id         TEXT NOT NULL UNIQUE,
        kind       TEXT NOT NULL CHECK (kind IN ('path', 'sha256', 'file', 'rule')),
        value      BLOB NOT NULL,
        reason     TEXT NOT NULL,
        created_at TEXT NOT NULL,
        expires_at TEXT
    ) STRICT
    """,
    """
    CREATE TABLE enrolment (
        only_row            INTEGER PRIMARY KEY CHECK (only_row = 1),
        server              TEXT NOT NULL,
        device_server       TEXT NOT NULL,
        device_id           TEXT NOT NULL,
        org_id              TEXT NOT NULL,
        authorities_pem     BLOB NOT NULL,
        certificate_pem     BLOB NOT NULL,
        signed_claims       BLOB NOT NULL,
        signature           BLOB NOT NULL,
        kid                 TEXT NOT NULL,
        check_in_interval_s INTEGER NOT NULL,
        last_check_in       TEXT
    ) STRICT
    """,
    """
    CREATE TABLE pinned_key (
        kid        TEXT PRIMARY KEY,
        position   INTEGER NOT NULL,
        public_key BLOB NOT NULL,
        not_before TEXT NOT NULL,
        not_after  TEXT
    ) STRICT
    """,
    "CREATE TABLE setting (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT",
)

_QUARANTINE_HISTORY = (
    "ALTER TABLE quarantine ADD COLUMN deletion_announced_at TEXT",
    """
    CREATE TABLE quarantine_history (
        number   INTEGER PRIMARY KEY AUTOINCREMENT,
        entry_id TEXT NOT NULL REFERENCES quarantine (id),
        at       TEXT NOT NULL,
        event    TEXT NOT NULL CHECK (event IN
            ('taken', 'not_taken', 'restored', 'deletion_announced', 'deletion_withdrawn', 'deleted')),
        actor    TEXT NOT NULL,
        detail   TEXT NOT NULL
    ) STRICT
    """,
    "CREATE INDEX quarantine_history_of ON quarantine_history (entry_id, number)",
)

_ROOT_OF_TRUST = (
    "ALTER TABLE enrolment ADD COLUMN root_public_key BLOB NOT NULL DEFAULT x''",
    "ALTER TABLE enrolment ADD COLUMN key_set_version INTEGER NOT NULL DEFAULT 0",
    "CREATE TABLE revoked_key (kid TEXT PRIMARY KEY) STRICT",
)

_COMMANDS = (
    """
    CREATE TABLE command (
        number     INTEGER PRIMARY KEY AUTOINCREMENT,
        id         TEXT NOT NULL UNIQUE,
        kind       TEXT NOT NULL,
        arguments  TEXT NOT NULL,
        expires_at TEXT NOT NULL,
        requester  TEXT NOT NULL,
        reason     TEXT NOT NULL,
        stage      TEXT NOT NULL CHECK (stage IN ('received', 'in_progress', 'succeeded', 'failed', 'cancelled')),
        code       TEXT NOT NULL,
        message    TEXT NOT NULL,
        result     TEXT NOT NULL,
        told       INTEGER NOT NULL CHECK (told IN (0, 1))
    ) STRICT
    """,
    "CREATE INDEX command_untold ON command (number) WHERE told = 0",
    "CREATE INDEX command_by_stage ON command (stage, number)",
)

#: Step n takes a database from version n to n + 1.
MIGRATIONS: Sequence[Sequence[str]] = (_INITIAL, _QUARANTINE_HISTORY, _ROOT_OF_TRUST, _COMMANDS)


def schema_version(connection: sqlite3.Connection) -> int:
    """How many steps a database has taken; 0 for an empty one."""
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return version


def migrate(connection: sqlite3.Connection, migrations: Sequence[Sequence[str]] = MIGRATIONS) -> None:
    """Take the steps that are missing, each in a transaction of its own.

    Safe in two processes at once: the version is read again inside the transaction, which only one can hold.

    Args:
        connection: In autocommit mode (`isolation_level=None`).
        migrations: All steps from the beginning.

    Raises:
        sqlite3.Error: A step failed; the database is at the step before it.
    """
    while schema_version(connection) < len(migrations):
        connection.execute("BEGIN IMMEDIATE")
        try:
            version = schema_version(connection)
            if version < len(migrations):
                for statement in migrations[version]:
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {version + 1}")
            connection.execute("COMMIT")
        except sqlite3.Error:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
