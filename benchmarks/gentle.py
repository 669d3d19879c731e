"""`python -m benchmarks.gentle`: what a background scan takes, and what real-time scans feel of it; process memory.

* `buckler scan --background` on a tree: processor time of all its processes, as a share of one core, against the share
  it was given.
* One small file, scanned again and again by a real-time worker, alone and beside a scheduled scan with a worker of its
  own and with no limit on its share; the two take turns.
* The memory of a process of our own: MiB/s.
"""

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from agent.domain.facts import ScanFacts
from agent.domain.policy import Policy
from agent.platform.clock import SystemClock
from agent.platform.processes.memory import ProcessFacts
from agent.platform.randomness import SystemRandomness
from agent.scanner.consequences import Consequences
from agent.scanner.limits import Limits
from agent.scanner.packs.rule_files import builtin_signatures
from agent.scanner.packs.rulepack import compile_pack, load_rules
from agent.scanner.process_scan import scan_processes
from agent.scanner.scheduled.agenda import ScanCounts
from agent.scanner.scheduled.scan import BackgroundScan, Ground, ScanParts
from agent.scanner.settings import ScannerSettings
from agent.scanner.walk.pacing import CpuBudget, Pace
from agent.scanner.workers.service import ScannerService
from benchmarks.parts.measuring import run_measured

_ROUNDS = 5
_SCANS = 400
_MEMORY_MIB = 256


def main() -> int:
    """Measure all three and print them."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gentle", description=__doc__)
    parser.add_argument("tree", nargs="?", type=Path, default=Path("/usr/share/doc"), help="what is scanned")
    parser.add_argument("--percent", type=int, nargs="+", default=[20, 50], help="shares of one core")
    arguments = parser.parse_args()
    print("load before: " + ", ".join(f"{value:.2f}" for value in os.getloadavg()), flush=True)
    for percent in arguments.percent:
        print(f"  --background, cpu_percent = {percent}: {_share(arguments.tree, percent)}", flush=True)
    alone_us, beside_us, files = asyncio.run(_latency(arguments.tree))
    print(f"one small file, {_ROUNDS} rounds of {_SCANS} real-time scans, in turns:")
    print(f"  alone                   : {_told(alone_us)}")
    print(f"  beside a scheduled scan : {_told(beside_us)}; it looked at {files} files meanwhile")
    print(f"memory of one process: {_memory():.0f} MiB/s")
    return 0


def _share(tree: Path, percent: int) -> str:
    program = str(Path(sys.executable).parent / "buckler")
    with tempfile.TemporaryDirectory(prefix="buckler-bench-") as folder:
        config = Path(folder) / "agent.toml"
        config.write_text(f"[schedule]\ncpu_percent = {percent}\n", encoding="utf-8")
        cost, _ = run_measured(
            [program, "scan", str(tree), "--background", "--no-cache", "--config", str(config)],
            good=frozenset({0, 1, 3}),
            env={"BUCKLER_DATA_DIR": folder},
        )
    return (
        f"{cost.cpu_s:.1f} s of processor time in {cost.wall_s:.1f} s: {100 * cost.cpu_s / cost.wall_s:.0f}% of a core"
    )


async def _latency(tree: Path) -> tuple[list[float], list[float], int]:
    pack, clock = compile_pack(load_rules([builtin_signatures()])), SystemClock()
    realtime = ScannerService(ScannerSettings(workers=1), pack, clock)
    alone: list[float] = []
    beside: list[float] = []
    files = 0
    try:
        await realtime.start()
        for _ in range(_ROUNDS):
            alone += await _timed(realtime)
            looked_at: list[int] = [0]
            background = ScannerService(ScannerSettings(workers=1, background=True), pack, clock)
            await background.start()
            async with asyncio.TaskGroup() as tasks:
                running = tasks.create_task(_scheduled(background, tree, looked_at).run())
                beside += await _timed(realtime)
                running.cancel()
            await background.close()
            files += looked_at[0]
    finally:
        await realtime.close()
        pack.close()
    return alone, beside, files


def _scheduled(scanner: ScannerService, tree: Path, looked_at: list[int]) -> BackgroundScan:
    clock = SystemClock()

    def tell(counts: ScanCounts) -> None:
        looked_at[0] = counts.files

    parts = ScanParts(
        scanner=scanner,
        cache=None,
        pace=Pace(CpuBudget(100), lambda: 0.0, clock),
        consequences=Consequences(None, None, clock, SystemRandomness()),
        clock=clock,
        policy=Policy,
        is_own_test=lambda _identity: False,
        goes_on=lambda: True,
        tell=tell,
    )
    return BackgroundScan(Ground((str(tree),)), parts)


async def _timed(service: ScannerService) -> list[float]:
    taken: list[float] = []
    with tempfile.NamedTemporaryFile() as file:
        file.write(b"A short note that no rule knows.\n")
        file.flush()
        for _ in range(_SCANS):
            begun = time.perf_counter_ns()
            await service.scan(file.fileno(), file.name)
            taken.append((time.perf_counter_ns() - begun) / 1000)
    return taken


def _memory() -> float:
    """MiB/s of one process, one worker, built-in rules; the copy included."""
    program = f"import os\nheld = os.urandom({_MEMORY_MIB} << 20)\nprint(flush=True)\ninput()"
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        speed = asyncio.run(_memory_of(child.pid))
        child.kill()
    return speed


async def _memory_of(pid: int) -> float:
    pack = compile_pack(load_rules([builtin_signatures()]))
    limits = Limits(open_containers=False)
    service = ScannerService(ScannerSettings(workers=1, limits=limits), pack, SystemClock())
    seen: list[ScanFacts] = []

    async def receive(_process: ProcessFacts, facts: ScanFacts) -> None:
        seen.append(facts)

    try:
        await service.start()
        begun = time.perf_counter()
        await scan_processes(service, limits, (), lambda _path: False, receive, pids=lambda: [pid])
        elapsed_s = time.perf_counter() - begun
    finally:
        await service.close()
        pack.close()
    return sum(facts.size_bytes for facts in seen) / (1 << 20) / elapsed_s


def _told(taken_us: Sequence[float]) -> str:
    cuts = statistics.quantiles(taken_us, n=100)
    return f"median {cuts[49]:.0f} us, p99 {cuts[98]:.0f} us"


if __name__ == "__main__":
    sys.exit(main())
