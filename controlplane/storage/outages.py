"""Tells a database that is away from a mistake of ours.

Whoever asks again a little later is answered then: nothing of the transaction was kept, or all of it and only the
answer was lost, which repeatable calls do not mind.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as NoConnectionFreeError

#: After so many seconds another attempt is worth it: a restart of PostgreSQL takes about as long.
RETRY_AFTER_S: Final = 5
#: Classes of SQLSTATE that pass by themselves: connections that failed, transactions that lost against others, too
#: little of something, a lock that others held for too long, a server that starts or stops, or that only reads until
#: it takes the place of one that failed. https://www.postgresql.org/docs/15/errcodes-appendix.html
_PASSING: Final = ("08", "25006", "40", "53", "55P03", "57P")
#: SQLite has one word for it.
_SQLITE_BUSY: Final = "database is locked"


class DatabaseUnavailableError(Exception):
    """The database is away, full or too busy; the same may well work a few seconds later."""


def worth_a_traceback(error: Exception) -> Exception | None:
    """The error, for the log; None: it is a database that is away, which where it was noticed explains nothing."""
    return None if isinstance(error, DatabaseUnavailableError) else error


def is_outage(error: Exception) -> bool:
    """Whether what a statement or commit raised passes by itself."""
    if isinstance(error, NoConnectionFreeError):
        return True
    if not isinstance(error, DBAPIError):
        # What asyncpg says while it connects is not wrapped.
        return _passes(error)
    return error.connection_invalidated or _passes(error.orig) or _SQLITE_BUSY in str(error.orig)


@contextmanager
def outages_told() -> Iterator[None]:
    """Around statements.

    Raises:
        DatabaseUnavailableError: In place of an error that passes by itself; others stay what they are.
    """
    try:
        yield
    except Exception as error:
        if not is_outage(error):
            raise
        raise DatabaseUnavailableError(_name(error)) from error


@contextmanager
def unreachable_told() -> Iterator[None]:
    """Around connecting, where the operating system may say no as well.

    Raises:
        DatabaseUnavailableError: As `outages_told`.
    """
    try:
        with outages_told():
            yield
    except OSError as error:
        raise DatabaseUnavailableError(_name(error)) from error


def _passes(error: BaseException | None) -> bool:
    state = getattr(error, "sqlstate", None)
    return isinstance(state, str) and state.startswith(_PASSING)


def _name(error: Exception) -> str:
    """What may be told: messages of drivers can hold addresses and statements."""
    return type(getattr(error, "orig", None) or error).__name__
