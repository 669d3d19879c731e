"""`python -m benchmarks.isolation`: what scanning in a confined process of its own costs, and a scan of nothing.

The same tiny content is scanned by a worker process over its socket, and by the worker's own code in this process; the
difference is the descriptor's way there, the answer's way back and the event loop in between.
"""

import argparse
import asyncio
import mmap
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from agent.platform.clock import SystemClock
from agent.scanner.engines.registry import engine_named
from agent.scanner.limits import Limits
from agent.scanner.packs.rule_files import builtin_signatures
from agent.scanner.packs.rulepack import CompiledPack, compile_pack, load_rules
from agent.scanner.settings import ScannerSettings
from agent.scanner.workers.service import ScannerService
from agent.scanner.workers.worker import scan_descriptor
from benchmarks.parts.measuring import run_measured

_CONTENT = b"A short note that no rule knows.\n"
_ROUNDS = 5
_WARM_UP = 200


def main() -> int:
    """Measure both and print them."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.isolation", description=__doc__)
    parser.add_argument("--files", type=int, default=2_000, metavar="N", help="scans per round and way")
    parser.add_argument("--starts", type=int, default=7, metavar="N", help="scans of an empty folder")
    arguments = parser.parse_args()
    print("load before: " + ", ".join(f"{value:.2f}" for value in os.getloadavg()), flush=True)
    with tempfile.TemporaryDirectory(prefix="buckler-bench-") as name:
        folder = Path(name)
        small = folder / "small.txt"
        small.write_bytes(_CONTENT)
        isolated_us, direct_us = asyncio.run(_compare(small, arguments.files))
        empty = folder / "empty"
        empty.mkdir()
        starts_s = [_cold_start(empty, folder / "data") for _ in range(arguments.starts)]
    print(f"one {len(_CONTENT)}-byte file, built-in rules, {_ROUNDS} rounds of {arguments.files}, medians:")
    print(f"  in a worker   : {_told(isolated_us)}")
    print(f"  in this process: {_told(direct_us)}")
    print(f"  isolation     : {statistics.median(isolated_us) - statistics.median(direct_us):.0f} us per file")
    print(
        f"buckler scan of an empty folder, {arguments.starts} starts: median {statistics.median(starts_s):.2f} s, "
        f"best {min(starts_s):.2f} s, worst {max(starts_s):.2f} s"
    )
    return 0


async def _compare(path: Path, count: int) -> tuple[list[float], list[float]]:
    """Microseconds of each scan: in a worker, in this process; the two take turns round by round."""
    pack = compile_pack(load_rules([builtin_signatures()]))
    service = ScannerService(ScannerSettings(workers=1), pack, SystemClock())
    descriptor = os.open(path, os.O_RDONLY)
    isolated: list[float] = []
    direct: list[float] = []
    try:
        await service.start()
        await _isolated(service, descriptor, path, _WARM_UP)
        for _ in range(_ROUNDS):
            isolated += await _isolated(service, descriptor, path, count)
            direct += _direct(pack, descriptor, path, count)
    finally:
        os.close(descriptor)
        await service.close()
        pack.close()
    return isolated, direct


async def _isolated(service: ScannerService, descriptor: int, path: Path, count: int) -> list[float]:
    taken: list[float] = []
    for _ in range(count):
        begun = time.perf_counter_ns()
        await service.scan(descriptor, str(path))
        taken.append((time.perf_counter_ns() - begun) / 1000)
    return taken


def _direct(pack: CompiledPack, descriptor: int, path: Path, count: int) -> list[float]:
    matcher = engine_named(pack.engine).load(mmap.mmap(pack.image, 0, access=mmap.ACCESS_READ))
    limits = Limits()
    taken: list[float] = []
    for _ in range(count):
        begun = time.perf_counter_ns()
        scan_descriptor(descriptor, len(_CONTENT), str(path), matcher, limits)
        taken.append((time.perf_counter_ns() - begun) / 1000)
    return taken


def _cold_start(empty: Path, data_dir: Path) -> float:
    """Seconds from the start of `buckler scan` to its end, when there is nothing to scan."""
    program = str(Path(sys.executable).parent / "buckler")
    cost, _ = run_measured(
        [program, "scan", "--no-cache", str(empty)],
        good=frozenset({0}),
        env={"BUCKLER_DATA_DIR": str(data_dir)},
    )
    return cost.wall_s


def _told(taken_us: Sequence[float]) -> str:
    cuts = statistics.quantiles(taken_us, n=100)
    return f"median {cuts[49]:.0f} us, p99 {cuts[98]:.0f} us"


if __name__ == "__main__":
    sys.exit(main())
