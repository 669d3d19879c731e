"""Who is compared: how each is started and how its answer is read."""

import json
import shutil
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.parts.rules import SharedRules, variable_definitions

#: (namespace, rule, path of the file on disk).
Match = tuple[str, str, str]
_DONE = frozenset({0})
#: `buckler scan`: clean, threat, unreadable file, incomplete; the last two are told in a note.
_SCANNED = frozenset({0, 1, 2, 3})


@dataclass(frozen=True, slots=True)
class Answer:
    """What a contestant found.

    Attributes:
        matches: On files themselves; what was found only inside a container is not here, because peers open none.
        note: What a reader of the row should know.
    """

    matches: frozenset[Match]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Contestant:
    """One row of the table.

    Attributes:
        name: Shown.
        commands: Makes the commands for some trees, run one after the other and counted together.
        read: Reads the standard output of all of them.
        good: Exit statuses that mean the work was done.
        env: Added to the environment.
        sees_variables: Gives each file its own external variables, as Buckler does.
        comparable: Uses the shared rules; otherwise its matches are only counted.
        prepare: Runs once, unmeasured, on the trees, before the first run.
    """

    name: str
    commands: Callable[[Sequence[Path]], list[list[str]]]
    read: Callable[[bytes], Answer]
    good: frozenset[int] = _DONE
    env: Mapping[str, str] = field(default_factory=dict)
    sees_variables: bool = True
    comparable: bool = True
    prepare: bool = False


@dataclass(frozen=True, slots=True)
class Missing:
    """A row without figures.

    Attributes:
        name: Shown.
        reason: Why.
    """

    name: str
    reason: str


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
        Contestant(
            f"yara-python x{processes}",
            lambda trees: [
                [sys.executable, "-m", "benchmarks.parts.plain_yara", str(processes), str(rules.folder)]
                + [str(tree) for tree in trees]
            ],
            _read_plain,
        ),
        _clamscan(scratch),
    ]


def _buckler(name: str, rules: SharedRules, processes: int, data_dir: Path, *flags: str) -> Contestant:
    program = str(Path(sys.executable).parent / "buckler")
    fixed = [program, "scan", "--jobs", str(processes), "--output", "json", *flags, "--rules", str(rules.folder)]
    return Contestant(
        name,
        lambda trees: [[*fixed, *map(str, trees)]],
        _read_buckler,
        good=_SCANNED,
        # Neither this machine's cache nor its exclusions have a say.
        env={"BUCKLER_DATA_DIR": str(data_dir)},
        prepare="--no-cache" not in flags,
    )


def _yara(rules: SharedRules, processes: int) -> Contestant | Missing:
    name = f"yara -r -p {processes}"
    program = shutil.which("yara")
    if program is None:
        return Missing(name, "not installed (Debian package yara)")
    fixed = [program, "-r", "-N", "-p", str(processes), "-w", "-f", "-e", *variable_definitions()]
    fixed += [f"{path.stem}:{path}" for path in rules.files]
    return Contestant(name, lambda trees: [[*fixed, str(tree)] for tree in trees], _read_yara, sees_variables=False)


def _clamscan(scratch: Path) -> Contestant | Missing:
    name = "clamscan, one signature"
    program = shutil.which("clamscan")
    if program is None:
        return Missing(name, "not installed (Debian package clamav)")
    database = scratch / "one.ndb"
    # Target 0 is any file, offset * anywhere; the body is the hex of a text no file here contains.
    database.write_text(f"Benchmark.OneSignature:0:*:{b'buckler-benchmark-one-signature'.hex()}\n", encoding="ascii")
    fixed = [program, "-r", "--infected", "--no-summary", f"--database={database}", "--max-filesize=256M"]
    fixed += ["--max-scansize=768M"]
    return Contestant(
        name,
        lambda trees: [[*fixed, *map(str, trees)]],
        _read_clamscan,
        good=frozenset({0, 1}),
        comparable=False,
    )


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
    for line in _lines(output):
        named, _, path = line.partition(" ")
        namespace, _, rule = named.partition(":")
        matches.add((namespace, rule, path))
    return Answer(frozenset(matches))


def _read_plain(output: bytes) -> Answer:
    return Answer(frozenset((match[0], match[1], match[2]) for match in map(json.loads, output.splitlines())))


def _read_clamscan(output: bytes) -> Answer:
    found = [line.rpartition(": ") for line in _lines(output) if line.endswith(" FOUND")]
    return Answer(frozenset(("", signature.removesuffix(" FOUND"), path) for path, _, signature in found))


def _lines(output: bytes) -> Iterable[str]:
    return output.decode("utf-8", "surrogateescape").splitlines()
