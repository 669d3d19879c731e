"""How this capability says no."""

from controlplane.runtime.refusal import Kind, Refusal


def webhook_not_found() -> Refusal:
    """The same answer for ids that never existed and for other organisations'."""
    return Refusal(
        Kind.NOT_FOUND,
        "WEBHOOK_NOT_FOUND",
        "there is no such webhook in your organisation",
        "List the webhooks to find its id: bucklerctl webhook list",
    )


def delivery_not_found() -> Refusal:
    """It may have been delivered meanwhile."""
    return Refusal(
        Kind.NOT_FOUND,
        "DELIVERY_NOT_FOUND",
        "there is no such delivery among those that were given up",
        "List them: bucklerctl webhook dead",
    )


def webhook_refused(why: str) -> Refusal:
    """`why` is one of our own sentences."""
    return Refusal(
        Kind.INVALID,
        "WEBHOOK_REFUSED",
        f"this URL cannot be a webhook: {why}",
        "Give an https: URL whose host has public addresses only",
    )


def webhook_exists() -> Refusal:
    """The secret was shown when it was added."""
    return Refusal(
        Kind.PRECONDITION,
        "WEBHOOK_EXISTS",
        "this URL is a webhook already",
        "To get another secret, remove it and add it again: bucklerctl webhook list",
    )


def too_many_webhooks(limit: int) -> Refusal:
    """Each event is posted to every one."""
    return Refusal(
        Kind.PRECONDITION,
        "TOO_MANY_WEBHOOKS",
        f"an organisation has at most {limit} webhooks",
        "Remove one that is not needed: bucklerctl webhook list",
        facts={"limit": str(limit)},
    )
