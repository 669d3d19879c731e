"""Amounts as Stripe counts them: mostly ISO 4217, with the exceptions of its page "Supported currencies"."""

from typing import Final

from controlplane.billing.money import Money
from controlplane.billing.ports import ProviderError

#: No decimals in ISO 4217, but Stripe still counts hundredths of them.
_COUNTED_IN_HUNDREDTHS: Final = frozenset({"ISK", "UGX"})
#: Three decimals, of which the last must be zero.
_LAST_DIGIT_ZERO: Final = frozenset({"BHD", "JOD", "KWD", "OMR", "TND"})


def to_stripe(money: Money) -> int:
    """The number to send.

    Raises:
        ProviderError: Stripe cannot charge exactly this amount.
    """
    if money.currency in _COUNTED_IN_HUNDREDTHS:
        return money.minor * 100
    if money.currency in _LAST_DIGIT_ZERO and money.minor % 10:
        raise ProviderError("amount_not_chargeable")
    return money.minor


def from_stripe(number: int, currency: str) -> Money:
    """The amount behind a number of theirs; `currency` in any case."""
    code = currency.upper()
    return Money(number // 100 if code in _COUNTED_IN_HUNDREDTHS else number, code)
