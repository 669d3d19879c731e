"""House rules that no linter knows; `python -m tests.house_rules` checks the tree and prints what breaks them.

Each rule is one small function from a source file to complaints, so that it can be tested by itself
(tests/unit/test_house_rules.py).
"""

import ast
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

MAX_FILE_LINES = 700
MAX_FUNCTION_LINES = 80
#: Mock patches per test function, over the whole suite: a thermometer for missing ports.
MAX_PATCHES_PER_TEST = 0.10
#: Names that hold whatever was homeless; a function lives in the room that owns its meaning.
JUNK_DRAWERS = frozenset({"utils", "util", "helpers", "helper", "common", "manager", "managers", "misc"})
#: The only files that may ask for the time or for randomness.
CLOCK_FILES = frozenset({"agent/platform/clock.py", "controlplane/runtime/clock.py"})
#: Rooms and files that count money: whole minor units and exact fractions, never a float.
MONEY_ROOMS = ("controlplane/billing/",)
_ROOTS = ("agent", "controlplane", "wire", "deploy", "tests", "benchmarks")
_PATCH = re.compile(r"monkeypatch\.setattr|mock\.patch|mocker\.patch|patch\.object")


@dataclass(frozen=True, slots=True)
class Source:
    """One Python file: its path from the top of the tree, its text and its syntax tree."""

    path: str
    text: str
    tree: ast.Module

    @classmethod
    def parse(cls, path: str, text: str) -> "Source":
        """Parse a file's text."""
        return cls(path, text, ast.parse(text))


def files_fit_in_the_head(source: Source) -> Iterator[str]:
    """No file over 700 lines."""
    lines = source.text.count("\n")
    if lines > MAX_FILE_LINES:
        yield f"{source.path}: {lines} lines, more than {MAX_FILE_LINES}: split it by idea"


def functions_fit_on_a_screen(source: Source) -> Iterator[str]:
    """No function over 80 lines."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > MAX_FUNCTION_LINES:
                yield f"{source.path}:{node.lineno}: {node.name} has {length} lines, more than {MAX_FUNCTION_LINES}"


def no_junk_drawers(source: Source) -> Iterator[str]:
    """No module or folder named after nothing in particular."""
    for part in Path(source.path).with_suffix("").parts:
        if part in JUNK_DRAWERS:
            yield f"{source.path}: `{part}` says nothing; name the room that owns the meaning"


def time_comes_from_the_clock(source: Source) -> Iterator[str]:
    """Only the clock asks the operating system for the time (ruff bans the common names; this one the aliases)."""
    if source.path in CLOCK_FILES or not source.path.startswith(("agent/", "controlplane/")):
        return
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Attribute) and node.attr in {"utcnow", "today", "time_ns"}:
            yield f"{source.path}:{node.lineno}: `.{node.attr}` is read by the injected Clock only"


def a_test_can_fail(source: Source) -> Iterator[str]:
    """Every test asserts something, by itself or through a function whose name says so."""
    if not source.path.startswith("tests/"):
        return
    for node in ast.walk(source.tree):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or not node.name.startswith("test_"):
            continue
        if not any(_asserts(child) for child in ast.walk(node)):
            yield f"{source.path}:{node.lineno}: {node.name} cannot fail"


def no_float_near_money(source: Source) -> Iterator[str]:
    """No float literal, no `float`, no `/`: what is divided is split without losing a unit (`billing/money.py`)."""
    if not source.path.startswith(MONEY_ROOMS):
        return
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, float):
            yield f"{source.path}:{node.lineno}: {node.value} is a float"
        elif isinstance(node, ast.Name) and node.id == "float":
            yield f"{source.path}:{node.lineno}: `float` has no place near money"
        elif isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, ast.Div):
            yield f"{source.path}:{node.lineno}: `/` makes a float; use `split`, `allocate` or a Fraction"


RULES: tuple[Callable[[Source], Iterator[str]], ...] = (
    files_fit_in_the_head,
    functions_fit_on_a_screen,
    no_junk_drawers,
    time_comes_from_the_clock,
    a_test_can_fail,
    no_float_near_money,
)


def patches_per_test(sources: list[Source]) -> Iterator[str]:
    """At most one mock patch per ten tests."""
    tests = [s for s in sources if s.path.startswith("tests/") and not s.path.endswith("house_rules.py")]
    count = sum(len(re.findall(r"^\s*(?:async )?def test_", s.text, re.MULTILINE)) for s in tests)
    patches = sum(len(_PATCH.findall(s.text)) for s in tests)
    if count and patches / count > MAX_PATCHES_PER_TEST:
        yield f"{patches} mock patches in {count} tests: a port with an honest fake is missing somewhere"


def main() -> int:
    """Check the tree in the working directory; 1 if a rule is broken."""
    sources = [
        Source.parse(path.as_posix(), path.read_text(encoding="utf-8"))
        for root in _ROOTS
        for path in sorted(Path(root).rglob("*.py"))
        if "_pb2" not in path.name
    ]
    complaints = [line for source in sources for rule in RULES for line in rule(source)]
    complaints.extend(patches_per_test(sources))
    for line in complaints:
        sys.stderr.write(line + "\n")
    sys.stdout.write(f"house rules: {len(sources)} files, {len(complaints)} complaints\n")
    return 1 if complaints else 0


def _asserts(node: ast.AST) -> bool:
    if isinstance(node, ast.Assert):
        return True
    name = ""
    if isinstance(node, ast.Attribute):
        name = node.attr
    elif isinstance(node, ast.Name):
        name = node.id
    return name in {"raises", "warns"} or name.startswith(("assert_", "check_", "expect_"))


if __name__ == "__main__":
    sys.exit(main())
