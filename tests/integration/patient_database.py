"""Databases that wait as long as a busy machine takes, for tests of who gets what and not of how soon."""

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

from controlplane.storage import database

#: Seconds; the test itself gives up a little later.
PATIENCE_S = 100


@contextmanager
def patient_databases() -> Iterator[None]:
    """Whoever opens a database meanwhile waits so long for a connection, or for a lock.

    Of 64 attempts for 20 connections the last may wait longer than a server lets anybody wait, and would be refused.
    """
    with patch.multiple(
        database,
        POOL_TIMEOUT_S=PATIENCE_S,
        BUSY_TIMEOUT_MS=PATIENCE_S * 1_000,
        _POSTGRESQL_SESSION={**database._POSTGRESQL_SESSION, "lock_timeout": f"{PATIENCE_S}s"},
    ):
        yield
