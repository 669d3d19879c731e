"""What the built-in signatures find in clean software, and what they cost: `python -m benchmarks.signatures`.

* The trees of this machine (`--root`, repeatable) are scanned as a person would: `buckler scan --rules signatures`.
  They count as clean, so every finding of malicious severity is a mistake of a rule, and the exit status is 1.
* A sample of small text files is matched in a fresh process with the whole pack and with a rule that finds nothing; the
  difference is what the pack adds, with routing, as the scanner does it, and without.
* Each rule is compiled alone and timed on the same sample without routing, less what no rule costs; the dearest are
  named.
"""

import argparse
import io
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from random import Random
from typing import Any

from agent.domain.facts import Severity
from agent.platform.allocator import keep_freed_memory
from agent.scanner.costs.rule_costs import NO_RULES, DividedPack
from agent.scanner.engines.port import Engine, RuleSource
from agent.scanner.engines.routed import RoutedEngine
from agent.scanner.engines.yara import YaraEngine
from agent.scanner.packs.rule_files import builtin_signatures
from agent.scanner.packs.rulepack import load_rules
from benchmarks.parts.targets import Target, report

_SAMPLE = 400
_ROUNDS = 7
_RULE_ROUNDS = 3
_SMALL = 64 << 10
_TIMEOUT_S = 60.0
_SHOWN = 10
_MOST_US = 100.0
_MALICIOUS = frozenset(severity.value for severity in Severity if severity.is_malicious)


@dataclass(slots=True)
class CleanTally:
    """What a scan of clean trees found.

    Attributes:
        files: Looked at.
        incomplete: Not wholly.
        findings: By severity.
        mistakes: Path, member and rule of those of malicious severity.
    """

    files: int = 0
    incomplete: int = 0
    findings: Counter[str] = field(default_factory=Counter)
    mistakes: list[str] = field(default_factory=list)

    def add(self, line: str) -> None:
        """One line of `buckler scan --output json`."""
        record: dict[str, Any] = json.loads(line)
        if record.get("type") == "summary":
            self.files += record["files"]
            self.incomplete += record["incomplete"]
        for finding in record.get("findings", ()):
            self.findings[finding["severity"]] += 1
            if finding["severity"] in _MALICIOUS:
                member = f"!{finding['member']}" if finding["member"] else ""
                self.mistakes.append(f"{record['path']}{member}: {finding['namespace']}.{finding['rule']}")


def main() -> int:
    """Print all three; 1 if a clean file was found something in, or if the pack is too dear."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.signatures", description=__doc__)
    parser.add_argument("--root", type=Path, action="append", help="clean tree; repeatable (default: /usr, /opt, here)")
    parser.add_argument("--rules", type=Path, default=builtin_signatures(), help="folder of rules")
    parser.add_argument("--files", type=int, default=0, help="clean files there have to be at least")
    arguments = parser.parse_args()
    roots = arguments.root or [Path("/usr"), Path("/opt"), Path(sys.prefix)]
    print("load before: " + ", ".join(f"{value:.2f}" for value in os.getloadavg()), flush=True)
    tally = scan_clean(arguments.rules, [root for root in roots if root.exists()])
    print(f"{tally.files} clean files below {', '.join(map(str, roots))}; {tally.incomplete} incomplete")
    print("  findings: " + (", ".join(f"{n} {name}" for name, n in sorted(tally.findings.items())) or "none"))
    for mistake in tally.mistakes:
        print(f"  MISTAKE {mistake}")
    added_us = print_costs(arguments.rules, small_texts(roots))
    lines, status = report(
        [
            Target("findings of malicious severity in clean files", len(tally.mistakes), 0.0),
            Target("clean files", tally.files, at_least=arguments.files),
            Target("time the pack adds for a small text file", added_us, _MOST_US, " us"),
        ]
    )
    print("\n".join(lines))
    return status


def scan_clean(rules: Path, roots: Sequence[Path]) -> CleanTally:
    """Scan trees with the program a person uses, without remembered results.

    Raises:
        RuntimeError: It ended before its summary.
    """
    tally = CleanTally()
    program = str(Path(sys.executable).parent / "buckler")
    with tempfile.TemporaryDirectory(prefix="buckler-bench-") as folder:
        options = ["--rules", str(rules), "--no-cache", "--output", "json", "--data-dir", folder]
        with subprocess.Popen(
            [program, "scan", *options, *map(str, roots)], stdout=subprocess.PIPE, text=True, encoding="utf-8"
        ) as process:
            for line in process.stdout or ():
                tally.add(line)
    if not tally.files:
        raise RuntimeError(f"buckler scan ended with {process.returncode}, and without a summary")
    return tally


def small_texts(roots: Iterable[Path]) -> list[Path]:
    """Return a sample of the small text files below some folders, the same one each time."""
    paths = sorted(
        Path(folder, name) for root in roots for folder, _, names in os.walk(root) for name in names if "." in name
    )
    Random(1).shuffle(paths)  # noqa: S311 - the same sample every time
    sample: list[Path] = []
    for path in paths:
        if len(sample) == _SAMPLE:
            break
        if not path.is_symlink() and path.is_file() and 0 < path.stat().st_size <= _SMALL and _is_text(path):
            sample.append(path)
    return sample


def print_costs(rules: Path, sample: list[Path]) -> float:
    """Print what the pack and its dearest rules cost; return what the pack adds with routing, in us per file."""
    sources = load_rules([rules]).sources
    size = statistics.mean(path.stat().st_size for path in sample)
    print(f"{len(sample)} small text files, mean {size / 1024:.1f} KiB; us a file, medians of {_ROUNDS} rounds")
    added_us = {}
    for name, routed in (("with routing", True), ("without routing", False)):
        none_us = in_fresh_process([NO_RULES], sample, routed=routed)
        all_us = in_fresh_process(sources, sample, routed=routed)
        added_us[name] = all_us - none_us
        print(f"  {name:16} {all_us:7.1f}, without rules {none_us:5.1f}: the pack adds {all_us - none_us:.1f}")
    with _one_process() as pool:
        dearest = pool.submit(cost_of_each, sources, sample).result()
    print(f"  the dearest of {len(dearest)} rules, each alone and without routing:")
    for us, name in dearest[:_SHOWN]:
        print(f"    {us:6.2f}  {name}")
    return added_us["with routing"]


def in_fresh_process(sources: Sequence[RuleSource], sample: list[Path], *, routed: bool) -> float:
    """Median time a file in a process that only loads rules, like a scan worker, in us."""
    engine: Engine = RoutedEngine(YaraEngine()) if routed else YaraEngine()
    image = io.BytesIO()
    engine.compile(sources, image)
    with _one_process() as pool:
        return pool.submit(median_us, image.getvalue(), sample, _ROUNDS, routed=routed).result()


def median_us(image: bytes, sample: list[Path], rounds: int, *, routed: bool) -> float:
    """Match a sample some times; median time a file over the rounds, in us of the processor. Reading is not counted."""
    engine: Engine = RoutedEngine(YaraEngine()) if routed else YaraEngine()
    matcher = engine.load(io.BytesIO(image))
    contents = [path.read_bytes() for path in sample]
    taken = []
    for _ in range(rounds):
        begun = time.process_time()
        for data in contents:
            matcher.match(data, {}, _TIMEOUT_S)
        taken.append((time.process_time() - begun) / len(contents) * 1e6)
    return statistics.median(taken)


def cost_of_each(sources: Sequence[RuleSource], sample: list[Path]) -> list[tuple[float, str]]:
    """What each rule adds by itself, in us a file, and its name; the dearest first."""
    pack = DividedPack(sources)
    none_us = _alone([NO_RULES], sample)
    costs = [(_alone(pack.only([unit]), sample) - none_us, unit.name) for unit in pack.units()]
    return sorted(costs, reverse=True)


def _one_process() -> ProcessPoolExecutor:
    return ProcessPoolExecutor(1, mp_context=get_context("spawn"), initializer=keep_freed_memory)


def _alone(sources: Sequence[RuleSource], sample: list[Path]) -> float:
    image = io.BytesIO()
    YaraEngine().compile(sources, image)
    return median_us(image.getvalue(), sample, _RULE_ROUNDS, routed=False)


def _is_text(path: Path) -> bool:
    try:
        return "\0" not in path.read_text(encoding="utf-8")
    except (UnicodeDecodeError, OSError):
        return False


if __name__ == "__main__":
    sys.exit(main())
