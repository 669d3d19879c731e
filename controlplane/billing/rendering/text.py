"""A document as plain text, 80 columns."""

from collections.abc import Iterator
from textwrap import wrap
from typing import Final

from controlplane.billing.rendering.printed import Printed

_WIDTH: Final = 80
_AMOUNT: Final = 18


def as_text(page: Printed) -> str:
    """The page, ending in a line feed."""
    return "\n".join(_lines(page)) + "\n"


def _lines(page: Printed) -> Iterator[str]:
    yield page.title
    yield "=" * len(page.title)
    yield ""
    yield from page.seller
    yield ""
    yield "To:"
    yield from (f"  {line}" for line in page.bill_to)
    yield ""
    width = max(len(name) for name, _ in page.fields)
    yield from (f"{name:<{width}} : {value}" for name, value in page.fields)
    yield ""
    yield "-" * _WIDTH
    for row in page.rows:
        first, *others = wrap(row.what, _WIDTH - _AMOUNT - 1) or [""]
        yield f"{first:<{_WIDTH - _AMOUNT}}{row.amount:>{_AMOUNT}}"
        yield from others
        if row.period:
            yield f"  {row.period}"
    yield "-" * _WIDTH
    yield from (f"{name:<{_WIDTH - _AMOUNT}}{amount:>{_AMOUNT}}" for name, amount in page.totals)
    yield ""
    yield from wrap(page.footer, _WIDTH)
