"""Every rule of the pack: complete metadata, a file it must find, a file it must leave alone."""

import base64
import functools
import re
from pathlib import Path
from typing import Any

import pytest

from agent.domain.facts import Severity
from agent.scanner.rulepack import builtin_signatures

yara = pytest.importorskip("yara")
ROOT = builtin_signatures()
REQUIRED = {"id", "threat_name", "category", "severity", "confidence", "description", "reference", "false_positives"}


@functools.cache
def compiled(path: Path) -> Any:
    return yara.compile(str(path))


@functools.cache
def whole_pack() -> Any:
    return yara.compile(filepaths={str(path.relative_to(ROOT)): str(path) for path in ROOT.glob("*/*.yar")})


def rules_of(path: Path) -> list[tuple[str, dict[str, str]]]:
    return [(rule.identifier, rule.meta) for rule in compiled(path) if not rule.is_private]


RULES = [
    pytest.param(path, name, meta, id=f"{path.parent.name}/{name}")
    for path in sorted(ROOT.glob("*/*.yar"))
    for name, meta in rules_of(path)
]


def fixture(path: Path, name: str, kind: str) -> bytes:
    text = (path.parent / "fixtures" / f"{name}.{kind}.b85").read_text(encoding="ascii")
    return base64.b85decode(text.replace("\n", ""))


@pytest.mark.parametrize(("path", "name", "meta"), RULES)
def test_a_rule_says_everything_about_itself(path: Path, name: str, meta: dict[str, str]) -> None:
    assert set(meta) == REQUIRED
    assert meta["severity"] in {severity.value for severity in Severity}
    assert meta["confidence"] in {"certain", "high", "medium", "low"}
    assert re.fullmatch(r"BKL-[A-Z]{3,4}-\d{4}", meta["id"])


@pytest.mark.parametrize(("path", "name", "meta"), RULES)
def test_a_rule_finds_what_it_is_for(path: Path, name: str, meta: dict[str, str]) -> None:
    found = [match.rule for match in compiled(path).match(data=fixture(path, name, "positive"))]
    assert name in found


@pytest.mark.parametrize(("path", "name", "meta"), RULES)
def test_a_rule_leaves_its_honest_neighbour_alone(path: Path, name: str, meta: dict[str, str]) -> None:
    found = [match.rule for match in compiled(path).match(data=fixture(path, name, "negative"))]
    assert name not in found


@pytest.mark.parametrize(("path", "name", "meta"), RULES)
def test_no_other_rule_of_the_pack_takes_the_honest_neighbour(path: Path, name: str, meta: dict[str, str]) -> None:
    if meta["category"] == "test":
        pytest.skip("what is nearly the one test rule may be the other")
    data = fixture(path, name, "negative")
    assert [match.rule for match in whole_pack().match(data=data)] == []


def test_no_two_rules_share_a_name_or_an_id() -> None:
    names = [rule.values[1] for rule in RULES]
    ids = [str(rule.values[2]) for rule in RULES]
    assert len(set(names)) == len(names)
    assert len(set(ids)) == len(ids)


def test_every_fixture_belongs_to_a_rule() -> None:
    names = {rule.values[1] for rule in RULES}
    assert {path.name.split(".")[0] for path in ROOT.glob("*/fixtures/*.b85")} == names


@pytest.mark.parametrize("path", sorted(ROOT.glob("*/*.yar")), ids=lambda p: p.name)
def test_no_rule_slows_down_scanning(path: Path) -> None:
    assert compiled(path).warnings == []


def test_no_rule_file_is_found_by_the_rules() -> None:
    for path in ROOT.rglob("*"):
        if path.is_file():
            assert whole_pack().match(data=path.read_bytes()) == [], path
