"""The bus of a few replicas: LISTEN and NOTIFY of the database that they share anyway."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from sqlalchemy.engine import make_url

from controlplane.runtime.bus.port import RETRY_S
from controlplane.runtime.bus.remote import Lost, RemoteBus, Send, Take

CHANNEL: Final = "buckler_hints"
#: Seconds for connecting, and for one notification.
TIMEOUT_S: Final = 10.0


def postgresql_bus(database_url: str, *, retry_s: float = RETRY_S) -> RemoteBus:
    """A bus on one connection of its own; it passes no pooler that hands connections round per transaction.

    Args:
        database_url: `postgresql+asyncpg://…`.
        retry_s: Seconds before a lost connection is tried again.
    """

    @asynccontextmanager
    async def connect(take: Take, lost: Lost) -> AsyncIterator[Send]:
        # Late: an optional library.
        import asyncpg

        connection = await asyncpg.connect(**_arguments(database_url), timeout=TIMEOUT_S, command_timeout=TIMEOUT_S)
        own_process = connection.get_server_pid()

        def taken(_connection: Any, sender: int, _channel: str, payload: str) -> None:
            # PostgreSQL tells the sender too, who knows already.
            if sender != own_process:
                take(payload)

        async def send(message: str) -> None:
            await connection.execute("SELECT pg_notify($1, $2)", CHANNEL, message)

        try:
            connection.add_termination_listener(lambda _: lost())
            await connection.add_listener(CHANNEL, taken)
            yield send
        finally:
            # No farewell: the other end may be gone, and the database knows what a closed socket means.
            connection.terminate()

    return RemoteBus("postgresql", connect, retry_s=retry_s)


def _arguments(database_url: str) -> dict[str, Any]:
    """SQLAlchemy's URL in the driver's own words."""
    url = make_url(database_url)
    dialect: Any = url.get_dialect()
    _, arguments = dialect().create_connect_args(url)
    return dict(arguments)
