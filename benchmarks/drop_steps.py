"""`python -m benchmarks.drop_steps`: where the time goes from the close of an infected file to its being gone.

Real-time protection with all its real parts runs in this process, as root by fanotify; another process writes one EICAR
file after the other to a tmpfs of our own. Stamps are taken around the ports between the parts and after each step of
the vault, which is on the disk, so nothing that ships knows of them. Medians of each step, in microseconds.
"""

import argparse
import asyncio
import json
import os
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import structlog

from agent.domain.facts import ScanFacts
from agent.domain.files import EventKind, FileEvent, SourceEvent
from agent.domain.ports import CaptureRequest, Store, Transaction
from agent.domain.quarantine import QuarantineEntry
from agent.platform.clock import SystemClock
from agent.platform.fanotify import permitted
from agent.platform.randomness import SystemRandomness
from agent.quarantine.steps import Step
from agent.quarantine.vault import Vault, VaultSettings
from agent.realtime.self_test import EICAR
from agent.realtime.settings import RealtimeSettings
from agent.realtime.sources.fanotify import FanotifySource
from agent.scanner.engines.registry import engine_named
from agent.scanner.packs.rule_files import builtin_signatures
from agent.scanner.packs.rulepack import compile_pack, load_rules
from agent.scanner.settings import ScannerSettings
from agent.scanner.workers.service import ScannerService
from agent.scanning import FILES_AHEAD
from agent.storage.database import open_database
from benchmarks.parts.in_process import protecting
from benchmarks.parts.scratch import scratch_disk

_NS_PER_US = 1_000
_CLOSED, _GONE, _NAME = "it is closed", "its path is seen to be empty", "drop-"
#: Of the vault; those after the move are not waited for.
_STEPS = {
    Step.PLANNED: "its way back is noted",
    Step.MOVED: "the move is durable",
    Step.CAPTURED: "its inode is checked",
    Step.SEALED: "it is sealed",
    Step.STORED: "that is written down",
    Step.REMOVED: "the original is removed",
    Step.FINISHED: "it is done",
}
#: Writes, closes, looks every 0.2 ms until the path is empty, and says when both were.
_DROPPER = """
import json, os, sys, time
folder, count, content, name = sys.argv[1], int(sys.argv[2]), bytes.fromhex(sys.argv[3]), sys.argv[4]
for number in range(count):
    path = f"{folder}/{name}{number}.com"
    with open(path, "wb") as file:
        file.write(content)
    closed = time.monotonic_ns()
    while os.path.lexists(path):
        time.sleep(0.0002)
    print(json.dumps([closed, time.monotonic_ns()]), flush=True)
    time.sleep(0.005)
"""


@dataclass(slots=True)
class Stamps:
    """When what happened to the file that is on its way, in nanoseconds of the monotonic clock."""

    taken: dict[str, int] = field(default_factory=dict)
    drops: list[dict[str, int]] = field(default_factory=list)

    def stamp(self, step: str) -> None:
        """Something has just happened; only its first time counts."""
        self.taken.setdefault(step, time.monotonic_ns())

    def begin(self, read_at_ns: int) -> None:
        """A new file."""
        self.taken = {"the event is read": read_at_ns}
        self.drops.append(self.taken)


class StampedSource(FanotifySource):
    """Says when it delivers."""

    stamps: Stamps

    def open(self, roots: Sequence[str], deliver: Callable[[SourceEvent], None]) -> None:
        """See the port."""

        def stamped(event: SourceEvent) -> None:
            if isinstance(event, FileEvent) and event.kind is EventKind.CLOSED_AFTER_WRITE and _NAME in event.path:
                self.stamps.begin(event.seen_at_ns)
            deliver(event)

        super().open(roots, stamped)


@dataclass(slots=True)
class StampedScanner:
    """Says when it is asked and when it has answered."""

    service: ScannerService
    stamps: Stamps

    def scan(self, descriptor: int, path: str) -> Coroutine[Any, Any, ScanFacts]:
        """See the port."""
        self.stamps.stamp("the scanner is asked")
        return self._stamped(self.service.scan(descriptor, path))

    async def _stamped(self, scanning: Coroutine[Any, Any, ScanFacts]) -> ScanFacts:
        facts = await scanning
        self.stamps.stamp("the worker has answered")
        return facts


@dataclass(slots=True)
class StampedStore:
    """Says when the vault begins its first transaction."""

    store: Store
    stamps: Stamps

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """See the port."""
        self.stamps.stamp("the vault begins its row")
        with self.store.transaction() as tables:
            yield tables


class StampedVault(Vault):
    """Says when it is asked and when its thread begins."""

    stamps: Stamps

    async def capture(self, request: CaptureRequest) -> QuarantineEntry:
        """See the port."""
        self.stamps.stamp("the vault is asked")
        return await super().capture(request)

    def _capture(self, request: CaptureRequest) -> QuarantineEntry:
        self.stamps.stamp("the vault's thread has it")
        return super()._capture(request)


def main() -> int:
    """Measure and print; 2 where fanotify is not permitted."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.drop_steps", description=__doc__)
    parser.add_argument("--drops", type=int, default=200, metavar="N", help="EICAR files, one after the other")
    arguments = parser.parse_args()
    if os.geteuid() != 0 or not permitted():
        print("SKIPPED: fanotify needs root on Linux")
        return 2
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    print("load before: " + ", ".join(f"{value:.2f}" for value in os.getloadavg()), flush=True)
    with tempfile.TemporaryDirectory(prefix="buckler-bench-") as name, scratch_disk(Path(name) / "disk") as disk:
        drops = asyncio.run(_measure(Path(name), disk, arguments.drops))
    for line in _table(drops):
        print(line)
    return 0


async def _measure(folder: Path, watched: Path, count: int) -> list[dict[str, int]]:
    stamps, clock, randomness = Stamps(), SystemClock(), SystemRandomness()
    pack = compile_pack(load_rules((builtin_signatures(),)), engine_named("yara"))
    service = ScannerService(ScannerSettings(files_ahead=FILES_AHEAD), pack, clock)
    database = open_database(folder / "agent.db")
    vault = StampedVault(
        VaultSettings(folder / "vault"),
        StampedStore(database, stamps),
        clock,
        randomness,
        after_step=lambda _, step: stamps.stamp(_STEPS[step]),
    )
    source = StampedSource(excluded=[], own_pids=lambda: service.process_ids() | {os.getpid()}, clock=clock)
    vault.stamps = source.stamps = stamps
    settings = RealtimeSettings((str(watched),), files_ahead=FILES_AHEAD)
    try:
        async with protecting(settings, source, service, vault, database, StampedScanner(service, stamps)):
            told = await _drop(watched, count)
    finally:
        pack.close()
    if len(told) != len(stamps.drops):
        raise SystemExit(f"{len(told)} files went, {len(stamps.drops)} were seen")
    return [{_CLOSED: closed} | seen | {_GONE: gone} for (closed, gone), seen in zip(told, stamps.drops, strict=True)]


async def _drop(folder: Path, count: int) -> list[tuple[int, int]]:
    """When each file was closed, and when its path was seen to be empty."""
    arguments = [sys.executable, "-c", _DROPPER, str(folder), str(count), EICAR.hex(), _NAME]
    dropper = await asyncio.create_subprocess_exec(*arguments, stdout=asyncio.subprocess.PIPE)
    told, _ = await dropper.communicate()
    return [tuple(json.loads(line)) for line in told.splitlines()]


def _table(drops: list[dict[str, int]]) -> Iterator[str]:
    """Each step that every drop took before it was gone, in the order they were taken."""
    steps = [step for step in drops[0] if all(step in drop for drop in drops)]
    at = {step: statistics.median(drop[step] - drop[_CLOSED] for drop in drops) / _NS_PER_US for step in steps}
    until = at[_GONE]
    before = 0.0
    yield f"{len(drops)} drops, medians in us{'at':>28}{'step':>8}"
    for step, reached in sorted(at.items(), key=lambda item: item[1]):
        yield f"  {step:40}{reached:10.0f}{reached - before:8.0f}{'  (not waited for)' if reached > until else ''}"
        before = reached


if __name__ == "__main__":
    sys.exit(main())
