"""Why an amount is what it is: from the facts on an invoice to sentences, with the sum done again before the reader."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction

from controlplane.billing.calculation import (
    PARTS,
    Calculation,
    Fixed,
    ListPrice,
    NetOfTax,
    PercentOff,
    Prorated,
    TaxOn,
    TaxWithin,
)
from controlplane.billing.model import InvoiceDraft, Line, Settlement
from controlplane.billing.money import EXPONENTS, Money, decimal_text

#: Decimals shown beyond those of the currency, where a sum does not come out even.
_MORE_DECIMALS = 3


@dataclass(frozen=True, slots=True)
class Explained:
    """One amount and its sentence, without a final period."""

    what: str
    amount: Money
    sentence: str


def explain_invoice(content: InvoiceDraft, settlement: Settlement | None = None) -> tuple[Explained, ...]:
    """Every line, their total, and what became of it.

    Args:
        content: What is or would be on the invoice.
        settlement: How much of it is settled; None: it is a quote.
    """
    currency = content.currency
    explained = [
        Explained(line.description, Money(line.amount, currency), explain_line(line, currency))
        for line in content.lines
    ]
    amounts = [decimal_text(line.amount, currency) for line in content.lines]
    total = Explained("Total", content.total, f"{_sum(amounts)} = {content.total}")
    return (*explained, total, *_settled(settlement, currency))


def explain_line(line: Line, currency: str) -> str:
    """How the amount of one line comes about."""
    said = _said(line.calculation, currency)
    if line.sold is not None:
        said += f"; plan {line.sold.plan_name}, {line.sold.term}, catalog version {line.sold.catalog_version}"
    if line.period is not None:
        said += f"; for {_day(line.period.start)} to {_day(line.period.end)}"
    if line.source is not None:
        said += f"; gives back from line {line.source.line_no} of {line.source.invoice_id}"
    return said


def _said(calculation: Calculation, currency: str) -> str:
    def money(minor: int) -> str:
        return decimal_text(minor, currency)

    match calculation:
        case ListPrice(unit, quantity):
            return f"{quantity} × {money(unit)} = {money(unit * quantity)}, the price of the catalog"
        case NetOfTax(gross, rate):
            tax = TaxWithin(gross, rate).amount
            return f"{money(gross)} - {money(tax)} = {money(gross - tax)}: the price without the tax that it contains"
        case TaxWithin(gross, rate):
            exact = Fraction(gross * rate, PARTS + rate)
            return f"{_percent(rate)} tax contained in {money(gross)}: {_rounded(exact, calculation.amount, currency)}"
        case TaxOn(base, rate):
            exact = Fraction(base * rate, PARTS)
            return f"{_percent(rate)} tax on {money(base)}: {_rounded(exact, calculation.amount, currency)}"
        case PercentOff(base, rate):
            exact = -Fraction(base * rate, PARTS)
            return f"{_percent(rate)} off {money(base)}: {_rounded(exact, calculation.amount, currency)}"
        case Prorated():
            return _prorated(calculation, currency)
        case Fixed(amount, reason):
            return f"{money(amount)}, because {reason}"


def _prorated(calculation: Prorated, currency: str) -> str:
    full, part, whole = calculation.full, calculation.part, calculation.whole
    sign = -1 if calculation.credit else 1
    shown = decimal_text(sign * full, currency)
    units = f"{part} of {whole} {calculation.unit}"
    what = (
        f"of {decimal_text(full, currency)} paid and not yet given back, {units} are given back"
        if calculation.credit
        else f"of {shown} for the whole period, {units} are charged"
    )
    said = f"{what}: {shown} × {part} / {whole} = "
    if calculation.rest:
        return f"{said}{decimal_text(calculation.amount, currency)}, the rest after the other side was rounded"
    return said + _rounded(Fraction(sign * full * part, whole), calculation.amount, currency)


def _settled(settlement: Settlement | None, currency: str) -> Sequence[Explained]:
    if settlement is None:
        return ()
    sentences = (
        ("Paid", settlement.paid, "by payments and from the balance of the account"),
        ("Credited", settlement.forgiven, "taken off by credit notes before it was paid"),
        ("Given back", settlement.returned, "refunds, credits to the balance, and credits on later invoices"),
    )
    return [Explained(what, Money(amount, currency), said) for what, amount, said in sentences if amount]


def _rounded(exact: Fraction, amount: int, currency: str) -> str:
    if exact == amount:
        return decimal_text(amount, currency)
    digits = EXPONENTS[currency] + _MORE_DECIMALS
    scaled = abs(exact) * 10**_MORE_DECIMALS
    text = str(scaled.numerator // scaled.denominator).rjust(digits + 1, "0")
    sign = "-" if exact < 0 else ""
    shown = f"{sign}{text[:-digits]}.{text[-digits:]}"
    return f"{shown}…, rounded half up to {decimal_text(amount, currency)}"


def _percent(rate: int) -> str:
    whole, rest = divmod(rate * 100, PARTS)
    decimals = str(rest).rjust(6, "0").rstrip("0")
    return f"{whole}.{decimals}%" if decimals else f"{whole}%"


def _sum(amounts: Sequence[str]) -> str:
    first, *others = amounts
    return first + "".join(f" - {each[1:]}" if each.startswith("-") else f" + {each}" for each in others)


def _day(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d}"
