"""Tests of what the contestants share."""

from pathlib import Path

from benchmarks.parts.rules import share_rules

_TEXT = """
// rule commented_out: owner
rule plain { strings: $owner = "abcd" condition: $owner }
private rule by_name { condition : filename == "x.exe" }
"""


def test_every_rule_file_gets_a_namespace_of_its_own_and_rules_that_read_variables_are_known(tmp_path: Path) -> None:
    source, shared = tmp_path / "two.yar", tmp_path / "shared"
    source.write_text(_TEXT)
    shared.mkdir()
    rules = share_rules([source], shared, None)
    assert [path.name for path in rules.files] == ["n00000.yar"]
    assert (rules.count, rules.left_out) == (2, ())
    assert ("n00000", "by_name") in rules.reading_variables


def test_a_file_that_does_not_compile_is_left_out_and_named(tmp_path: Path) -> None:
    source, shared = tmp_path / "rules", tmp_path / "shared"
    source.mkdir()
    shared.mkdir()
    (source / "bad.yar").write_text("rule broken { condition: $missing }")
    (source / "good.yar").write_text("rule fine { condition: true }")
    (source / "notes.yar").write_text("// nothing but a comment\n")
    rules = share_rules([source], shared, None)
    assert rules.count == 1
    assert [line.partition(": ")[0] for line in rules.left_out] == [str(source / "bad.yar")]
    assert len(rules.files) == 2
