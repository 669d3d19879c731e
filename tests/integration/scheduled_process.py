"""Scheduled scans in a process of their own, as the service does them, on one folder: to be stopped or killed.

`python -m tests.integration.scheduled_process DATA_DIR FOLDER` prints a line of JSON for every file that is scanned and
one at the end of the scan; the scan is due from the beginning.
"""

import asyncio
import contextlib
import json
import signal
import sys
from datetime import UTC, datetime, time, timedelta
from pathlib import Path

from agent.cli.log import configure_log
from agent.domain.entitlement import Access, AccessLevel, Feature
from agent.domain.facts import ScanFacts
from agent.domain.policy import Policy
from agent.domain.schedule import ScanKind, Schedule, finished_setting
from agent.locations import Overrides, find_locations
from agent.platform.clock import SystemClock
from agent.platform.randomness import SystemRandomness
from agent.quarantine.vault import Vault, VaultSettings
from agent.report.outbox import StoredIncidentLog
from agent.scanner.consequences import Consequences
from agent.scanner.engines.registry import engine_that_remembers
from agent.scanner.machine_cache import scan_cache
from agent.scanner.packs.rule_files import builtin_signatures
from agent.scanner.packs.rulepack import CompiledPack, compile_pack, load_rules
from agent.scanner.scheduled.agenda import baseline_setting
from agent.scanner.scheduled.scan import Ground
from agent.scanner.scheduled.scans import ScheduledScans, ScheduleParts
from agent.scanner.scheduled.settings import ScheduleSettings
from agent.scanner.settings import ScannerSettings
from agent.scanner.workers.service import ScannerService
from agent.storage.database import AgentDatabase, open_database

GRANTED = Access(AccessLevel.FULL, "PAID", None, {Feature.SCHEDULED_SCANS.value: AccessLevel.GRACE})
#: A worker in the background would not get on at all while the machine is busy with other tests.
SETTINGS = ScannerSettings(workers=1)


class TellingScanner(ScannerService):
    """Says what it scans."""

    async def scan(self, descriptor: int, path: str) -> ScanFacts:
        facts = await super().scan(descriptor, path)
        say({"scanned": path})
        return facts


def say(fact: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(fact) + "\n")
    sys.stdout.flush()


def scheduled(data: Path, folder: Path, database: AgentDatabase, pack: CompiledPack) -> ScheduledScans:
    clock, randomness = SystemClock(), SystemRandomness()
    locations = find_locations(Overrides(data_dir=data))
    vault = Vault(VaultSettings(locations.vault), database, clock, randomness)
    parts = ScheduleParts(
        open_scanner=lambda: TellingScanner(SETTINGS, pack, clock),
        began=lambda _: None,
        open_cache=lambda: scan_cache(locations.scan_cache, pack, SETTINGS.limits),
        ground=lambda _kind: Ground((str(folder),)),
        consequences=Consequences(vault, StoredIncidentLog(database), clock, randomness),
        policy=Policy,
        access=lambda: GRANTED,
        on_battery=lambda: False,
        is_own_test=lambda _identity: False,
        zone=UTC,
    )
    settings = ScheduleSettings({ScanKind.FULL: Schedule(time(0))}, cpu_percent=100, settle_s=0, look_every_s=0.1)
    return ScheduledScans(settings, parts, database, clock, randomness)


async def run(data: Path, folder: Path) -> None:
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    database = open_database(data / "agent.db")
    with database.transaction() as tables:
        if tables.settings.get(baseline_setting(ScanKind.FULL)) is None:
            tables.settings.put(
                baseline_setting(ScanKind.FULL),
                (datetime.now(UTC) - timedelta(days=2)).isoformat(),  # noqa: TID251
            )
    pack = compile_pack(load_rules([builtin_signatures()]), engine_that_remembers("yara", data))
    scans = scheduled(data, folder, database, pack)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(scans.run())
        while not stopping.is_set():
            with database.transaction() as rows:
                finished = rows.settings.get(finished_setting(ScanKind.FULL))
            if finished:
                say({"finished": finished})
                break
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.05):
                    await stopping.wait()
        running.cancel()
    pack.close()
    database.close()


if __name__ == "__main__":
    configure_log(service=True)
    asyncio.run(run(Path(sys.argv[1]), Path(sys.argv[2])))
