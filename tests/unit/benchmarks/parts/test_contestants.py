"""Tests of reading what the contestants print."""

import json
from pathlib import Path

from benchmarks.parts.contestant import Contestant
from benchmarks.parts.contestants import contestants
from benchmarks.parts.rules import SharedRules


def _named(start: str, tmp_path: Path) -> Contestant:
    entrants = contestants(SharedRules(tmp_path, 0, (), frozenset()), 2, tmp_path)
    found = next(entrant for entrant in entrants if entrant.name.startswith(start))
    assert isinstance(found, Contestant)
    return found


def _finding(rule: str, member: str) -> dict[str, str]:
    return {"rule": rule, "namespace": "n1", "member": member}


def test_what_buckler_finds_inside_a_container_is_told_and_not_compared(tmp_path: Path) -> None:
    file = {"type": "file", "path": "/t/a.zip", "findings": [_finding("outer", ""), _finding("inner", "a.zip!b")]}
    summary = {"type": "summary", "incomplete": 2, "errors": 0, "cached": 0}
    answer = _named("buckler cold", tmp_path).read(f"{json.dumps(file)}\n{json.dumps(summary)}\n".encode())
    assert answer.matches == {("n1", "outer", "/t/a.zip")}
    assert answer.note == "2 incomplete, 1 more matches inside containers"


def test_the_plain_driver_answers_in_the_same_terms(tmp_path: Path) -> None:
    answer = _named("yara-python", tmp_path).read(b'["n1", "outer", "/t/a b.zip"]\n')
    assert answer.matches == {("n1", "outer", "/t/a b.zip")}
