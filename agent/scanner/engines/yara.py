"""yara-python as a signature engine."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import IO, Any

import yara

from agent.scanner.engines.blame import blame
from agent.scanner.engines.port import (
    EXTERNAL_VARIABLES,
    MatchResult,
    MatchTimeoutError,
    Readable,
    RuleMatch,
    RuleProblem,
    RuleSource,
)

#: yara-python's message for a rule that does not compile: `line 3: undefined string "$a"`.
_LINE = re.compile(r"line (\d+): (.*)", re.DOTALL)
#: YR_MAX_STRING_MATCHES of libyara: occurrences of one string beyond it are not recorded.
_MAX_STRING_MATCHES = 1_000_000
#: Ends a text for libyara, which would ignore the rules behind it.
_ZERO = "\0"
_NO_VALUES = dict.fromkeys(EXTERNAL_VARIABLES, "")


class YaraEngine:
    """Engine `yara`, libyara 4."""

    name = "yara"

    @property
    def version(self) -> str:
        """Version of yara-python, which is that of the libyara inside it."""
        return str(yara.__version__)

    def compile(self, sources: Sequence[RuleSource], image: IO[bytes]) -> int:
        """Compile and write the image; see `Engine.compile`.

        `include` is refused: it reads files that are in nobody's pack, and its errors show their content.
        """
        try:
            rules = _compiled(sources)
        except (yara.Error, ValueError) as error:
            raise blame(sources, _first_mistake) from error
        rules.save(file=image)
        return sum(1 for _ in rules)

    def problem(self, source: RuleSource) -> RuleProblem | None:
        """Compile one file; see `Engine.problem`."""
        mistake = _first_mistake([source])
        return RuleProblem(source, *mistake) if mistake else None

    def load(self, image: Readable) -> "YaraMatcher":
        """Load an image; see `Engine.load`."""
        return YaraMatcher(yara.load(file=image))


class YaraMatcher:
    """Loaded rules."""

    def __init__(self, rules: Any) -> None:
        self._rules = rules
        self._count = sum(1 for _ in rules)

    @property
    def rule_count(self) -> int:
        """Rules loaded, private ones included."""
        return self._count

    def match(self, data: bytes, variables: Mapping[str, str], timeout_s: float) -> MatchResult:
        """Match one content; see `Matcher.match`. libyara counts whole seconds."""
        overflowed = False

        def note_overflow(_kind: int, _string: object) -> int:
            nonlocal overflowed
            overflowed = True
            return int(yara.CALLBACK_CONTINUE)

        try:
            # `fast` records only the occurrences a condition needs; which rules match does not change.
            found = self._rules.match(
                data=data,
                externals={**_NO_VALUES, **variables},
                timeout=max(1, math.ceil(timeout_s)),
                fast=True,
                warnings_callback=note_overflow,
            )
        except yara.TimeoutError as error:
            raise MatchTimeoutError from error
        except yara.Error as error:
            if "memory" in str(error):
                raise MemoryError(str(error)) from error
            raise
        matches = tuple(
            RuleMatch(m.rule, m.namespace, _text(m.meta.get("severity")), _text(m.meta.get("threat_name")))
            for m in found
        )
        return MatchResult(matches, _MAX_STRING_MATCHES if overflowed else None)


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _compiled(sources: Sequence[RuleSource]) -> Any:
    for source in sources:
        if _ZERO in source.text:
            line = source.text.count("\n", 0, source.text.index(_ZERO)) + 1
            raise ValueError(f"line {line}: a zero byte: this is no rule text")
    return yara.compile(
        sources={source.namespace: source.text for source in sources}, externals=_NO_VALUES, includes=False
    )


def _first_mistake(sources: Sequence[RuleSource]) -> tuple[int, str] | None:
    try:
        _compiled(sources)
    except (yara.Error, ValueError) as error:
        found = _LINE.match(str(error))
        return (int(found[1]), found[2]) if found else (0, str(error))
    return None
