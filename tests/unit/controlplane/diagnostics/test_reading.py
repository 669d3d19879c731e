"""Reading bundles: what an agent writes is read, what an attacker writes is refused in a sentence."""

import io
import json
import warnings
import zipfile
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.diagnostics import reading
from controlplane.diagnostics.reading import read_bundle
from controlplane.runtime.refusal import Refusal

MANIFEST: dict[str, Any] = {
    "format": 1,
    "product": "buckler-diagnostics",
    "made_at": "2026-03-02T09:00:00+00:00",
    "app_version": "1.2.3",
    "items": [
        {"name": "a.json", "status": "collected", "error": None},
        {"name": "log.txt", "status": "truncated", "error": "only its end"},
        {"name": "gone.json", "status": "failed", "error": "X: no"},
    ],
}


def zipped(*entries: tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, content in entries:
            archive.writestr(name, content)
    return stream.getvalue()


def with_manifest(*entries: tuple[str, bytes], **changes: object) -> bytes:
    return zipped(("manifest.json", json.dumps(MANIFEST | changes).encode()), *entries)


GOOD = with_manifest(("a.json", b'{"x": 1}'), ("log.txt", b"se\xf1or\n"))


def test_a_bundle_is_read_with_what_is_missing() -> None:
    read = read_bundle(GOOD)
    assert (read.app_version, read.facts("a.json"), read.text("log.txt")) == ("1.2.3", {"x": 1}, "se\\xf1or\n")
    assert (read.value("gone.json"), read.error("gone.json"), read.value("never.json")) == (None, "X: no", None)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"PK\x05\x06" + bytes(18),
        zipped(("a.json", b"{}")),
        zipped(("manifest.json", b"[" * 100_000)),
        zipped(("manifest.json", b"{}")),
        with_manifest(("a.json", bytes(5_000_000))),
        with_manifest(*((f"{number}.json", bytes(4_000_000)) for number in range(5))),
        with_manifest(*((f"{number}", b"") for number in range(100))),
        with_manifest(("a.json", b"1"), ("a.json", b"2")),
        zipped(("manifest.json", json.dumps(MANIFEST).encode()), method=zipfile.ZIP_LZMA),
        GOOD[:-30],
    ],
    ids=["empty", "no-entries", "no-manifest", "deep", "foreign", "bomb", "bombs", "many", "twice", "lzma", "cut"],
)
def test_what_no_agent_writes_is_refused(content: bytes) -> None:
    with pytest.raises(Refusal) as refusal:
        read_bundle(content)
    assert refusal.value.reason == "BUNDLE_NOT_READABLE"


def test_a_later_format_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Refusal, match="BUNDLE_TOO_NEW: this bundle has format 2"):
        read_bundle(with_manifest(format=2))
    monkeypatch.setattr(reading, "FILE_LIMIT", 10)
    with pytest.raises(Refusal, match="larger"):
        read_bundle(GOOD)


def test_names_in_a_bundle_lead_nowhere() -> None:
    item = {"name": "../../etc/passwd", "status": "collected"}
    read = read_bundle(with_manifest(("../../etc/passwd", b"mine"), items=[item]))
    assert read.text("../../etc/passwd") == "mine"


@given(st.integers(0, len(GOOD) - 1), st.binary(min_size=1, max_size=6))
def test_a_damaged_bundle_is_read_or_refused_and_nothing_else(at: int, damage: bytes) -> None:
    damaged = GOOD[:at] + damage + GOOD[at + len(damage) :]
    with suppress(Refusal):
        assert len(read_bundle(damaged).items) <= len(MANIFEST["items"])
