"""Fields of requests, checked before anything is done with them.

Two manners: what a caller chose and can correct is refused with the field's name; what a device reports about itself
and nobody can correct there is made harmless instead, because a report that is thrown away helps nobody.
"""

from datetime import datetime

from controlplane.runtime.refusal import Kind, Refusal
from controlplane.storage.types import from_microseconds

#: 31 December 9999: later does not fit a datetime.
MAX_MICROSECONDS = 253_402_300_799_999_999
#: What both databases keep in a BIGINT.
MAX_BIGINT = 2**63 - 1

_FIRST_PRINTABLE = 0x20
_CONTROL_AGAIN = range(0x7F, 0xA0)


def invalid(field: str, why: str) -> Refusal:
    """A field that cannot be right; `why` continues the sentence "the field … "."""
    return Refusal(
        Kind.INVALID,
        "INVALID_REQUEST",
        f"the field {field} {why}",
        "Correct the field, then try again",
        facts={"field": field},
    )


def text(field: str, untrusted_value: str, *, limit: int, required: bool = False) -> str:
    """A text of at most `limit` characters without control characters, surrounding white space removed.

    Raises:
        Refusal: `INVALID_REQUEST`.
    """
    value = untrusted_value.strip()
    if required and not value:
        raise invalid(field, "is empty")
    if len(value) > limit:
        raise invalid(field, f"is longer than {limit} characters")
    if any(_is_control(letter) for letter in value):
        raise invalid(field, "contains control characters")
    return value


def harmless_text(untrusted_value: str, *, limit: int) -> str:
    """The same text with control characters replaced and the rest cut off: for what devices report."""
    cut = untrusted_value[:limit]
    return "".join("\N{REPLACEMENT CHARACTER}" if _is_control(letter) else letter for letter in cut)


def instant(field: str, untrusted_microseconds: int) -> datetime | None:
    """A moment; 0 means that there is none.

    Raises:
        Refusal: `INVALID_REQUEST`.
    """
    if not 0 <= untrusted_microseconds <= MAX_MICROSECONDS:
        raise invalid(field, "is not a time between 1970 and 9999")
    return from_microseconds(untrusted_microseconds) if untrusted_microseconds else None


def _is_control(letter: str) -> bool:
    code = ord(letter)
    return code < _FIRST_PRINTABLE or code in _CONTROL_AGAIN
