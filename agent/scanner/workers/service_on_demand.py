"""Scan workers for one who may need none: even the code that keeps them is loaded with the first file to be scanned."""

from typing import TYPE_CHECKING

from agent.scanner.settings import ScannerSettings

if TYPE_CHECKING:
    from agent.domain.ports import Clock
    from agent.scanner.packs.deferred_pack import Pack
    from agent.scanner.workers.service import ScannerService


class ServiceOnDemand:
    """Holds an `agent.scanner.workers.service.ScannerService` once it has been asked for one; arguments as there."""

    def __init__(self, settings: ScannerSettings, pack: "Pack", clock: "Clock") -> None:
        self._settings = settings
        self._pack = pack
        self._clock = clock
        self._service: ScannerService | None = None

    async def start(self) -> "ScannerService":
        """Start it, once; see `ScannerService.start`."""
        from agent.platform.interpreter import collect_rarely
        from agent.scanner.workers.service import ScannerService

        # What preparing took goes; what is here by now stays.
        collect_rarely()
        self._service = ScannerService(self._settings, self._pack, self._clock)
        await self._service.start()
        return self._service

    async def close(self) -> None:
        """End it if there is one. Safe to repeat."""
        if self._service is not None:
            await self._service.close()

    def process_ids(self) -> frozenset[int]:
        """Process ids of all workers and of what starts them."""
        return frozenset() if self._service is None else self._service.process_ids()
