"""What the scanner must reach, and whether it did."""

from collections.abc import Iterator, Sequence

from benchmarks.parts.measuring import MIB
from benchmarks.parts.scoring import OURS, WARM, Extras, Score, Work
from benchmarks.parts.targets import Target

#: Trees that the targets speak of: many small files, or large binaries.
MANY_FILES = 40_000
LARGE_MEAN_BYTES = 100_000
_MEMORY_FACTOR = 1.5


def scanner_targets(work: Work, scores: Sequence[Score], extras: Extras) -> Iterator[Target]:
    """Those that this tree and these contestants can tell about."""
    by_name = {score.contestant.name: score for score in scores}
    ours, warm = by_name[OURS], by_name[WARM]
    yara = next((score for name, score in by_name.items() if name.startswith("yara -r")), None)
    plain = [score for name, score in by_name.items() if "-python x" in name]
    if work.files >= MANY_FILES:
        if yara is not None:
            yield Target("many small files, files/s as a multiple of `yara -r`", yara.wall_s / ours.wall_s, at_least=4)
        if plain:
            best = min(score.wall_s for score in plain)
            yield Target(
                "many small files, files/s as a multiple of the best plain engine", best / ours.wall_s, at_least=2
            )
        yield Target("second scan, time as a multiple of `find`", warm.wall_s / extras.find_s, at_most=4)
        yield Target("first scan, time as a multiple of the second's", ours.wall_s / warm.wall_s, at_least=50)
    if yara is not None and work.content_bytes >= LARGE_MEAN_BYTES * work.files:
        yield Target("large binaries, MiB/s as a multiple of `yara -r`", yara.wall_s / ours.wall_s, at_least=1.5)
    if extras.one_yara_bytes:
        allowed = _MEMORY_FACTOR * extras.processes * extras.one_yara_bytes
        yield Target("peak memory, MiB", ours.peak_bytes / MIB, at_most=round(allowed / MIB))
