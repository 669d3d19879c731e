"""What is on an invoice: facts, amounts, sentences, bytes, paper."""

import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from controlplane.billing.calculation import (
    Calculation,
    Fixed,
    ListPrice,
    NetOfTax,
    PercentOff,
    Prorated,
    TaxOn,
    TaxWithin,
    calculation_from_json,
    calculation_to_json,
)
from controlplane.billing.invoices.document import (
    CHAIN_START,
    CreditNoteDocument,
    InvoiceDocument,
    Party,
    chained_sha256,
    document_bytes,
    draft_from_json,
    draft_to_json,
    first_break,
    read_document,
)
from controlplane.billing.invoices.explanation import explain_invoice, explain_line
from controlplane.billing.model import (
    BilledPeriod,
    InvoiceDraft,
    Line,
    LineKind,
    LineRef,
    Occasion,
    Settlement,
    Sold,
    check_draft,
    paid_per_line,
    tax_share,
)
from controlplane.billing.money import Money
from controlplane.billing.rendering import as_bytes
from controlplane.billing.rendering.html import as_html
from controlplane.billing.rendering.pdf import as_pdf
from controlplane.billing.rendering.printed import printed
from controlplane.billing.rendering.text import as_text
from controlplane.runtime.refusal import Refusal

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
PERIOD = BilledPeriod("sub_1", START, START + timedelta(days=365))
SOLD = Sold("home-5", "Home 5", 2, "yearly", Occasion.CHANGE)
UPGRADE = InvoiceDraft(
    org_id="org_1",
    currency="EUR",
    due_at=START,
    lines=(
        Line(
            kind=LineKind.PRORATION_CREDIT,
            description="Unused time of Home 3",
            calculation=Prorated(4_999, 245, 365, credit=True),
            source=LineRef("inv_1", 1),
        ),
        Line(
            kind=LineKind.PRORATION_CHARGE,
            description="Home 5 for the rest of the year",
            calculation=Prorated(9_999, 245, 365),
            period=PERIOD,
            sold=SOLD,
        ),
        Line(kind=LineKind.DISCOUNT, description="Loyalty", calculation=PercentOff(3_357, 50_000)),
        Line(kind=LineKind.TAX, description="VAT", calculation=TaxOn(3_189, 190_000)),
    ),
)
INVOICE = InvoiceDocument(
    number="INV-ABC234-00002",
    invoice_id="inv_2",
    issued_at=START,
    seller=Party("Example Security GmbH", ("Some street 1",)),
    bill_to=Party("Łódź <b>& Söhne</b> 日本"),
    content=UPGRADE,
    refund_policy=1,
)
CREDIT_NOTE = CreditNoteDocument(
    number="CN-ABC234-00001",
    credit_note_id="crn_1",
    issued_at=START,
    seller=INVOICE.seller,
    bill_to=INVOICE.bill_to,
    org_id="org_1",
    invoice_id="inv_2",
    invoice_number=INVOICE.number,
    amount=Money(1_000, "EUR"),
    tax=Money(160, "EUR"),
    reason="goodwill",
    destination="balance",
    note="Sorry for the trouble",
)
REST_OF_A_MONTH = (
    "of 9.99 for the whole period, 14 of 28 days are charged: 9.99 × 14 / 28 = 4.99, "
    "the rest after the other side was rounded"
)
VECTORS = Path(__file__).parents[3] / "vectors" / "billing"


@pytest.mark.parametrize(
    ("calculation", "amount"),
    [
        (ListPrice(1_000, 3), 3_000),
        (NetOfTax(11_900, 190_000), 10_000),
        (TaxWithin(11_900, 190_000), 1_900),
        (NetOfTax(4_999, 190_000), 4_201),
        (TaxWithin(4_999, 190_000), 798),
        (TaxOn(4_999, 190_000), 950),
        (TaxOn(-50, 190_000), -10),
        (PercentOff(4_999, 100_000), -500),
        (Prorated(999, 14, 28), 500),
        (Prorated(999, 14, 28, rest=True), 499),
        (Prorated(999, 14, 28, rest=True, credit=True), -499),
        (Fixed(-100, "of an agreement"), -100),
    ],
)
def test_amounts_follow_from_facts_and_survive_storage(calculation: Calculation, amount: int) -> None:
    assert calculation.amount == amount
    assert calculation_from_json(calculation_to_json(calculation)) == calculation


def test_both_sides_of_a_price_with_tax_add_up_for_every_price() -> None:
    for gross in range(1, 2_000):
        assert NetOfTax(gross, 190_000).amount + TaxWithin(gross, 190_000).amount == gross


def test_an_upgrade_is_explained_with_its_sums() -> None:
    explained = explain_invoice(UPGRADE, Settlement(3_795, 606, paid=3_795, returned=1_000))
    assert [(each.what, str(each.amount)) for each in explained] == [
        ("Unused time of Home 3", "-33.55 EUR"),
        ("Home 5 for the rest of the year", "67.12 EUR"),
        ("Loyalty", "-1.68 EUR"),
        ("VAT", "6.06 EUR"),
        ("Total", "37.95 EUR"),
        ("Paid", "37.95 EUR"),
        ("Given back", "10.00 EUR"),
    ]
    assert explained[0].sentence == (
        "of 49.99 paid and not yet given back, 245 of 365 days are given back: "
        "-49.99 × 245 / 365 = -33.55493…, rounded half up to -33.55; gives back from line 1 of inv_1"
    )
    assert explained[1].sentence == (
        "of 99.99 for the whole period, 245 of 365 days are charged: "
        "99.99 × 245 / 365 = 67.11657…, rounded half up to 67.12; plan Home 5, yearly, catalog version 2; "
        "for 2026-03-02 to 2027-03-02"
    )
    assert explained[2].sentence == "5% off 33.57: -1.67850…, rounded half up to -1.68"
    assert explained[3].sentence == "19% tax on 31.89: 6.05910…, rounded half up to 6.06"
    assert explained[4].sentence == "-33.55 + 67.12 - 1.68 + 6.06 = 37.95 EUR"


@pytest.mark.parametrize(
    ("calculation", "currency", "sentence"),
    [
        (ListPrice(500, 2), "JPY", "2 × 500 = 1000, the price of the catalog"),
        (NetOfTax(11_900, 190_000), "EUR", "119.00 - 19.00 = 100.00: the price without the tax that it contains"),
        (TaxWithin(11_900, 190_000), "EUR", "19% tax contained in 119.00: 19.00"),
        (TaxOn(1_000, 77_500), "KWD", "7.75% tax on 1.000: 0.077500…, rounded half up to 0.078"),
        (Fixed(-100, "the notice came late"), "EUR", "-1.00, because the notice came late"),
        (
            Prorated(999, 14, 28, rest=True),
            "EUR",
            REST_OF_A_MONTH,
        ),
    ],
)
def test_every_rule_has_its_sentence(calculation: Calculation, currency: str, sentence: str) -> None:
    line = Line(kind=LineKind.DISCOUNT, description="x", calculation=calculation)
    assert explain_line(line, currency) == sentence


@pytest.mark.parametrize("document", [INVOICE, CREDIT_NOTE], ids=["invoice", "credit_note"])
def test_documents_survive_storage_and_are_the_bytes_of_the_golden_vectors(
    document: InvoiceDocument | CreditNoteDocument,
) -> None:
    content = document_bytes(document)
    assert read_document(content) == document
    name = "invoice.json" if isinstance(document, InvoiceDocument) else "credit_note.json"
    assert content == (VECTORS / name).read_bytes()


def test_drafts_survive_storage() -> None:
    assert draft_from_json(draft_to_json(UPGRADE)) == UPGRADE


def test_the_chain_tells_where_it_was_broken() -> None:
    contents = [document_bytes(replace(INVOICE, number=f"INV-{number}")) for number in range(4)]
    chain, previous = [], CHAIN_START
    for content in contents:
        previous = chained_sha256(previous, content)
        chain.append((content, previous))
    assert first_break(chain) is None
    assert first_break([]) is None
    assert first_break([chain[0], (b"x", chain[1][1]), *chain[2:]]) == 2
    assert first_break([chain[0], *chain[2:]]) == 2
    assert first_break(chain[1:]) == 1


async def test_the_same_document_prints_the_same_bytes_in_every_format() -> None:
    content = document_bytes(INVOICE)
    for name in ("text", "html", "pdf", "canonical"):
        once = await as_bytes(name, INVOICE, content, bytes(32))
        assert once == await as_bytes(name, read_document(content), content, bytes(32))
        assert once
    page = printed(INVOICE, bytes(32))
    assert hashlib.sha256(as_pdf(page)).digest() == hashlib.sha256(as_pdf(page)).digest()


def test_text_is_the_golden_page() -> None:
    assert as_text(printed(INVOICE, bytes(32))) == (VECTORS / "invoice.txt").read_text(encoding="utf-8")
    assert as_text(printed(CREDIT_NOTE, bytes(32))) == (VECTORS / "credit_note.txt").read_text(encoding="utf-8")


def test_html_escapes_what_came_from_people() -> None:
    page = as_html(printed(INVOICE, bytes(32)))
    assert "Łódź &lt;b&gt;&amp; Söhne&lt;/b&gt; 日本" in page
    assert "<script" not in page
    assert "http" not in page


def test_a_pdf_has_as_many_pages_as_it_needs() -> None:
    lines = tuple(replace(UPGRADE.lines[2], description=f"Line {number} " + "long " * 30) for number in range(60))
    pdf = as_pdf(printed(replace(INVOICE, content=replace(UPGRADE, lines=(UPGRADE.lines[1], *lines))), bytes(32)))
    assert pdf.startswith(b"%PDF-")
    assert pdf.count(b"/Type /Page\n") > 3


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"description": ""}, "description"),
        ({"description": "a\x1bb"}, "description"),
        ({"period": None}, "which period"),
        ({"sold": None}, "which period"),
        ({"period": BilledPeriod("s", START, START)}, "ends before"),
        ({"source": LineRef("inv_1", 1)}, "gives back from"),
        ({"calculation": Fixed(-1, "of a mistake")}, "cannot be -1"),
        ({"calculation": ListPrice(10**16)}, "larger than any"),
    ],
)
def test_lines_that_can_be_on_no_invoice_are_refused(changes: dict[str, object], problem: str) -> None:
    line = replace(UPGRADE.lines[1], **changes)  # type: ignore[arg-type]
    with pytest.raises(Refusal) as refused:
        check_draft(replace(UPGRADE, lines=(line,)))
    assert refused.value.reason == "DRAFT_INVALID"
    assert problem in refused.value.message


def test_credits_that_add_up_to_the_total_contain_exactly_its_tax() -> None:
    for parts in ([1] * 100, [33, 33, 34], [99, 1], [100]):
        settled, taxes = Settlement(100, 19, paid=100), 0
        for part in parts:
            taxes += tax_share(settled, part)
            settled = replace(settled, returned=settled.returned + part)
        assert taxes == 19
    assert tax_share(Settlement(0, 0), 0) == 0


def test_discounts_lower_what_was_paid_on_the_lines_beside_them() -> None:
    plan, other = UPGRADE.lines[1], replace(UPGRADE.lines[1], calculation=ListPrice(3_288))
    lines = (plan, other, Line(kind=LineKind.DISCOUNT, description="x", calculation=Fixed(-1_000, "y")))
    assert paid_per_line(lines, 9_000) == (6_041, 2_959, 0)
    assert paid_per_line(lines, 0) == (0, 0, 0)
