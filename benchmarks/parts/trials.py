"""What a protection is put through. Nobody in here knows which one it is; only two trials need Buckler's own doings."""

import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tarfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.parts.measuring import children_cpu_s
from benchmarks.parts.protections import Buckler, Protection

#: How often a path is looked at; half of it is the error of a latency.
_LOOK_EVERY_S = 0.0002
_LOOK_EVERY_IN_BURST_S = 0.005
#: A single drop that stays this long is lost; so is the rest of a burst of which nothing has gone for `_STUCK_S`.
_DROP_TIMEOUT_S = 20.0
_STUCK_S = 10.0
#: From a file's leaving its place to its being sealed, at the end of a burst.
_VAULT_TIMEOUT_S = 60.0
_PLANTED_IN_TREE = 20
#: How long a start may go on in the background.
_SETTLE_S = 60.0


@dataclass(frozen=True, slots=True)
class Burst:
    """What became of many files written at once.

    Attributes:
        written_s: Seconds it took to write them.
        drained_s: Seconds from the first file until the last infected one that went was gone.
        lost: Infected files still in their place, or gone and not completely in quarantine.
        events_lost: What the protection says of the events it missed.
    """

    written_s: float
    drained_s: float
    lost: int
    events_lost: str


@dataclass(frozen=True, slots=True)
class Copying:
    """What protection costs who writes a tree.

    Attributes:
        plain_s: Median seconds on an unwatched disk.
        protected_s: Median seconds in the watched folder.
        plain_cpu_s: Median CPU seconds of the writer there; unlike its wall time, hardly moved by what else is running.
        protected_cpu_s: Median CPU seconds of the writer here.
        cpu_s: CPU seconds of the protection, median of the rounds, until it was calm again.
        lost: Infected files in the tree that were not taken, all rounds together.
    """

    plain_s: float
    protected_s: float
    plain_cpu_s: float
    protected_cpu_s: float
    cpu_s: float
    lost: int

    @property
    def slow_down(self) -> float:
        """1: none."""
        return self.protected_s / self.plain_s

    @property
    def cpu_slow_down(self) -> float:
        """The same of the writer's own CPU time."""
        return self.protected_cpu_s / self.plain_cpu_s


@dataclass(frozen=True, slots=True)
class Idle:
    """What it takes to do nothing: percent of one core, bytes."""

    cpu_percent: float
    pss_bytes: int


def drop_in_turns(protections: Sequence[Protection], count: int, content: bytes) -> dict[str, list[float | None]]:
    """Write infected files one after the other, to each protection in turn, all of them running.

    Returns:
        Milliseconds from each file's close until its path was empty; None if it stayed.
    """
    taken: dict[str, list[float | None]] = {protection.name: [] for protection in protections}
    for number in range(count):
        for protection in protections:
            taken[protection.name].append(_drop(protection.watched / f"drop-{number}.com", content))
    return taken


def _drop(path: Path, content: bytes) -> float | None:
    path.write_bytes(content)
    closed = time.monotonic()
    while time.monotonic() - closed < _DROP_TIMEOUT_S:
        if not os.path.lexists(path):
            return (time.monotonic() - closed) * 1000
        time.sleep(_LOOK_EVERY_S)
    return None


def burst_of(rounds: Sequence[Burst]) -> Burst:
    """Median times of all rounds of one protection, and all its losses."""
    return Burst(
        statistics.median(one.written_s for one in rounds),
        statistics.median(one.drained_s for one in rounds),
        sum(one.lost for one in rounds),
        rounds[-1].events_lost,
    )


def burst(protection: Protection, name: str, count: int, infected: int, content: bytes) -> Burst:
    """Write small files as fast as one process can, some of them infected, and see those go."""
    writer = _begin_burst(protection.watched / name, count, infected, content)
    return _end_burst(protection, writer)


def burst_beyond_the_queue(agent: Buckler, name: str, count: int, infected: int, content: bytes) -> Burst:
    """The agent stands still while more is written than the kernel's queue can hold, to a folder it watches already."""
    (agent.watched / name).mkdir()
    (agent.watched / name / "first.com").write_bytes(content)
    missing(agent, {"first.com"})
    agent.send(signal.SIGSTOP)
    try:
        writer = _begin_burst(agent.watched / name, count, infected, content)
        writer.wait()
    finally:
        agent.send(signal.SIGCONT)
    return _end_burst(agent, writer)


def burst_with_a_kill(agent: Buckler, name: str, count: int, infected: int, content: bytes) -> Burst:
    """The agent is killed in the middle of the burst and started again afterwards."""
    folder = agent.watched / name
    writer = _begin_burst(folder, count, infected, content)
    while writer.poll() is None and sum(1 for _ in os.scandir(folder)) < count // 2:
        time.sleep(0.005)
    agent.send(signal.SIGKILL)
    writer.wait()
    agent.start()
    return _end_burst(agent, writer)


def _begin_burst(folder: Path, count: int, infected: int, content: bytes) -> "subprocess.Popen[bytes]":
    folder.mkdir(exist_ok=True)
    arguments = [str(folder), str(count), str(count // infected), content.hex()]
    return subprocess.Popen([sys.executable, "-c", _WRITER, *arguments], stdout=subprocess.PIPE)


def _end_burst(protection: Protection, writer: "subprocess.Popen[bytes]") -> Burst:
    told, _ = writer.communicate()
    report = json.loads(told)
    paths: set[str] = set(report["infected"])
    left, last_went = _see_them_go(paths)
    names = {Path(path).name for path in paths}
    lost = len(missing(protection, names) | {Path(path).name for path in left})
    return Burst(report["written_s"], last_went - report["begun"], lost, protection.events_lost())


def _see_them_go(paths: set[str]) -> tuple[set[str], float]:
    """Wait while infected files go; those that stay, and when the last of the others went (monotonic)."""
    waiting, last = set(paths), time.monotonic()
    while waiting and time.monotonic() - last < _STUCK_S:
        gone = {path for path in waiting if not os.path.lexists(path)}
        if gone:
            waiting -= gone
            last = time.monotonic()
        time.sleep(_LOOK_EVERY_IN_BURST_S)
    return waiting, last


def missing(protection: Protection, names: set[str]) -> set[str]:
    """Which of these files are not completely in quarantine; being sealed takes a moment longer than being gone."""
    deadline = time.monotonic() + _VAULT_TIMEOUT_S
    before: set[str] = set()
    while True:
        left = names - protection.taken()
        if not left or left == before or time.monotonic() > deadline:
            return left
        before = left
        time.sleep(2.0)


#: Knows nothing of us and does nothing but write. `time.monotonic` is one clock for all processes on Linux.
_WRITER = """
import json, sys, time
folder, count, every, content = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), bytes.fromhex(sys.argv[4])
prefix, infected, begun = folder.rpartition("/")[2], [], time.monotonic()
for number in range(count):
    bad = number % every == every - 1
    path = f"{folder}/{prefix}-{number}"
    with open(path, "wb") as file:
        file.write(content if bad else b"note %d, and nothing that a rule knows" % number)
    if bad:
        infected.append(path)
print(json.dumps({"infected": infected, "begun": begun, "written_s": time.monotonic() - begun}))
"""


# ---------------------------------------------------------------- whole trees


@dataclass(frozen=True, slots=True)
class PreparedTree:
    """A real tree on an unwatched disk, with infected files among the others, once as a folder and once as tar."""

    folder: Path
    archive: Path
    files: int
    infected: frozenset[str]


def prepare_tree(tree: Path, disk: Path, content: bytes) -> PreparedTree:
    """Copy a tree to an unwatched disk and plant infected files in it, spread evenly."""
    folder, archive = disk / "tree", disk / "tree.tar"
    shutil.copytree(tree, folder, symlinks=True, ignore_dangling_symlinks=True)
    folders = sorted(path for path in (folder, *folder.rglob("*")) if path.is_dir() and not path.is_symlink())
    infected = frozenset(f"planted-{number}.com" for number in range(_PLANTED_IN_TREE))
    for number, name in enumerate(sorted(infected)):
        (folders[number * len(folders) // _PLANTED_IN_TREE] / name).write_bytes(content)
    with tarfile.open(archive, "w") as tar:
        tar.add(folder, arcname="tree")
    files = sum(1 for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return PreparedTree(folder, archive, files, infected)


def copying_of(rounds: Sequence["WriteRound"]) -> Copying:
    """Medians of all rounds of one protection."""
    return Copying(
        plain_s=statistics.median(one.plain[0] for one in rounds),
        protected_s=statistics.median(one.protected[0] for one in rounds),
        plain_cpu_s=statistics.median(one.plain[1] for one in rounds),
        protected_cpu_s=statistics.median(one.protected[1] for one in rounds),
        cpu_s=statistics.median(one.cpu_s for one in rounds),
        lost=sum(one.lost for one in rounds),
    )


@dataclass(frozen=True, slots=True)
class WriteRound:
    """A tree written once without and once with protection: seconds by the clock and of the writer's CPU time.

    Attributes:
        plain: On an unwatched disk.
        protected: In the watched folder.
        cpu_s: CPU seconds of the protection until it was calm again.
        lost: Infected files in the tree that were not taken.
    """

    plain: tuple[float, float]
    protected: tuple[float, float]
    cpu_s: float
    lost: int


def copy_tree(protection: Protection, tree: PreparedTree, plain: Path, number: int) -> WriteRound:
    """`cp -r` onto an unwatched disk and into the watched folder."""
    return _write_tree(protection, tree, plain, number, ["cp", "-r", str(tree.folder)])


def unpack_tree(protection: Protection, tree: PreparedTree, plain: Path, number: int) -> WriteRound:
    """`tar x`, likewise."""
    return _write_tree(protection, tree, plain, number, ["tar", "xf", str(tree.archive), "-C"])


def _write_tree(
    protection: Protection, tree: PreparedTree, plain: Path, number: int, command: Sequence[str]
) -> WriteRound:
    unwatched = _timed(command, plain / "copy")
    shutil.rmtree(plain / "copy")
    target = protection.watched / f"{command[0]}-{number}"
    before = protection.cpu_s()
    watched = _timed(command, target)
    left, _ = _see_them_go(_planted_below(target, tree))
    protection.wait_until_calm()
    spent = protection.cpu_s() - before
    shutil.rmtree(target)
    protection.wait_until_calm()
    return WriteRound(unwatched, watched, spent, len(left))


def _planted_below(target: Path, tree: PreparedTree) -> set[str]:
    # clamd makes folders beside what it takes away: they are gone again before anybody has looked into them.
    found = ((folder, name) for folder, _, names in os.walk(target) for name in names)
    return {str(Path(folder, name)) for folder, name in found if name in tree.infected}


def _timed(command: Sequence[str], target: Path) -> tuple[float, float]:
    """Seconds by the clock, and of CPU time."""
    target.mkdir()
    begun, used = time.monotonic(), children_cpu_s()
    subprocess.run([*command, str(target)], check=True)
    return time.monotonic() - begun, children_cpu_s() - used


def idle(protection: Protection, seconds: float) -> Idle:
    """Nobody writes anything, and what a start begins (workers that load rules) is over."""
    protection.wait_until_calm()
    settled, before = time.monotonic() + _SETTLE_S, -1.0
    while (now := protection.cpu_s()) > before + 0.02 and time.monotonic() < settled:
        before = now
        time.sleep(2.0)
    before, begun = protection.cpu_s(), time.monotonic()
    time.sleep(seconds)
    spent = protection.cpu_s() - before
    return Idle(100 * spent / (time.monotonic() - begun), protection.pss_bytes())
