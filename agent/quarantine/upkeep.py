"""What the vault needs from time to time: finishing what a full disk interrupted, and keeping its limits.

On a machine where nothing happens it looks four times a day and sleeps in between.
"""

import asyncio
import contextlib
from dataclasses import dataclass

import structlog

from agent.domain.errors import BucklerError
from agent.domain.ports import Randomness
from agent.quarantine.vault import Vault

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class UpkeepTimes:
    """How often, in seconds.

    Attributes:
        every_s: Between two looks at the limits.
        retry_s: Before unfinished captures are tried again; doubles up to `every_s`.
    """

    every_s: float = 6 * 3600.0
    retry_s: float = 15.0


class VaultUpkeep:
    """Keeps one vault in order until it is cancelled.

    Args:
        vault: Which; `resume` has been called once already.
        randomness: Spreads retries.
        times: How often.
    """

    def __init__(self, vault: Vault, randomness: Randomness, times: UpkeepTimes | None = None) -> None:
        self._vault = vault
        self._randomness = randomness
        self._times = times or UpkeepTimes()
        self._unfinished = asyncio.Event()
        vault.when_unfinished(self._unfinished.set)

    async def run(self) -> None:
        """Look after the vault."""
        failures = 0
        while True:
            failures = 0 if await self._look() else failures + 1
            if not failures:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._times.every_s):
                        await self._unfinished.wait()
            if self._unfinished.is_set():
                ceiling = min(self._times.every_s, self._times.retry_s * 2.0 ** min(failures, 16))
                await asyncio.sleep(self._randomness.uniform(ceiling / 2, ceiling))

    async def _look(self) -> bool:
        """False: something is still unfinished."""
        try:
            if self._unfinished.is_set():
                # First, so that what is left unfinished meanwhile is not forgotten.
                self._unfinished.clear()
                log.info("captures_finished", count=await self._vault.resume())
            await self._vault.keep_limits()
        except BucklerError as error:
            # The disk may have room again in a moment; until then the files are safe where they are.
            log.warning("vault_upkeep_failed", code=error.code, message=error.message)
            self._unfinished.set()
            return False
        return True
