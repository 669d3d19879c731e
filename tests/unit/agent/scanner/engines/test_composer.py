"""What is compiled when a content has the evidence for some rules, and what is used again."""

from collections.abc import Sequence
from typing import IO

from agent.scanner.engines.composer import MOST_RULES, Composer
from agent.scanner.engines.port import Matcher, Readable, RuleCompileError, RuleProblem, RuleSource
from agent.scanner.routing.composing import Kit
from tests.fakes.matcher import FakeMatcher

RULES = 400


class CountingEngine:
    """Remembers what it was asked to compile."""

    name = "counting"
    version = "1"

    def __init__(self, refused: str = "none") -> None:
        self.compiled: list[str] = []
        self._refused = refused

    def compile(self, sources: Sequence[RuleSource], image: IO[bytes]) -> int:
        texts = [source.text for source in sources]
        if self._refused in texts:
            raise RuleCompileError([RuleProblem(sources[0], 1, "not like this")])
        self.compiled.append("".join(texts))
        image.write(b"image")
        return len(sources)

    def problem(self, source: RuleSource) -> RuleProblem | None:
        return None

    def load(self, image: Readable) -> Matcher:
        assert image.read() == b"image"
        return FakeMatcher()


def composer(engine: CountingEngine) -> Composer:
    """Of rules that are called by their numbers."""
    numbers = range(RULES)
    texts = tuple(f"<{number}>" for number in numbers)
    return Composer(engine, Kit(texts, [0] * RULES, ("n",), [0] * RULES, ((),), range(RULES + 1), numbers))


def test_the_same_rules_are_compiled_once_and_fewer_of_them_not_again() -> None:
    engine = CountingEngine()
    compositions = composer(engine)
    both = compositions.matcher({1, 2})
    assert both is not None
    assert compositions.matcher({2, 1}) is both
    assert compositions.matcher({2}) is both
    assert engine.compiled == ["<1>\n<2>"]
    assert compositions.matcher({2, 3}) is not both


def test_evidence_for_too_many_rules_is_for_the_whole_partition() -> None:
    engine = CountingEngine()
    assert composer(engine).matcher(range(MOST_RULES + 1)) is None
    assert engine.compiled == []


def test_what_does_not_compile_by_itself_is_run_with_all_others() -> None:
    compositions = composer(CountingEngine(refused="<7>"))
    assert compositions.matcher({7}) is None
    assert compositions.matcher({8}) is not None


def test_what_went_unused_longest_is_given_up() -> None:
    engine = CountingEngine()
    compositions = composer(engine)
    compositions.matcher({0})
    for number in range(1, RULES):
        compositions.matcher({number})
        compositions.matcher({0})
    assert engine.compiled.count("<0>") == 1
    compositions.matcher({1})
    assert engine.compiled.count("<1>") == 2
