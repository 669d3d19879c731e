"""The rules every contestant gets: the same files, under the same namespaces, and only those all of them compile."""

import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yara

from agent.scanner.engines.port import EXTERNAL_VARIABLES
from agent.scanner.packs.rulepack import load_rules

_RULE = re.compile(r"^[ \t]*(?:(?:private|global)\s+)*rule\s+(\w+)", re.MULTILINE)
_CONDITION = re.compile(r"\bcondition\s*:")
_READS_VARIABLE = re.compile(rf"\b(?:{'|'.join(EXTERNAL_VARIABLES)})\b")


@dataclass(frozen=True, slots=True)
class SharedRules:
    """Rules in a folder, one file per namespace.

    Attributes:
        folder: Of `NAMESPACE.yar` files.
        count: Rules in them.
        left_out: Origin and reason of each file that not everybody compiles.
        reading_variables: (namespace, rule) of rules whose condition mentions an external variable. The program
            `yara` has one value of each for a whole run, Buckler one for each file: these may rightly differ.
    """

    folder: Path
    count: int
    left_out: tuple[str, ...]
    reading_variables: frozenset[tuple[str, str]]

    @property
    def files(self) -> tuple[Path, ...]:
        """The rule files, in order."""
        return tuple(sorted(self.folder.glob("*.yar")))


def share_rules(sources: Sequence[Path], folder: Path, yara_program: str | None) -> SharedRules:
    """Write the rules of files, folders and zip archives to an empty folder, for everybody.

    Args:
        sources: As `buckler scan --rules` takes them.
        folder: Empty.
        yara_program: Has to compile each file too; None: it is not installed.

    Raises:
        BucklerError: There are no rules.
    """
    count = 0
    left_out: list[str] = []
    reading: set[tuple[str, str]] = set()
    for number, source in enumerate(load_rules(sources).sources):
        namespace = f"n{number:05}"
        path = folder / f"{namespace}.yar"
        path.write_text(source.text, encoding="utf-8")
        compiled, reason = _compile(path)
        reason = reason or _refusal_of_program(yara_program, path)
        if reason:
            path.unlink()
            left_out.append(f"{source.origin}: {reason}")
            continue
        count += compiled
        reading.update((namespace, rule) for rule in _rules_reading_variables(source.text))
    return SharedRules(folder, count, tuple(left_out), frozenset(reading))


def find_corpus() -> tuple[Path, ...]:
    """Zip archives in `shared/corpus` beside this checkout or above it; empty: there is none."""
    for above in Path(__file__).resolve().parents:
        found = sorted((above / "shared" / "corpus").glob("*.zip"))
        if found:
            return tuple(found)
    return ()


def _compile(path: Path) -> tuple[int, str]:
    try:
        rules = yara.compile(filepath=str(path), externals=dict.fromkeys(EXTERNAL_VARIABLES, ""), includes=False)
    except yara.Error as error:
        return 0, f"yara-python: {error}"
    return sum(1 for _ in rules), ""


def _refusal_of_program(program: str | None, path: Path) -> str:
    if program is None:
        return ""
    command = [program, "-w", *variable_definitions(), str(path), str(path)]
    # It scans the rule file itself; what it finds there is nobody's concern.
    done = subprocess.run(command, capture_output=True, check=False)
    return "" if done.returncode == 0 else f"yara: {done.stderr.decode(errors='replace').strip()[-300:]}"


def variable_definitions() -> tuple[str, ...]:
    """Arguments that define the external variables for the program `yara`, as empty text."""
    return tuple(part for name in EXTERNAL_VARIABLES for part in ("-d", f"{name}="))


def _rules_reading_variables(text: str) -> list[str]:
    """Names of rules whose condition mentions a variable; a comment there counts too, which only compares less."""
    starts = [*_RULE.finditer(text)]
    if not starts:
        # Nothing but comments; public rule sets have such files.
        return []
    ends = [*(start.start() for start in starts[1:]), len(text)]
    return [
        start[1]
        for start, end in zip(starts, ends, strict=True)
        if _READS_VARIABLE.search(_CONDITION.split(text[start.end() : end])[-1])
    ]
