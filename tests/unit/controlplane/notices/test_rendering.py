"""Every notice as text and HTML. To write the vectors anew: `BUCKLER_WRITE_VECTORS=1`, then read the difference."""

import os
from pathlib import Path
from string import Formatter

import pytest

from controlplane.licensing.ports import NoticeKind as LicensingKind
from controlplane.notices import rendering
from controlplane.notices.model import NoticeKind
from controlplane.notices.rendering import render

VECTORS = Path(__file__).parents[3] / "vectors" / "notices"
FACTS = {
    "plan": "Home <3>",
    "old_plan": "Home 5",
    "subscription_id": "sub_1",
    "day": "2027-03-02",
    "amount": "49.99 EUR",
    "old_amount": "39.99 EUR",
    "changes": "5 devices instead of 3; blocking mode on linux is included now",
    "why": "the bank declined it, which may pass",
    "next": "It is tried again on 2027-03-04.",
    "access_day": "2027-03-16",
    "invoice": "INV-A-00001",
    "last4": "4242",
    "expires": "2027-01",
    "access": "limited",
    "reason": "subscription expired",
    "kept_until": "2028-03-02",
    "last_seen": "2026-01-01",
    "at": "2026-11-25 09:00 UTC",
    "surplus": "2",
    "choose_until": "2027-03-16",
    "device_id": "dev_1",
    "device_name": "laptop",
}


@pytest.mark.parametrize("kind", NoticeKind)
def test_a_notice_reads_as_it_did(kind: NoticeKind) -> None:
    needed = {
        name
        for text in (rendering._TEXTS[kind].subject, *rendering._TEXTS[kind].body)
        for _, name, _, _ in Formatter().parse(text)
        if name
    }
    rendered = render(kind, {name: FACTS[name] for name in sorted(needed - {"facts"})} or {"device": "laptop"})
    written = f"Subject: {rendered.subject}\n\n{rendered.text}\n{rendered.html}"
    golden = VECTORS / f"{kind.value}.txt"
    if os.environ.get("BUCKLER_WRITE_VECTORS"):
        golden.parent.mkdir(exist_ok=True)
        golden.write_text(written, encoding="utf-8")
    assert written == golden.read_text(encoding="utf-8")


def test_whatever_licensing_tells_has_a_text() -> None:
    assert {kind.value for kind in LicensingKind} <= {kind.value for kind in NoticeKind}


def test_a_name_cannot_begin_a_header_or_a_tag() -> None:
    rendered = render(NoticeKind.DEVICE_COPIED, {"name": "x\r\nBcc: everybody@example.com<script>"})
    assert "\r" not in rendered.text
    assert "\nBcc" not in rendered.text
    assert "<script>" not in rendered.html
