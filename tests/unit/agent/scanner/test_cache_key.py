from dataclasses import replace

import pytest

from agent.domain.facts import Finding, Incomplete, ScanFacts, Severity
from agent.domain.files import FileIdentity
from agent.scanner.cache_key import RACY_NS, ScanIdentity, asks_for_names, may_remember
from agent.scanner.limits import Limits

SCAN = ScanIdentity("1", "pack", "yara", "4", Limits(), names_matter=False)
FILE = FileIdentity(1, 2, 3, 4, 5)
FACTS = ScanFacts("ab" * 32, 3)
LATER = FILE.ctime_ns + RACY_NS


def test_a_wholly_clean_file_that_rested_is_remembered() -> None:
    assert may_remember(FILE, FILE, FACTS, LATER)


@pytest.mark.parametrize(
    "facts",
    [
        replace(FACTS, findings=(Finding("r", "n", Severity.INFO),)),
        replace(FACTS, incomplete=(Incomplete("timeout", 1),)),
        replace(FACTS, error="unreadable"),
        replace(FACTS, sha256=""),
        replace(FACTS, size_bytes=4),
    ],
)
def test_anything_but_wholly_clean_is_not(facts: ScanFacts) -> None:
    assert not may_remember(FILE, FILE, facts, LATER)


@pytest.mark.parametrize("field", ["device", "inode", "size_bytes", "mtime_ns", "ctime_ns"])
def test_a_file_that_changed_meanwhile_is_not(field: str) -> None:
    assert not may_remember(FILE, replace(FILE, **{field: 99}), FACTS, LATER)


def test_a_file_changed_just_before_its_scan_or_in_the_future_is_not() -> None:
    assert not may_remember(FILE, FILE, FACTS, LATER - 1)
    assert not may_remember(FILE, FILE, FACTS, FILE.ctime_ns - RACY_NS)


def test_every_part_of_how_a_file_was_scanned_is_in_the_key() -> None:
    others = [
        replace(SCAN, program="2"),
        replace(SCAN, pack="other"),
        replace(SCAN, engine="other"),
        replace(SCAN, engine_version="5"),
        replace(SCAN, limits=Limits(max_depth=1)),
        replace(SCAN, names_matter=True),
    ]
    assert len({scan.text for scan in (SCAN, *others)}) == 1 + len(others)
    assert len({scan.key("/a", FILE) for scan in (SCAN, *others)}) == 1 + len(others)


def test_names_count_only_when_rules_ask_for_them() -> None:
    assert SCAN.key("/a", FILE) == SCAN.key("/b", FILE)
    by_name = replace(SCAN, names_matter=True)
    assert by_name.key("/a", FILE) != by_name.key("/b", FILE)
    assert by_name.key("/\udcff", FILE) != by_name.key("/\udcfe", FILE)


@pytest.mark.parametrize(
    ("text", "asks"),
    [
        ('condition: filename contains "x"', True),
        ("condition: filepath matches /x/", True),
        ('condition: extension==".exe"', True),
        ("condition: filesize < 1MB and file_name and owner", False),
    ],
)
def test_rules_that_ask_for_names_are_recognised(text: str, asks: bool) -> None:  # noqa: FBT001 -- a table of cases
    assert asks_for_names(["condition: true", text]) is asks
