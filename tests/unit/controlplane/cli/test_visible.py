from hypothesis import given
from hypothesis import strategies as st

from controlplane.cli.visible import visible, visible_path


def test_printable_texts_stay_as_they_are() -> None:
    assert visible("Anna's Gerät 日本") == "Anna's Gerät 日本"


def test_what_moves_the_cursor_or_turns_the_text_around_is_escaped() -> None:
    assert visible("a\x1b[2Jb\nc\u202ed") == "a\\x1b[2Jb\\nc\\u202ed"


def test_bytes_that_are_no_text_are_escaped() -> None:
    assert visible_path(b"/home/\xff\xc3\xbc") == "/home/\\xff\u00fc"


@given(st.binary())
def test_any_path_becomes_one_printable_line(untrusted: bytes) -> None:
    assert visible_path(untrusted).isprintable()
