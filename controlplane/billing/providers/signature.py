"""Signed webhooks, checked with the clock that comes in: `t=<seconds>,v1=<hex>[,v1=…]` over `<seconds>.<body>`.

The provider's own library asks the operating system for the time and takes messages from the future; a message that is
signed for next week could be kept and played then. Several signatures may come along while a secret is being changed.
"""

import hashlib
import hmac
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from controlplane.billing.errors import webhook_refused
from controlplane.storage.types import to_microseconds

#: As the provider recommends; in both directions.
TOLERANCE: Final = timedelta(minutes=5)
#: Carries the timestamp and the signatures.
SIGNATURE_HEADER: Final = "Stripe-Signature"
#: Far above any event.
MAX_BODY_BYTES: Final = 1024 * 1024
_MAX_HEADER_CHARACTERS: Final = 4096
_MAX_SECONDS: Final = 253_402_300_799


def check_signature(
    untrusted_body: bytes,
    untrusted_header: str,
    secrets: Sequence[str],
    now: datetime,
    tolerance: timedelta = TOLERANCE,
) -> None:
    """Refuse a webhook that nobody who knows a secret sent just now.

    Args:
        untrusted_body: Exactly the bytes that came.
        untrusted_header: Of the signature.
        secrets: Any of them will do: the old and the new one while they are exchanged.
        now: Wall time.
        tolerance: How far the timestamp may be from it, before and after.

    Raises:
        Refusal: WEBHOOK_REFUSED.
    """
    if len(untrusted_body) > MAX_BODY_BYTES or len(untrusted_header) > _MAX_HEADER_CHARACTERS:
        raise webhook_refused("it is too large")
    timestamp, signatures = _parts(untrusted_header)
    if timestamp is None:
        raise webhook_refused("it is not signed")
    signed = str(timestamp).encode() + b"." + untrusted_body
    expected = [hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest().encode() for secret in secrets]
    # Every pair is compared, so that the time it takes tells nothing.
    matches = [hmac.compare_digest(ours, theirs) for ours in expected for theirs in signatures]
    if not any(matches):
        raise webhook_refused("its signature is not right")
    age = now - datetime.fromtimestamp(timestamp, tz=UTC)
    if age > tolerance:
        raise webhook_refused("it is too old")
    if age < -tolerance:
        raise webhook_refused("it is from the future")


def sign(body: bytes, secret: str, at: datetime) -> str:
    """The header of a webhook, as a provider makes it; for fakes and sandboxes."""
    timestamp = to_microseconds(at) // 1_000_000
    signed = str(timestamp).encode() + b"." + body
    return f"t={timestamp},v1={hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()}"


def _parts(untrusted_header: str) -> tuple[int | None, list[bytes]]:
    timestamp: int | None = None
    signatures: list[bytes] = []
    for item in untrusted_header.split(","):
        name, _, value = item.strip().partition("=")
        if name == "t" and value.isascii() and value.isdigit() and len(value) <= len(str(_MAX_SECONDS)):
            timestamp = min(int(value), _MAX_SECONDS)
        elif name == "v1":
            signatures.append(value.encode())
    return timestamp, signatures
