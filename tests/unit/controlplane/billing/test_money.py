from fractions import Fraction

import pytest

from controlplane.billing.money import (
    EXPONENTS,
    MAX_MINOR,
    Money,
    allocate,
    checked_money,
    parse_decimal,
    round_half_up,
    split,
)
from controlplane.runtime.refusal import Refusal


@pytest.mark.parametrize(
    ("minor", "part", "whole", "expected"),
    [
        # A monthly 249.95 in a month of 31 days; figures published for Kill Bill.
        (24_995, 10, 31, 8_063),
        (24_995, 21, 31, 16_932),
        (24_995, 30, 31, 24_189),
        # An upgrade from 49.99 to 99.99 a year on day 120 of 365.
        (4_999, 245, 365, 3_355),
        (9_999, 245, 365, 6_712),
        (999, 14, 28, 500),
        (-999, 14, 28, -500),
        (500, 1, 3, 167),
        (1_000, 0, 30, 0),
        (1_000, 30, 30, 1_000),
    ],
)
def test_golden_parts_of_amounts(minor: int, part: int, whole: int, expected: int) -> None:
    first, rest = split(minor, part, whole)
    assert first == expected
    assert first + rest == minor


def test_no_published_price_leaks_a_unit_on_any_day() -> None:
    leaking = 0
    for price in range(99, 10_000, 100):
        for whole in (28, 29, 30, 31, 365, 366):
            for part in (1, whole // 3, whole // 2, whole - 1):
                first, rest = split(price, part, whole)
                assert first + rest == price
                leaking += first + split(price, whole - part, whole)[0] != price
    # Rounding both sides by themselves would have lost or made a cent this often.
    assert leaking > 0


def test_a_part_that_is_none_is_a_mistake() -> None:
    for part, whole in ((-1, 3), (4, 3), (0, 0)):
        with pytest.raises(ValueError, match="is no part"):
            split(100, part, whole)


@pytest.mark.parametrize(
    ("minor", "weights", "expected"),
    [
        (100, [1, 1, 1], (34, 33, 33)),
        (-100, [1, 1, 1], (-34, -33, -33)),
        (5, [3, 7], (2, 3)),
        (0, [1], (0,)),
        (7, [0, 2, 0], (0, 7, 0)),
        (10, [1, 2, 3], (2, 3, 5)),
    ],
)
def test_what_is_left_over_goes_to_the_largest_remainder(
    minor: int, weights: list[int], expected: tuple[int, ...]
) -> None:
    assert allocate(minor, weights) == expected


def test_weights_that_are_worth_nothing_are_a_mistake() -> None:
    for weights in ([0, 0], [], [-1, 2]):
        with pytest.raises(ValueError, match=r"weights|empty"):
            allocate(1, weights)


def test_halves_are_rounded_away_from_zero() -> None:
    halves = [Fraction(number, 2) for number in (-3, -1, 0, 1, 3)]
    assert [round_half_up(half) for half in halves] == [-2, -1, 0, 1, 2]


@pytest.mark.parametrize(
    ("money", "text"),
    [
        (Money(24_995, "EUR"), "249.95 EUR"),
        (Money(-5, "EUR"), "-0.05 EUR"),
        (Money(250, "JPY"), "250 JPY"),
        (Money(-1_234, "KWD"), "-1.234 KWD"),
        (Money(0, "KWD"), "0.000 KWD"),
    ],
)
def test_amounts_are_written_with_the_decimals_of_their_currency(money: Money, text: str) -> None:
    assert str(money) == text
    number, currency = text.split()
    if money.minor >= 0:
        assert parse_decimal(number, currency) == money


@pytest.mark.parametrize(
    ("text", "currency", "reason"),
    [
        ("1.5", "EUR", "AMOUNT_INVALID"),
        ("1.555", "EUR", "AMOUNT_INVALID"),
        ("1.0", "JPY", "AMOUNT_INVALID"),
        ("-1", "EUR", "AMOUNT_INVALID"),
        ("", "EUR", "AMOUNT_INVALID"),
        (".50", "EUR", "AMOUNT_INVALID"),
        ("1e9", "EUR", "AMOUNT_INVALID"),
        ("٣", "EUR", "AMOUNT_INVALID"),
        ("1" * 40, "EUR", "AMOUNT_INVALID"),
        ("1", "EURO", "CURRENCY_UNKNOWN"),
        ("1", "eur", "CURRENCY_UNKNOWN"),
        ("1", "\x1b[2J", "CURRENCY_UNKNOWN"),
    ],
)
def test_amounts_that_cannot_be_meant_are_refused(text: str, currency: str, reason: str) -> None:
    with pytest.raises(Refusal) as refused:
        parse_decimal(text, currency)
    assert refused.value.reason == reason
    assert refused.value.message.isprintable()


@pytest.mark.parametrize(
    ("minor", "reason"), [(0, "AMOUNT_INVALID"), (-1, "AMOUNT_INVALID"), (MAX_MINOR + 1, "AMOUNT_INVALID")]
)
def test_requests_name_amounts_above_zero_and_below_the_absurd(minor: int, reason: str) -> None:
    with pytest.raises(Refusal, match=reason):
        checked_money(minor, "EUR")
    assert checked_money(1, "EUR") == Money(1, "EUR")


def test_currencies_do_not_mix() -> None:
    with pytest.raises(ValueError, match="cannot be added"):
        _ = Money(1, "EUR") + Money(1, "USD")
    with pytest.raises(ValueError, match="is no money"):
        Money(True, "EUR")  # noqa: FBT003 -- a bool is an int to Python, not to us


def test_currencies_have_the_decimals_of_iso_4217() -> None:
    three = {"BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"}
    assert {code for code, exponent in EXPONENTS.items() if exponent == 3} == three
    assert {EXPONENTS[code] for code in ("JPY", "KRW", "ISK", "CLP", "VND", "XAF")} == {0}
    assert {EXPONENTS[code] for code in ("EUR", "USD", "GBP", "CHF", "HUF", "TWD")} == {2}
    assert all(len(code) == 3 and code.isupper() for code in EXPONENTS)
