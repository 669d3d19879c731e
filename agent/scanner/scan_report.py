"""What an on-demand scan tells, as values: records, lines, the summary, the exit status. No input, no output."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from agent.domain.errors import ExitStatus
from agent.domain.facts import ScanFacts
from agent.domain.policy import Decision, Verdict
from agent.scanner.costs.scan_costs import SLOW_MS, SLOW_SHOWN, CostTally, slow_record, slow_text

if TYPE_CHECKING:
    from agent.platform.file_systems import SkippedFolder
    from agent.platform.processes.memory import ProcessFacts

#: Between the names of a member path.
_MEMBER_SEPARATOR = "!"


@dataclass(frozen=True, slots=True)
class ScannedFile:
    """One file with everything known about it.

    Attributes:
        path: As a person would find it.
        facts: What the scan found.
        verdict: What that means.
        cached: The facts were known before.
        action: What became of it: empty, `quarantined` or `quarantine_failed: <why>`.
    """

    path: str
    facts: ScanFacts
    verdict: Verdict
    cached: bool = False
    action: str = ""


@dataclass(frozen=True, slots=True)
class ScannedProcess:
    """One process with everything known about its memory; attributes as of `ScannedFile`."""

    process: "ProcessFacts"
    facts: ScanFacts
    verdict: Verdict
    action: str = ""

    @property
    def path(self) -> str:
        """How people name it."""
        return f"process {self.process.pid} ({self.process.name})"


@dataclass(slots=True)
class Tally:
    """Counts of a scan; every file or process is exactly one of clean, infected, incomplete and errors."""

    files: int = 0
    bytes: int = 0
    clean: int = 0
    infected: int = 0
    incomplete: int = 0
    errors: int = 0
    cached: int = 0
    #: Listed, but gone before it could be opened.
    vanished: int = 0
    #: Rules, or files of rules that could not be told apart, that were left out because they do not compile.
    rules_skipped: int = 0
    #: Of the files, those in which something was found that an exclusion allows.
    allowed: int = 0
    #: Files and folders that were not looked at because their path is excluded.
    excluded: int = 0
    costs: CostTally = field(default_factory=CostTally)

    def add_known(self, files: int, size_bytes: int) -> None:
        """Count files that were known to be clean and that nothing else is to be said of."""
        self.files += files
        self.bytes += size_bytes
        self.clean += files
        self.cached += files

    def add(self, scanned: ScannedFile | ScannedProcess) -> None:
        """Count one."""
        self.files += 1
        self.bytes += scanned.facts.size_bytes
        self.allowed += is_allowed(scanned.facts, scanned.verdict)
        if isinstance(scanned, ScannedProcess) or not scanned.cached:
            self.costs.add(scanned.path, scanned.facts)
        else:
            self.cached += 1
        match scanned.verdict.decision:
            case Decision.CLEAN:
                self.clean += 1
            case Decision.INFECTED:
                self.infected += 1
            case Decision.INCOMPLETE:
                self.incomplete += 1
            case Decision.ERROR:
                self.errors += 1


def is_allowed(facts: ScanFacts, verdict: Verdict) -> bool:
    """Whether something was found that does not count, because the owner said so."""
    return len(verdict.findings) < len(facts.findings)


def exit_status(tally: Tally, *, interrupted: bool = False) -> ExitStatus:
    """1, 2, 3 or 0: the first that applies. What an interruption kept from being scanned is not complete."""
    if tally.infected:
        return ExitStatus.NEGATIVE
    if tally.errors:
        return ExitStatus.BAD_INPUT
    if tally.incomplete or interrupted:
        return ExitStatus.INCOMPLETE
    return ExitStatus.OK


def file_record(file: ScannedFile) -> dict[str, object]:
    """One line of JSON output. Paths keep undecodable bytes as lone surrogates: `os.fsencode` gives them back."""
    return (
        {"type": "file", "path": file.path}
        | _judgement(file.facts, file.verdict)
        | {
            "sha256": file.facts.sha256,
            "size": file.facts.size_bytes,
            "cached": file.cached,
            "elapsed_ms": round(file.facts.elapsed_ms, 3),
        }
        | ({"action": file.action} if file.action else {})
    )


def process_record(scanned: ScannedProcess) -> dict[str, object]:
    """One line of JSON output; `size` counts the bytes of memory that were looked at."""
    process = scanned.process
    return (
        {"type": "process", "pid": process.pid, "name": process.name, "executable": process.executable}
        | _judgement(scanned.facts, scanned.verdict)
        | {"size": scanned.facts.size_bytes, "elapsed_ms": round(scanned.facts.elapsed_ms, 3)}
        | ({"action": scanned.action} if scanned.action else {})
    )


def _judgement(facts: ScanFacts, verdict: Verdict) -> dict[str, object]:
    return {
        "verdict": verdict.decision.value,
        "reasons": list(verdict.reasons),
        "findings": [
            {
                "rule": finding.rule,
                "namespace": finding.namespace,
                "severity": finding.severity.value,
                "threat_name": finding.threat_name,
                "member": _MEMBER_SEPARATOR.join(finding.member_path),
            }
            | ({"credit": finding.credit} if finding.credit else {})
            for finding in verdict.findings
        ],
        "incomplete": [
            {"reason": item.reason, "limit": item.limit, "member": _MEMBER_SEPARATOR.join(item.member_path)}
            for item in facts.incomplete
        ],
    }


@dataclass(frozen=True, slots=True)
class Closing:
    """What a summary says besides the counts.

    Attributes:
        elapsed_s: Of the whole scan.
        engine: Name and version.
        signatures: Which rules.
        skipped: Places that were not entered.
        interrupted: It was ended before its end.
    """

    elapsed_s: float
    engine: str
    signatures: str
    skipped: "tuple[SkippedFolder, ...]" = ()
    interrupted: bool = False


def summary_record(tally: Tally, closing: Closing) -> dict[str, object]:
    """The last line of JSON output."""
    return _counts(tally, closing) | {
        "skipped": [
            {"path": folder.path, "file_system": folder.file_system, "reason": folder.reason.value}
            for folder in closing.skipped
        ],
        "slowest": [slow_record(file) for file in tally.costs.slowest(SLOW_SHOWN, from_ms=SLOW_MS)],
    }


def _counts(tally: Tally, closing: Closing) -> dict[str, object]:
    return {
        "type": "summary",
        "files": tally.files,
        "bytes": tally.bytes,
        "clean": tally.clean,
        "infected": tally.infected,
        "incomplete": tally.incomplete,
        "errors": tally.errors,
        "cached": tally.cached,
        "vanished": tally.vanished,
        "rules_skipped": tally.rules_skipped,
        "allowed": tally.allowed,
        "excluded": tally.excluded,
        "interrupted": closing.interrupted,
        "elapsed_s": round(closing.elapsed_s, 3),
        "engine": closing.engine,
        "signatures": closing.signatures,
    }


def file_line(file: ScannedFile | ScannedProcess) -> str:
    """One line of text output: what, verdict, and why."""
    details = [
        f"{finding.threat_name or finding.rule} ({finding.severity.value}, {finding.namespace}.{finding.rule})"
        + (f" in {_MEMBER_SEPARATOR.join(finding.member_path)}" if finding.member_path else "")
        + (f", rule by {finding.credit}" if finding.credit else "")
        for finding in file.verdict.findings
    ]
    details += [
        item.reason
        + ("" if item.limit is None else f" {item.limit}")
        + (f" in {_MEMBER_SEPARATOR.join(item.member_path)}" if item.member_path else "")
        for item in file.facts.incomplete
    ]
    details += [reason for reason in file.verdict.reasons if reason.startswith(("error:", "excluded:"))]
    details += [file.action] if file.action else []
    line = f"{file.path}: {file.verdict.decision.value}"
    return printable(f"{line}: {'; '.join(details)}" if details else line)


def summary_lines(tally: Tally, closing: Closing) -> list[str]:
    """The end of text output, as `name : value` lines."""
    fields = {name: value for name, value in _counts(tally, closing).items() if name != "type"}
    lines = [f"{name} : {str(value).lower() if isinstance(value, bool) else value}" for name, value in fields.items()]
    lines += [f"skipped : {folder.path} ({_why_skipped(folder)})" for folder in closing.skipped]
    lines += [f"slow : {slow_text(file)}" for file in tally.costs.slowest(SLOW_SHOWN, from_ms=SLOW_MS)]
    return [printable(line) for line in lines]


def _why_skipped(folder: "SkippedFolder") -> str:
    return ", ".join(filter(None, (folder.file_system, folder.reason.value)))


def printable(text: str) -> str:
    """Text that moves no cursor and breaks no line: whatever is not printable becomes its escape."""
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape", "surrogatepass").decode("ascii") for char in text
    )
