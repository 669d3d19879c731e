from dataclasses import replace

import pytest

from agent.domain.facts import Finding, Incomplete, ScanFacts, Severity
from agent.domain.files import FileIdentity
from agent.scanner.cache_key import RACY_NS, ScanIdentity, may_remember
from agent.scanner.limits import Limits

SCAN = ScanIdentity("1", "pack", "yara", "4", Limits())
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
    ]
    assert len({scan.text for scan in (SCAN, *others)}) == 1 + len(others)
