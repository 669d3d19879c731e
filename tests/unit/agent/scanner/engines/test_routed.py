"""Routing around any engine: the same matches, and a way out when a division does not work."""

import io
from collections.abc import Mapping, Sequence
from typing import IO

import pytest

from agent.scanner.engines.port import (
    Matcher,
    MatchResult,
    Readable,
    RuleCompileError,
    RuleMatch,
    RuleProblem,
    RuleSource,
)
from agent.scanner.engines.routed import RoutedEngine

PE_ONLY = "rule Pe { condition: uint16(0) == 0x5A4D }"
ANY = 'rule Any { strings: $a = "x" condition: $a }'
ANY_STRING = 'rule AnyString { strings: $a = "some-string" condition: $a }'
EVERY = "rule Every { condition: filesize > 2 }"
#: Rules for one family are divided off once there are this many of them.
FAMILY = "\n".join(f"rule Pe{n} {{ condition: uint16(0) == 0x5A4D and filesize > {n} }}" for n in range(120))


class ListingEngine:
    """Keeps the texts it was given as its image; matches whatever rule text it holds against everything."""

    name = "listing"
    version = "1"

    def __init__(self, *, refuses_divided: bool = False) -> None:
        self.compiled: list[tuple[str, ...]] = []
        self._refuses_divided = refuses_divided

    def compile(self, sources: Sequence[RuleSource], image: IO[bytes]) -> int:
        if self.compiled and self._refuses_divided:
            raise RuleCompileError([RuleProblem(sources[0], 1, "not like this")])
        self.compiled.append(tuple(source.namespace for source in sources))
        image.write("\0".join(source.text for source in sources).encode())
        return sum(source.text.count("rule ") for source in sources)

    def problem(self, source: RuleSource) -> RuleProblem | None:
        return None

    def load(self, image: Readable) -> Matcher:
        return ListingMatcher((image.read() or b"").decode())


class ListingMatcher:
    """Answers with the text it was loaded with."""

    def __init__(self, text: str) -> None:
        self._text = text

    @property
    def rule_count(self) -> int:
        return self._text.count("rule ")

    def match(self, data: bytes, variables: Mapping[str, str], timeout_s: float) -> MatchResult:
        return MatchResult((RuleMatch(self._text, "n", "", ""),))


def image_of(engine: RoutedEngine, *texts: str) -> io.BytesIO:
    image = io.BytesIO()
    engine.compile([RuleSource(f"n{number}", f"{number}.yar", text) for number, text in enumerate(texts)], image)
    image.seek(0)
    return image


def texts_run(matcher: Matcher, data: bytes) -> str:
    return "".join(match.rule for match in matcher.match(data, {}, 1.0).matches)


def test_a_content_meets_only_rules_that_could_match_it() -> None:
    engine = RoutedEngine(ListingEngine())
    matcher = engine.load(image_of(engine, FAMILY, ANY))
    assert "Pe7 " in texts_run(matcher, b"MZ" + b"\0" * 200)
    assert "Any" in texts_run(matcher, b"MZ" + b"\0" * 200)
    assert "Pe7 " not in texts_run(matcher, b"just text")
    assert "Any" in texts_run(matcher, b"just text")


def test_a_content_that_no_rule_could_match_is_not_scanned_at_all() -> None:
    engine = RoutedEngine(ListingEngine())
    matcher = engine.load(image_of(engine, PE_ONLY))
    assert texts_run(matcher, b"just text") == ""
    assert "Pe" in texts_run(matcher, b"MZ....")


def test_the_number_of_rules_is_that_of_the_undivided_pack() -> None:
    engine = RoutedEngine(ListingEngine())
    assert engine.load(image_of(engine, FAMILY, ANY)).rule_count == 121


def test_what_cannot_be_compiled_divided_runs_whole() -> None:
    engine = RoutedEngine(ListingEngine(refuses_divided=True))
    matcher = engine.load(image_of(engine, PE_ONLY, ANY))
    assert "Pe" in texts_run(matcher, b"just text")
    assert "Any" in texts_run(matcher, b"")


def test_an_error_of_the_pack_itself_is_the_engines() -> None:
    engine = ListingEngine(refuses_divided=True)
    engine.compiled.append(("something was compiled before",))
    with pytest.raises(RuleCompileError, match="not like this"):
        image_of(RoutedEngine(engine), ANY)


def test_name_and_version_are_the_engines() -> None:
    engine = RoutedEngine(ListingEngine())
    assert (engine.name, engine.version) == ("listing", "1")


def test_a_content_meets_just_the_rules_it_has_the_evidence_for() -> None:
    engine = RoutedEngine(ListingEngine())
    others = "\n".join(f'rule Other{n} {{ strings: $a = "other-{n:03}" condition: $a }}' for n in range(50))
    matcher = engine.load(image_of(engine, ANY_STRING, others, EVERY))
    run = texts_run(matcher, b"some-string, other-007")
    assert "AnyString" in run
    assert "Other7" in run
    assert "Other8" not in run
    assert run.count("rule Every") == 1
    assert texts_run(matcher, b"nothing of interest").count("rule") == 1
    assert "Other8" in texts_run(matcher, b"".join(b"other-%03d " % n for n in range(50)))
