"""What is left of a pack with broken rules matches as it did in the whole pack, and nothing is lost without a word."""

import re
from random import Random

import yara
from hypothesis import assume, given, note, settings
from hypothesis import strategies as st

from agent.scanner.engines.port import RuleSource
from agent.scanner.engines.yara import YaraEngine
from agent.scanner.packs.rule_salvage import salvage
from agent.scanner.routing.reading import read_rules
from tests.property.agent.scanner.routing.generated_packs import EXTERNALS, content, pack, texts_of

_CONDITION = re.compile(r"condition:\n")


def broken(random: Random, text: str) -> tuple[str, set[str]]:
    """A text with some of its rules broken, and their names."""
    rules = read_rules(text).rules
    chosen = random.sample(rules, random.randint(1, min(2, len(rules))))
    for rule in sorted(chosen, key=lambda rule: -rule.start):
        mended = _CONDITION.sub("condition:\n $nowhere and ", text[rule.start : rule.end], count=1)
        text = text[: rule.start] + mended + text[rule.end :]
    return text, {rule.name for rule in chosen}


def found(texts: dict[str, str], data: bytes) -> set[str]:
    return {match.rule for match in yara.compile(sources=texts, externals=EXTERNALS).match(data=data)}


@settings(max_examples=60, deadline=None)
@given(random=st.randoms(use_true_random=True))
def test_the_rest_matches_as_it_did(random: Random) -> None:
    texts = texts_of(pack(random, namespaces=1))
    try:
        yara.compile(sources=texts, externals=EXTERNALS)
    except yara.SyntaxError:
        assume(False)  # noqa: FBT003 -- hypothesis's own signature
    ((namespace, whole),) = texts.items()
    text, wrong = broken(random, whole)
    note(text)
    source, engine = RuleSource(namespace, "x.yar", text), YaraEngine()
    problem = engine.problem(source)
    assert problem is not None
    kept, left_out = salvage([source], [problem], engine.problem)
    names = {rule.name for rest in kept for rule in read_rules(rest.text).rules}
    lost = {item.rule for item in left_out}
    assert wrong <= lost
    assert (names | lost, names & lost) == ({rule.name for rule in read_rules(whole).rules}, set())
    for rest in kept:
        data = content(random)
        assert found({namespace: rest.text}, data) == found(texts, data) & names
