import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wire.activation_key import (
    ALPHABET,
    KEY_LENGTH,
    RANDOM_BYTES,
    MistypedKeyError,
    format_activation_key,
    generate_activation_key,
    parse_activation_key,
)

raw_keys = st.binary(min_size=RANDOM_BYTES, max_size=RANDOM_BYTES).map(generate_activation_key)


def _group_named_for(raw: str) -> int | None:
    try:
        parse_activation_key(raw)
    except MistypedKeyError as error:
        return error.group
    raise AssertionError(f"{raw} passed")


@given(raw_keys)
def test_what_is_generated_can_be_typed(raw: str) -> None:
    assert parse_activation_key(format_activation_key(raw)) == raw
    assert parse_activation_key(format_activation_key(raw).lower()) == raw


@given(raw_keys, st.integers(0, KEY_LENGTH - 1), st.sampled_from(ALPHABET))
def test_one_wrong_character_is_always_caught_and_located(raw: str, position: int, wrong: str) -> None:
    if raw[position] == wrong:
        return
    assert _group_named_for(raw[:position] + wrong + raw[position + 1 :]) == position // 5 + 1


@given(raw_keys, st.integers(0, KEY_LENGTH - 2))
def test_two_swapped_neighbours_are_always_caught_and_located(raw: str, position: int) -> None:
    if raw[position] == raw[position + 1]:
        return
    swapped = raw[:position] + raw[position + 1] + raw[position] + raw[position + 2 :]
    assert _group_named_for(swapped) == position // 5 + 1


@given(raw_keys, st.dictionaries(st.integers(0, KEY_LENGTH - 1), st.sampled_from(ALPHABET), min_size=2, max_size=3))
def test_up_to_three_wrong_characters_never_pass(raw: str, changes: dict[int, str]) -> None:
    changed = "".join(changes.get(position, letter) for position, letter in enumerate(raw))
    if changed != raw:
        with pytest.raises(MistypedKeyError):
            parse_activation_key(changed)


@given(st.text(max_size=300))
def test_any_text_is_a_key_or_is_refused_politely(text: str) -> None:
    with contextlib.suppress(MistypedKeyError):
        assert len(parse_activation_key(text)) == KEY_LENGTH
