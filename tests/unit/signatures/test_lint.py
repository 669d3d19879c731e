"""Each check of the linter catches what it is for, and nothing else is said about that rule."""

import base64
from pathlib import Path

import pytest

from tests.signatures_lint.checks import complaints
from tests.signatures_lint.pack import Pack

RULE = """rule greeting
{
  meta:
    id = "BKL-XXX-0001"
    threat_name = "Test.Greeting"
    category = "suspicious"
    severity = "high"
    confidence = "high"
    description = "A greeting that nobody would write"
    reference = "https://example.org/greeting"
    false_positives = "none known"
  strings:
    $a = "good morrow, machine"
  condition:
    filesize < 100 and $a
}
"""
POSITIVE, NEGATIVE = b"good morrow, machine", b"good morning, machine"


def pack_of(
    root: Path, text: str, positive: bytes | None = POSITIVE, negative: bytes = NEGATIVE, overlaps: str = ""
) -> Pack:
    fixtures = root / "topic" / "fixtures"
    fixtures.mkdir(parents=True)
    (root / "topic" / "rules.yar").write_text(text)
    (root / "overlaps.toml").write_text(overlaps)
    for kind, data in (("positive", positive), ("negative", negative)):
        if data is not None:
            (fixtures / f"greeting.{kind}.b85").write_bytes(base64.b85encode(data) + b"\n")
    return Pack.read(root)


def test_a_good_rule_breaks_no_check(tmp_path: Path) -> None:
    assert complaints(pack_of(tmp_path, RULE)) == []


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('    false_positives = "none known"\n', "", "`false_positives` is missing"),
        ('confidence = "high"', 'confidence = "high"\n    author = "a"', "`author` is unknown"),
        ("BKL-XXX-0001", "BKL-1", "the id 'BKL-1' is not like BKL-XXX-0000"),
        ("Test.Greeting", "a greeting", "the threat name 'a greeting' is not like Kind.Platform.Detail"),
        ('"suspicious"', '"suspect"', "the category 'suspect' is unknown"),
        ('severity = "high"', 'severity = "bad"', "the severity 'bad' is unknown"),
        ('confidence = "high"', 'confidence = "sure"', "the confidence 'sure' is unknown"),
        ('confidence = "high"', 'confidence = "low"', "a finding is acted on, but the confidence is low"),
        ("A greeting that nobody would write", "greeting", "the description is no sentence of up to 220 characters"),
        ("https://", "http://", "the reference is no https address"),
        ("filesize < 100 and $a", "$a", "its condition bounds neither the size of a file nor its first bytes"),
        ('"good morrow, machine"', "/good morrow.*machine/", "$a repeats without an upper bound"),
        ('"good morrow, machine"', "/good morro+w, machine/", "$a repeats without an upper bound"),
        ('"good morrow, machine"', "/good morrow, {1,}machine/", "$a repeats without an upper bound"),
        ('"good morrow, machine"', '"row"', "it can match without a string of 4 fixed bytes"),
        ("100 and $a", '100 and ($a or filename == "x")', "it can match without a string of 4 fixed bytes"),
    ],
)
def test_a_bad_rule_is_told_so(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert RULE.count(old) == 1
    text = RULE.replace(old, new)
    assert f"topic/greeting: {said}" in complaints(pack_of(tmp_path, text))


def test_what_repeats_inside_a_class_or_escaped_is_bounded(tmp_path: Path) -> None:
    text = RULE.replace('"good morrow, machine"', r"/good morrow, {1,2}[m*+{2,}]achine(\*|\+|\{3,\}){0,2}/")
    assert complaints(pack_of(tmp_path, text)) == []


@pytest.mark.parametrize("kind", ["positive", "negative"])
def test_a_missing_fixture_is_named(tmp_path: Path, kind: str) -> None:
    pack = pack_of(tmp_path, RULE)
    (pack.root / "topic" / "fixtures" / f"greeting.{kind}.b85").unlink()
    assert complaints(pack) == [f"topic/greeting: fixtures/greeting.{kind}.b85 is missing"]


def test_a_missed_positive_is_told_plain_and_packed(tmp_path: Path) -> None:
    assert complaints(pack_of(tmp_path, RULE, positive=b"good morrow")) == [
        "greeting misses its positive fixture",
        "greeting misses its positive fixture in zip",
        "greeting misses its positive fixture in tar_gz",
    ]


def test_a_negative_that_is_hit_is_told(tmp_path: Path) -> None:
    said = complaints(pack_of(tmp_path, RULE, negative=POSITIVE))
    assert said == ["greeting finds something in the negative fixture of greeting"]


def test_a_fixture_without_a_rule_is_told(tmp_path: Path) -> None:
    pack = pack_of(tmp_path, RULE.replace("rule greeting", "rule farewell"), positive=None)
    assert "topic/fixtures/greeting.negative.b85 belongs to no rule" in complaints(pack)


def test_a_slow_string_is_told(tmp_path: Path) -> None:
    text = RULE.replace("$a = ", "$b = /[0-9]{1,9}x/\n    $a = ").replace("and $a", "and all of them")
    said = complaints(pack_of(tmp_path, text, positive=POSITIVE + b"1x"))
    assert len(said) == 1
    assert said[0].startswith("topic/rules.yar: ")
    assert "slow" in said[0]


def test_rules_that_share_a_name_or_an_id_are_told(tmp_path: Path) -> None:
    pack = pack_of(tmp_path, RULE)
    (tmp_path / "topic" / "more.yar").write_text(RULE.replace("filesize < 100", "filesize < 90"))
    said = complaints(Pack.read(pack.root))
    assert said[:2] == ["the name greeting is used 2 times", "the id BKL-XXX-0001 is used 2 times"]


def test_another_rule_may_find_the_positive_only_when_that_is_told(tmp_path: Path) -> None:
    text = RULE + RULE.replace("rule greeting", "rule machine").replace("XXX-0001", "XXX-0002").replace("< 100", "< 90")
    surprise = "machine finds something in the positive fixture of greeting"
    assert surprise in complaints(pack_of(tmp_path / "untold", text))
    assert surprise not in complaints(pack_of(tmp_path / "told", text, overlaps='greeting = ["machine"]\n'))


def test_an_excuse_that_is_not_needed_is_told(tmp_path: Path) -> None:
    said = complaints(pack_of(tmp_path, RULE, overlaps='greeting = ["machine"]\n'))
    assert said == ["machine finds nothing in the positive fixture of greeting"]


def test_a_pack_that_finds_itself_is_told(tmp_path: Path) -> None:
    text = RULE.replace("filesize < 100", "filesize < 1KB")
    pack = pack_of(tmp_path, text + "// good morrow, machine\n")
    assert complaints(pack) == ["greeting in topic/rules.yar"]
