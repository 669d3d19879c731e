"""What is left of a string when only what is surely there is kept."""

import base64

import pytest

from agent.scanner.routing.leading_bytes import StringDefinition
from agent.scanner.routing.needles import LONGEST, Needle, needles_at_start, needles_of

SECOND_DIGIT_1 = "".join(f"\\x{digit:x}1" for digit in range(16))


def text(value: str, *modifiers: str) -> StringDefinition:
    return StringDefinition("$a", "text", value, modifiers)


def needles(kind: str, value: str, *modifiers: str) -> tuple[Needle, ...] | None:
    return needles_of(StringDefinition("$a", kind, value, modifiers))  # type: ignore[arg-type]


def test_text_is_its_own_needle_cut_to_a_bound() -> None:
    assert needles_of(text("cmd.exe")) == (Needle(b"cmd.exe"),)
    assert needles_of(text(r"a\x00\"\\\n", "nocase")) == (Needle(b'a\x00"\\\n', nocase=True),)
    (needle,) = needles_of(text("0123456789" * 10)) or ()
    assert len(needle.text) == LONGEST


def test_what_a_character_outside_ascii_becomes_is_not_guessed() -> None:
    assert needles_of(text("grüße aus")) == (Needle(b"e aus"),)


def test_wide_and_ascii_are_two() -> None:
    assert needles_of(text("abcd", "wide")) == (Needle(b"a\0b\0c\0d\0"),)
    assert needles_of(text("abcd", "wide", "ascii")) == (Needle(b"a\0b\0c\0d\0"), Needle(b"abcd"))


def test_xor_is_one_for_each_key() -> None:
    found = needles_of(text("abcd", "xor(0x01-0x03)")) or ()
    assert [needle.text for needle in found] == [bytes(byte ^ key for byte in b"abcd") for key in (1, 2, 3)]
    assert len(needles_of(text("abcd", "xor")) or ()) == 256


@pytest.mark.parametrize("before", range(3))
@pytest.mark.parametrize("after", [b"", b"x", b"xy"])
def test_base64_has_one_for_each_place_in_a_group(before: int, after: bytes) -> None:
    found = needles_of(text("a secret", "base64")) or ()
    encoded = base64.b64encode(b"\xff" * before + b"a secret" + after)
    assert any(needle.text in encoded for needle in found)


def test_an_alphabet_of_ones_own_is_not_known() -> None:
    assert needles_of(text("a secret", 'base64("!@#")')) is None


@pytest.mark.parametrize(
    ("value", "needle"),
    [
        ("{ 01 02 03 04 05 06 ?? 07 08 }", Needle(bytes(range(1, 7)))),
        ("{ 01 [2-4] ~05 }", Needle(pattern=r"\x01.{2,4}[^\x05]", dotall=True)),
        ("{ ?1 ( 02 03 | 04 ) }", Needle(pattern=f"[{SECOND_DIGIT_1}](\\x02\\x03|\\x04)", dotall=True)),
        ("{ 01 // 02\n [3] /* 04 */ ?? }", Needle(pattern=r"\x01.{3}.", dotall=True)),
    ],
)
def test_bytes_are_their_longest_fixed_piece_or_all_of_them(value: str, needle: Needle) -> None:
    assert needles("byte", value) == (needle,)


@pytest.mark.parametrize(
    ("value", "needle"),
    [
        (r"/^evil\.example\/[a-z]+/i", Needle(b"evil.example/", nocase=True)),
        (r"/ab?cdefghijklmnop*/", Needle(b"cdefghijklmno")),
        (r"/(one|two)three, no less/", Needle(b"three, no less")),
        (r"/ab?cdefgh*/", Needle(pattern="ab?cdefgh*")),
        (r"/ab|cd/", Needle(pattern="ab|cd")),
        (r"/a.c/s", Needle(pattern="a.c", dotall=True)),
    ],
)
def test_expressions_are_what_is_outside_of_groups_classes_and_repetitions(value: str, needle: Needle) -> None:
    assert needles("regex", value) == (needle,)


def test_a_short_piece_stands_for_an_expression_in_utf_16_only() -> None:
    value = r"/eval\s{1,9}request/i"
    wide = Needle(b"r\0e\0q\0u\0e\0s\0t\0", nocase=True)
    assert needles("regex", value, "wide") == (wide,)
    assert needles("regex", value, "ascii", "wide") == (wide, Needle(pattern=r"eval\s{1,9}request", nocase=True))


@pytest.mark.parametrize(
    ("value", "pattern"),
    [
        (r"/(curl|wget)\s.{0,80}\d/", r"(curl|wget)\s"),
        (r"/a.{0,80}(one|two)[ab]/", r"(one|two)[ab]"),
        (r"/abc[^\n]{1,40}d\d{2}e/", r"abc"),
        (r"/ab\w{32}.\dcd/", r".\dcd"),
        (r"/abc?.{0,80}de?f?/", r"abc?.{0,80}de?f?"),  # neither part says enough
        (r"/(a.{0,80}b){0,2}cd/", r"(a.{0,80}b){0,2}cd"),  # a gap inside a group is no gap between parts
        (r"/abc.{0,31}\d/", r"abc.{0,31}\d"),  # short
        (r"/abc.{0,80}\d|x/", r"abc.{0,80}\d|x"),  # only one of the two is there
        (r"/.{0,80}/", r".{0,80}"),
    ],
)
def test_a_pattern_is_its_most_telling_part_between_long_gaps(value: str, pattern: str) -> None:
    assert needles("regex", value) == (Needle(pattern=pattern),)


@pytest.mark.parametrize("value", [r"/a{,3}b/", r"/a\zb/", r"/[[:alpha:]]x/", r"/[\b]/"])
def test_what_perl_reads_in_another_way_is_not_known(value: str) -> None:
    assert needles("regex", value) is None


def test_at_the_start_of_a_file_even_two_bytes_are_telling() -> None:
    assert needles_at_start(StringDefinition("$a", "text", "<?")) == (Needle(b"<?", at_start=True),)
    assert needles_at_start(StringDefinition("$a", "byte", "{ 4d 5a ?? 00 }")) == (Needle(b"MZ", at_start=True),)
    assert needles_at_start(StringDefinition("$a", "regex", "/abc/")) is None


def test_bytes_that_fill_up_numbers_tell_nothing() -> None:
    value = "{ ba 02 00 00 00 be 01 00 00 00 ff ff }"
    (needle,) = needles_of(StringDefinition("$a", "byte", value)) or ()
    assert needle.text == b""
    assert needle.pattern.startswith(r"\xba\x02\x00")
