"""`python -m benchmarks.realtime`: from a program closing a file to that file being out of reach.

For each way of watching: 200 EICAR files, one after the other, each timed from its close to the moment its path is
empty; then a burst of 20,000 small files as fast as one process writes them, with 200 EICAR files among them. Files
are on a tmpfs of our own; the agent's database and vault are on the disk. A lost EICAR file, or one that is not in the
list of quarantined files, makes the exit status 1. Real programs throughout: `buckler run`, `buckler quarantine list`.
"""

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from agent.platform.fanotify import permitted
from agent.realtime.self_test import EICAR

#: In pieces, so that this file is not one.
_BUCKLER = str(Path(sys.executable).parent / "buckler")
#: How often a path is looked at; half of it is the error of a latency.
_LOOK_EVERY_S = 0.0005
_LOOK_EVERY_IN_BURST_S = 0.005
_START_TIMEOUT_S = 60.0
_DROP_TIMEOUT_S = 60.0
_VAULT_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one way of watching did.

    Attributes:
        drops_ms: Milliseconds from close to an empty path, one per single drop that was taken.
        burst_ms: The same for the EICAR files of the burst.
        written_s: Seconds the burst took to write.
        drained_s: Seconds from the burst's first file until its last EICAR file was gone.
        lost: EICAR files still there when the time was up, or gone and not completely in quarantine.
        events_lost: What the agent says of the events it knows to have missed, and made up for by looking again.
    """

    drops_ms: tuple[float, ...]
    burst_ms: tuple[float, ...]
    written_s: float
    drained_s: float
    lost: int
    events_lost: str


def main() -> int:
    """Measure every way of watching that this machine permits; 1 when anything was lost."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.realtime", description="Latency of protection.")
    parser.add_argument("--drops", type=int, default=200, metavar="N", help="single EICAR files")
    parser.add_argument("--burst", type=int, default=20_000, metavar="N", help="small files of the burst")
    parser.add_argument("--burst-eicars", type=int, default=200, metavar="N", help="EICAR files among them")
    parser.add_argument("--burst-timeout", type=float, default=120.0, metavar="S", help="then what is left is lost")
    parser.add_argument("--source", action="append", choices=["fanotify", "watchdog"], help="default: both")
    arguments = parser.parse_args()
    if arguments.drops < 2 or not 2 <= arguments.burst_eicars <= arguments.burst:
        parser.error("at least 2 drops, and 2 EICAR files that fit into the burst")
    print("load before: " + ", ".join(f"{value:.2f}" for value in os.getloadavg()), flush=True)
    lost = 0
    for source in arguments.source or ["fanotify", "watchdog"]:
        if source == "fanotify" and (os.geteuid() != 0 or not permitted()):
            print("fanotify: SKIPPED, it needs root on Linux")
            continue
        outcome = _measure(source, arguments)
        _print(source, outcome, arguments)
        lost += outcome.lost
    return 1 if lost else 0


def _measure(source: str, arguments: argparse.Namespace) -> Outcome:
    with tempfile.TemporaryDirectory(prefix="buckler-bench-") as name, _tmpfs(Path(name) / "files") as files:
        data_dir = Path(name) / "data"
        watched = files / "watched"
        watched.mkdir()
        config = Path(name) / "agent.toml"
        config.write_text(f'[realtime]\nsource = "{source}"\n', encoding="utf-8")
        with _running_agent(source, watched, data_dir, config):
            drops = [_drop(watched / f"drop-{number}.com") for number in range(arguments.drops)]
            written_s, drained_s, burst = _burst(watched, arguments)
            missed = sum(1 for taken in (*drops, *burst) if taken is None)
            expected = arguments.drops + arguments.burst_eicars
            in_vault = _count_in_vault(data_dir, expected)
            events_lost = _ask(data_dir, "status", "--field", "events_lost").strip()
        return Outcome(
            tuple(taken for taken in drops if taken is not None),
            tuple(taken for taken in burst if taken is not None),
            written_s,
            drained_s,
            max(missed, expected - in_vault),
            events_lost,
        )


@contextmanager
def _tmpfs(point: Path) -> Iterator[Path]:
    """A file system of our own, gone afterwards; without root a plain folder."""
    point.mkdir()
    if os.geteuid() != 0:
        yield point
        return
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512m", "buckler-bench", str(point)], check=True)
    try:
        yield point
    finally:
        subprocess.run(["umount", "-l", str(point)], check=True)


@contextmanager
def _running_agent(source: str, watched: Path, data_dir: Path, config: Path) -> Iterator[None]:
    """`buckler run`, from the moment it has proven itself until it has stopped."""
    command = [_BUCKLER, "run", "--root", str(watched), "--data-dir", str(data_dir), "--config", str(config)]
    log = data_dir.parent / "agent.log"
    with (
        log.open("wb") as said,
        subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=said, stderr=said) as process,
    ):
        try:
            _wait_until_proven(process, log, source)
            yield
        finally:
            process.terminate()
            process.wait(60.0)


def _wait_until_proven(process: "subprocess.Popen[bytes]", log: Path, source: str) -> None:
    deadline = time.monotonic() + _START_TIMEOUT_S
    while time.monotonic() < deadline and process.poll() is None:
        found = re.search(r"^protected roots=.* source=(\S+)", log.read_text(errors="replace"), re.MULTILINE)
        if found and found[1] == source:
            return
        time.sleep(0.05)
    raise RuntimeError(f"buckler run did not prove protection by {source}:\n{log.read_text(errors='replace')[-2000:]}")


def _drop(path: Path) -> float | None:
    """Write one EICAR file; milliseconds from its close until its path is empty, None if it stays."""
    path.write_bytes(EICAR)
    closed = time.monotonic()
    while time.monotonic() - closed < _DROP_TIMEOUT_S:
        if not os.path.lexists(path):
            return (time.monotonic() - closed) * 1000
        time.sleep(_LOOK_EVERY_S)
    return None


def _burst(watched: Path, arguments: argparse.Namespace) -> tuple[float, float, list[float | None]]:
    """Write the burst in a process of its own and see the EICAR files go; seconds written, drained, and latencies.

    Whatever goes while the burst is still being written is noticed when it has been written: its latency is told too
    high, never too low.
    """
    folder = watched / "burst"
    folder.mkdir()
    every = arguments.burst // arguments.burst_eicars
    writer = [sys.executable, "-c", _WRITER, str(folder), str(arguments.burst), str(every), EICAR.hex()]
    begun = time.monotonic()
    done = subprocess.run(writer, check=True, capture_output=True, text=True)
    report = json.loads(done.stdout)
    closed: dict[str, float] = dict(list(report["closed"].items())[: arguments.burst_eicars])
    gone: dict[str, float] = {}
    while len(gone) < len(closed) and time.monotonic() - begun < arguments.burst_timeout:
        for path in closed.keys() - gone.keys():
            if not os.path.lexists(path):
                gone[path] = time.monotonic()
        time.sleep(_LOOK_EVERY_IN_BURST_S)
    drained_s = max(gone.values(), default=time.monotonic()) - report["begun"]
    taken = [(gone[path] - closed[path]) * 1000 if path in gone else None for path in closed]
    return report["written_s"], drained_s, taken


#: Knows nothing of us and does nothing but write. `time.monotonic` is one clock for all processes on Linux.
_WRITER = """
import json, sys, time
folder, count, every, eicar = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), bytes.fromhex(sys.argv[4])
closed, begun = {}, time.monotonic()
for number in range(count):
    bad = number % every == every - 1
    path = f"{folder}/{number}"
    with open(path, "wb") as file:
        file.write(eicar if bad else b"note %d, and nothing that a rule knows" % number)
    if bad:
        closed[path] = time.monotonic()
print(json.dumps({"closed": closed, "begun": begun, "written_s": time.monotonic() - begun}))
"""


def _count_in_vault(data_dir: Path, expected: int) -> int:
    """Files whose capture is complete: out of their place, then encrypted, which takes a moment longer."""
    deadline = time.monotonic() + _VAULT_TIMEOUT_S
    while True:
        listed = json.loads(_ask(data_dir, "quarantine", "list", "--output", "json"))
        done = len({entry["original_path"] for entry in listed if entry["state"] == "done"})
        if done >= expected or time.monotonic() > deadline:
            return done
        time.sleep(0.5)


def _ask(data_dir: Path, *arguments: str) -> str:
    done = subprocess.run([_BUCKLER, *arguments, "--data-dir", str(data_dir)], check=False, capture_output=True)
    return done.stdout.decode()


def _print(source: str, outcome: Outcome, arguments: argparse.Namespace) -> None:
    print(f"{source}")
    print(f"  {arguments.drops} single drops, close to quarantined: {_told(outcome.drops_ms)}")
    print(
        f"  burst of {arguments.burst} files with {arguments.burst_eicars} EICAR: written in {outcome.written_s:.2f} s,"
        f" last EICAR gone after {outcome.drained_s:.2f} s, close to quarantined: {_told(outcome.burst_ms)}"
    )
    print(f"  lost: {outcome.lost}; events the agent says it missed and made up for: {outcome.events_lost}")


def _told(taken_ms: Sequence[float]) -> str:
    if len(taken_ms) < 2:
        return "too few were taken to tell"
    cuts = statistics.quantiles(taken_ms, n=100, method="inclusive")
    return f"p50 {cuts[49]:.1f} ms, p99 {cuts[98]:.1f} ms, worst {max(taken_ms):.1f} ms"


if __name__ == "__main__":
    sys.exit(main())
