"""A document as one HTML page: no script, nothing loaded from anywhere, everything that came from people escaped."""

from collections.abc import Iterable
from html import escape
from typing import Final

from controlplane.billing.rendering.printed import Printed

_STYLE: Final = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:44rem;margin:2rem auto;padding:0 1rem;color:#111}"
    "table{border-collapse:collapse;width:100%}td,th{padding:.35rem .5rem;text-align:left;vertical-align:top}"
    "tbody tr{border-top:1px solid #ccc}.amount{text-align:right;white-space:nowrap}"
    "tfoot tr:last-child{font-weight:600;border-top:2px solid #111}"
    "footer{color:#555;font-size:12px;overflow-wrap:anywhere}"
)


def as_html(page: Printed) -> str:
    """The page."""
    rows = "".join(
        f'<tr><td>{_text(row.what)}</td><td>{_text(row.period)}</td><td class="amount">{_text(row.amount)}</td></tr>'
        for row in page.rows
    )
    totals = "".join(
        f'<tr><th colspan="2">{_text(name)}</th><td class="amount">{_text(amount)}</td></tr>'
        for name, amount in page.totals
    )
    fields = "".join(f"<tr><th>{_text(name)}</th><td>{_text(value)}</td></tr>" for name, value in page.fields)
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width"><title>{_text(page.title)}</title>'
        f"<style>{_STYLE}</style></head><body><h1>{_text(page.title)}</h1>"
        f"<p>{_block(page.seller)}</p><p><strong>To</strong><br>{_block(page.bill_to)}</p><table>{fields}</table>"
        '<table><thead><tr><th>What</th><th>Period</th><th class="amount">Amount</th></tr></thead>'
        f"<tbody>{rows}</tbody><tfoot>{totals}</tfoot></table>"
        f"<footer><p>{_text(page.footer)}</p></footer></body></html>\n"
    )


def _block(lines: Iterable[str]) -> str:
    return "<br>".join(_text(line) for line in lines)


def _text(untrusted_text: str) -> str:
    return escape(untrusted_text)
