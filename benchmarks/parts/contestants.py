"""Who is compared."""

import importlib.util
import json
import shutil
import sys
from pathlib import Path

from benchmarks.parts.clam import clam_contestants
from benchmarks.parts.contestant import Answer, Contestant, Match, Missing, lines_of
from benchmarks.parts.rules import SharedRules, variable_definitions

#: `buckler scan`: clean, threat, unreadable file, incomplete; the last two are told in a note.
_SCANNED = frozenset({0, 1, 2, 3})
#: Python engines with the interface of yara-python: the module, and the distribution it comes in.
_ENGINES = {"yara": "yara-python", "boreal": "boreal-python"}


def contestants(rules: SharedRules, processes: int, scratch: Path) -> list[Contestant | Missing]:
    """Everybody who can be compared here.

    Args:
        rules: For everybody.
        processes: Workers, processes or threads each may use.
        scratch: Empty folder for data folders and databases.
    """
    return [
        _buckler("buckler cold", rules, processes, scratch / "cold", "--no-cache"),
        _buckler("buckler warm", rules, processes, scratch / "warm"),
        _buckler("buckler, no containers", rules, processes, scratch / "flat", "--no-cache", "--max-depth", "0"),
        _yara(rules, processes),
        *(_plain(module, rules, processes) for module in _ENGINES),
        *clam_contestants(processes, scratch),
    ]


def _plain(module: str, rules: SharedRules, processes: int) -> Contestant | Missing:
    name = f"{_ENGINES[module]} x{processes}"
    if importlib.util.find_spec(module) is None:
        return Missing(name, f"not installed ({_ENGINES[module]})")
    fixed = [sys.executable, "-m", "benchmarks.parts.plain_yara", module, str(processes), str(rules.folder)]
    return Contestant(name, lambda trees: [[*fixed, *map(str, trees)]], _read_plain)


def _buckler(name: str, rules: SharedRules, processes: int, data_dir: Path, *flags: str) -> Contestant:
    program = str(Path(sys.executable).parent / "buckler")
    fixed = [program, "scan", "--jobs", str(processes), "--output", "json", *flags, "--rules", str(rules.folder)]
    return Contestant(
        name,
        lambda trees: [[*fixed, *map(str, trees)]],
        _read_buckler,
        good=_SCANNED,
        # Neither this machine's cache nor its exclusions have a say; and what is installed has its bytecode beside it.
        env={"BUCKLER_DATA_DIR": str(data_dir), "PYTHONDONTWRITEBYTECODE": ""},
        prepare="--no-cache" not in flags,
    )


def one_yara(rules: SharedRules) -> Contestant | Missing:
    """One process with one thread, to know its memory."""
    return _yara(rules, 1)


def _yara(rules: SharedRules, processes: int) -> Contestant | Missing:
    name = f"yara -r -p {processes}"
    program = shutil.which("yara")
    if program is None:
        return Missing(name, "not installed (Debian package yara)")
    fixed = [program, "-r", "-N", "-p", str(processes), "-w", "-f", "-e", *variable_definitions()]
    fixed += [f"{path.stem}:{path}" for path in rules.files]
    return Contestant(name, lambda trees: [[*fixed, str(tree)] for tree in trees], _read_yara, sees_variables=False)


def _read_buckler(output: bytes) -> Answer:
    matches: set[Match] = set()
    inside = 0
    summary: dict[str, int] = {}
    for line in output.splitlines():
        record = json.loads(line)
        if record["type"] == "summary":
            summary = record
            continue
        own = [finding for finding in record["findings"] if not finding["member"]]
        inside += len(record["findings"]) - len(own)
        matches.update((finding["namespace"], finding["rule"], record["path"]) for finding in own)
    notes = [f"{summary[name]} {name}" for name in ("incomplete", "errors", "cached") if summary.get(name)]
    if inside:
        notes.append(f"{inside} more matches inside containers")
    return Answer(frozenset(matches), ", ".join(notes))


def _read_yara(output: bytes) -> Answer:
    matches: set[Match] = set()
    for line in lines_of(output):
        named, _, path = line.partition(" ")
        namespace, _, rule = named.partition(":")
        matches.add((namespace, rule, path))
    return Answer(frozenset(matches))


def _read_plain(output: bytes) -> Answer:
    return Answer(frozenset((match[0], match[1], match[2]) for match in map(json.loads, output.splitlines())))
