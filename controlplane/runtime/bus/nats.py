"""The bus of many replicas: core NATS.

JetStream would keep messages for those who were away. Nobody needs them: whoever was away asks the database.
"""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from nats import connect as connect_to_nats
from nats.aio.msg import Msg

from controlplane.runtime.bus.port import RETRY_S
from controlplane.runtime.bus.remote import Lost, RemoteBus, Send, Take

SUBJECT: Final = "buckler.hints"
#: Seconds for connecting.
TIMEOUT_S: Final = 10


def nats_bus(url: str, *, retry_s: float = RETRY_S) -> RemoteBus:
    """A bus on a NATS server or cluster.

    Args:
        url: `nats://HOST:PORT` or `tls://…`, several separated by commas; may hold a user and a password.
        retry_s: Seconds before a lost connection is tried again.
    """
    # What follows from an error is told by us, once.
    logging.getLogger("nats.aio.client").setLevel(logging.CRITICAL)

    @asynccontextmanager
    async def connect(take: Take, lost: Lost) -> AsyncIterator[Send]:
        async def gone() -> None:
            lost()

        async def failed(_error: Exception) -> None:
            """Told by what follows from it; the library would print it otherwise."""

        # We connect again ourselves, as with every other bus: one behaviour, one test.
        client = await connect_to_nats(
            url.split(","),
            name="buckler-server",
            no_echo=True,
            allow_reconnect=False,
            connect_timeout=TIMEOUT_S,
            closed_cb=gone,
            disconnected_cb=gone,
            error_cb=failed,
        )

        async def taken(message: Msg) -> None:
            take(message.data)

        async def send(message: str) -> None:
            await client.publish(SUBJECT, message.encode())
            # It would be kept for two minutes otherwise.
            await client.flush(TIMEOUT_S)

        try:
            await client.subscribe(SUBJECT, cb=taken)
            await client.flush(TIMEOUT_S)
            yield send
        finally:
            await client.close()

    return RemoteBus("nats", connect, retry_s=retry_s)
