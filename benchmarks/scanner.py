"""`python -m benchmarks.scanner [TREE...] [--rules PATH...] [--runs N]`: Buckler and its peers on one tree.

Everybody scans the same files with the same rules in the same run, in turns, with the page cache warm. Times are wall
times from start to end, so they hold each program's start and its compiling of the rules; `start s` is that part, from
a scan of an empty folder. Peers open no containers: `buckler, no containers` does the same work as they do, the rows
above it do more. Sets of matches are compared on the files themselves, and also on a folder of planted files.
"""

import argparse
import base64
import os
import shutil
import statistics
import sys
import sysconfig
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from agent.domain.errors import BucklerError
from agent.scanner.rulepack import builtin_signatures
from benchmarks.parts.contestants import Answer, Contestant, Match, Missing, contestants
from benchmarks.parts.measuring import MIB, Cost, ProgramFailedError, run_measured
from benchmarks.parts.rules import SharedRules, find_corpus, share_rules

#: Against it everything is compared.
_OURS = "buckler cold"
_ROW = "{:<24} {:>8} {:>8} {:>8} {:>8} {:>8} {:>9} {:>8}  {}"
_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Work:
    """What is scanned: trees, and how much is in them."""

    trees: tuple[Path, ...]
    files: int
    content_bytes: int


@dataclass(slots=True)
class Score:
    """What one contestant did so far.

    Attributes:
        starts: Seconds for empty folders in place of the trees, one per run.
        costs: One per run.
        answer: Of the last run.
        planted: Matches in the folder of planted files.
    """

    contestant: Contestant
    planted: frozenset[Match]
    answer: Answer = field(default_factory=lambda: Answer(frozenset()))
    starts: list[float] = field(default_factory=list)
    costs: list[Cost] = field(default_factory=list)

    @property
    def wall_s(self) -> float:
        """Median over the runs."""
        return statistics.median(cost.wall_s for cost in self.costs)

    @property
    def start_s(self) -> float:
        """Median over the runs."""
        return statistics.median(self.starts)

    @property
    def cpu_s(self) -> float:
        """Median over the runs."""
        return statistics.median(cost.cpu_s for cost in self.costs)

    @property
    def peak_bytes(self) -> int:
        """Highest of all runs."""
        return max(cost.peak_bytes for cost in self.costs)

    @property
    def matches(self) -> frozenset[Match]:
        """In the trees and in the planted files."""
        return self.answer.matches | self.planted


def main() -> int:
    """Compare; 1 when sets of matches differ, 2 when there was nothing to compare."""
    arguments = _arguments()
    # At the start, because later most of it is ours.
    print("load before: " + ", ".join(f"{value:.2f}" for value in os.getloadavg()), flush=True)
    with tempfile.TemporaryDirectory(prefix="buckler-bench-") as name:
        scratch = Path(name)
        try:
            rules = _rules(arguments, scratch)
            work = _measure_trees([tree.resolve() for tree in arguments.trees])
            return _compare(work, rules, arguments, scratch)
        except (BucklerError, ProgramFailedError) as error:
            sys.stderr.write(f"benchmarks.scanner: {error}\n")
            return 2


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scanner", description="Compare Buckler with its peers.")
    parser.add_argument("trees", nargs="*", type=Path, metavar="TREE", help="default: the installed Python packages")
    parser.add_argument("--rules", action="append", type=Path, default=[], metavar="PATH", help="file, folder or zip")
    parser.add_argument("--corpus", action="store_true", help="use the rule sets in shared/corpus")
    parser.add_argument("--runs", type=int, default=3, metavar="N", help="runs of each; default 3")
    parser.add_argument("--processes", type=int, default=len(os.sched_getaffinity(0)), metavar="N")
    arguments = parser.parse_args()
    arguments.trees = arguments.trees or [Path(sysconfig.get_path("purelib"))]
    if arguments.runs < 1 or arguments.processes < 1:
        parser.error("--runs and --processes are at least 1")
    for tree in arguments.trees:
        if not tree.is_dir():
            parser.error(f"{tree} is no folder")
    return arguments


def _rules(arguments: argparse.Namespace, scratch: Path) -> SharedRules:
    sources: list[Path] = [*arguments.rules]
    if arguments.corpus:
        corpus = find_corpus()
        if not corpus:
            print("rule sets: SKIPPED, there is no folder shared/corpus here or above")
        sources.extend(corpus)
    folder = scratch / "rules"
    folder.mkdir()
    rules = share_rules(sources or [builtin_signatures()], folder, shutil.which("yara"))
    print(f"rules: {rules.count} in {len(rules.files)} files; left out for everybody: {len(rules.left_out)} files")
    for line in rules.left_out:
        print(f"  left out {line}")
    return rules


def _measure_trees(trees: Sequence[Path]) -> Work:
    """Count regular files and read each once, so that nobody's first run pays for the disk."""
    files = content_bytes = 0
    for tree in trees:
        for folder, _folders, names in os.walk(tree):
            for path in (Path(folder, name) for name in names):
                if path.is_file() and not path.is_symlink():
                    files += 1
                    content_bytes += len(path.read_bytes())
    return Work(tuple(trees), files, content_bytes)


def _plant(folder: Path) -> None:
    """Files that the built-in rules must find, and their honest neighbours, which they must not."""
    folder.mkdir()
    for number, fixture in enumerate(sorted(builtin_signatures().rglob("*.b85"))):
        (folder / f"{number:03}-{fixture.stem}").write_bytes(base64.b85decode(b"".join(fixture.read_bytes().split())))


def _compare(work: Work, rules: SharedRules, arguments: argparse.Namespace, scratch: Path) -> int:
    empty, planted = scratch / "empty", scratch / "planted"
    empty.mkdir()
    _plant(planted)
    entrants = contestants(rules, arguments.processes, scratch)
    scores: list[Score] = []
    for entrant in entrants:
        if isinstance(entrant, Contestant):
            _, found = _run(entrant, [planted])
            scores.append(Score(entrant, found.matches))
            if entrant.prepare:
                _run(entrant, work.trees)
    find_s: list[float] = []
    for number in range(arguments.runs):
        find_s.append(_find(work))
        turn = number % len(scores)
        for score in (*scores[turn:], *scores[:turn]):
            # As many empty folders as trees: `yara` takes one at a time and compiles the rules for each.
            start, _ = _run(score.contestant, [empty] * len(work.trees))
            score.starts.append(start.wall_s)
            cost, score.answer = _run(score.contestant, work.trees)
            score.costs.append(cost)
    missing = [entrant for entrant in entrants if isinstance(entrant, Missing)]
    _print_table(work, scores, missing, arguments)
    _print_ratios(scores, statistics.median(find_s))
    return _print_agreement(scores, rules)


def _run(contestant: Contestant, trees: Sequence[Path]) -> tuple[Cost, Answer]:
    total = Cost(0.0, 0.0, 0)
    output = b""
    for command in contestant.commands(trees):
        cost, said = run_measured(command, good=contestant.good, env=contestant.env)
        total += cost
        output += said
    return total, contestant.read(output)


def _find(work: Work) -> float:
    trees = [str(tree) for tree in work.trees]
    cost, _ = run_measured(
        ["find", *trees, "-type", "f", "-printf", r"%s %T@ %C@ %i\n"],
        good=frozenset({0}),
    )
    return cost.wall_s


def _print_table(
    work: Work, scores: Sequence[Score], missing: Sequence[Missing], arguments: argparse.Namespace
) -> None:
    print(f"tree: {' '.join(map(str, work.trees))}: {work.files} files, {work.content_bytes / MIB:.0f} MiB")
    print(f"{arguments.runs} runs each, in turns, medians; {arguments.processes} processes")
    print(_ROW.format("", "wall s", "start s", "files/s", "MiB/s", "CPU s", "peak MiB", "matches", "note"))
    for score in scores:
        figures = (
            f"{score.wall_s:.2f}",
            f"{score.start_s:.2f}",
            f"{work.files / score.wall_s:.0f}",
            f"{work.content_bytes / MIB / score.wall_s:.1f}",
            f"{score.cpu_s:.2f}",
            f"{score.peak_bytes / MIB:.0f}",
            str(len(score.answer.matches)),
        )
        print(_ROW.format(score.contestant.name, *figures, score.answer.note).rstrip())
    for absent in missing:
        print(_ROW.format(absent.name, *["-"] * 7, absent.reason))


def _print_ratios(scores: Sequence[Score], find_s: float) -> None:
    ours = next(score for score in scores if score.contestant.name == _OURS)
    print(f"ratios of files/s, wall time and wall time without start: `{_OURS}` is so many times as fast as")
    for score in scores:
        if score is not ours:
            theirs, mine = score.wall_s - score.start_s, ours.wall_s - ours.start_s
            without = f"{theirs / mine:.2f}" if min(theirs, mine) > 0 else "-"
            print(f"  {score.contestant.name:<24} {score.wall_s / ours.wall_s:6.2f} {without:>6}")
    warm = next(score for score in scores if score.contestant.name == "buckler warm")
    print(f"find -type f -printf: {find_s:.2f} s; buckler warm takes {warm.wall_s / find_s:.1f} times that")


def _print_agreement(scores: Sequence[Score], rules: SharedRules) -> int:
    """Tell for each contestant whether it matched what we matched; 1 when one did not."""
    ours = next(score for score in scores if score.contestant.name == _OURS)
    worst = 0
    for score in scores:
        if score is ours or not score.contestant.comparable:
            continue
        unlike = frozenset() if score.contestant.sees_variables else rules.reading_variables
        mine = {match for match in ours.matches if match[:2] not in unlike}
        theirs = {match for match in score.matches if match[:2] not in unlike}
        apart = f" ({len(unlike)} rules that read external variables apart)" if unlike else ""
        said = f"matches of {_OURS} and {score.contestant.name}, {len(ours.planted)} of planted files included"
        if mine == theirs:
            print(f"{said}: identical, {len(mine)}{apart}")
            continue
        worst = 1
        print(f"{said}: DIFFERENT{apart}: {len(mine - theirs)} only ours, {len(theirs - mine)} only theirs")
        for match in sorted(mine ^ theirs)[:_SHOWN]:
            print(f"  {'ours' if match in mine else 'theirs'}: {match[1]} on {match[2]!r}")
    return worst


if __name__ == "__main__":
    sys.exit(main())
