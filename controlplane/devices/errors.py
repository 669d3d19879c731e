"""How this capability says no."""

from controlplane.runtime.refusal import Kind, Refusal


def device_not_found() -> Refusal:
    """The same answer for ids that never existed and for other organisations' ids."""
    return Refusal(
        Kind.NOT_FOUND,
        "DEVICE_NOT_FOUND",
        "there is no such device in your organisation",
        "List the devices to find its id: bucklerctl device list",
    )


def device_revoked() -> Refusal:
    """Final, for this device key; and for its machine, as long as nobody makes another activation key."""
    return Refusal(
        Kind.FORBIDDEN,
        "DEVICE_REVOKED",
        "this device's identity has been revoked",
        "Ask the administrator of the account. With an activation key made since then this machine comes back as a "
        "new device: buckler activate --new-key",
    )


def device_replaced() -> Refusal:
    """Its machine came back under another key, or a copy of it did."""
    return Refusal(
        Kind.FORBIDDEN,
        "DEVICE_REPLACED",
        "this device was activated again under another key, and the key it uses now is refused",
        "Activate it again: buckler activate; if nobody re-installed it, tell the administrator of the account",
    )


def device_cloned() -> Refusal:
    """Said to both machines; one of them has to be activated under a key of its own."""
    return Refusal(
        Kind.PRECONDITION,
        "DEVICE_CLONED",
        "two machines call as this device: it was copied, and both are held",
        "On the copy: buckler activate --new-key; then, if the other is still held: bucklerctl device release-hold ID",
    )


def device_deactivated() -> Refusal:
    """The device gave its seat back."""
    return Refusal(
        Kind.PRECONDITION,
        "DEVICE_DEACTIVATED",
        "this device was deactivated and gave its seat back",
        "Activate it again: buckler activate",
    )


def bad_certificate_request(why: str) -> Refusal:
    """`why` is one of our own sentences, never a parser's."""
    return Refusal(
        Kind.INVALID,
        "BAD_CERTIFICATE_REQUEST",
        f"the certificate request was refused: {why}",
        "Update the agent, then try again",
    )


def streams_full(retry_after_s: int) -> Refusal:
    """This process holds as many streams as it may."""
    return _no_stream("STREAMS_FULL", "this server holds as many device streams as it may", retry_after_s)


def streams_rushed(retry_after_s: int) -> Refusal:
    """Too many at once, as after a restart."""
    return _no_stream("STREAMS_RUSHED", "too many devices open a stream at once", retry_after_s)


def streams_stopping() -> Refusal:
    """This process ends; another one, or its successor, will answer."""
    return _no_stream("SERVER_STOPPING", "this server is about to stop", 1)


def stream_too_talkative() -> Refusal:
    """No agent of ours does that."""
    return _no_stream("STREAM_TOO_TALKATIVE", "this device sends more than a stream carries", 60)


def stream_too_slow() -> Refusal:
    """It reads nothing, and what is to be said piles up."""
    return _no_stream("STREAM_TOO_SLOW", "this device does not take what a stream brings", 30)


def _no_stream(reason: str, message: str, retry_after_s: int) -> Refusal:
    next_step = f"Wait {retry_after_s} seconds, then try again; check-ins go on meanwhile"
    return Refusal(Kind.EXHAUSTED, reason, message, next_step, retry_after_s=retry_after_s)
