"""Webhooks as values: what a delivery looks like, how it is signed, when it is tried again. Pure."""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Final
from urllib.parse import urlsplit

from controlplane.runtime.retries import Retries

#: Attempts before a delivery is given up: about seven hours with the rests below.
MAX_ATTEMPTS: Final = 15
_RETRIES: Final = Retries(first=timedelta(seconds=10), longest=timedelta(hours=1), attempts=MAX_ATTEMPTS)
MAX_URL_CHARACTERS: Final = 2_000
#: Webhooks of an organisation.
MAX_WEBHOOKS: Final = 10
SIGNATURE_HEADER: Final = "Buckler-Signature"


@dataclass(frozen=True, slots=True)
class Webhook:
    """Where an organisation wants to be told."""

    org_id: str
    webhook_id: str
    url: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event for one webhook.

    Attributes:
        body: JSON, as it is signed.
        attempts: Failures so far.
        due_at: Of the next attempt; None: given up.
        last_error: Why the last attempt failed, in our words.
    """

    org_id: str
    delivery_id: str
    webhook_id: str
    kind: str
    body: bytes
    created_at: datetime
    attempts: int = 0
    due_at: datetime | None = None
    last_error: str = ""


@dataclass(frozen=True, slots=True)
class Target:
    """Where a URL leads."""

    scheme: str
    host: str
    port: int
    path: str


def read_target(untrusted_url: str) -> Target | None:
    """Where a URL leads; None: it is none that a webhook can have (no user, no fragment, no strange characters)."""
    if len(untrusted_url) > MAX_URL_CHARACTERS or not untrusted_url.isascii():
        return None
    if any(letter <= " " or letter == "\x7f" for letter in untrusted_url):
        return None
    try:
        parts = urlsplit(untrusted_url)
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in {"https", "http"} or not parts.hostname or "@" in parts.netloc or parts.fragment:
        return None
    usual = 443 if parts.scheme == "https" else 80
    path = parts.path or "/"
    return Target(
        parts.scheme, parts.hostname, usual if port is None else port, f"{path}?{parts.query}" if parts.query else path
    )


def signature(secret: bytes, at: datetime, body: bytes) -> str:
    """The value of `SIGNATURE_HEADER`: `t=SECONDS,v1=HEX`, HMAC-SHA-256 over `SECONDS.BODY`.

    The time is signed too, so that a receiver can refuse what somebody recorded and plays back.
    """
    seconds = str(int(at.timestamp()))
    digest = hmac.new(secret, seconds.encode() + b"." + body, sha256).hexdigest()
    return f"t={seconds},v1={digest}"


def headers_of(delivery: Delivery, secret: bytes, now: datetime) -> Mapping[str, str]:
    """What goes before the body of an attempt."""
    return {
        "Content-Type": "application/json",
        "User-Agent": "Buckler-Webhook/1",
        "Buckler-Delivery": delivery.delivery_id,
        "Buckler-Event": delivery.kind,
        SIGNATURE_HEADER: signature(secret, now, delivery.body),
    }


def retry_at(attempts: int, now: datetime) -> datetime | None:
    """When to try again after so many failures; None: not any more."""
    rest = _RETRIES.after(attempts)
    return None if rest is None else now + rest
