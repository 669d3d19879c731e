"""What the buses between processes share: tell this process at once, queue for the others, connect again for ever."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager

import structlog

from controlplane.runtime.bus.port import RETRY_S, Hint, Listener, Listeners, Waiting, decode, encode

_log = structlog.get_logger(__name__)

#: Sends one message to the others.
Send = Callable[[str], Awaitable[object]]
#: Told every message of the others.
Take = Callable[[str | bytes], None]
#: Told when the connection is lost; more than once does no harm.
Lost = Callable[[], None]
#: Opens a connection.
Connect = Callable[[Take, Lost], AbstractAsyncContextManager[Send]]


class RemoteBus:
    """A bus over some connection; port `Bus`.

    Args:
        name: For the log.
        connect: Opens the connection; what it raises is waited out.
        retry_s: Seconds before a lost connection is tried again.
    """

    def __init__(self, name: str, connect: Connect, *, retry_s: float = RETRY_S) -> None:
        self._name = name
        self._connect = connect
        self._retry_s = retry_s
        self._listeners = Listeners()
        self._waiting = Waiting()
        self._wake = asyncio.Event()
        self._connected = False

    def publish(self, hint: Hint) -> None:
        """Tell this process now, and the others as soon as they can be reached."""
        self._listeners.tell(hint)
        self._waiting.add(hint)
        self._wake.set()

    def subscribe(self, listener: Listener) -> None:
        """Have every hint told to a listener from now on."""
        self._listeners.add(listener)

    @property
    def is_connected(self) -> bool:
        """Whether the others can be reached now."""
        return self._connected

    @property
    def dropped(self) -> int:
        """Hints that were given up before the others heard them."""
        return self._waiting.dropped

    async def run(self) -> None:
        """Stay connected, until cancelled."""
        while True:
            try:
                async with self._connect(self._take, self._on_lost) as send:
                    self._connected = True
                    _log.info("bus_connected", bus=self._name)
                    await self._send_all(send)
            # Supervision point: a bus that is away costs minutes, never the server.
            except Exception as error:  # noqa: BLE001
                _log.warning("bus_lost", bus=self._name, error=type(error).__name__)
            finally:
                self._connected = False
            await asyncio.sleep(self._retry_s)

    async def _send_all(self, send: Send) -> None:
        while self._connected:
            self._wake.clear()
            while hints := self._waiting.take():
                await self._send(send, hints)
            await self._wake.wait()

    async def _send(self, send: Send, hints: Sequence[Hint]) -> None:
        try:
            await send(encode(hints))
        except Exception:
            # They wait for the next connection; a hint that is heard twice does no harm.
            for hint in hints:
                self._waiting.add(hint)
            raise
        # Libraries wait with `asyncio.wait_for`, which before Python 3.12 loses a cancellation that comes together
        # with what it waited for; whoever told the server to stop would wait for ever.
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise asyncio.CancelledError

    def _on_lost(self) -> None:
        self._connected = False
        self._wake.set()

    def _take(self, untrusted_message: str | bytes) -> None:
        for hint in decode(untrusted_message):
            self._listeners.tell(hint)
