"""Lets connections come from many addresses of this machine, as from the sites of a company. TLS passes through it."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

_PIECE = 64 * 1024


@asynccontextmanager
async def relay(target: str, sites: int) -> AsyncIterator[str]:
    """The address to call instead of the target.

    Args:
        target: HOST:PORT on loopback.
        sites: Connections are made from so many addresses in turns, at most 250.
    """
    host, _, port = target.rpartition(":")
    addresses = itertools.cycle([f"127.0.1.{number + 1}" for number in range(sites)])

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there = await asyncio.open_connection(host, int(port), local_addr=(next(addresses), 0))
        async with asyncio.TaskGroup() as group:
            group.create_task(_pass_on(reader, there[1]))
            group.create_task(_pass_on(there[0], writer))

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    async with server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while piece := await reader.read(_PIECE):
            writer.write(piece)
            await writer.drain()
    writer.close()
