"""The bus of a control plane that is one process; port `Bus`."""

import asyncio

from controlplane.runtime.bus.port import Hint, Listener, Listeners


class MemoryBus:
    """There is nobody else to tell."""

    def __init__(self) -> None:
        self._listeners = Listeners()

    def publish(self, hint: Hint) -> None:
        """Tell this process."""
        self._listeners.tell(hint)

    def subscribe(self, listener: Listener) -> None:
        """Have every hint told to a listener from now on."""
        self._listeners.add(listener)

    async def run(self) -> None:
        """There is nothing to stay connected to."""
        await asyncio.Event().wait()

    @property
    def is_connected(self) -> bool:
        """To everybody there is."""
        return True

    @property
    def dropped(self) -> int:
        """None: nothing is on its way."""
        return 0
