"""yara-x behind the engine port, for comparison only: the product does not use it, and it need not be installed."""

import math
from collections.abc import Mapping, Sequence
from typing import IO, Any

import yara_x

from agent.scanner.engines.port import (
    EXTERNAL_VARIABLES,
    MatchResult,
    MatchTimeoutError,
    Readable,
    RuleMatch,
    RuleProblem,
    RuleSource,
)


class YaraXEngine:
    """Engine `yara-x`: the official successor of YARA."""

    name = "yara-x"

    @property
    def version(self) -> str:
        """Not told by the library."""
        return ""

    def compile(self, sources: Sequence[RuleSource], image: IO[bytes]) -> int:
        """Compile and write the image; see `Engine.compile`."""
        compiler = yara_x.Compiler()
        for name in EXTERNAL_VARIABLES:
            compiler.define_global(name, "")
        for source in sources:
            compiler.new_namespace(source.namespace)
            compiler.add_source(source.text)
        rules = compiler.build()
        rules.serialize_into(image)
        return sum(1 for _ in rules)

    def problem(self, source: RuleSource) -> RuleProblem | None:
        """Never asked: the rules compared are those that compile."""
        raise NotImplementedError(source.origin)

    def load(self, image: Readable) -> "YaraXMatcher":
        """Load an image; see `Engine.load`."""
        return YaraXMatcher(yara_x.Rules.deserialize_from(image))


class YaraXMatcher:
    """Loaded rules; the scanner is made once, as yara-x advises."""

    def __init__(self, rules: Any) -> None:
        self._scanner = yara_x.Scanner(rules)
        self.rule_count = sum(1 for _ in rules)

    def match(self, data: bytes, variables: Mapping[str, str], timeout_s: float) -> MatchResult:
        """Match one content; see `Matcher.match`."""
        for name, value in variables.items():
            self._scanner.set_global(name, value)
        self._scanner.set_timeout(max(1, math.ceil(timeout_s)))
        try:
            found = self._scanner.scan(data).matching_rules
        except yara_x.TimeoutError as error:
            raise MatchTimeoutError from error
        return MatchResult(tuple(RuleMatch(rule.identifier, rule.namespace, "", "") for rule in found))
