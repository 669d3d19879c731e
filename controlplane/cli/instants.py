"""Moments as people type them."""

from datetime import UTC, datetime

from controlplane.runtime.refusal import Kind, Refusal


def read_instant(text: str) -> datetime:
    """Read a moment in ISO 8601.

    Raises:
        Refusal: INSTANT_INVALID.
    """
    try:
        instant = datetime.fromisoformat(text)
    except ValueError as error:
        raise Refusal(
            Kind.INVALID,
            "INSTANT_INVALID",
            f"{text!r} is not a moment",
            "Write it as in 2027-03-31 or 2027-03-31T12:00:00Z",
        ) from error
    return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)
