import pytest

from agent.scanner.routing.reading import UnsplittableSourceError, read_rules

HARD = r"""
/* a comment with rule x { condition: true } */
import "pe" // }
import "math"
private global rule first : tag_a tag_b { // {
  meta:
    author = "a \" } strings:"
    date = -5
    good = true
  strings:
    $a = "}\"\\" wide /* } */ ascii
    $b = { 4D // }
           5A [2-4] ( 41 | 42 ) /* } */ }
    $c = /\/[}"]+\{/is nocase
    $ = "x" xor(0x01-0xff) private
  condition:
    #a > 2 and pe.sections[0].name /* or */ == "}" // and
    and for any i in (0..pe.number_of_sections) : (@a[i] != 0x10 and !a[1] == 3)
}
rule second { condition: first or $* of them }
"""


def test_a_rule_is_read_as_written_whatever_its_texts_contain() -> None:
    file = read_rules(HARD)
    first, second = file.rules
    assert file.modules == {"pe", "math"}
    assert (first.name, first.tags, first.is_global, first.is_private) == ("first", ("tag_a", "tag_b"), True, True)
    assert [(s.name, s.kind, s.modifiers) for s in first.strings] == [
        ("$a", "text", ("wide", "ascii")),
        ("$b", "byte", ()),
        ("$c", "regex", ("nocase",)),
        ("$", "text", ("xor(0x01-0xff)", "private")),
    ]
    assert first.strings[0].value == r"}\"\\"
    assert first.strings[1].value.startswith("{ 4D // }")
    assert first.strings[3].written == '$ = "x" xor(0x01-0xff) private'
    assert first.tokens[:9] == ("#a", ">", "2", "and", "pe.sections", "[", "0", "]", ".")
    assert "or" not in first.tokens
    assert 'author = "a' in first.meta
    assert second.tokens == ("first", "or", "$*", "of", "them")
    assert second.condition.strip() == "first or $* of them"


def test_two_dots_are_a_range_and_never_part_of_a_name() -> None:
    tokens = read_rules("rule r { condition: for any i in (a..pe.n) : (true) }").rules[0].tokens
    assert tokens[5:8] == ("a", "..", "pe.n")


@pytest.mark.parametrize(
    "text",
    [
        'include "other.yar"\nrule r { condition: true }',
        "rule r { condition: true",
        "rule r { condition: true /* never closed }",
        "rule r : tag",
        "rule r { strings: $a condition: $a }",
        "rule r { strings: $a = /* why */ { 41 42 } condition: $a }",
        "\ufeffrule r { condition: true }",
        "rule r { condition: ` }",
        "nonsense",
    ],
)
def test_what_this_reader_does_not_understand_is_refused_as_a_whole(text: str) -> None:
    with pytest.raises(UnsplittableSourceError):
        read_rules(text)


def test_an_empty_file_has_no_rules() -> None:
    assert read_rules(" // nothing\n").rules == ()


def test_a_hex_string_full_of_comments_that_never_ends_is_refused_at_once() -> None:
    with pytest.raises(UnsplittableSourceError):
        read_rules("rule a { strings: $a = { " + "/" * 200 + " condition: $a }")
