"""Names and numbers that refute a condition, judged beside the engine itself."""

import itertools
import struct

import pytest
import yara

from agent.scanner.routing.analysis import RuleText
from agent.scanner.routing.conditions import parse_condition
from agent.scanner.routing.partitions import partition
from agent.scanner.routing.reading import read_rules
from agent.scanner.routing.refutation import Refuter, Test, refutable

NAMES = {"filename": "Report.pdf.exe", "filepath": "/home/a", "extension": ".exe", "filetype": "EXE", "owner": "root"}
OTHER_NAMES = {"filename": "exports", "filepath": "/etc", "extension": "", "filetype": "", "owner": "root"}
NO_NAMES = dict.fromkeys(NAMES, "")
XORED_PE = struct.pack("<H58xHH", 0x5A4D ^ 0x3131, 0x40 ^ 0x3131, 0x3131) + bytes(
    [0x50 ^ 0x31, 0x45 ^ 0x31, 0x31, 0x31]
)
CONTENTS = (b"", b"M", b"MZ" + bytes(62), b"plain text, forty bytes and some more of it, to the end", XORED_PE)

XORED_PE_CONDITION = (
    "uint16(0) != 0x5a4d and uint32((uint16(0x3c) ^ (uint16(0) ^ 0x5a4d)) | ((uint16(0x3e) ^ (uint16(0) ^ 0x5a4d)) "
    "<< 16)) ^ ((uint16(0) ^ 0x5a4d) | ((uint16(0) ^ 0x5a4d) << 16)) == 0x00004550"
)

#: Those that are judged as the engine does, for each of the contents and names above.
EXACT = (
    'filename == "exports" and filepath contains "/etc"',
    'extension == ".exe" or extension == ".jpg"',
    'filename icontains "REPORT"',
    'filename istartswith "report" and filename endswith ".exe"',
    'filename iequals "report.PDF.exe" or owner startswith "no"',
    "uint16(0) == 0x5a4d",
    "uint16(0) != 0x5a4d",
    "uint16be(0) == 0x4d5a and filesize >= 64",
    "uint32(uint16(2) + 4) | 1 == 1",
    "uint8(0) & 0x4f == 77 or 1KB < filesize",
    "(uint8(1) << 8 | uint8(0)) ^ 0x5a4d == 0",
    XORED_PE_CONDITION,
)
#: Those that may hold for all that is known here.
NEVER_REFUTED = (
    'not filename == "x"',
    r'filename == "a\x41"',
    "filename matches /[a-z]+/",
    "filename matches /[[:alpha:]]exe/",
    'filename == "x" or filesize > 5 * 3',
    'defined filename == "x"',
    "math.entropy(0, 10) > 7.0",
    "for any i in (1..2) : (uint8(i) == 7)",
    "uint8(0) == int8(1)",
)
#: Those that are refuted now and then only.
SOMETIMES = (
    r"filename matches /\.pdf\.exe$/is",
    r"filename matches /^Exports/ or filename matches /^(a|b)+eport/",
    "uint8(0) == 77 and math.entropy(0, 10) > 7.0",
    "uint8(0) << 63 == 0 and filesize > 40",
)


def condition_test(condition: str) -> Test | None:
    text = f'import "math" rule r {{ condition: {condition} }}'
    return refutable(parse_condition(read_rules(text).rules[0].tokens))


def matches(condition: str, data: bytes, names: dict[str, str]) -> bool:
    rules = yara.compile(source=f'import "math" rule r {{ condition: {condition} }}', externals=NO_NAMES)
    return bool(rules.match(data=data, externals=names))


@pytest.mark.parametrize("condition", EXACT)
def test_what_is_understood_is_refuted_just_where_the_engine_finds_nothing(condition: str) -> None:
    test = condition_test(condition)
    assert test is not None
    for data, names in itertools.product(CONTENTS, (NAMES, OTHER_NAMES)):
        assert Refuter([test]).refutes(data, names) is not matches(condition, data, names)


@pytest.mark.parametrize("condition", EXACT + SOMETIMES)
def test_what_matches_is_never_refuted_and_something_is(condition: str) -> None:
    refuter = Refuter([condition_test(condition) or ["all"]])
    refuted = [
        (data, names)
        for data, names in itertools.product(CONTENTS, (NAMES, OTHER_NAMES, NO_NAMES))
        if refuter.refutes(data, names)
    ]
    assert refuted
    assert not any(matches(condition, data, names) for data, names in refuted)


@pytest.mark.parametrize("condition", NEVER_REFUTED)
def test_what_is_not_understood_is_left_to_the_engine(condition: str) -> None:
    test = condition_test(condition)
    assert test is None or not any(
        Refuter([test]).refutes(data, names) for data, names in itertools.product(CONTENTS, (NAMES, OTHER_NAMES))
    )


def test_one_rule_that_may_hold_is_enough() -> None:
    tests = [condition_test('filename == "x"'), condition_test('owner == "root"')]
    assert not Refuter([test for test in tests if test]).refutes(b"", NAMES)


def test_partitions_have_tests_when_all_rules_without_evidence_can_be_refuted() -> None:
    by_name = 'rule a { condition: extension == ".x" } rule s { strings: $s = "some string" condition: $s }'
    (part,) = partition([RuleText("n", by_name)])
    assert part.unscreened_tests == (["name", "extension", "==", ".x"],)
    (part,) = partition([RuleText("n", by_name + " rule b { condition: int8(0) > filesize }")])
    assert part.unscreened_tests is None
