"""Amounts as plain rows."""

from typing import Any

from controlplane.billing.money import EXPONENTS, Money
from wire.v1 import billing_pb2


def amount_text(money: billing_pb2.Money) -> str:
    """`49.99 EUR`; minor units for a currency that only a newer server knows."""
    if money.currency in EXPONENTS:
        return str(Money(money.minor, money.currency))
    return f"{money.minor} minor units of {money.currency}"


def amount_row(money: billing_pb2.Money) -> dict[str, Any]:
    """For programs: nothing has to be parsed back out of a text."""
    return {"minor": money.minor, "currency": money.currency, "text": amount_text(money)}
