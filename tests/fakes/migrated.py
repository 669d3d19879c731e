"""Databases as a server finds them: migrated once a process and copied, since all the revisions take half a second."""

import tempfile
from pathlib import Path

from controlplane.storage.database import Database
from controlplane.storage.schema import upgrade

_made: list[bytes] = []


async def migrated_sqlite(file: Path) -> str:
    """Make a migrated database without a row.

    Returns:
        Its URL.
    """
    if not _made:
        with tempfile.TemporaryDirectory() as folder:
            template = Path(folder) / "template.db"
            database = Database(sqlite_url(template))
            await upgrade(database)
            # The last connection to go takes the write-ahead log with it: the file is whole.
            await database.close()
            _made.append(template.read_bytes())
    _write(file, _made[0])
    return sqlite_url(file)


def _write(file: Path, content: bytes) -> None:
    file.write_bytes(content)


def sqlite_url(file: Path) -> str:
    """As SQLAlchemy wants it."""
    return f"sqlite+aiosqlite:///{file}"
