"""Routing never changes what matches: generated packs against generated files, whole pack against partitions."""

import io
from collections.abc import Iterable, Iterator
from random import Random
from types import ModuleType
from typing import Any

import boreal
import pytest
import yara
from hypothesis import assume, given, note, settings
from hypothesis import strategies as st

from agent.scanner.engines.boreal import BorealEngine
from agent.scanner.engines.port import Engine, RuleSource
from agent.scanner.engines.routed import RoutedEngine
from agent.scanner.engines.yara import YaraEngine
from agent.scanner.routing.analysis import RuleText
from agent.scanner.routing.partitions import partition
from agent.scanner.routing.selection import Selector
from tests.property.agent.scanner.routing.generated_packs import (
    DEFINED_LEAVES,
    EXTERNALS,
    IMPORTS,
    LEAVES,
    content,
    pack,
    texts_of,
    written,
)
from tests.property.agent.scanner.routing.samples import minimal_elf, minimal_pe

randoms = st.randoms(use_true_random=True)
sizes_worth_a_pack = st.sampled_from([0, 1, 100])
#: Each example is a pack and a dozen files: seconds for all of them where nobody else is at work.
few = pytest.param(100, marks=pytest.mark.timeout(300))
many = pytest.param(500, marks=[pytest.mark.slow, pytest.mark.timeout(1800)])
campaigns = pytest.mark.parametrize("examples", [few, many], ids=["few", "many"])


def compiled(library: ModuleType, sources: tuple[RuleText, ...]) -> Any:
    return library.compile(sources=texts_of(sources), externals=EXTERNALS)


def found(rules: Any, data: bytes) -> set[tuple[str, str]]:
    return {(match.namespace, match.rule) for match in rules.match(data=data)}


def answers(
    library: ModuleType, sources: tuple[RuleText, ...], contents: Iterable[bytes], worth: int
) -> Iterator[tuple[set[tuple[str, str]], set[tuple[str, str]]]]:
    """What the whole pack and what its partitions match in each content."""
    try:
        whole = compiled(library, sources)
    except (yara.SyntaxError, boreal.AddRuleError):
        assume(False)  # noqa: FBT003 - hypothesis's own signature; e.g. an empty set of strings
    parts = partition(sources, rules_worth_a_pack=worth)
    packs = [compiled(library, part.sources) for part in parts]
    selector = Selector([part.route for part in parts])
    for data in contents:
        expected = found(whole, data)
        note(f"{data!r} matches {sorted(expected)} of:\n" + "\n".join(source.text for source in sources))
        chosen = selector.select(data[: selector.head_bytes], len(data))
        assert len(chosen) <= 1
        yield expected, set().union(*(found(packs[index], data) for index in chosen))


@campaigns
def test_the_partitions_of_a_file_match_what_the_whole_pack_matches(examples: int) -> None:
    @settings(max_examples=examples)
    @given(random=randoms, worth=sizes_worth_a_pack)
    def matches_stay(random: Random, worth: int) -> None:
        for whole, routed in answers(yara, pack(random), [content(random) for _ in range(12)], worth):
            assert routed == whole

    matches_stay()


@campaigns
def test_they_do_with_boreal(examples: int) -> None:
    @settings(max_examples=examples)
    @given(random=randoms, worth=sizes_worth_a_pack)
    def matches_stay(random: Random, worth: int) -> None:
        # Where boreal contradicts itself there is nothing to keep: it reports a global rule even when a later one of
        # its file does not hold, and of fields without a value it judges a rule alone otherwise than beside others.
        sources = pack(random, leaves=DEFINED_LEAVES, lone_globals=True)
        for whole, routed in answers(boreal, sources, [content(random) for _ in range(12)], worth):
            assert routed == whole

    matches_stay()


def answers_through_engine(
    library: ModuleType, engine: Engine, sources: tuple[RuleText, ...], contents: Iterable[bytes]
) -> Iterator[tuple[set[tuple[str, str]], list[tuple[str, str]]]]:
    """What the whole pack matches in each content, and what an engine does that spares contents rules."""
    texts = texts_of(sources)
    try:
        whole = library.compile(sources=texts, externals=EXTERNALS)
    except (yara.SyntaxError, boreal.AddRuleError):
        assume(False)  # noqa: FBT003 - as above
    image = io.BytesIO()
    routed = RoutedEngine(engine)
    routed.compile([RuleSource(namespace, namespace, text) for namespace, text in texts.items()], image)
    image.seek(0)
    matcher = routed.load(image)
    for data in contents:
        expected = found(whole, data)
        note(f"{data!r} matches {sorted(expected)} of:\n" + "\n".join(texts.values()))
        yield expected, [(match.namespace, match.rule) for match in matcher.match(data, EXTERNALS, 10.0).matches]


@campaigns
def test_rules_that_are_spared_a_file_would_not_have_matched_it(examples: int) -> None:
    @settings(max_examples=examples)
    @given(random=randoms)
    def matches_stay(random: Random) -> None:
        contents = [content(random) for _ in range(12)]
        for whole, spared in answers_through_engine(yara, YaraEngine(), pack(random), contents):
            assert sorted(spared) == sorted(whole)

    matches_stay()


@given(random=randoms)
def test_nor_would_they_with_boreal(random: Random) -> None:
    sources = pack(random, leaves=DEFINED_LEAVES, lone_globals=True)
    contents = [content(random) for _ in range(12)]
    for whole, spared in answers_through_engine(boreal, BorealEngine(), sources, contents):
        assert sorted(spared) == sorted(whole)


@pytest.mark.parametrize("library", [yara, boreal])
@pytest.mark.parametrize("leaf", LEAVES)
def test_every_generated_leaf_compiles(leaf: str, library: ModuleType) -> None:
    rules = library.compile(source=IMPORTS + written("", "r", leaf), externals=EXTERNALS)
    assert [rule.identifier for rule in rules] == ["r"]


@pytest.mark.parametrize("library", [yara, boreal])
def test_the_sample_files_are_what_they_claim(library: ModuleType) -> None:
    rules = library.compile(
        source=IMPORTS
        + "rule one_section { condition: pe.number_of_sections == 1 and pe.is_dll() }"
        + "rule elf_file { condition: elf.number_of_segments == 1 }"
    )
    assert found(rules, minimal_pe()) == {("default", "one_section")}
    assert found(rules, minimal_elf()) == {("default", "elf_file")}
