"""What contestants did, told: the table, the ratios, the agreement of their matches, the targets."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.parts.contestant import Answer, Contestant, Match, Missing
from benchmarks.parts.measuring import MIB, Cost
from benchmarks.parts.rules import SharedRules

#: Against it everything is compared.
OURS = "buckler cold"
WARM = "buckler warm"
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


@dataclass(frozen=True, slots=True)
class Extras:
    """What is measured beside the contestants.

    Attributes:
        find_s: Of `find -type f -printf`, median.
        one_yara_bytes: Peak memory of one process `yara` with these rules.
        first_start_s: Of `buckler scan` with nothing kept from earlier starts.
        runs: Of each contestant.
        processes: Of each contestant.
    """

    find_s: float
    one_yara_bytes: int
    first_start_s: float
    runs: int
    processes: int


def print_table(work: Work, scores: Sequence[Score], missing: Sequence[Missing], extras: Extras) -> None:
    """One row for each contestant."""
    print(f"tree: {' '.join(map(str, work.trees))}: {work.files} files, {work.content_bytes / MIB:.0f} MiB")
    print(f"{extras.runs} runs each, in turns, medians; {extras.processes} processes")
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


def print_ratios(scores: Sequence[Score], extras: Extras) -> None:
    """How many times as fast as each of the others we are."""
    ours = next(score for score in scores if score.contestant.name == OURS)
    print(f"ratios of files/s, wall time and wall time without start: `{OURS}` is so many times as fast as")
    for score in scores:
        if score is not ours:
            theirs, mine = score.wall_s - score.start_s, ours.wall_s - ours.start_s
            without = f"{theirs / mine:.2f}" if min(theirs, mine) > 0 else "-"
            print(f"  {score.contestant.name:<24} {score.wall_s / ours.wall_s:6.2f} {without:>6}")
    print(f"find -type f -printf: {extras.find_s:.2f} s; one `yara` process: {extras.one_yara_bytes / MIB:.0f} MiB")
    print(
        f"start of buckler with nothing compiled yet: {extras.first_start_s:.2f} s; the rows above have compiled before"
    )


def print_agreement(scores: Sequence[Score], rules: SharedRules) -> int:
    """Tell for each contestant whether it matched what we matched; 1 when one did not."""
    ours = next(score for score in scores if score.contestant.name == OURS)
    worst = 0
    for score in scores:
        if score is ours or not score.contestant.comparable:
            continue
        unlike = frozenset() if score.contestant.sees_variables else rules.reading_variables
        mine = {match for match in ours.matches if match[:2] not in unlike}
        theirs = {match for match in score.matches if match[:2] not in unlike}
        apart = f" ({len(unlike)} rules that read external variables apart)" if unlike else ""
        said = f"matches of {OURS} and {score.contestant.name}, {len(ours.planted)} of planted files included"
        if mine == theirs:
            print(f"{said}: identical, {len(mine)}{apart}")
            continue
        worst = 1
        print(f"{said}: DIFFERENT{apart}: {len(mine - theirs)} only ours, {len(theirs - mine)} only theirs")
        for match in sorted(mine ^ theirs)[:_SHOWN]:
            print(f"  {'ours' if match in mine else 'theirs'}: {match[1]} on {match[2]!r}")
    return worst
