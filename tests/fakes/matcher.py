"""A matcher that knows one signature and can be told to fail."""

from collections.abc import Mapping

from agent.scanner.engines.port import MatchResult, MatchTimeoutError, RuleMatch
from tests.fakes.eicar import EICAR


class FakeMatcher:
    """Finds EICAR anywhere in a content; implements `Matcher`."""

    rule_count = 1

    def __init__(self, severity: str = "high") -> None:
        self.seen: list[tuple[bytes, Mapping[str, str]]] = []
        self.failure: Exception | None = None
        self._severity = severity

    def match(self, data: bytes, variables: Mapping[str, str], timeout_s: float) -> MatchResult:
        if timeout_s <= 0:
            raise MatchTimeoutError
        if self.failure is not None:
            raise self.failure
        self.seen.append((data, variables))
        return MatchResult((RuleMatch("eicar", "fake", self._severity, "EICAR"),) if EICAR in data else ())
