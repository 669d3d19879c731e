"""`python -m benchmarks.burst_cost`: processor time for each file of a burst, with and without files at hand.

Real-time protection with all its real parts runs in this process, as root by fanotify; another process writes harmless
small files to a tmpfs of our own. What is told is the processor time of the loop's thread and of the workers, which a
busy machine blurs less than the clock; the lowest of all rounds of each setting, which are measured in turns.
"""

import argparse
import asyncio
import os
import signal
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import structlog

from agent.platform.clock import SystemClock
from agent.platform.fanotify import permitted
from agent.platform.processes.costs import usage_of
from agent.platform.randomness import SystemRandomness
from agent.quarantine.vault import Vault, VaultSettings
from agent.realtime.runner import RealtimeProtection
from agent.realtime.settings import RealtimeSettings
from agent.realtime.sources.fanotify import FanotifySource
from agent.scanner.engines.registry import engine_named
from agent.scanner.packs.rule_files import builtin_signatures
from agent.scanner.packs.rulepack import CompiledPack, compile_pack, load_rules
from agent.scanner.settings import ScannerSettings
from agent.scanner.workers.service import ScannerService
from agent.scanning import FILES_AHEAD
from agent.storage.database import open_database
from benchmarks.parts.in_process import protecting
from benchmarks.parts.scratch import scratch_disk

_DESCRIPTORS = 4096
_LOOK_EVERY_S = 0.02
_WRITER = """
import sys
for number in range(int(sys.argv[2])):
    with open(f"{sys.argv[1]}/{number}.txt", "wb") as file:
        file.write(b"harmless %d\\n" % number)
"""


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one burst; microseconds of processor time for each file, and seconds until the last file was scanned."""

    loop_us: float
    workers_us: float
    drained_s: float


def main() -> int:
    """Measure and print; 2 where fanotify is not permitted."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.burst_cost", description="Cost of a file of a burst.")
    parser.add_argument("--files", type=int, default=5000, metavar="N", help="of a burst")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="of each setting, in turns")
    arguments = parser.parse_args()
    if os.geteuid() != 0 or not permitted():
        print("SKIPPED: fanotify needs root on Linux")
        return 2
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    print("load before: " + ", ".join(f"{value:.2f}" for value in os.getloadavg()), flush=True)
    pack = compile_pack(load_rules((builtin_signatures(),)), engine_named("yara"))
    costs: dict[int, list[Cost]] = {0: [], FILES_AHEAD: []}
    for _ in range(arguments.rounds):
        for ahead, found in costs.items():
            found.append(asyncio.run(_measure(pack, ahead, arguments.files)))
    pack.close()
    print(f"{'files at hand':16}{'loop us':>10}{'workers us':>12}{'drained s':>11}")
    for ahead, found in costs.items():
        loop_us, workers_us = min(cost.loop_us for cost in found), min(cost.workers_us for cost in found)
        print(f"{ahead:<16}{loop_us:10.0f}{workers_us:12.0f}{min(cost.drained_s for cost in found):11.2f}")
    return 0


async def _measure(pack: CompiledPack, ahead: int, count: int) -> Cost:
    clock = SystemClock()
    service = ScannerService(ScannerSettings(files_ahead=ahead), pack, clock)
    with tempfile.TemporaryDirectory(prefix="buckler-bench-") as name, scratch_disk(Path(name) / "disk") as disk:
        database = open_database(Path(name) / "agent.db")
        vault = Vault(VaultSettings(Path(name) / "vault"), database, clock, SystemRandomness())
        settings = RealtimeSettings((str(disk),), files_ahead=ahead, descriptors=_DESCRIPTORS)
        source = FanotifySource(excluded=[], own_pids=lambda: service.process_ids() | {os.getpid()}, clock=clock)
        async with protecting(settings, source, service, vault, database) as realtime:
            return await _burst(realtime, service, disk, count)


async def _burst(realtime: RealtimeProtection, service: ScannerService, disk: Path, count: int) -> Cost:
    loop_s, workers_s, begun = time.thread_time(), _workers_s(service), time.monotonic()
    writer = await asyncio.create_subprocess_exec(sys.executable, "-c", _WRITER, str(disk), str(count))
    await writer.wait()
    while realtime.state().queue_depth or service.current_files():  # noqa: ASYNC110 -- neither has an event for it
        await asyncio.sleep(_LOOK_EVERY_S)
    drained_s = time.monotonic() - begun
    loop_us, workers_us = (
        1_000_000 * spent / count for spent in (time.thread_time() - loop_s, _workers_s(service) - workers_s)
    )
    return Cost(loop_us, workers_us, drained_s)


def _workers_s(service: ScannerService) -> float:
    return sum(usage.cpu_s for pid in service.worker_pids() if (usage := usage_of(pid)) is not None)


if __name__ == "__main__":
    sys.exit(main())
