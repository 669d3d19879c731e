"""The built-in rules, under every check of the linter."""

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from sysconfig import get_path

import pytest

from agent.domain.facts import Severity
from agent.scanner.packs.rule_files import builtin_signatures
from tests.signatures_lint.checks import PACK_CHECKS, RULE_CHECKS, of_rules
from tests.signatures_lint.pack import LintedRule, Pack


@cache
def builtin_pack() -> Pack:
    return Pack.read(builtin_signatures())


@pytest.mark.parametrize("check", RULE_CHECKS, ids=lambda check: check.__name__)
def test_no_rule_breaks_a_check(check: Callable[[LintedRule], Iterator[str]]) -> None:
    assert of_rules(check, builtin_pack()) == []


@pytest.mark.parametrize("check", PACK_CHECKS, ids=lambda check: check.__name__)
def test_the_pack_breaks_no_check(check: Callable[[Pack], Iterator[str]]) -> None:
    assert list(check(builtin_pack())) == []


def test_there_are_rules_of_every_topic() -> None:
    topics = {rule.path.parent.name for rule in builtin_pack().rules}
    assert {"webshells", "scripts", "droppers", "miners", "ransomware", "phishing", "test_files"} <= topics


def test_software_that_every_machine_has_is_left_alone() -> None:
    """The full measurement, of a quarter of a million files, is `python -m benchmarks.signatures`."""
    harmless = {rule.name for rule in builtin_pack().rules if not Severity(rule.meta["severity"]).is_malicious}
    library = [
        path
        for path in sorted(Path(get_path("stdlib")).glob("**/*.py"))
        if not {"site-packages", "test"} & set(path.parts)
    ]
    assert len(library) > 500
    hits = {path.name: found for path in library if (found := builtin_pack().matches(path.read_bytes()) - harmless)}
    assert hits == {}
