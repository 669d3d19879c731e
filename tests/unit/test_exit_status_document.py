"""docs/exit-status.md has every code that a command can end with, and the status it ends with."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.domain.errors import ExitStatus
from controlplane.cli.exit_status import EXIT_STATUS_OF
from controlplane.runtime.refusal import Kind

TOP = Path(__file__).parents[2]
DOCUMENT = (TOP / "docs/exit-status.md").read_text(encoding="utf-8")
_CODE = re.compile(r"[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)*")
_ROW = re.compile(r"^\| (`[^|]+`[^|]*) \| (\d+) \|", re.MULTILINE)
#: Between a device and its control plane, among the parts of one, or given its status elsewhere: no command ends so.
_NO_ENDS = frozenset(
    {
        ("BAD_CERTIFICATE_REQUEST", 2),
        ("BUNDLE_DAMAGED", 2),
        ("BUNDLE_NOT_WANTED", 1),
        ("DIAGNOSTICS_NOT_MADE", 5),
        ("INTERNAL", 2),
        ("KEY_UNKNOWN", 2),
        ("STREAM_CLOSED", 2),
        ("TOO_MANY_INCIDENTS", 2),
        ("WEBHOOK_REFUSED", 1),
    }
)
#: Answers to commands that were asked for at the control plane.
_ANSWERS = ("agent/control/commands/", "agent/scanner/scheduled/requested.py")


def documented() -> dict[str, set[int]]:
    """The statuses that the tables give to each code."""
    found: dict[str, set[int]] = {}
    for codes, status in _ROW.findall(DOCUMENT):
        for code in re.findall(r"`([A-Z0-9_]+)(?:…)?`", codes):
            found.setdefault(code, set()).add(int(status))
    return found


def _refusals_in(file: Path) -> Iterator[tuple[str, str, ast.Call]]:
    """Calls with a code that is written out: what is called, the code, and the call itself."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
            continue
        code = next((each for each in map(_constant, node.args) if each and _CODE.fullmatch(each)), None)
        if code is not None:
            yield node.func.id, code, node


def codes_in(file: Path) -> Iterator[str]:
    """Codes that a file refuses with, whatever their exit status."""
    return (code for called, code, _ in _refusals_in(file) if called in {"BucklerError", "Refusal"})


def raised_in(file: Path) -> Iterator[tuple[str, int]]:
    """Codes that a file refuses with, and the exit status of each, as far as both are written out there."""
    for called, code, node in _refusals_in(file):
        if called == "BucklerError":
            given = next((word.value for word in node.keywords if word.arg == "exit_status"), None)
            name = given.attr if isinstance(given, ast.Attribute) else "BAD_INPUT" if given is None else None
            if name is not None:
                yield code, int(ExitStatus[name])
        elif called == "Refusal" and isinstance(node.args[0], ast.Attribute):
            yield code, int(EXIT_STATUS_OF[Kind[node.args[0].attr]])


def _constant(node: ast.expr) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


@pytest.mark.parametrize("program", ["agent", "controlplane"])
def test_every_code_is_in_the_document_with_its_status(program: str) -> None:
    rows = documented()
    files = [file for file in (TOP / program).rglob("*.py") if not str(file.relative_to(TOP)).startswith(_ANSWERS)]
    raised = {found for file in files for found in raised_in(file)}
    assert len(raised) > 50
    missing = sorted(
        f"{code} {status}"
        for code, status in raised
        if status not in rows.get(code, set()) and (code, status) not in _NO_ENDS
    )
    assert missing == []
