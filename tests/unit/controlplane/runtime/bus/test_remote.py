import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from controlplane.runtime.bus.port import Hint
from controlplane.runtime.bus.remote import Lost, RemoteBus, Send, Take


async def test_a_bus_ends_when_it_is_told_to_even_if_its_library_loses_that() -> None:
    sending = asyncio.Event()

    async def send(_message: str) -> None:
        sending.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return  # as `asyncio.wait_for` does before Python 3.12, if its time has come as well

    @asynccontextmanager
    async def connect(_take: Take, _lost: Lost) -> AsyncIterator[Send]:
        yield send

    bus = RemoteBus("test", connect)
    bus.publish(Hint("org_1", "dev_1"))
    async with asyncio.timeout(30), asyncio.TaskGroup() as tasks:
        running = tasks.create_task(bus.run())
        await sending.wait()
        running.cancel()
    assert running.cancelled()
