"""`python -m benchmarks.soak [--files N]`: whether memory grows over many files, in the parent or in its workers.

The same few thousand small files are scanned over and over, with nothing remembered of them. Exit status 1 when the
parent, or all workers together, have more at the end than a tenth of the way in, beyond what a worker may gain before
it is replaced.
"""

import argparse
import asyncio
import os
import sys
import tempfile
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from agent.platform.clock import SystemClock
from agent.platform.processes.costs import usage_of
from agent.scanner.packs.rule_files import builtin_signatures
from agent.scanner.packs.rulepack import compile_pack, load_rules
from agent.scanner.settings import ScannerSettings
from agent.scanner.workers.service import ScannerService
from benchmarks.parts.measuring import MIB

_DISTINCT = 4_000
_READINGS = 10
_TASKS_PER_WORKER = 3
_PARENT_MAY_GAIN = 8 * MIB


def main() -> int:
    """Scan and print; 1 when memory grew."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--files", type=int, default=500_000, metavar="N")
    arguments = parser.parse_args()
    print("load before: " + ", ".join(f"{value:.2f}" for value in os.getloadavg()), flush=True)
    with tempfile.TemporaryDirectory(prefix="buckler-bench-") as name:
        paths = [Path(name, f"{number}.txt") for number in range(_DISTINCT)]
        for number, path in enumerate(paths):
            path.write_text(f"file {number}\n" * (number % 200 + 1), encoding="ascii")
        return asyncio.run(_soak([str(path) for path in paths], arguments.files))


async def _soak(paths: list[str], files: int) -> int:
    pack = compile_pack(load_rules([builtin_signatures()]))
    settings = ScannerSettings(files_ahead=2)
    service = ScannerService(settings, pack, SystemClock())
    work = _over_and_over(paths)
    readings: list[tuple[int, int]] = []
    try:
        await service.start()
        for number in range(1, _READINGS + 1):
            part = islice(work, files // _READINGS)
            async with asyncio.TaskGroup() as tasks:
                for _ in range(settings.worker_count() * _TASKS_PER_WORKER):
                    tasks.create_task(_scan(service, part))
            readings.append((_resident([os.getpid()]), _resident(service.process_ids())))
            parent, workers = readings[-1]
            print(
                f"{number * (files // _READINGS):>8} files: "
                f"parent {parent / MIB:.1f} MiB, others {workers / MIB:.1f} MiB"
            )
    finally:
        await service.close()
        pack.close()
    (parent_first, workers_first), (parent_last, workers_last) = readings[0], readings[-1]
    grew = parent_last > parent_first + _PARENT_MAY_GAIN or workers_last > workers_first + settings.recycle_after_growth
    print(f"target {'MISSED' if grew else 'met'}: no growth over {files} files")
    return int(grew)


def _over_and_over(paths: list[str]) -> Iterator[str]:
    while True:
        yield from paths


async def _scan(service: ScannerService, paths: Iterator[str]) -> None:
    for path in paths:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            facts = await service.scan(descriptor, path)
        finally:
            os.close(descriptor)
        assert facts.sha256, facts


def _resident(pids: list[int] | frozenset[int]) -> int:
    """Pages that processes share are counted for each."""
    return sum(usage.resident_bytes for usage in map(usage_of, pids) if usage is not None)


if __name__ == "__main__":
    sys.exit(main())
