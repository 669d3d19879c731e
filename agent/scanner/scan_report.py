"""What an on-demand scan tells, as values: records, lines, the summary, the exit status. No input, no output."""

from dataclasses import dataclass

from agent.domain.errors import ExitStatus
from agent.domain.facts import ScanFacts
from agent.domain.policy import Decision, Verdict

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


@dataclass(slots=True)
class Tally:
    """Counts of a scan; every file is exactly one of clean, infected, incomplete and errors."""

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

    def add(self, file: ScannedFile) -> None:
        """Count one file."""
        self.files += 1
        self.bytes += file.facts.size_bytes
        self.cached += file.cached
        match file.verdict.decision:
            case Decision.CLEAN:
                self.clean += 1
            case Decision.INFECTED:
                self.infected += 1
            case Decision.INCOMPLETE:
                self.incomplete += 1
            case Decision.ERROR:
                self.errors += 1


def exit_status(tally: Tally) -> ExitStatus:
    """1, 2, 3 or 0: the first that applies."""
    if tally.infected:
        return ExitStatus.NEGATIVE
    if tally.errors:
        return ExitStatus.BAD_INPUT
    if tally.incomplete:
        return ExitStatus.INCOMPLETE
    return ExitStatus.OK


def file_record(file: ScannedFile) -> dict[str, object]:
    """One line of JSON output. Paths keep undecodable bytes as lone surrogates: `os.fsencode` gives them back."""
    record: dict[str, object] = {
        "type": "file",
        "path": file.path,
        "verdict": file.verdict.decision.value,
        "reasons": list(file.verdict.reasons),
        "findings": [
            {
                "rule": finding.rule,
                "namespace": finding.namespace,
                "severity": finding.severity.value,
                "threat_name": finding.threat_name,
                "member": _MEMBER_SEPARATOR.join(finding.member_path),
            }
            for finding in file.verdict.findings
        ],
        "incomplete": [
            {"reason": item.reason, "limit": item.limit, "member": _MEMBER_SEPARATOR.join(item.member_path)}
            for item in file.facts.incomplete
        ],
        "sha256": file.facts.sha256,
        "size": file.facts.size_bytes,
        "cached": file.cached,
        "elapsed_ms": round(file.facts.elapsed_ms, 3),
    }
    return record | ({"action": file.action} if file.action else {})


def summary_record(tally: Tally, *, elapsed_s: float, engine: str, signatures: str) -> dict[str, object]:
    """The last line of JSON output."""
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
        "elapsed_s": round(elapsed_s, 3),
        "engine": engine,
        "signatures": signatures,
    }


def file_line(file: ScannedFile) -> str:
    """One line of text output: path, verdict, and why."""
    details = [
        f"{finding.threat_name or finding.rule} ({finding.severity.value}, {finding.namespace}.{finding.rule})"
        + (f" in {_MEMBER_SEPARATOR.join(finding.member_path)}" if finding.member_path else "")
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


def summary_lines(tally: Tally, *, elapsed_s: float, engine: str, signatures: str) -> list[str]:
    """The end of text output, as `name : value` lines."""
    fields = summary_record(tally, elapsed_s=elapsed_s, engine=engine, signatures=signatures)
    return [f"{name} : {value}" for name, value in fields.items() if name != "type"]


def printable(text: str) -> str:
    """Text that moves no cursor and breaks no line: whatever is not printable becomes its escape."""
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape", "surrogatepass").decode("ascii") for char in text
    )
