"""Signature engines beside one another: `python -m benchmarks.engines [TREE]`, each with and without routing.

Every measurement runs in a fresh process that only loads rules, like a scan worker. Engines take turns; figures are
medians of the rounds. Rules are the public sets in `shared/corpus` beside the repository; yara-x takes part where it is
installed. The last table is the answer that matters more than speed: files on which an engine's matches differ from
those of the first.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from importlib.util import find_spec
from multiprocessing import get_context
from pathlib import Path
from typing import TypeVar

from agent.platform.allocator import keep_freed_memory
from agent.scanner.engines.boreal import BorealEngine
from agent.scanner.engines.port import Engine, RuleSource
from agent.scanner.engines.routed import RoutedEngine
from agent.scanner.engines.yara import YaraEngine
from agent.scanner.packs.rulepack import load_rules
from benchmarks.parts.rules import find_corpus
from benchmarks.routing import samples

ROUNDS = 3
TIMEOUT_S = 60.0
MIB = 1 << 20
Match = tuple[str, str]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Round:
    """What one process measured.

    Attributes:
        load_s: From the image to rules that can match.
        memory: Bytes of resident memory that loading added.
        scan_s: All files of one kind, reading not counted.
        matches: Those of each file.
    """

    load_s: float
    memory: int
    scan_s: float
    matches: tuple[frozenset[Match], ...]


def main() -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tree", nargs="?", type=Path, default=Path("/usr/share"))
    tree = parser.parse_args().tree
    corpus = find_corpus()
    if not corpus:
        print("skipped: no shared/corpus folder beside the repository")
        return 0
    sources = load_rules(corpus).sources
    with tempfile.TemporaryDirectory() as folder:
        images = {name: Path(folder, name) for name in engines()}
        print(f"{len(sources)} rule files")
        for name, image in images.items():
            print_compiling(name, sources, image)
        for kind, paths in samples(tree).items():
            compare(kind, images, paths)
    return 0


def engines() -> dict[str, Callable[[], Engine]]:
    """Makers of those that are installed."""
    known: dict[str, Callable[[], Engine]] = {"yara": YaraEngine, "boreal": BorealEngine}
    if find_spec("yara_x"):
        from benchmarks.parts.yara_x_engine import YaraXEngine

        known["yara-x"] = YaraXEngine
    routed = {f"{name}, routed": lambda make=make: RoutedEngine(make()) for name, make in known.items()}
    return known | routed


def print_compiling(name: str, sources: tuple[RuleSource, ...], image: Path) -> None:
    """Compile in a fresh process and say what it took."""
    seconds, rules = in_fresh_process(compile_image, name, sources, image)
    print(f"  {name:16} compiles {rules} rules in {seconds:5.2f} s, image {image.stat().st_size / MIB:5.1f} MiB")


def compare(kind: str, images: dict[str, Path], paths: list[Path]) -> None:
    """Print one table: a kind of files."""
    measured: dict[str, list[Round]] = {name: [] for name in images}
    for _ in range(ROUNDS):
        for name, image in images.items():
            measured[name].append(in_fresh_process(scan_all, name, image, paths))
    first = next(iter(measured.values()))[0]
    base = statistics.median(done.scan_s for done in measured["yara"])
    size = statistics.mean(path.stat().st_size for path in paths)
    print(f"{kind}: {len(paths)} files, mean {size / 1024:.0f} KiB, {sum(map(len, first.matches))} matches")
    for name, rounds in measured.items():
        scan_s = statistics.median(done.scan_s for done in rounds)
        load_s = statistics.median(done.load_s for done in rounds)
        memory = statistics.median(done.memory for done in rounds)
        differing = sum(own != theirs for own, theirs in zip(rounds[0].matches, first.matches, strict=True))
        print(
            f"  {name:16} {scan_s / len(paths) * 1e6:9.0f} us a file {base / scan_s:6.2f} x   load {load_s:5.2f} s"
            f"   {memory / MIB:5.0f} MiB   {differing} files differ"
        )


def in_fresh_process(function: Callable[..., T], *arguments: object) -> T:
    """Call in a process that has done nothing before."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def compile_image(name: str, sources: tuple[RuleSource, ...], image: Path) -> tuple[float, int]:
    """Return the seconds it takes and the number of rules."""
    begun = time.perf_counter()
    with image.open("wb") as file:
        rules = engines()[name]().compile(sources, file)
    return time.perf_counter() - begun, rules


def scan_all(name: str, image: Path, paths: list[Path]) -> Round:
    """Scan files as a worker would."""
    keep_freed_memory()
    engine = engines()[name]()
    before = resident_bytes()
    begun = time.perf_counter()
    with image.open("rb") as file:
        matcher = engine.load(file)
    load_s = time.perf_counter() - begun
    memory = resident_bytes() - before
    scan_s = 0.0
    matches = []
    for path in paths:
        data = path.read_bytes()
        begun = time.perf_counter()
        found = matcher.match(data, {}, TIMEOUT_S)
        scan_s += time.perf_counter() - begun
        matches.append(frozenset((match.namespace, match.rule) for match in found.matches))
    return Round(load_s, memory, scan_s, tuple(matches))


def resident_bytes() -> int:
    """Return what this process holds now."""
    import psutil

    return int(psutil.Process().memory_info().rss)


if __name__ == "__main__":
    sys.exit(main())
