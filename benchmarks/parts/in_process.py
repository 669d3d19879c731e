"""Real-time protection in this very process, so that its steps can be timed and its threads counted."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from agent.domain.entitlement import NOT_ACTIVATED
from agent.domain.policy import Policy
from agent.domain.ports import EventSource, Scanner
from agent.platform.clock import SystemClock
from agent.platform.interpreter import settle_in
from agent.platform.processes.writers import held_for_writing
from agent.platform.randomness import SystemRandomness
from agent.quarantine.vault import Vault
from agent.realtime.neighbours import Neighbours
from agent.realtime.runner import RealtimeProtection
from agent.realtime.settings import RealtimeSettings
from agent.report.outbox import StoredIncidentLog
from agent.scanner.workers.service import ScannerService
from agent.storage.database import AgentDatabase


@asynccontextmanager
async def protecting(
    settings: RealtimeSettings,
    source: EventSource,
    service: ScannerService,
    vault: Vault,
    database: AgentDatabase,
    scanner: Scanner | None = None,
) -> AsyncIterator[RealtimeProtection]:
    """Protect, proven, until the block ends.

    Args:
        settings: How.
        source: Of events.
        service: Scans; started and closed here.
        vault: Takes what is found.
        database: Of the vault; closed here.
        scanner: Stands before the service; None: nothing does.
    """
    proven = asyncio.Event()
    realtime = RealtimeProtection(
        settings,
        Neighbours(
            source,
            scanner or service,
            vault,
            StoredIncidentLog(database),
            database,
            SystemClock(),
            SystemRandomness(),
            held_for_writing,
        ),
        Policy,
        lambda: NOT_ACTIVATED,
        on_proven=proven.set,
        is_own=vault.is_vault_path,
    )
    await service.start()
    settle_in()
    try:
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(realtime.run())
            await proven.wait()
            yield realtime
            running.cancel()
    finally:
        await service.close()
        database.close()
