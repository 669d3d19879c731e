"""The part of a scan that needs workers and an event loop; a tree that is wholly known needs neither."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from agent.cli.scan.ground import PathExclusions
from agent.cli.scan.interruption import Interruption
from agent.cli.scan.request import ScanRequest, ScanWiring
from agent.cli.scan.until_interrupted import until_interrupted
from agent.platform.processes.cpu_time import CpuTime
from agent.scanner.cache import ScanCache
from agent.scanner.walk.on_demand import Receivers, scan_found
from agent.scanner.walk.pacing import CpuBudget, Pace, PacedScanner
from agent.scanner.walk.tree import FoundFile
from agent.scanner.workers.service_on_demand import ServiceOnDemand

if TYPE_CHECKING:
    from agent.domain.facts import ScanFacts
    from agent.domain.files import FileIdentity
    from agent.domain.ports import Scanner
    from agent.platform.processes.memory import ProcessFacts
    from agent.scanner.packs.deferred_pack import Pack
    from agent.scanner.walk.tree import KnownFiles, UnopenedFile


class Receiver(Protocol):
    """Takes what a scan finds; `agent.cli.scan.run.ScanRun`."""

    async def receive(self, path: str, identity: "FileIdentity", facts: "ScanFacts") -> None:
        """One file has been scanned."""

    def pass_by(self, found: "KnownFiles | UnopenedFile", cache: ScanCache | None) -> None:
        """Files are known to be clean, or one could not be opened."""

    async def receive_process(self, process: "ProcessFacts", facts: "ScanFacts") -> None:
        """The memory of one process has been looked at, or could not be."""


@dataclass(frozen=True, slots=True)
class WorkerScan:
    """A scan as far as workers are concerned.

    Attributes:
        request: What was asked for.
        wiring: Clock.
        pack: Rules.
        receiver: Takes what is found.
    """

    request: ScanRequest
    wiring: ScanWiring
    pack: "Pack"
    receiver: Receiver


async def scan_files(scan: WorkerScan, found: Iterator[FoundFile], cache: ScanCache | None) -> Interruption:
    """Scan what a walk finds.

    Raises:
        BucklerError: No worker can be started.
    """
    settings = scan.request.settings

    async def work(start: "Callable[[], Awaitable[Scanner]]", pace: Pace | None) -> None:
        receivers = Receivers(scan.receiver.receive, scan.receiver.pass_by, _give_way if pace is None else pace.keep)
        at_once = settings.worker_count() * (1 + settings.files_ahead)
        await scan_found(found, start, at_once, receivers, cache=cache)

    return await _with_workers(scan, work)


async def scan_memory(scan: WorkerScan, excluded: PathExclusions) -> Interruption:
    """Scan the memory of processes.

    Raises:
        BucklerError: No worker can be started.
    """
    from agent.scanner.process_scan import scan_processes

    request = scan.request

    async def work(start: "Callable[[], Awaitable[Scanner]]", _pace: Pace | None) -> None:
        await scan_processes(
            await start(),
            request.settings.limits,
            (os.getpid(), *request.own_pids),
            excluded.leaves_out,
            scan.receiver.receive_process,
            at_once=request.settings.worker_count(),
        )

    return await _with_workers(scan, work)


async def _with_workers(
    scan: WorkerScan, work: "Callable[[Callable[[], Awaitable[Scanner]], Pace | None], Awaitable[None]]"
) -> Interruption:
    service = ServiceOnDemand(scan.request.settings, scan.pack, scan.wiring.clock)
    pace = _pace(scan, service)

    async def start() -> "Scanner":
        started = await service.start()
        return started if pace is None else PacedScanner(started, pace)

    try:
        with until_interrupted() as interruption:
            await work(start, pace)
    finally:
        await service.close()
    return interruption


def _pace(scan: WorkerScan, service: ServiceOnDemand) -> Pace | None:
    percent = scan.request.cpu_percent
    if percent is None:
        return None
    cpu = CpuTime()
    return Pace(CpuBudget(percent), lambda: cpu.seconds({os.getpid(), *service.process_ids()}), scan.wiring.clock)


async def _give_way() -> None:
    await asyncio.sleep(0)
