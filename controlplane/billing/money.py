"""Money: whole minor units of one currency, exact fractions in between, one rounding point.

A leaf: it imports nothing of ours but the refusal, so that every capability that names a price can use it. A house rule
keeps `float` and `/` out of it and of everything in this room.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from controlplane.runtime.refusal import Kind, Refusal

#: Far above any honest price, far below a BIGINT.
MAX_MINOR: Final = 10**15

_TWO_DECIMALS = (
    "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CNY COP CRC "
    "CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR JMD "
    "KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO "
    "NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL "
    "THB TJS TMT TOP TRY TTD TWD TZS UAH USD UYU UZS VES WST XCD XCG YER ZAR ZMW ZWG"
)
_NO_DECIMALS = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF"
_THREE_DECIMALS = "BHD IQD JOD KWD LYD OMR TND"

#: ISO 4217, table A.1: code to the number of decimals of its minor unit.
EXPONENTS: Final[dict[str, int]] = {
    **dict.fromkeys(_TWO_DECIMALS.split(), 2),
    **dict.fromkeys(_NO_DECIMALS.split(), 0),
    **dict.fromkeys(_THREE_DECIMALS.split(), 3),
}


def currency_unknown(untrusted_code: str) -> Refusal:
    """Not a currency of ISO 4217 that money is kept in."""
    shown = untrusted_code[:8] if untrusted_code.isprintable() else "?"
    return Refusal(
        Kind.INVALID,
        "CURRENCY_UNKNOWN",
        f"{shown!r} is not a currency",
        "Give the three capital letters of ISO 4217, such as EUR",
        facts={"currency": shown},
    )


def amount_invalid(why: str) -> Refusal:
    """An amount that cannot be meant; `why` continues the sentence "the amount … "."""
    return Refusal(Kind.INVALID, "AMOUNT_INVALID", f"the amount {why}", "Correct the amount, then try again")


def checked_currency(untrusted_code: str) -> str:
    """The code, if it is a currency.

    Raises:
        Refusal: CURRENCY_UNKNOWN.
    """
    if untrusted_code not in EXPONENTS:
        raise currency_unknown(untrusted_code)
    return untrusted_code


@dataclass(frozen=True, slots=True)
class Money:
    """An amount in minor units, e.g. cents; negative: owed the other way.

    Attributes:
        minor: Whole minor units.
        currency: ISO 4217 code.
    """

    minor: int
    currency: str

    def __post_init__(self) -> None:
        """Refuse what is no money: a mistake of the caller's, not of a person's."""
        if type(self.minor) is not int or self.currency not in EXPONENTS:
            raise ValueError(f"{self.minor!r} {self.currency!r} is no money")

    def __add__(self, other: "Money") -> "Money":
        return Money(self.minor + self._same(other), self.currency)

    def __sub__(self, other: "Money") -> "Money":
        return Money(self.minor - self._same(other), self.currency)

    def __neg__(self) -> "Money":
        return Money(-self.minor, self.currency)

    def __str__(self) -> str:
        """`249.95 EUR`, `250 JPY`, `-1.234 KWD`."""
        return f"{decimal_text(self.minor, self.currency)} {self.currency}"

    def _same(self, other: "Money") -> int:
        if other.currency != self.currency:
            raise ValueError(f"{other.currency} cannot be added to {self.currency}")
        return other.minor


def checked_money(untrusted_minor: int, untrusted_currency: str, *, positive: bool = True) -> Money:
    """An amount as a request names it.

    Args:
        untrusted_minor: Minor units.
        untrusted_currency: ISO 4217 code.
        positive: Whether zero and less are refused.

    Raises:
        Refusal: CURRENCY_UNKNOWN or AMOUNT_INVALID.
    """
    currency = checked_currency(untrusted_currency)
    if positive and untrusted_minor <= 0:
        raise amount_invalid("is not above zero")
    if abs(untrusted_minor) > MAX_MINOR:
        raise amount_invalid("is larger than any that is kept here")
    return Money(untrusted_minor, currency)


def decimal_text(minor: int, currency: str) -> str:
    """The number alone: `249.95`, `250`, `-1.234`."""
    exponent = EXPONENTS[currency]
    sign = "-" if minor < 0 else ""
    digits = str(abs(minor)).rjust(exponent + 1, "0")
    if exponent == 0:
        return sign + digits
    return f"{sign}{digits[:-exponent]}.{digits[-exponent:]}"


def parse_decimal(untrusted_text: str, untrusted_currency: str) -> Money:
    """An amount as a person writes it: `49.99`; never more decimals than the currency has.

    Raises:
        Refusal: CURRENCY_UNKNOWN or AMOUNT_INVALID.
    """
    currency = checked_currency(untrusted_currency)
    whole, point, decimals = untrusted_text.strip().partition(".")
    exponent = EXPONENTS[currency]
    digits = whole + decimals
    if not digits.isascii() or not digits.isdigit() or not whole or len(digits) > len(str(MAX_MINOR)):
        raise amount_invalid("is not a number like 49.99")
    if point and len(decimals) != exponent:
        raise amount_invalid(f"needs exactly {exponent} decimals in {currency}, or none")
    return checked_money(int(whole + decimals.ljust(exponent, "0")), currency, positive=False)


# ---------------------------------------------------------------- the one rounding point


def round_half_up(exact: Fraction) -> int:
    """The nearest whole number, halves away from zero: 0.5 is 1, -0.5 is -1."""
    magnitude = (2 * abs(exact.numerator) + exact.denominator) // (2 * exact.denominator)
    return magnitude if exact >= 0 else -magnitude


def split(minor: int, part: int, whole: int) -> tuple[int, int]:
    """Divide an amount in two without losing a unit: `part` of `whole` is rounded, the other side gets the rest.

    Rounding both sides by themselves would leak: 9.99 at 14 of 28 days is 5.00 and 5.00.

    Args:
        minor: The amount, in minor units.
        part: 0 to `whole`, in any unit: days, seconds.
        whole: At least 1, in the unit of `part`.

    Raises:
        ValueError: There is no such part.
    """
    if not 0 <= part <= whole or whole < 1:
        raise ValueError(f"{part} of {whole} is no part")
    first = round_half_up(Fraction(minor * part, whole))
    return first, minor - first


def allocate(minor: int, weights: Sequence[int]) -> tuple[int, ...]:
    """Divide an amount by weights; what whole units leave over goes to the largest remainders, the first of equals.

    Args:
        minor: The amount, in minor units.
        weights: Not negative, at least one of them above zero.

    Returns:
        A share for each weight, in their order; together the amount.

    Raises:
        ValueError: Weights of other kinds.
    """
    total = sum(weights)
    if total < 1 or min(weights) < 0:
        raise ValueError("weights have to be worth something")
    magnitude, sign = abs(minor), -1 if minor < 0 else 1
    shares = [divmod(magnitude * weight, total) for weight in weights]
    left = magnitude - sum(share for share, _ in shares)
    by_remainder = sorted(range(len(shares)), key=lambda index: (-shares[index][1], index))
    rounded_up = set(by_remainder[:left])
    return tuple(sign * (share + (index in rounded_up)) for index, (share, _) in enumerate(shares))
