import pytest

from wire.activation_key import (
    ALPHABET,
    KEY_LENGTH,
    MAX_TEXT_LENGTH,
    MistypedKeyError,
    format_activation_key,
    generate_activation_key,
    parse_activation_key,
)

#: Golden: a change of alphabet, bit order or code would void every key that was ever sold.
GOLDEN = {
    "00" * 11: "BKLR-00000-00000-00000-00000",
    "ff" * 11: "BKLR-ZZZZZ-ZZZZZ-ZZZZZ-ZZ2W7",
    "000102030405060708090a": "BKLR-A82GG-3R050-16014-002D4",
}
RAW = generate_activation_key(bytes.fromhex("a1b2c3d4e5f60718293a4b"))
KEY = format_activation_key(RAW)


def _refused(text: str) -> MistypedKeyError:
    with pytest.raises(MistypedKeyError) as caught:
        parse_activation_key(text)
    return caught.value


@pytest.mark.parametrize(("random_bytes", "key"), GOLDEN.items())
def test_golden_keys_stay_what_they_are(random_bytes: str, key: str) -> None:
    assert format_activation_key(generate_activation_key(bytes.fromhex(random_bytes))) == key


@pytest.mark.parametrize(
    "typed",
    [
        KEY,
        KEY.lower(),
        f"  {KEY}\n",
        KEY.replace("-", ""),
        KEY.replace("-", " "),
        KEY.replace("-", "\u2013"),
        KEY.removeprefix("BKLR-"),
        RAW,
        "BKLR" + KEY.removeprefix("BKLR-"),
        KEY.replace("BKLR", "bk1r"),
        KEY.replace("BKLR", "B KLR"),
    ],
)
def test_a_key_may_be_typed_in_many_ways(typed: str) -> None:
    assert parse_activation_key(typed) == RAW


def test_look_alike_letters_are_read_as_digits() -> None:
    key = "BKLR-00000-00000-00000-00000"
    assert parse_activation_key(key.replace("0", "O")) == "0" * KEY_LENGTH
    assert parse_activation_key(key.replace("0", "o")) == "0" * KEY_LENGTH
    with_ones = next(raw for raw in _keys() if "1" in raw)
    assert parse_activation_key(with_ones.replace("1", "I")) == with_ones
    assert parse_activation_key(with_ones.replace("1", "l")) == with_ones


def test_every_substitution_is_caught_and_its_group_is_named() -> None:
    for position in range(KEY_LENGTH):
        for wrong in set(ALPHABET) - {RAW[position]}:
            error = _refused(RAW[:position] + wrong + RAW[position + 1 :])
            assert error.group == position // 5 + 1


def test_every_adjacent_transposition_is_caught_and_its_group_is_named() -> None:
    for position in range(KEY_LENGTH - 1):
        swapped = RAW[:position] + RAW[position + 1] + RAW[position] + RAW[position + 2 :]
        if swapped == RAW:
            continue
        assert _refused(swapped).group == position // 5 + 1


def test_a_swap_across_two_groups_names_both() -> None:
    raw = next(raw for raw in _keys() if raw[4] != raw[5])
    assert "groups 1 and 2 meet" in str(_refused(raw[:4] + raw[5] + raw[4] + raw[6:]))


@pytest.mark.parametrize(
    ("typed", "group"),
    [
        (KEY[:6] + KEY[7:], 1),
        (KEY + "7", 4),
        (KEY[:12] + "U" + KEY[13:], 2),
        (KEY[:24] + "\u00e4" + KEY[25:], 4),
        ("", None),
        ("BKLR", None),
        ("BKLR-", None),
        (KEY.replace("BKLR", "BKXR"), None),
        (RAW[:-1], None),
        (RAW + "00", None),
        ("BKLR-12345-67890", None),
        ("A" * (MAX_TEXT_LENGTH + 1), None),
    ],
)
def test_texts_of_another_shape_are_refused_with_the_group_where_it_is_known(typed: str, group: int | None) -> None:
    assert _refused(typed).group == group


def test_errors_in_two_groups_name_none_or_at_least_do_not_pass() -> None:
    raw = list(RAW)
    for position in (0, 9):
        raw[position] = "A" if raw[position] != "A" else "B"
    assert _refused("".join(raw)).group is None


def test_the_wrong_amount_of_randomness_or_symbols_is_refused() -> None:
    with pytest.raises(ValueError, match="11 random bytes"):
        generate_activation_key(b"short")
    with pytest.raises(ValueError, match="20 symbols"):
        format_activation_key("short")


def _keys() -> list[str]:
    return [generate_activation_key(bytes([number] * 11)) for number in range(1, 200)]
