"""Checks of what a rule costs, and of what it could match by chance."""

import re
from collections.abc import Iterator

from agent.scanner.routing.evidence import Evidence
from agent.scanner.routing.needles import SHORTEST, Needle
from agent.scanner.routing.needs import NO_LIMIT
from tests.signatures_lint.pack import LintedRule, Pack

# An escaped character or a class is no repetition, whatever is in it.
_NOT_REPEATING = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]", re.DOTALL)
_UNBOUNDED = re.compile(r"[*+]|\{\d*,\}")


def file_is_bounded(rule: LintedRule) -> Iterator[str]:
    """By its size or by its first bytes; a test file is looked for in everything."""
    need = rule.analysed.need
    if need.max_size == NO_LIMIT and need.heads is None and not rule.is_test:
        yield "its condition bounds neither the size of a file nor its first bytes"


def repetitions_are_bounded(rule: LintedRule) -> Iterator[str]:
    """`.*` and its like scan to the end of a file from wherever they begin."""
    for string in rule.analysed.rule.strings:
        if string.kind == "regex" and _UNBOUNDED.search(_NOT_REPEATING.sub("x", string.value)):
            yield f"{string.name} repeats without an upper bound"


def short_strings_are_guarded(rule: LintedRule) -> Iterator[str]:
    """What has fewer than four fixed bytes is in too many files to decide by itself."""
    if rule.analysed.need.heads is None and _met_by_short_ones(rule.analysed.evidence):
        yield f"it can match without a string of {SHORTEST} fixed bytes"


def compiler_is_content(pack: Pack) -> Iterator[str]:
    """YARA warns about strings that slow down scanning."""
    yield from pack.warnings


def _met_by_short_ones(part: Evidence | Needle) -> bool:
    if part is None:
        return True
    if isinstance(part, Needle):
        return len(part.text) < SHORTEST and not part.pattern
    return sum(map(_met_by_short_ones, part.parts)) >= part.count
