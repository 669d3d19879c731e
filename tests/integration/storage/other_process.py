"""A command of `buckler` beside the service: opens the same database and writes into it.

`python -m tests.integration.storage.other_process DATABASE COUNT`
"""

import sys
from pathlib import Path

from agent.storage.database import open_database


def count_up(path: Path, times: int) -> None:
    """Read and write in one transaction, so that a lost update would show."""
    database = open_database(path)
    for _ in range(times):
        with database.transaction() as tables:
            tables.settings.put("count", str(int(tables.settings.get("count") or "0") + 1))
    database.close()


if __name__ == "__main__":
    count_up(Path(sys.argv[1]), int(sys.argv[2]))
