"""Keyset pages: an opaque token names the last row of a page, so that a page costs the same wherever it is."""

import binascii
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass

from controlplane.runtime.refusal import Kind, Refusal

DEFAULT_PAGE_SIZE = 100
MAX_PAGE_SIZE = 500
_MAX_TOKEN_LENGTH = 2_000

KeyPart = str | int


@dataclass(frozen=True, slots=True)
class Page:
    """What is asked for.

    Attributes:
        size: Rows, 1 to `MAX_PAGE_SIZE`.
        after: Sort key of the last row of the page before; empty: from the start.
    """

    size: int
    after: tuple[KeyPart, ...] = ()


def read_page(size: int, untrusted_token: str, shape: Sequence[type[KeyPart]]) -> Page:
    """Check a page request.

    Args:
        size: 0 takes the default.
        untrusted_token: As `page_token` gave it out, or empty.
        shape: The types that this list's sort key has.

    Raises:
        Refusal: `PAGE_SIZE_INVALID` or `PAGE_TOKEN_INVALID`.
    """
    if size > MAX_PAGE_SIZE:
        raise Refusal(
            Kind.INVALID,
            "PAGE_SIZE_INVALID",
            f"a page has at most {MAX_PAGE_SIZE} rows",
            f"Ask for {MAX_PAGE_SIZE} or fewer and follow next_page_token",
        )
    after = _read_token(untrusted_token, shape) if untrusted_token else ()
    return Page(size=size or DEFAULT_PAGE_SIZE, after=after)


def page_token(key: Sequence[KeyPart]) -> str:
    """The token for the page that follows a row."""
    return urlsafe_b64encode(json.dumps(list(key), separators=(",", ":")).encode()).decode()


def page_token_invalid() -> Refusal:
    """A token that we did not give out for this list."""
    return Refusal(
        Kind.INVALID, "PAGE_TOKEN_INVALID", "the page token is not one of ours", "Start again without a page token"
    )


def _read_token(untrusted_token: str, shape: Sequence[type[KeyPart]]) -> tuple[KeyPart, ...]:
    if len(untrusted_token) > _MAX_TOKEN_LENGTH:
        raise page_token_invalid()
    try:
        key = json.loads(urlsafe_b64decode(untrusted_token.encode("ascii")))
    except (ValueError, binascii.Error, RecursionError) as error:
        raise page_token_invalid() from error
    if not isinstance(key, list) or [type(part) for part in key] != list(shape):
        raise page_token_invalid()
    if any(isinstance(part, int) and abs(part) >= 2**63 for part in key):
        raise page_token_invalid()
    return tuple(key)
