"""Activation keys as people type them: `BKLR-XXXXX-XXXXX-XXXXX-XXXXX`.

Twenty symbols of Crockford's base 32 (no I, L, O, U; case does not matter; I and L are read as 1, O as 0): 17 random
ones, 85 bits, and 3 check symbols. The check symbols are a Reed-Solomon code over GF(32) with roots a, a^2, a^3: its
minimum distance of 4 means that

* one, two or three wrong symbols are always noticed, wherever they are, and with them every adjacent transposition;
* one wrong symbol, or two neighbours swapped, is *located*, so that the message can name the group to look at.

A mistyped key is never corrected in silence: the reader is told where to look. Both sides use exactly this file.
"""

from collections.abc import Sequence
from typing import Final

PREFIX: Final = "BKLR"
ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
GROUPS: Final = 4
GROUP_LENGTH: Final = 5
KEY_LENGTH: Final = GROUPS * GROUP_LENGTH
CHECK_LENGTH: Final = 3
#: Random bytes that `generate_activation_key` wants: 88 bits, of which 85 are used.
RANDOM_BYTES: Final = 11
#: Longer input is not looked at; generous for keys copied with spaces and line breaks.
MAX_TEXT_LENGTH: Final = 200

_DATA_LENGTH = KEY_LENGTH - CHECK_LENGTH
_BITS_PER_SYMBOL = 5
_FIELD_ORDER = 31  # non-zero elements of GF(32)
_FIELD_POLYNOMIAL = 0b100101  # x^5 + x^2 + 1, primitive
# What people and word processors put between groups.
_SEPARATORS = frozenset("-_ \t\r\n\u00a0\u2010\u2011\u2012\u2013\u2014\u2212")


class MistypedKeyError(ValueError):
    """A text that cannot be an activation key.

    Attributes:
        group: 1 to 4, the group to look at; None when the error cannot be located.
    """

    def __init__(self, message: str, group: int | None) -> None:
        super().__init__(message)
        self.group = group


def parse_activation_key(text: str) -> str:
    """Read a key as a person typed it.

    Args:
        text: With or without prefix, separators and surrounding white space, in any case.

    Returns:
        The 20 symbols, upper case, without prefix and separators: the form that is hashed and formatted.

    Raises:
        MistypedKeyError: It is not a key; says where the error is when that can be known.
    """
    if len(text) > MAX_TEXT_LENGTH:
        raise MistypedKeyError("This text is too long to be an activation key", None)
    groups = _without_prefix(_typed_groups(text))
    symbols = _symbols(groups)
    _check(symbols)
    return "".join(ALPHABET[value] for value in symbols)


def format_activation_key(raw: str) -> str:
    """Lay 20 symbols, as `parse_activation_key` returns them, out in groups for people.

    Raises:
        ValueError: `raw` has another length.
    """
    if len(raw) != KEY_LENGTH:
        raise ValueError(f"an activation key has {KEY_LENGTH} symbols")
    groups = (raw[start : start + GROUP_LENGTH] for start in range(0, KEY_LENGTH, GROUP_LENGTH))
    return "-".join((PREFIX, *groups))


def generate_activation_key(random_bytes: bytes) -> str:
    """Turn random bytes into the 20 symbols of a new key.

    Args:
        random_bytes: Exactly `RANDOM_BYTES`, from a generator fit for secrets.

    Raises:
        ValueError: Another number of bytes.
    """
    if len(random_bytes) != RANDOM_BYTES:
        raise ValueError(f"an activation key is made of {RANDOM_BYTES} random bytes")
    number = int.from_bytes(random_bytes, "big")
    data = [number >> (_BITS_PER_SYMBOL * place) & (len(ALPHABET) - 1) for place in range(_DATA_LENGTH)]
    return "".join(ALPHABET[value] for value in (*data, *_check_symbols(data)))


# ---------------------------------------------------------------- reading


def _value_of_letter() -> dict[str, int]:
    values = {letter: value for value, letter in enumerate(ALPHABET)}
    values |= {letter.lower(): value for letter, value in values.items()}
    return values | dict.fromkeys("IiLl", 1) | dict.fromkeys("Oo", 0)


_VALUES = _value_of_letter()
_PREFIX_VALUES = [_VALUES[letter] for letter in PREFIX]


def _typed_groups(text: str) -> list[str]:
    spaced = "".join(" " if letter in _SEPARATORS else letter for letter in text)
    return spaced.split()


def _without_prefix(groups: list[str]) -> list[str]:
    """Drop the prefix if it is there; a key is complete without it."""
    typed = "".join(groups)
    has_prefix = [_VALUES.get(letter) for letter in typed[: len(PREFIX)]] == _PREFIX_VALUES
    stands_alone = bool(groups) and len(groups[0]) == len(PREFIX)
    if has_prefix and (stands_alone or len(typed) != KEY_LENGTH):
        if len(groups[0]) < len(PREFIX):  # the prefix itself was torn apart
            return [typed[len(PREFIX) :]]
        return [group for group in (groups[0][len(PREFIX) :], *groups[1:]) if group]
    if len(typed) == len(PREFIX) + KEY_LENGTH:
        raise MistypedKeyError(f"An activation key begins with {PREFIX}; this one begins differently", None)
    return groups


def _symbols(groups: list[str]) -> list[int]:
    """Values of the 20 symbols."""
    typed = "".join(groups)
    if len(typed) != KEY_LENGTH:
        raise _wrong_length(groups, len(typed))
    values = []
    for position, letter in enumerate(typed):
        value = _VALUES.get(letter)
        if value is None:
            group = position // GROUP_LENGTH + 1
            raise MistypedKeyError(f"Group {group} contains a character that activation keys never use", group)
        values.append(value)
    return values


def _wrong_length(groups: list[str], typed: int) -> MistypedKeyError:
    wrong = [number for number, group in enumerate(groups, 1) if len(group) != GROUP_LENGTH]
    if len(groups) == GROUPS and len(wrong) == 1:
        length = len(groups[wrong[0] - 1])
        many = "many" if length > GROUP_LENGTH else "few"
        return MistypedKeyError(f"Group {wrong[0]} has too {many} characters: {length} instead of 5", wrong[0])
    shape = f"{GROUPS} groups of {GROUP_LENGTH} characters after {PREFIX}"
    return MistypedKeyError(f"An activation key has {shape}, {KEY_LENGTH} in all; this text has {typed}", None)


# ---------------------------------------------------------------- the code


def _field_tables() -> tuple[list[int], list[int]]:
    powers, logarithms, element = [], [0] * (_FIELD_ORDER + 1), 1
    for exponent in range(_FIELD_ORDER):
        powers.append(element)
        logarithms[element] = exponent
        element <<= 1
        if element > _FIELD_ORDER:
            element ^= _FIELD_POLYNOMIAL
    return powers, logarithms


_POWER, _LOG = _field_tables()


def _times(left: int, right: int) -> int:
    return _POWER[(_LOG[left] + _LOG[right]) % _FIELD_ORDER] if left and right else 0


def _generator_polynomial() -> list[int]:
    """Coefficients of (x + a)(x + a^2)(x + a^3) below the leading one, highest first."""
    polynomial = [1]
    for root in range(1, CHECK_LENGTH + 1):
        scaled = [_times(coefficient, _POWER[root]) for coefficient in polynomial]
        polynomial = [left ^ right for left, right in zip([*polynomial, 0], [0, *scaled], strict=True)]
    return polynomial[1:]


_GENERATOR = _generator_polynomial()


def _check_symbols(data: Sequence[int]) -> list[int]:
    remainder = [0] * CHECK_LENGTH
    for value in data:
        factor = value ^ remainder[0]
        shifted = [*remainder[1:], 0]
        remainder = [left ^ _times(factor, right) for left, right in zip(shifted, _GENERATOR, strict=True)]
    return remainder


def _syndromes(symbols: Sequence[int]) -> tuple[int, int, int]:
    first = second = third = 0
    for value in symbols:
        first = _times(first, _POWER[1]) ^ value
        second = _times(second, _POWER[2]) ^ value
        third = _times(third, _POWER[3]) ^ value
    return first, second, third


def _check(symbols: Sequence[int]) -> None:
    syndromes = _syndromes(symbols)
    if not any(syndromes):
        return
    position = _wrong_symbol(syndromes)
    if position is not None:
        group = position // GROUP_LENGTH + 1
        raise MistypedKeyError(f"There is a typing error, most likely in group {group}", group)
    position = _swapped_symbols(syndromes)
    if position is not None:
        group, next_group = position // GROUP_LENGTH + 1, (position + 1) // GROUP_LENGTH + 1
        where = f"in group {group}" if group == next_group else f"where groups {group} and {next_group} meet"
        raise MistypedKeyError(f"Two characters seem to be swapped {where}", group)
    raise MistypedKeyError("There are typing errors in more than one place", None)


def _wrong_symbol(syndromes: tuple[int, int, int]) -> int | None:
    """Position of the only wrong symbol: with error e at degree d the syndromes are e*a^d, e*a^2d, e*a^3d."""
    if not all(syndromes):
        return None
    first, second, third = (_LOG[value] for value in syndromes)
    degree = (second - first) % _FIELD_ORDER
    if (third - second) % _FIELD_ORDER != degree or degree >= KEY_LENGTH:
        return None
    return KEY_LENGTH - 1 - degree


def _swapped_symbols(syndromes: tuple[int, int, int]) -> int | None:
    """Left position of two swapped neighbours: the same error at degrees d and d + 1 adds a factor 1 + a^j."""
    if not all(syndromes):
        return None
    first, second, third = (
        (_LOG[value] - _LOG[1 ^ _POWER[power]]) % _FIELD_ORDER for power, value in enumerate(syndromes, 1)
    )
    degree = (second - first) % _FIELD_ORDER
    if (third - second) % _FIELD_ORDER != degree or degree + 1 >= KEY_LENGTH:
        return None
    return KEY_LENGTH - 2 - degree
