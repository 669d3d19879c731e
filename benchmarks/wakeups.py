"""`python -m benchmarks.wakeups`: what the agent does on a machine where nothing happens.

`buckler run` on an empty folder, left alone until its start is over; then, for a minute, how often the kernel gave a
processor to each of its threads, workers included, and the CPU time they took. As root the folder is on a tmpfs of our
own and the agent in a mount namespace of its own: fanotify tells about a whole file system, and a mount that somebody
makes meanwhile would wake the agent, too.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from agent.platform.fanotify import permitted

_BUCKLER = str(Path(sys.executable).parent / "buckler")
#: Threads that belong to the gRPC library, which wakes them by itself.
_OF_GRPC = re.compile(r"grpc_global_tim|event_engine|lifeguard|timer_manager")
_PROVEN = "protected roots="


def main() -> int:
    """Measure once and print what woke up."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.wakeups", description="Wake-ups of an idle agent.")
    parser.add_argument("--settle", type=float, default=20.0, metavar="S", help="after protection is proven")
    parser.add_argument("--seconds", type=float, default=60.0, metavar="S", help="how long to watch")
    arguments = parser.parse_args()
    print("load before: " + ", ".join(f"{value:.2f}" for value in os.getloadavg()), flush=True)
    with _folder() as folder, _agent(folder) as agent:
        time.sleep(arguments.settle)
        switches, cpu_s = _switches(agent), _cpu_s(agent)
        time.sleep(arguments.seconds)
        woken = _switches(agent) - switches
        used_s = _cpu_s(agent) - cpu_s
    of_grpc = sum(count for name, count in woken.items() if _OF_GRPC.match(name))
    print(f"in {arguments.seconds:.0f} s: threads of gRPC {of_grpc} wake-ups, all others {woken.total() - of_grpc}")
    print(f"CPU: {used_s:.2f} s, {used_s / arguments.seconds:.2%} of one core")
    return 0


@contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="buckler-bench-") as scratch:
        folder = Path(scratch) / "disk"
        folder.mkdir()
        if os.geteuid() != 0 or not permitted():
            yield folder
            return
        subprocess.run(["mount", "-t", "tmpfs", "buckler-bench", str(folder)], check=True)
        try:
            yield folder
        finally:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)


@contextmanager
def _agent(folder: Path) -> Iterator[psutil.Process]:
    (folder / "root").mkdir()
    alone = ["unshare", "--mount", "--propagation", "private"] if os.geteuid() == 0 else []
    command = [*alone, _BUCKLER, "run", "--data-dir", str(folder / "data"), "--root", str(folder / "root")]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            if not any(line.startswith(_PROVEN) for line in process.stderr):
                raise SystemExit("the agent ended before protection was proven")
            yield psutil.Process(process.pid)
        finally:
            process.terminate()


def _tree(agent: psutil.Process) -> list[psutil.Process]:
    return [agent, *agent.children(recursive=True)]


def _switches(agent: psutil.Process) -> Counter[str]:
    """Context switches so far, by the name of the thread."""
    found: Counter[str] = Counter()
    for process in _tree(agent):
        for thread in Path(f"/proc/{process.pid}/task").iterdir():
            status = (thread / "status").read_text(encoding="utf-8", errors="replace")
            name = status.partition("\n")[0].removeprefix("Name:").strip()
            found[name] += sum(int(count) for count in re.findall(r"ctxt_switches:\s+(\d+)", status))
    return found


def _cpu_s(agent: psutil.Process) -> float:
    return sum(times.user + times.system for times in (process.cpu_times() for process in _tree(agent)))


if __name__ == "__main__":
    sys.exit(main())
