"""What routing saves: `python -m benchmarks.routing [TREE]` scans samples of a tree with and without it.

Every measurement runs in a fresh process that only loads compiled rules, like a scan worker: in a process that has
compiled rules before, the heap is fragmented and each scan several times slower. Configurations take turns; figures are
medians of the rounds. Needs the public rule sets in `shared/corpus` above the repository.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

import yara

from agent.scanner.routing.analysis import RuleText
from agent.scanner.routing.needs import ANYTHING
from agent.scanner.routing.partitions import partition
from agent.scanner.routing.selection import Route, Selector

if TYPE_CHECKING:
    from collections.abc import Callable

EXTERNALS = dict.fromkeys(("filename", "filepath", "extension", "filetype", "owner"), "")
ROUNDS = 5
SAMPLE = 300  # small files of the tree, per round
BINARIES = 30
SMALL, LARGE = 64 << 10, 4 << 20
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD = -1, -2, -3  # malloc.h
KEPT_HEAP = 1 << 30


@dataclass(frozen=True, slots=True)
class Pack:
    """Compiled rules on disk: one image for everything, or one a partition with its route."""

    images: tuple[Path, ...]
    routes: tuple[Route, ...]


@dataclass(frozen=True, slots=True)
class Configuration:
    """One way to scan."""

    name: str
    pack: Pack
    keep_heap: bool = False
    by_path: bool = False


def main() -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tree", nargs="?", type=Path, default=Path("/usr/share"))
    tree = parser.parse_args().tree
    corpora = next((p for f in Path(__file__).resolve().parents if (p := f / "shared" / "corpus").is_dir()), None)
    if corpora is None:
        print("skipped: no shared/corpus folder above the repository")
        return 0
    with tempfile.TemporaryDirectory() as folder:
        both: list[RuleText] = []
        for archive in sorted(corpora.glob("*.zip")):
            texts = read_archive(archive)
            compare(archive.name, texts, tree, Path(folder))
            both += texts
        compare("all together", both, tree, Path(folder))
        compare_with_peer(both, tree, Path(folder))
    return 0


def compare(title: str, texts: list[RuleText], tree: Path, folder: Path) -> None:
    """Print one table: rows are kinds of files, columns ways to scan."""
    started = time.perf_counter()
    parts = partition(texts)
    print(f"\n{title}: divided in {time.perf_counter() - started:.1f} s")
    for part in parts:
        print(f"  {part.name:6} {len(part.rules):5} rules")
    whole = Pack((image(folder / "whole", texts),), (Route(ANYTHING),))
    routed = Pack(tuple(image(folder / part.name, part.sources) for part in parts), tuple(part.route for part in parts))
    configurations = [
        Configuration("whole", whole),
        Configuration("routed", routed),
        Configuration("whole, heap kept", whole, keep_heap=True),
        Configuration("routed, heap kept", routed, keep_heap=True),
        Configuration("routed, heap kept, by path", routed, keep_heap=True, by_path=True),
    ]
    for kind, paths in samples(tree).items():
        measured: dict[str, list[float]] = {configuration.name: [] for configuration in configurations}
        for _ in range(ROUNDS):
            for configuration in configurations:
                measured[configuration.name].append(in_fresh_process(configuration, paths))
        sizes = [path.stat().st_size for path in paths]
        print(f"{kind}: {len(paths)} files, mean {statistics.mean(sizes) / 1024:.0f} KiB")
        base = statistics.median(measured["whole"])
        for name, seconds in measured.items():
            median = statistics.median(seconds)
            print(f"  {name:28} {median / len(paths) * 1e6:9.0f} µs a file   {base / median:5.2f} x")


def compare_with_peer(texts: list[RuleText], tree: Path, folder: Path) -> None:
    """Print files per second of the whole tree with two processes, beside `yara -r -p 2` where it is installed."""
    paths = [path for path in files_of(tree) if path.stat().st_size <= LARGE]
    parts = partition(texts)
    routed = Pack(tuple(image(folder / part.name, part.sources) for part in parts), tuple(part.route for part in parts))
    whole = Pack((image(folder / "whole", texts),), (Route(ANYTHING),))
    ways: dict[str, Callable[[], float]] = {
        "routed, heap kept": lambda: both_cores(Configuration("routed", routed, keep_heap=True), paths),
        "whole, heap kept": lambda: both_cores(Configuration("whole", whole, keep_heap=True), paths),
        "yara -r -p 2": lambda: peer(texts, tree, folder),
    }
    measured: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(3):
        for name, run in ways.items():
            measured[name].append(run())
    print(f"\nall of {tree}: {len(paths)} files, {sum(p.stat().st_size for p in paths) >> 20} MiB, two processes")
    base = statistics.median(measured["yara -r -p 2"])
    for name, seconds in measured.items():
        median = statistics.median(seconds)
        print(f"  {name:28} {len(paths) / median:9.0f} files/s   {base / median:5.2f} x")


def read_archive(archive: Path) -> list[RuleText]:
    """Return the rule files of an archive, each in a namespace of its own."""
    with zipfile.ZipFile(archive) as rules:
        return [
            RuleText(f"{archive.stem}/{name}", rules.read(name).decode(errors="replace"))
            for name in sorted(rules.namelist())
            if name.endswith((".yar", ".yara"))
        ]


def image(path: Path, sources: list[RuleText] | tuple[RuleText, ...]) -> Path:
    """Compile to a file."""
    yara.compile(sources={source.namespace: source.text for source in sources}, externals=EXTERNALS).save(str(path))
    return path


def files_of(tree: Path) -> list[Path]:
    """Return the regular, readable files below a folder, in a fixed order."""
    paths = sorted(Path(root, name) for root, _, names in os.walk(tree) for name in names)
    return [path for path in paths if not path.is_symlink() and path.is_file() and os.access(path, os.R_OK)]


def samples(tree: Path) -> dict[str, list[Path]]:
    """Return files to scan by kind, kinds without any left out."""
    random = Random(1)  # noqa: S311 - the same sample every time
    small = [path for path in files_of(tree) if path.stat().st_size <= SMALL]
    programs = [path for path in files_of(Path("/usr/bin")) if path.stat().st_size <= LARGE]
    elf = [path for path in programs if path.read_bytes()[:4] == b"\x7fELF"]
    # Python installers carry small Windows launchers: real PE files on nearly every machine.
    pe = [path for root in {sys.prefix, sys.base_prefix} for path in Path(root).rglob("*.exe")]
    kinds = {
        "small files": random.sample(small, min(SAMPLE, len(small))),
        "ELF programs": random.sample(elf, min(BINARIES, len(elf))),
        "PE programs": sorted(pe)[:BINARIES],
    }
    return {kind: paths for kind, paths in kinds.items() if paths}


def in_fresh_process(configuration: Configuration, paths: list[Path]) -> float:
    """Return the seconds a new process needs for the files, its start and loading not counted."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(scan_all, configuration, paths).result()


def both_cores(configuration: Configuration, paths: list[Path]) -> float:
    """Return the seconds the slower of two processes needs for half of the files each."""
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        halves = [pool.submit(scan_all, configuration, paths[half::2]) for half in range(2)]
        return max(half.result() for half in halves)


def scan_all(configuration: Configuration, paths: list[Path]) -> float:
    """Scan files as a worker would; return seconds."""
    if configuration.keep_heap:
        libc = ctypes.CDLL(None)
        for option in (M_MMAP_THRESHOLD, M_TRIM_THRESHOLD):
            libc.mallopt(option, KEPT_HEAP)
    packs = [yara.load(str(path)) for path in configuration.pack.images]
    selector = Selector(configuration.pack.routes)
    started = time.perf_counter()
    for path in paths:
        data = path.read_bytes()
        for index in selector.select(data[: selector.head_bytes], len(data)):
            if configuration.by_path:
                packs[index].match(filepath=str(path))
            else:
                packs[index].match(data=data)
    return time.perf_counter() - started


def peer(texts: list[RuleText], tree: Path, folder: Path) -> float:
    """Return the seconds Debian's `yara` needs for the tree with the same rules, compiled before; inf without it."""
    compiled = folder / "peer.yarc"
    defines = [part for name in EXTERNALS for part in ("-d", f"{name}=")]
    try:
        if not compiled.exists():
            arguments = []
            for number, text in enumerate(texts):
                path = folder / f"{number}.yar"
                path.write_text(text.text)
                arguments.append(f"n{number}:{path}")
            subprocess.run(["yarac", "-w", *defines, *arguments, compiled], check=True)
        started = time.perf_counter()
        subprocess.run(
            ["yara", "-w", "-C", "-r", "-N", "-p", "2", "-z", str(LARGE), compiled, tree],
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
    except FileNotFoundError:
        return float("inf")
    return time.perf_counter() - started


if __name__ == "__main__":
    sys.exit(main())
