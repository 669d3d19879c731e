"""`python -m benchmarks.realtime`: what real-time protection costs and how fast it is, beside clamd and clamonacc.

Contestants: `buckler run` by fanotify, notifying and blocking, and by watchdog; Debian's `clamonacc` with a database of
one signature, notifying and preventing. Each has a tmpfs of its own; databases and quarantines are on the disk.

Each alone: idle, and its memory then and after some work; Buckler also a burst while it stands still, so that the
kernel's queue overflows, and one in whose middle it is killed. Then all running, one after the other in turns: 200
single EICAR files; bursts of 20,000 small files with 200 EICAR files; a real tree written by `cp -r` and `tar x`, each
time also on an unwatched disk.

Each target is one line at the end; the exit status is 1 when one is missed.
"""

import argparse
import os
import signal
import statistics
import sys
import sysconfig
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from agent.platform.fanotify import permitted
from agent.realtime.self_test import EICAR
from benchmarks.parts.licence import activate
from benchmarks.parts.protections import Buckler, Clamonacc, Protection
from benchmarks.parts.rules import find_corpus
from benchmarks.parts.scratch import scratch_disk
from benchmarks.parts.targets import Target, report
from benchmarks.parts.trials import (
    Burst,
    Copying,
    Idle,
    PreparedTree,
    WriteRound,
    burst,
    burst_beyond_the_queue,
    burst_of,
    burst_with_a_kill,
    copy_tree,
    copying_of,
    drop_in_turns,
    idle,
    prepare_tree,
    unpack_tree,
)

_MIB = 1024 * 1024
NOTIFY, BLOCK, WATCHDOG = "buckler fanotify notify", "buckler fanotify block", "buckler watchdog notify"
PEER, PREVENTING_PEER = "clamonacc notify", "clamonacc prevention"
_TREE = Path(sysconfig.get_path("purelib"))
#: More than the kernel's queues hold by default (16,384), so that they overflow while nobody reads.
_OVERFLOWING = 20_000


@dataclass(slots=True)
class Results:
    """Everything measured, by the contestant's name."""

    idle: dict[str, Idle] = field(default_factory=dict)
    drops: dict[str, list[float | None]] = field(default_factory=dict)
    bursts: dict[str, Burst] = field(default_factory=dict)
    overflows: dict[str, Burst] = field(default_factory=dict)
    kills: dict[str, Burst] = field(default_factory=dict)
    copies: dict[str, Copying] = field(default_factory=dict)
    unpacked: dict[str, Copying] = field(default_factory=dict)
    #: Proportional set size in bytes, at rest after all of that.
    after_work: dict[str, int] = field(default_factory=dict)
    with_corpus: Idle | None = None


def main() -> int:
    """Measure every contestant that this machine permits; 1 when a target is missed."""
    arguments = _arguments()
    # However it is ended, what it started and mounted has to go.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    print("load before: " + ", ".join(f"{value:.2f}" for value in os.getloadavg()), flush=True)
    results = Results()
    with tempfile.TemporaryDirectory(prefix="buckler-bench-") as name, ExitStack() as stack:
        folder = Path(name)
        plain = stack.enter_context(scratch_disk(folder / "plain"))
        # On a third disk: within one file system the kernel copies by itself, which would flatter the unwatched disk.
        tree = prepare_tree(arguments.tree, stack.enter_context(scratch_disk(folder / "source")), EICAR)
        print(f"tree: {arguments.tree}, {tree.files} files, {tree.archive.stat().st_size / _MIB:.0f} MiB", flush=True)
        contestants = [
            contestant
            for contestant in _contestants(folder, stack)
            if any(word in contestant.name for word in arguments.only)
        ]
        for contestant in contestants:
            _alone(contestant, arguments, tree, plain, results)
        _in_turns(contestants, arguments, tree, plain, results)
        if arguments.corpus:
            results.with_corpus = _idle_with_corpus(folder, stack, arguments)
    for line in _table(results):
        print(line)
    lines, status = report(list(_targets(results)))
    print("\n".join(["targets:", *(f"  {line}" for line in lines)]))
    return status


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.realtime", description=__doc__)
    parser.add_argument("--only", action="append", metavar="WORD", help="contestants whose name contains this")
    parser.add_argument("--drops", type=int, default=200, metavar="N", help="single EICAR files")
    parser.add_argument("--burst", type=int, default=20_000, metavar="N", help="small files of the burst")
    parser.add_argument("--burst-eicars", type=int, default=200, metavar="N", help="EICAR files among them")
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="of bursts, cp and tar; medians are shown")
    parser.add_argument("--tree", type=Path, default=_TREE, metavar="DIR", help="what cp and tar write")
    parser.add_argument("--idle", type=float, default=60.0, metavar="S", help="how long nothing happens")
    parser.add_argument("--corpus", action="store_true", help="also idle with the rule sets in shared/corpus")
    arguments = parser.parse_args()
    if arguments.drops < 2 or not 2 <= arguments.burst_eicars <= arguments.burst:
        parser.error("at least 2 drops, and 2 EICAR files that fit into the burst")
    arguments.only = arguments.only or [""]
    return arguments


def _contestants(folder: Path, stack: ExitStack) -> Iterator[Protection]:
    """Everybody who can run here, each on a disk of its own."""

    def watched(name: str) -> Path:
        place = stack.enter_context(scratch_disk(folder / f"{name}-disk")) / "watched"
        place.mkdir()
        return place

    if os.geteuid() == 0 and permitted():
        yield Buckler("fanotify", blocks=False, folder=folder / "notify", watched=watched("notify"))
        blocking = Buckler("fanotify", blocks=True, folder=folder / "block", watched=watched("block"))
        activate([blocking.data_dir], folder / "server")
        yield blocking
    else:
        print("fanotify: SKIPPED, it needs root on Linux")
    yield Buckler("watchdog", blocks=False, folder=folder / "watchdog", watched=watched("watchdog"))
    if os.geteuid() == 0 and Clamonacc.installed():
        yield Clamonacc(blocks=False, folder=folder / "clam", watched=watched("clam"), signature=EICAR)
        yield Clamonacc(blocks=True, folder=folder / "prevent", watched=watched("prevent"), signature=EICAR)
    else:
        print("clamonacc: SKIPPED, it needs root and Debian's packages clamav-daemon and clamonacc")


@contextmanager
def _running(protection: Protection) -> Iterator[None]:
    protection.start()
    try:
        yield
    finally:
        protection.stop()


def _alone(
    protection: Protection, arguments: argparse.Namespace, tree: PreparedTree, plain: Path, results: Results
) -> None:
    """What needs the others out of the way, as they would share its memory, and what only Buckler is put through."""
    name, count, infected = protection.name, max(arguments.burst, _OVERFLOWING), arguments.burst_eicars
    print(f"{name}, alone …", flush=True)
    with _running(protection):
        results.idle[name] = idle(protection, arguments.idle)
        copy_tree(protection, tree, plain, -1)
        results.after_work[name] = protection.pss_bytes()
        if isinstance(protection, Buckler):
            results.overflows[name] = burst_beyond_the_queue(protection, "overflow", count, infected, EICAR)
            protection.wait_until_calm()
            results.kills[name] = burst_with_a_kill(protection, "kill", arguments.burst, infected, EICAR)


def _in_turns(
    contestants: Sequence[Protection], arguments: argparse.Namespace, tree: PreparedTree, plain: Path, results: Results
) -> None:
    """Everybody runs, and one after the other is put through the same, so that what else the machine does hits all.

    A peer that looks only at what is opened has no latency from close to quarantined, and drains nothing.
    """
    at_close = [one for one in contestants if not isinstance(one, Clamonacc) or not one.blocks]
    with ExitStack() as running:
        for protection in contestants:
            running.enter_context(_running(protection))
        print("single drops, in turns …", flush=True)
        results.drops = drop_in_turns(at_close, arguments.drops, EICAR)
        bursts: dict[str, list[Burst]] = {one.name: [] for one in at_close}
        copies: dict[str, list[WriteRound]] = {one.name: [] for one in contestants}
        unpacked: dict[str, list[WriteRound]] = {one.name: [] for one in contestants}
        for number in range(arguments.rounds):
            print(f"round {number + 1} of {arguments.rounds} …", flush=True)
            for one in at_close:
                bursts[one.name].append(burst(one, f"b{number}", arguments.burst, arguments.burst_eicars, EICAR))
                one.wait_until_calm()
            for one in contestants:
                copies[one.name].append(copy_tree(one, tree, plain, number))
                unpacked[one.name].append(unpack_tree(one, tree, plain, number))
        results.bursts = {name: burst_of(rounds) for name, rounds in bursts.items()}
        results.copies = {name: copying_of(rounds) for name, rounds in copies.items()}
        results.unpacked = {name: copying_of(rounds) for name, rounds in unpacked.items()}


def _idle_with_corpus(folder: Path, stack: ExitStack, arguments: argparse.Namespace) -> Idle | None:
    rules = find_corpus()
    if not rules:
        print("rule sets: SKIPPED, there is no folder shared/corpus here or above")
        return None
    disk = stack.enter_context(scratch_disk(folder / "corpus-disk"))
    source = "fanotify" if os.geteuid() == 0 else "watchdog"
    agent = Buckler(source, blocks=False, folder=folder / "corpus", watched=disk, rules=rules)
    print(f"{agent.name} with {len(rules)} public rule sets …", flush=True)
    with _running(agent):
        return idle(agent, arguments.idle)


# ---------------------------------------------------------------- telling


def percentile(taken: Sequence[float | None], percent: int) -> float | None:
    """Of those that were taken; None: too few."""
    there = [value for value in taken if value is not None]
    return statistics.quantiles(there, n=100, method="inclusive")[percent - 1] if len(there) > 1 else None


def _table(results: Results) -> Iterator[str]:
    yield f"{'single drops, ms from close to gone':44}{'p50':>8}{'p99':>8}{'worst':>8}{'lost':>6}"
    for name, taken in results.drops.items():
        there = [value for value in taken if value is not None]
        figures = [percentile(taken, 50), percentile(taken, 99), max(there, default=None)]
        yield f"  {name:42}" + "".join(f"{_or_dash(figure):>8}" for figure in figures) + f"{taken.count(None):6}"
    for title, bursts in (
        ("burst", results.bursts),
        ("burst beyond the kernel's queue", results.overflows),
        ("burst with kill -9 in its middle", results.kills),
    ):
        yield f"{title:44}{'written s':>10}{'drained s':>10}{'lost':>6}{'events lost':>13}"
        for name, told in bursts.items():
            yield f"  {name:42}{told.written_s:10.2f}{told.drained_s:10.2f}{told.lost:6}{told.events_lost:>13}"
    for title, copies in (("cp -r", results.copies), ("tar x", results.unpacked)):
        yield f"{title:44}{'plain s':>10}{'guarded s':>10}{'slower':>8}{'its CPU':>8}{'CPU s':>8}{'lost':>6}"
        for name, cost in copies.items():
            seconds = f"{cost.plain_s:10.2f}{cost.protected_s:10.2f}{cost.slow_down:7.2f}x{cost.cpu_slow_down:7.2f}x"
            yield f"  {name:42}{seconds}{cost.cpu_s:8.2f}{cost.lost:6}"
    yield f"{'idle':44}{'% of a core':>12}{'PSS MiB':>9}{'after work':>12}"
    for name, rest in results.idle.items():
        after = results.after_work[name] / _MIB
        yield f"  {name:42}{rest.cpu_percent:12.2f}{rest.pss_bytes / _MIB:9.1f}{after:12.1f}"
    if results.with_corpus is not None:
        rest = results.with_corpus
        yield f"  {'buckler with public rule sets':42}{rest.cpu_percent:12.2f}{rest.pss_bytes / _MIB:9.1f}"


def _or_dash(figure: float | None) -> str:
    return "-" if figure is None else f"{figure:.2f}"


def _targets(results: Results) -> Iterator[Target]:
    ours = [name for name in results.idle if name.startswith("buckler")]
    for name in ours:
        yield Target(f"{name}: planted files lost", _lost(results, name), 0)
    for name in ours:
        yield from _idle_targets(name, results.idle[name], 150)
        yield Target(f"{name}: memory after work", results.after_work[name] / _MIB, 150, " MiB")
    if results.with_corpus is not None:
        yield from _idle_targets("buckler with public rule sets", results.with_corpus, 300)
    for name in (NOTIFY, WATCHDOG):
        if name in results.copies:
            yield Target(f"{name}: cp -r slower", results.copies[name].slow_down, 1.1, "x")
            yield Target(f"{name}: tar x slower", results.unpacked[name].slow_down, 1.1, "x")
    yield from _peer_targets(results)


def _idle_targets(name: str, rest: Idle, mib: float) -> Iterator[Target]:
    yield Target(f"{name}: idle", rest.cpu_percent, 0.5, "% of a core")
    yield Target(f"{name}: memory", rest.pss_bytes / _MIB, mib, " MiB")


def _lost(results: Results, name: str) -> int:
    trials: Sequence[Mapping[str, Burst] | Mapping[str, Copying]]
    trials = (results.bursts, results.overflows, results.kills, results.copies, results.unpacked)
    return results.drops[name].count(None) + sum(trial[name].lost for trial in trials)


def _peer_targets(results: Results) -> Iterator[Target]:
    """Ratios to the peer in the same run. Not for watchdog, whose place is where the peer cannot run at all."""
    for name in (NOTIFY, BLOCK):
        if name not in results.drops or PEER not in results.drops:
            continue
        for percent in (50, 99):
            ours, peers = (percentile(results.drops[who], percent) for who in (name, PEER))
            yield Target(f"{name}: p{percent} of drops, times {PEER}", _ratio(ours, peers), 1.0, "x")
        drained, peer_drained = (results.bursts[who].drained_s for who in (name, PEER))
        yield Target(f"{name}: burst drained, times {PEER}", _ratio(drained, peer_drained), 0.5, "x")
    if BLOCK in results.copies and PREVENTING_PEER in results.copies:
        for what, costs in (("cp -r", results.copies), ("tar x", results.unpacked)):
            bound = costs[PREVENTING_PEER].slow_down
            yield Target(f"{BLOCK}: {what} slower, {PREVENTING_PEER}'s", costs[BLOCK].slow_down, bound, "x")


def _ratio(ours: float | None, theirs: float | None) -> float | None:
    return None if ours is None or not theirs else ours / theirs


if __name__ == "__main__":
    sys.exit(main())
