"""boreal as a signature engine: the language of YARA 4, in a memory-safe program.

What it does otherwise than engine `yara`:

* Its image is the rules' text, compiled in each worker before that gives up its rights. boreal can save compiled rules,
  but version 1.4.0 cannot load what it saved of more than about a hundred files.
* A worker that runs out of memory ends (`worker_crashed`), where libyara gives up on the one content
  (`worker_out_of_memory`).
* It names each problem by line, in words of its own, and takes a few rules that libyara refuses (`rule all`).
* A jump in a hex string reaches no further than 4,096 bytes; several global rules in one file, fields without a value
  and truncated PE files are seen a little differently. `docs/adr/0012-boreal-as-the-second-engine.md` has the list.
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import IO

import boreal

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

#: boreal's message for a rule that does not compile: `mem:3:12: error: unknown variable $a`.
_LINE = re.compile(r"mem:(\d+):\d+: error: (.*)", re.DOTALL)
#: As engine `yara` has it; boreal's own default of 1,000 would change what `#a > 5000` means.
_MAX_STRING_MATCHES = 1_000_000
_NO_VALUES = dict.fromkeys(EXTERNAL_VARIABLES, "")


class BorealEngine:
    """Engine `boreal`."""

    name = "boreal"

    @property
    def version(self) -> str:
        """Version of boreal-python, which is that of the boreal inside it."""
        return boreal.__version__

    def compile(self, sources: Sequence[RuleSource], image: IO[bytes]) -> int:
        """Compile and write the image; see `Engine.compile`. `include` is refused, as by every engine."""
        texts = _texts(sources)
        try:
            rules = _compiled(texts)
        except (boreal.Error, ValueError) as error:
            raise blame(sources, _first_mistake) from error
        image.write(json.dumps(texts).encode())
        return sum(1 for _ in rules)

    def problem(self, source: RuleSource) -> RuleProblem | None:
        """Compile one file; see `Engine.problem`."""
        mistake = _first_mistake([source])
        return RuleProblem(source, *mistake) if mistake else None

    def load(self, image: Readable) -> "BorealMatcher":
        """Compile what the image holds; see `Engine.load`."""
        return BorealMatcher(_compiled(json.loads(image.read() or b"")))


class BorealMatcher:
    """Compiled rules."""

    def __init__(self, rules: boreal.Scanner) -> None:
        rules.set_params(string_max_nb_matches=_MAX_STRING_MATCHES)
        self._rules = rules
        self._count = sum(1 for _ in rules)

    @property
    def rule_count(self) -> int:
        """Rules compiled, private ones included."""
        return self._count

    def match(self, data: bytes, variables: Mapping[str, str], timeout_s: float) -> MatchResult:
        """Match one content; see `Matcher.match`. boreal-python takes whole seconds."""
        overflowed = False

        def note_overflow(_kind: int, _string: boreal.RuleString) -> int:
            nonlocal overflowed
            overflowed = True
            return boreal.CALLBACK_CONTINUE

        try:
            found = self._rules.match(
                data=data,
                externals={**_NO_VALUES, **variables},
                timeout=max(1, math.ceil(timeout_s)),
                # Nobody asks what matched, only whether.
                fast=True,
                max_match_data=0,
                warnings_callback=note_overflow,
            )
        except boreal.TimeoutError as error:
            raise MatchTimeoutError from error
        matches = tuple(
            RuleMatch(m.rule, m.namespace, _text(m.meta.get("severity")), _text(m.meta.get("threat_name")))
            for m in found
        )
        return MatchResult(matches, _MAX_STRING_MATCHES if overflowed else None)


def _text(value: object) -> str:
    return value.decode("utf-8", "ignore") if isinstance(value, bytes) else ""


def _compiled(texts: Mapping[str, str]) -> boreal.Scanner:
    return boreal.compile(sources=dict(texts), externals=dict(_NO_VALUES), includes=False)


def _texts(sources: Sequence[RuleSource]) -> dict[str, str]:
    return {source.namespace: source.text for source in sources}


def _first_mistake(sources: Sequence[RuleSource]) -> tuple[int, str] | None:
    try:
        _compiled(_texts(sources))
    except (boreal.Error, ValueError) as error:
        found = _LINE.match(str(error))
        return (int(found[1]), found[2]) if found else (0, str(error))
    return None
