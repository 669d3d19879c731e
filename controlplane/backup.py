"""Makes a back-up of an installation while it serves, and an installation of a back-up.

A back-up is a folder for its owner only: the database as it was at one instant, the keys, the settings, and a manifest
that comes last and names each file with its hash. Whoever has it has the keys: keep it as you keep those.
"""

import asyncio
import hashlib
import json
import os
import re
import shutil
import sqlite3
import tomllib
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from sqlalchemy import URL
from sqlalchemy.engine import make_url

from controlplane.config import DATABASE_URL_VARIABLE, DataDir, ServerConfig, check_database_url
from controlplane.installation import claim_data_dir
from controlplane.runtime.clock import SystemClock
from controlplane.runtime.private_files import (
    make_durable,
    make_private_folder,
    read_private,
    write_private,
    write_public,
)
from controlplane.runtime.refusal import Kind, Refusal
from controlplane.storage.database import Database
from controlplane.storage.schema import current_revision, newest_revision

MANIFEST: Final = "manifest.json"
_FORMAT: Final = 1
_SQLITE, _DUMP = "database.db", "database.dump"
_SETTINGS, _AUTHORITIES, _KEYS = "server.toml", "ca.pem", "keys"
#: What a manifest may name: nothing outside the folder.
_NAME: Final = re.compile(rf"(?:{_KEYS}/)?[A-Za-z0-9_-][A-Za-z0-9_.-]*")
#: Read at once when files are hashed.
_CHUNK: Final = 1 << 20
_PRIVATE_UMASK: Final = 0o077


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a back-up is.

    Attributes:
        made_at: When the database was read.
        schema: Revision of the database.
        files: SHA-256 of each, by its name within the folder.
    """

    made_at: datetime
    schema: str
    files: Mapping[str, str]

    @property
    def on_postgresql(self) -> bool:
        """Whether the database is a dump of PostgreSQL."""
        return _DUMP in self.files


# ---------------------------------------------------------------- making one


async def back_up(config: ServerConfig, folder: Path) -> Manifest:
    """Back an installation up; it may serve meanwhile.

    Args:
        config: Which.
        folder: Where; not there yet, or empty.

    Raises:
        Refusal: BACKUP_EXISTS, BACKUP_EMPTY, BACKUP_TOOL_MISSING, BACKUP_FAILED, NOT_INITIALISED, or what is wrong with
            a key file.
    """
    _refuse_full(folder)
    schema = await _schema_of(config.database_url)
    if schema is None:
        raise Refusal(
            Kind.ENVIRONMENT,
            "BACKUP_EMPTY",
            "there is nothing of a control plane in the database; nothing was backed up",
            f"If the service is told by {DATABASE_URL_VARIABLE} where its database is, tell this command too",
        )
    make_private_folder(folder)
    made_at = SystemClock().now()
    # First: keys that were rotated after it fit it too, but not the other way round.
    name = await _copy_database(config.database_url, folder)
    files = {name: await asyncio.to_thread(_sha256, folder / name)}
    for name, content in _small_files(config.data_dir).items():
        make_private_folder((folder / name).parent)
        write_private(folder / name, content)
        files[name] = hashlib.sha256(content).hexdigest()
    manifest = Manifest(made_at, schema, files)
    write_private(folder / MANIFEST, _encoded(manifest))
    return manifest


async def _schema_of(url: str) -> str | None:
    """Revision of a database; None: there is nothing of ours in it, or no such file, which asking would make."""
    path = _sqlite_file(url)
    if path is not None and not path.is_file():
        return None
    database = Database(url)
    try:
        return await current_revision(database)
    finally:
        await database.close()


def _sqlite_file(url: str) -> Path | None:
    return Path(make_url(url).database or "") if url.startswith("sqlite") else None


def _refuse_full(folder: Path) -> None:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise Refusal(
            Kind.PRECONDITION,
            "BACKUP_EXISTS",
            f"{folder} is not an empty folder; nothing was changed",
            "Name a folder that is not there yet, for example one with the date in its name",
        )


async def _copy_database(url: str, folder: Path) -> str:
    file = _sqlite_file(url)
    if file is not None:
        await asyncio.to_thread(_copy_sqlite, file, folder / _SQLITE)
        return _SQLITE
    target = folder / _DUMP
    target.touch(mode=0o600)
    # Through the root of each partitioned table: which rows are in which partition may differ on another machine.
    await _run(
        "pg_dump",
        ("--format=custom", "--no-owner", "--no-privileges", "--load-via-partition-root", f"--file={target}"),
        make_url(url),
    )
    return _DUMP


def _copy_sqlite(source: Path, target: Path) -> None:
    target.touch(mode=0o600)
    with closing(sqlite3.connect(source)) as live, closing(sqlite3.connect(target)) as copy:
        # In one step: it is one reader of the write-ahead log, whom writers do not wait for; in several, it would begin
        # anew with every change that comes between.
        live.backup(copy)
        # One file, without a log beside it.
        copy.execute("PRAGMA journal_mode=DELETE")


def _small_files(data_dir: DataDir) -> Mapping[str, bytes]:
    keys = sorted(path for path in data_dir.keys.iterdir() if path.is_file() and _NAME.fullmatch(path.name))
    return {
        **{f"{_KEYS}/{path.name}": read_private(path) for path in keys},
        _AUTHORITIES: data_dir.authorities.read_bytes(),
        _SETTINGS: data_dir.settings.read_bytes(),
    }


# ---------------------------------------------------------------- making an installation of one


async def restore(folder: Path, data_dir: DataDir, database_url: str | None = None) -> Manifest:
    """Make an installation of a back-up.

    Args:
        folder: The back-up.
        data_dir: Where there is no installation yet.
        database_url: Of an empty PostgreSQL; None: what the environment or the settings in the back-up say.

    Raises:
        Refusal: BACKUP_INCOMPLETE, BACKUP_DAMAGED, SCHEMA_NEWER, ALREADY_INITIALISED, DATA_DIR_UNWRITABLE,
            DATABASE_IN_USE, DATABASE_URL_INVALID, BACKUP_OTHER_DATABASE, BACKUP_TOOL_MISSING or BACKUP_FAILED.
    """
    manifest = await asyncio.to_thread(_checked, folder)
    settings = (folder / _SETTINGS).read_text(encoding="utf-8")
    if (database_url or os.environ.get(DATABASE_URL_VARIABLE)) and not manifest.on_postgresql:
        raise Refusal(
            Kind.INVALID,
            "BACKUP_OTHER_DATABASE",
            "the back-up is of an embedded SQLite, which is restored into its folder only; nothing was restored",
            f"Leave --database-url and {DATABASE_URL_VARIABLE} out",
        )
    url = _target_url(settings, database_url) if manifest.on_postgresql else None
    if url is not None:
        await _refuse_used(url)
    claim_data_dir(data_dir)
    if url is None:
        data_dir.database.touch(mode=0o600)
        await asyncio.to_thread(_bring_sqlite, folder / _SQLITE, data_dir.database)
    else:
        options = ("--no-owner", "--no-privileges", "--exit-on-error", "--single-transaction", str(folder / _DUMP))
        await _run("pg_restore", options, make_url(url))
    make_private_folder(data_dir.keys)
    for name in manifest.files:
        if name.startswith(f"{_KEYS}/"):
            write_private(data_dir.path / name, (folder / name).read_bytes())
    write_public(data_dir.authorities, (folder / _AUTHORITIES).read_bytes())
    # Last: it makes the folder an installation.
    write_private(data_dir.settings, (with_url(settings, database_url) if database_url else settings).encode())
    data_dir.unfinished.unlink()
    return manifest


def _bring_sqlite(source: Path, target: Path) -> None:
    shutil.copyfile(source, target)
    make_durable(target)
    make_durable(target.parent)


def with_url(settings: str, url: str) -> str:
    """The settings with another database; everything else, also what people remarked there, stays."""
    lines, inside = [], False
    if not re.search(r"(?m)^\s*\[database\]", settings):
        settings += "\n[database]\n"
    for line in settings.splitlines():
        if line.strip().startswith("["):
            inside = line.strip().startswith("[database]")
        if not (inside and re.match(r"\s*url\s*=", line)):
            lines.append(line)
        if line.strip().startswith("[database]"):
            # A string of JSON is one of TOML too.
            lines.append(f"url = {json.dumps(url)}")
    return "\n".join(lines) + "\n"


def _target_url(settings: str, database_url: str | None) -> str:
    written = tomllib.loads(settings).get("database", {}).get("url")
    url = database_url or os.environ.get(DATABASE_URL_VARIABLE) or written
    if not isinstance(url, str) or not check_database_url(url).startswith("postgresql"):
        raise Refusal(
            Kind.INVALID,
            "OPTION_MISSING",
            "the back-up is of a PostgreSQL, and nobody says where the new one is",
            "Give --database-url with an empty database",
        )
    return url


async def _refuse_used(url: str) -> None:
    if await _schema_of(url) is None:
        return
    raise Refusal(
        Kind.ENVIRONMENT,
        "DATABASE_IN_USE",
        "there is a control plane in this database already; nothing was changed",
        "Give an empty database, or drop this one yourself if it is the one that is lost",
    )


def _checked(folder: Path) -> Manifest:
    """The manifest, if every file is as it says and this program can use it."""
    try:
        manifest = _decoded((folder / MANIFEST).read_bytes())
    except (FileNotFoundError, NotADirectoryError) as error:
        raise Refusal(
            Kind.ENVIRONMENT,
            "BACKUP_INCOMPLETE",
            f"there is no {MANIFEST} in {folder}: it is no back-up, or one that was interrupted",
            "Name the folder that `buckler-server backup` made",
        ) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _damaged(folder / MANIFEST) from error
    for name, sha256 in manifest.files.items():
        if not _NAME.fullmatch(name) or not (folder / name).is_file() or _sha256(folder / name) != sha256:
            raise _damaged(folder / name)
    if manifest.schema > newest_revision():
        raise Refusal(
            Kind.ENVIRONMENT,
            "SCHEMA_NEWER",
            f"the back-up has schema {manifest.schema}, this program knows {newest_revision()}",
            "Install the version that made it, or a newer one",
        )
    return manifest


def _damaged(file: Path) -> Refusal:
    return Refusal(
        Kind.ENVIRONMENT,
        "BACKUP_DAMAGED",
        f"{file} is not as it was when the back-up was made; nothing was restored",
        "Use another copy of this back-up, or an older one",
        facts={"file": str(file)},
    )


# ---------------------------------------------------------------- files and programs


def _encoded(manifest: Manifest) -> bytes:
    values = {
        "format": _FORMAT,
        "made_at": manifest.made_at.isoformat(),
        "schema": manifest.schema,
        "files": dict(manifest.files),
    }
    return json.dumps(values, indent=2).encode() + b"\n"


def _decoded(content: bytes) -> Manifest:
    values = json.loads(content)
    files = {str(name): str(sha256) for name, sha256 in values["files"].items()}
    needed = {_SETTINGS, _AUTHORITIES}
    if values["format"] != _FORMAT or not needed <= set(files) or not {_SQLITE, _DUMP} & set(files):
        raise ValueError
    return Manifest(datetime.fromisoformat(values["made_at"]), str(values["schema"]), files)


def _sha256(file: Path) -> str:
    digest = hashlib.sha256()
    with file.open("rb") as opened:
        while chunk := opened.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


async def _run(program: str, options: tuple[str, ...], url: URL) -> None:
    """Run a program of PostgreSQL; the password goes through its environment, where other users do not see it."""
    path = shutil.which(program)
    if path is None:
        raise Refusal(
            Kind.ENVIRONMENT,
            "BACKUP_TOOL_MISSING",
            f"{program} is not on this machine",
            "Install PostgreSQL's client programs, of the server's version or newer (Debian: postgresql-client)",
        )
    process = await asyncio.create_subprocess_exec(
        path,
        *options,
        *(("--dbname", url.database or "") if program == "pg_restore" else ()),
        env={**os.environ, **_environment(url)},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        umask=_PRIVATE_UMASK,
    )
    _, said = await process.communicate()
    if process.returncode:
        lines = said.decode(errors="replace").strip().splitlines()
        raise Refusal(
            Kind.ENVIRONMENT,
            "BACKUP_FAILED",
            f"{program} failed: {lines[-1] if lines else f'exit status {process.returncode}'}",
            "It must be of the server's version or newer; look at the server's log",
        )


def _environment(url: URL) -> Mapping[str, str]:
    host = url.query.get("host", url.host)
    values = {
        "PGHOST": host if isinstance(host, str) else None,
        "PGPORT": None if url.port is None else str(url.port),
        "PGUSER": url.username,
        "PGPASSWORD": url.password,
        "PGDATABASE": url.database,
    }
    return {name: str(value) for name, value in values.items() if value}
