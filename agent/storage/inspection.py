"""A look into the database that changes nothing: is it whole, and how much of what is in it?"""

import sqlite3
from pathlib import Path
from urllib.parse import quote

from agent.storage.failures import told_to_people
from agent.storage.migrations import MIGRATIONS, schema_version

#: A question that takes longer is given up; the file may lie on a dying disk.
_PATIENCE_S = 5.0
_MOST_COMPLAINTS = 10
_COUNTS = {
    "outbox_pending": "SELECT count(*) FROM outbox WHERE set_aside_because IS NULL",
    "outbox_set_aside": "SELECT count(*) FROM outbox WHERE set_aside_because IS NOT NULL",
    "oldest_detection": "SELECT min(detected_at) FROM outbox WHERE set_aside_because IS NULL",
    "outbox_dropped": "SELECT coalesce(sum(rows), 0) FROM outbox_dropped",
    "settings": "SELECT count(*) FROM setting",
    "exclusions": "SELECT count(*) FROM exclusion",
}


def inspect_database(path: Path) -> dict[str, int | str | list[str] | dict[str, int] | None]:
    """Size, schema, damage and counts.

    Raises:
        FileNotFoundError: There is none.
        BucklerError: `DATABASE_…`.
    """
    size = path.stat().st_size
    with told_to_people(path):
        database = sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, timeout=_PATIENCE_S)
        try:
            check = [str(row[0]) for row in database.execute(f"PRAGMA quick_check({_MOST_COMPLAINTS})")]
            states = dict(database.execute("SELECT state, count(*) FROM quarantine GROUP BY 1").fetchall())
            counts = {name: database.execute(question).fetchone()[0] for name, question in _COUNTS.items()}
            return {
                "size": size,
                "schema": schema_version(database),
                "schema_known": len(MIGRATIONS),
                "damage": [] if check == ["ok"] else check,
                "quarantine": states,
                **counts,
            }
        finally:
            database.close()
