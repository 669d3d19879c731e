"""Scheduled scans with real workers, a real cache and a real database: stopped, killed, and beside real-time scans."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from agent.domain.policy import Policy
from agent.platform.clock import SystemClock
from agent.platform.randomness import SystemRandomness
from agent.scanner.consequences import Consequences
from agent.scanner.scheduled.agenda import UNFINISHED, Unfinished
from agent.scanner.scheduled.scan import BackgroundScan, Ground, ScanParts
from agent.scanner.settings import ScannerSettings
from agent.scanner.walk.pacing import CpuBudget, Pace
from agent.scanner.workers.service import ScannerService
from agent.storage.database import open_database
from tests.fakes.eicar import EICAR
from tests.fakes.incidents import FakeIncidentLog
from tests.fakes.waiting import until
from tests.integration.compiled_rules import builtin_pack, device_folder
from tests.integration.scanning import scan_path

FILES = 40


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "files"
    folder.mkdir()
    for number in range(FILES):
        (folder / f"{number:03}").write_text(f"file {number}")
    return folder


@contextlib.contextmanager
def agent(data: Path, folder: Path) -> Iterator[Iterator[dict[str, Any]]]:
    """The facts that a process with scheduled scans prints; killed at the end of the block, unless it has ended."""
    if not data.exists():
        device_folder(data)
    command = [sys.executable, "-m", "tests.integration.scheduled_process", str(data), str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        facts = (json.loads(line) | {"process": process} for line in process.stdout)
        try:
            yield facts
        finally:
            if process.poll() is None:
                process.kill()


def unfinished(data: Path) -> Unfinished | None:
    database = open_database(data / "agent.db")
    with database.transaction() as tables:
        text = tables.settings.get(UNFINISHED)
    database.close()
    return Unfinished.from_setting(text)


def scanned_until(facts: Iterator[dict[str, Any]], count: int) -> list[dict[str, Any]]:
    return [next(facts) for _ in range(count)]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_scan_that_was_stopped_or_killed_goes_on_to_its_end(tmp_path: Path, folder: Path, number: int) -> None:
    data = tmp_path / "data"
    with agent(data, folder) as facts:
        first = scanned_until(facts, 5)
        process = first[0]["process"]
        process.send_signal(number)
        # What it did before it heard the signal counts as well.
        first += list(facts)
    begun = unfinished(data)
    assert begun is not None
    with agent(data, folder) as facts:
        everything = list(facts)
    assert "finished" in everything[-1]
    assert unfinished(data) is None
    seen = {fact["scanned"] for fact in [*first, *everything[:-1]]}
    assert seen == {str(path) for path in folder.iterdir()}


def test_what_was_clean_before_an_orderly_stop_is_not_scanned_again(tmp_path: Path, folder: Path) -> None:
    data = tmp_path / "data"
    # The cache believes change times once they are two seconds old.
    time.sleep(2.1)
    with agent(data, folder) as facts:
        first = scanned_until(facts, 10)
        first[0]["process"].terminate()
        first += list(facts)
    with agent(data, folder) as facts:
        second = list(facts)
    again = {fact["scanned"] for fact in first} & {fact.get("scanned") for fact in second}
    # The file that was under way when the stop came may have been told and not remembered.
    assert len(again) <= 1
    assert len(first) + len(second) - 1 <= FILES + 1


async def test_its_worker_takes_only_what_nobody_else_wants() -> None:
    """Shown of the process that workers are forked from: they would not be there soon on a machine that is busy."""
    with contextlib.closing(builtin_pack()) as pack:
        scanner = ScannerService(ScannerSettings(workers=1, background=True), pack, SystemClock())
        starting = asyncio.ensure_future(scanner.start())
        try:
            await until(lambda: any(takes_what_is_left(pid) for pid in scanner.process_ids()))
            assert all(takes_what_is_left(pid) for pid in scanner.process_ids())
        finally:
            starting.cancel()
            await asyncio.gather(starting, return_exceptions=True)
            await scanner.close()


def takes_what_is_left(pid: int) -> bool:
    """Of processor and disk; what it forks does so, too, as its scheduler would have another number otherwise."""
    least = (os.SCHED_IDLE, 19, psutil.IOPRIO_CLASS_IDLE)
    priority = os.getpriority(os.PRIO_PROCESS, pid)
    return (os.sched_getscheduler(pid), priority, psutil.Process(pid).ionice().ioclass) == least


async def test_a_real_time_scan_does_not_wait_for_a_scheduled_one(tmp_path: Path) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    for number in range(FILES):
        (folder / str(number)).write_text("x")
    (tmp_path / "event").write_bytes(EICAR)
    pack, clock, done = builtin_pack(), SystemClock(), [0]
    realtime = ScannerService(ScannerSettings(workers=1), pack, clock)
    background = ScannerService(ScannerSettings(workers=1), pack, clock)
    scan = BackgroundScan(
        Ground((str(folder),)),
        ScanParts(
            scanner=background,
            cache=None,
            pace=Pace(CpuBudget(100), lambda: 0.0, clock),
            consequences=Consequences(None, FakeIncidentLog(), clock, SystemRandomness()),
            clock=clock,
            policy=Policy,
            is_own_test=lambda _identity: False,
            goes_on=lambda: True,
            tell=lambda counts: done.__setitem__(0, counts.files),
        ),
    )
    try:
        await realtime.start()
        await background.start()
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(scan.run())
            await until(lambda: done[0] > 5)
            (worker,) = background.worker_pids()
            os.kill(worker, signal.SIGSTOP)
            # Behind what the other scans it would wait until that goes on.
            facts = await scan_path(realtime, tmp_path / "event")
            assert not running.done()
            os.kill(worker, signal.SIGCONT)
            await running
    finally:
        await realtime.close()
        await background.close()
        pack.close()
    assert facts.findings
    assert done == [FILES]
