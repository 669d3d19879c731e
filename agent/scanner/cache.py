"""Remembers which files were wholly clean, across restarts: `scan-cache.db` in the data folder.

One process uses the file at a time; another one that scans meanwhile goes without. Whatever is wrong with the file
costs time and nothing else: a damaged one is thrown away and made anew, an unusable one is done without.

Nothing is remembered on file systems whose change times prove nothing (`UNTRUSTED_FILE_SYSTEMS`).
"""

import hashlib
import os
import sqlite3
import stat
import struct
from collections.abc import Callable, Collection
from contextlib import suppress
from enum import Enum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.domain.facts import ScanFacts
from agent.domain.files import FileIdentity
from agent.platform.files.regular_files import identity_of
from agent.platform.mountinfo import Mount
from agent.scanner.cache_key import ScanIdentity, may_remember

if TYPE_CHECKING:
    from agent.domain.ports import Clock

_SHA256_BYTES = 32
#: A file in one version: device, inode, size, modification time and change time. Times beyond the year 2262 do not fit.
_IDENTITY = struct.Struct(">QQqqq")
#: It, and the SHA-256 of its content.
_ANSWER = struct.Struct(f"{_IDENTITY.size}s{_SHA256_BYTES}s")
#: Between the names of the files in a folder; no name has it.
_BETWEEN = "/"
_PLACE_BYTES = 16
#: An answer takes some 100 bytes of disk.
MAX_ANSWERS = 1_000_000
#: Of one folder, which is held in memory while it is walked: some 200 bytes each.
_MOST_IN_A_FOLDER = 250_000
#: FAT keeps no change time and invents inodes; what a server, a user's program or another system keeps is its own word.
UNTRUSTED_FILE_SYSTEMS = frozenset(
    {
        "9p", "afs", "ceph", "cifs", "exfat", "hfs", "hfsplus", "iso9660", "msdos", "nfs", "nfs4", "ntfs", "ntfs3",
        "smb3", "udf", "vfat",
    }
)  # fmt: skip
#: Answers are written in batches of this many, or more: some 20 ms each.
_BATCH = 5_000
#: A folder that is still met is marked as used when its mark is this many scans old; marking it each time would turn
#: every look-up into a write.
_MARK_EVERY = 16
#: Another scan holds the file for its whole duration; waiting for it is no use. Seconds.
_BUSY_TIMEOUT_S = 0.1
#: Look-ups follow the tree, not the disk: half a million answers fit, so that no page is read twice.
_PAGE_CACHE_KIB = 64 * 1024
#: After so many look-ups that succeed, and no less than one for each so many folders, all folders of a scan are read at
#: once, which takes a tenth of the time of looking them up: this is a tree that was scanned before.
_BEFORE_READING_ALL = 20
_FOLDERS_PER_SUCCESS = 40
#: Unless there is more.
_MOST_BYTES_READ_AT_ONCE = 32 << 20
_FOREIGN_WRITE = stat.S_IWGRP | stat.S_IWOTH
_SCHEMA = """
BEGIN EXCLUSIVE;
CREATE TABLE scan (id INTEGER PRIMARY KEY, identity TEXT NOT NULL UNIQUE);
CREATE TABLE folder (
  scan INTEGER NOT NULL, place BLOB NOT NULL, names BLOB NOT NULL, answers BLOB NOT NULL, generation INTEGER NOT NULL,
  PRIMARY KEY (scan, place)
) WITHOUT ROWID;
CREATE TABLE generation (newest INTEGER NOT NULL);
INSERT INTO generation VALUES (0);
PRAGMA application_id = 0x426B6C72;
PRAGMA user_version = 3;
COMMIT;
"""
#: What the schema above says of itself; the first number is "Bklr": a database of somebody else is not ours to fill.
_OURS = (0x426B6C72, 3)
_LOOK_UP = "SELECT names, answers, generation FROM folder WHERE scan = ? AND place = ?"
_AMOUNT = "SELECT count(*), coalesce(sum(length(names) + length(answers)), 0) FROM folder WHERE scan = ?"
_READ_ALL = "SELECT place, names, answers, generation FROM folder WHERE scan = ?"
_STORE = "INSERT OR REPLACE INTO folder VALUES (?, ?, ?, ?, ?)"
_DROP = "DELETE FROM folder WHERE scan = ? AND place = ?"
_MARK = "UPDATE folder SET generation = ? WHERE scan = ? AND place = ?"
_TRIM = """
DELETE FROM folder WHERE (scan, place) IN (
  SELECT scan, place FROM (
    SELECT scan, place, sum(length(answers)) OVER (ORDER BY generation DESC, scan, place) AS bytes FROM folder
  ) WHERE bytes > ?
)
"""

#: Names, answers, generation, unless the file is damaged; an answer is an identity and the SHA-256 of the content.
_Row = tuple[Any, Any, int]


class FlushReason(Enum):
    """Why remembered answers are given up. Everything else that changes (rules, engine, limits) is part of the key."""

    #: SQLite cannot make sense of the file; all of it goes.
    DAMAGED = "damaged"
    #: Written by another version of Buckler in another form; all of it goes.
    OTHER_FORMAT = "other_format"
    #: There are more than the bound; those that went unused for the most scans go.
    FULL = "full"


class KnownFolder:
    """What earlier scans found clean in one folder; asked for each of its files while they are listed.

    Args:
        names: Of the files.
        answers: For each of them, in the same order.
        untrusted: `st_dev` of file systems nothing is believed of.
        unmet: Told at the end which names no file had, or one in another version.
    """

    __slots__ = ("_answers", "_places", "_unmet", "_untrusted")

    def __init__(
        self, names: list[str], answers: bytes, untrusted: frozenset[int], unmet: Callable[[Collection[str]], None]
    ) -> None:
        self._places = dict(zip(names, range(0, len(answers), _ANSWER.size), strict=True))
        self._answers = answers
        self._untrusted = untrusted
        self._unmet = unmet

    def recall(self, name: str, status: os.stat_result) -> bytes | None:
        """The SHA-256 of a file, if a scan of it is known to find nothing; to be asked once for each.

        `status` may come from `lstat`: opening the file first would prove nothing more. The answer is about a version
        of an inode, and `fstat` of a fresh descriptor would give the same five numbers from the same inode. A file
        that changes between our look and an opening could as well change right after the opening. Whoever may no
        longer read the file learns no more than that it was clean when they could: a change of permissions
        changes the change time.
        """
        place = self._places.get(name)
        if place is None:
            return None
        try:
            identity = _IDENTITY.pack(
                status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
            )
        except struct.error:
            return None
        if not self._answers.startswith(identity, place) or status.st_dev in self._untrusted:
            return None
        del self._places[name]
        return self._answers[place + _IDENTITY.size : place + _ANSWER.size]

    def all_asked(self) -> None:
        """Every file of the folder has been asked for: what is left is of no use any more."""
        if self._places:
            self._unmet(self._places)


class ScanCache:
    """Wholly clean files of earlier scans. Made by `open_scan_cache`; used by one thread.

    Args:
        path: The file, for when it turns out to be damaged.
        connection: To it, exclusively ours, with the schema.
        scan: How files are scanned in this run.
        clock: Tells when a scan begins.
        max_answers: Bound.
        untrusted_devices: `st_dev` of file systems nothing is remembered on.
    """

    def __init__(
        self,
        path: Path,
        connection: sqlite3.Connection,
        scan: ScanIdentity,
        clock: "Clock",
        *,
        max_answers: int = MAX_ANSWERS,
        untrusted_devices: frozenset[int] = frozenset(),
    ) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = connection
        self._scan = scan
        self._engine = f"{scan.engine} {scan.engine_version}"
        self._clock = clock
        self._max_answers = max_answers
        self._untrusted = untrusted_devices
        #: By place: new answers by name, and names whose answers are of no use any more.
        self._pending: dict[bytes, dict[str, bytes]] = {}
        self._unmet: dict[bytes, set[str]] = {}
        self._pending_answers = 0
        self._batch = _BATCH
        self._stored = 0
        self._marks: list[tuple[int, int, bytes]] = []
        self._flushed: list[FlushReason] = []
        #: All folders of this scan, once they have been read.
        self._rows: dict[bytes, _Row] | None = None
        self._succeeded = 0
        self._look_at_amount_after = _BEFORE_READING_ALL
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("INSERT OR IGNORE INTO scan (identity) VALUES (?)", (scan.text,))
        connection.execute("UPDATE generation SET newest = newest + 1")
        row = connection.execute("SELECT id, newest FROM scan, generation WHERE identity = ?", (scan.text,)).fetchone()
        connection.execute("COMMIT")
        # One transaction around all look-ups until the next batch; nobody else waits for it.
        connection.execute("BEGIN")
        self._scan_id, self._generation = int(row[0]), int(row[1])

    @property
    def flushed(self) -> tuple[FlushReason, ...]:
        """Why answers have been given up since this was opened."""
        return tuple(self._flushed)

    def moment(self) -> int:
        """Wall time in nanoseconds since 1970, for `remember`."""
        return int(self._clock.now().timestamp() * 1_000_000_000)

    def folder(self, path: str) -> KnownFolder | None:
        """What is known of the files in a folder, which is named as the part of their paths before the last slash.

        None: nothing is.
        """
        if self._connection is None:
            return None
        place = _place(path)
        try:
            row = self._row(self._connection, place)
            if row is None:
                return None
            names = _names(row)
        except sqlite3.Error as error:
            self._give_up(error)
            return None
        if row[2] <= self._generation - _MARK_EVERY:
            self._marks.append((self._generation, self._scan_id, place))
        return KnownFolder(names, row[1], self._untrusted, partial(self._forget, place))

    def facts(self, size_bytes: int, digest: bytes) -> ScanFacts:
        """What a scan of a file would find whose digest is known."""
        return ScanFacts(digest.hex(), size_bytes, engine=self._engine, signatures_version=self._scan.pack)

    def _row(self, connection: sqlite3.Connection, place: bytes) -> _Row | None:
        if self._rows is not None:
            return self._rows.get(place)
        row: _Row | None = connection.execute(_LOOK_UP, (self._scan_id, place)).fetchone()
        if row is not None:
            self._succeeded += 1
            if self._succeeded == self._look_at_amount_after:
                self._read_all(connection)
        return row

    def _read_all(self, connection: sqlite3.Connection) -> None:
        folders, size = connection.execute(_AMOUNT, (self._scan_id,)).fetchone()
        if size > _MOST_BYTES_READ_AT_ONCE:
            return
        if folders > self._succeeded * _FOLDERS_PER_SUCCESS:
            self._look_at_amount_after = -(-folders // _FOLDERS_PER_SUCCESS)
            return
        self._rows = {row[0]: row[1:] for row in connection.execute(_READ_ALL, (self._scan_id,))}

    def remember(self, path: str, descriptor: int, before: FileIdentity, facts: ScanFacts, begun_at_ns: int) -> None:
        """Keep an answer if that is sound; see `agent.scanner.cache_key.may_remember`.

        Args:
            path: Where the file was found.
            descriptor: Still open; asked for the identity after the scan.
            before: Its identity before the scan.
            facts: The answer.
            begun_at_ns: `moment()` from after `before` was read and before the scan began.
        """
        if before.device in self._untrusted:
            return
        try:
            after = identity_of(os.fstat(descriptor))
        except OSError:
            return
        if not may_remember(before, after, facts, begun_at_ns):
            return
        # More than the bound in one scan would only push out what this very scan has stored.
        if self._stored + self._pending_answers >= self._max_answers:
            return
        try:
            identity = _IDENTITY.pack(before.device, before.inode, before.size_bytes, before.mtime_ns, before.ctime_ns)
        except struct.error:
            return
        folder, _, name = path.rpartition(_BETWEEN)
        self._pending.setdefault(_place(folder), {})[name] = identity + bytes.fromhex(facts.sha256)
        self._pending_answers += 1
        if self._pending_answers >= self._batch:
            self._flush()

    def close(self) -> None:
        """Write what is pending, drop what is too much, let go of the file. Safe to repeat."""
        self._flush()
        if self._connection is None:
            return
        try:
            if self._stored and self._connection.execute(_TRIM, (self._max_answers * _ANSWER.size,)).rowcount > 0:
                self._flushed.append(FlushReason.FULL)
                self._connection.execute("DELETE FROM scan WHERE id NOT IN (SELECT scan FROM folder)")
            self._connection.execute("COMMIT")
            self._connection.close()
            self._connection = None
        except sqlite3.Error as error:
            self._give_up(error)

    def _forget(self, place: bytes, names: Collection[str]) -> None:
        self._unmet.setdefault(place, set()).update(names)

    def _flush(self) -> None:
        pending, self._pending = self._pending, {}
        unmet, self._unmet = self._unmet, {}
        marks, self._marks = self._marks, []
        self._stored, self._pending_answers = self._stored + self._pending_answers, 0
        if self._connection is None or not (pending or unmet or marks):
            return
        try:
            self._connection.executemany(_MARK, marks)
            sizes = [
                self._merge(self._connection, place, unmet.get(place, set()), pending.get(place, {}))
                for place in {*pending, *unmet}
            ]
            self._connection.execute("COMMIT")
            self._connection.execute("BEGIN")
        except sqlite3.Error as error:
            self._give_up(error)
            return
        # A row is written as a whole, so those of very large folders are written less often.
        self._batch = max(_BATCH, max(sizes, default=0) // 4)

    def _merge(self, connection: sqlite3.Connection, place: bytes, unmet: set[str], new: dict[str, bytes]) -> int:
        """Write a folder's row anew; how many answers it has now."""
        row: _Row | None = connection.execute(_LOOK_UP, (self._scan_id, place)).fetchone()
        answers = {} if row is None else dict(zip(_names(row), _ANSWER.iter_unpack(row[1]), strict=True))
        kept = {name: b"".join(answer) for name, answer in answers.items() if name not in unmet} | new
        names = list(kept)[:_MOST_IN_A_FOLDER]
        if not names:
            connection.execute(_DROP, (self._scan_id, place))
            return 0
        joined = b"".join([kept[name] for name in names])
        connection.execute(_STORE, (self._scan_id, place, os.fsencode(_BETWEEN.join(names)), joined, self._generation))
        return len(names)

    def _give_up(self, error: sqlite3.Error) -> None:
        """Go on without: neither a full disk nor a damaged file may cost a scan."""
        _close(self._connection)
        self._connection = None
        self._pending.clear()
        self._unmet.clear()
        if _is_damage(error):
            self._flushed.append(FlushReason.DAMAGED)
            _discard(self._path)


def open_scan_cache(
    path: Path,
    scan: ScanIdentity,
    clock: "Clock",
    *,
    max_answers: int = MAX_ANSWERS,
    mounts: Callable[[], tuple[Mount, ...]] = tuple,
) -> ScanCache | None:
    """Open the cache, making it if it is not there or cannot be used as it is.

    Args:
        path: The file; its folder must be there.
        scan: How files will be scanned.
        clock: Tells when a scan begins.
        max_answers: Bound.
        mounts: What is mounted now.

    Returns:
        None: scan without: it is in use, the disk is full or read-only, or others than us may write into the folder
        or the file, who could then declare anything clean.
    """
    if not _is_ours_alone(path.parent) or (path.exists() and not _is_ours_alone(path)):
        return None
    flushed: list[FlushReason] = []
    devices = untrusted_devices(mounts())
    for _ in range(2):
        connection: sqlite3.Connection | None = None
        try:
            connection = _connect(path)
            if _is_current(connection):
                cache = ScanCache(path, connection, scan, clock, max_answers=max_answers, untrusted_devices=devices)
                cache._flushed.extend(flushed)  # noqa: SLF001 -- same file; what happened before it existed
                return cache
            flushed.append(FlushReason.OTHER_FORMAT)
        except OSError:
            return None
        except sqlite3.Error as error:
            if not _is_damage(error):
                _close(connection)
                return None
            flushed.append(FlushReason.DAMAGED)
        _close(connection)
        _discard(path)
    return None


def _place(folder: str) -> bytes:
    """Under which name a folder is kept."""
    return hashlib.blake2b(os.fsencode(folder), digest_size=_PLACE_BYTES).digest()


def _names(row: _Row) -> list[str]:
    """Of the files that a row is about.

    Raises:
        sqlite3.DatabaseError: It is none of ours.
    """
    names, answers, _ = row
    if not isinstance(names, bytes) or not isinstance(answers, bytes):
        raise sqlite3.DatabaseError("answers that are none")
    found = os.fsdecode(names).split(_BETWEEN)
    if len(answers) != len(found) * _ANSWER.size:
        raise sqlite3.DatabaseError("not as many answers as names")
    return found


def _connect(path: Path) -> sqlite3.Connection:
    # Made by us, so that it is nobody else's from its first moment.
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
    connection = sqlite3.connect(path, timeout=_BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)
    try:
        # Exclusive: no lock is taken per look-up, and no file is shared with other processes.
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.execute(f"PRAGMA cache_size = -{_PAGE_CACHE_KIB}")
        if not connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]:
            connection.executescript(_SCHEMA)
    except BaseException:
        connection.close()
        raise
    return connection


def _is_current(connection: sqlite3.Connection) -> bool:
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    return (application, version) == _OURS


def _is_damage(error: sqlite3.Error) -> bool:
    # Without a code: what was read is no row of ours.
    primary = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF
    # A table that is missing, or a number where bytes belong: the file is whole, and not ours any more.
    return primary in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR, sqlite3.SQLITE_MISMATCH}


def _discard(path: Path) -> None:
    for suffix in ("-wal", "-shm", "-journal", ""):
        with suppress(OSError):
            path.with_name(path.name + suffix).unlink(missing_ok=True)


def _close(connection: sqlite3.Connection | None) -> None:
    if connection is not None:
        with suppress(sqlite3.Error):
            connection.close()


def _is_ours_alone(path: Path) -> bool:
    try:
        status = path.lstat()
    except OSError:
        return False
    if stat.S_ISLNK(status.st_mode):
        return False
    return status.st_uid == os.geteuid() and not status.st_mode & _FOREIGN_WRITE


def untrusted_devices(mounted: tuple[Mount, ...]) -> frozenset[int]:
    """`st_dev` of those mounts whose change times prove nothing."""
    found = set()
    for mount in mounted:
        if mount.file_system in UNTRUSTED_FILE_SYSTEMS or mount.file_system.startswith("fuse"):
            major, _, minor = mount.device.partition(":")
            found.add(os.makedev(int(major), int(minor)))
    return frozenset(found)
