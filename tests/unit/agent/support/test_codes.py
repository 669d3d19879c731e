"""docs/doctor.md names every check-up and every code."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from agent.support.check_list import ALL

TOP = Path(__file__).parents[4]
_CODE = re.compile(r"[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+")
#: Told by a check-up under their own names; docs/status.md and docs/exit-status.md list them.
_OTHERS = frozenset({"DATABASE_BUSY", "DATABASE_NOT_PERMITTED", "NOT_PERMITTED", "NO_CONTACT"})


def codes_in(file: Path) -> Iterator[str]:
    """What is passed on as a code: the first argument of a finding."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            code = node.args[0].value
            if isinstance(code, str) and _CODE.fullmatch(code):
                yield code


def test_every_code_is_in_the_document() -> None:
    document = (TOP / "docs/doctor.md").read_text(encoding="utf-8")
    support = TOP / "agent/support"
    files = [file for file in support.rglob("*.py") if support / "diagnostics" not in file.parents]
    found = {code for file in files for code in codes_in(file)} - _OTHERS
    assert len(found) > 40
    assert sorted(code for code in found if f"`{code}`" not in document) == []


def test_every_check_is_in_the_document() -> None:
    document = (TOP / "docs/doctor.md").read_text(encoding="utf-8")
    assert [check.name for check in ALL if f"| `{check.name}` |" not in document] == []
