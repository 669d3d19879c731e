"""`python -m benchmarks.scanner [TREE...] [--rules PATH...] [--runs N]`: Buckler and its peers on one tree.

Everybody scans the same files with the same rules in the same run, in turns, with the page cache warm. Times are wall
times from start to end, so they hold each program's start and its compiling of the rules; `start s` is that part, from
a scan of an empty folder. Buckler has compiled the rules in an earlier start, as on any machine after its first scan;
what the first start takes is told apart. Peers open no containers: `buckler, no containers` does the same work as they
do, the rows above it do more. Sets of matches are compared on the files themselves and on a folder of planted files.
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
from pathlib import Path

from agent.domain.errors import BucklerError
from agent.scanner.packs.rule_files import builtin_signatures
from benchmarks.parts.contestant import Answer, Contestant, Missing
from benchmarks.parts.contestants import contestants, one_yara
from benchmarks.parts.measuring import Cost, ProgramFailedError, run_measured
from benchmarks.parts.rules import SharedRules, find_corpus, share_rules
from benchmarks.parts.scanner_targets import scanner_targets
from benchmarks.parts.scoring import OURS, Extras, Score, Work, print_agreement, print_ratios, print_table
from benchmarks.parts.targets import report


def main() -> int:
    """Compare; 1 when sets of matches differ or a target is missed, 2 when there was nothing to compare."""
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
    first_start_s = 0.0
    for entrant in entrants:
        if isinstance(entrant, Contestant):
            if entrant.name == OURS:
                # Nothing has been compiled for its data folder yet.
                first_start_s = _run(entrant, [empty])[0].wall_s
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
    single = one_yara(rules)
    one_yara_bytes = _run(single, [planted])[0].peak_bytes if isinstance(single, Contestant) else 0
    extras = Extras(statistics.median(find_s), one_yara_bytes, first_start_s, arguments.runs, arguments.processes)
    print_table(work, scores, missing, extras)
    print_ratios(scores, extras)
    lines, missed = report(list(scanner_targets(work, scores, extras)))
    print("\n".join(lines))
    return max(print_agreement(scores, rules), missed)


def _run(contestant: Contestant, trees: Sequence[Path]) -> tuple[Cost, Answer]:
    total = Cost(0.0, 0.0, 0)
    output = b""
    with contestant.serving() as server:
        for command in contestant.commands(trees):
            cost, said = run_measured(command, good=contestant.good, env=contestant.env, server=server)
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


if __name__ == "__main__":
    sys.exit(main())
