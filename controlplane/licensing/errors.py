"""How this capability says no. Each refusal names what to do next."""

from collections.abc import Sequence
from datetime import datetime

from controlplane.runtime.refusal import Holder, Kind, Refusal


def key_mistyped(message: str, group: int | None) -> Refusal:
    """The checksum says that this was never a key."""
    where = f"group {group}" if group else "each group"
    return Refusal(
        Kind.INVALID,
        "KEY_MISTYPED",
        f"this is not an activation key: {message}",
        f"Compare {where} with the key you were given, then try again",
        facts={"group": str(group)} if group else {},
    )


def key_unknown() -> Refusal:
    """Well formed, but not ours."""
    return Refusal(
        Kind.NOT_FOUND,
        "KEY_UNKNOWN",
        "this control plane does not know this activation key",
        "Check that key and server address belong together, or ask for a key: bucklerctl key issue",
    )


def key_not_found() -> Refusal:
    """The same answer for key ids that never existed and for other organisations' ids."""
    return Refusal(
        Kind.NOT_FOUND,
        "KEY_NOT_FOUND",
        "there is no such activation key in your organisation",
        "List the keys to find its id: bucklerctl key list",
    )


def key_revoked(at: datetime) -> Refusal:
    """Final for this key."""
    return Refusal(
        Kind.FORBIDDEN,
        "KEY_REVOKED",
        f"this activation key was revoked on {at:%Y-%m-%d}",
        "Ask the administrator of the account for a new key: bucklerctl key issue",
    )


def key_expired(at: datetime) -> Refusal:
    """Final for this key and new devices."""
    return Refusal(
        Kind.PRECONDITION,
        "KEY_EXPIRED",
        f"this activation key could be used until {at:%Y-%m-%d}",
        "Ask the administrator of the account for a new key: bucklerctl key issue",
    )


def key_used_up(max_devices: int) -> Refusal:
    """Every use is taken by another device."""
    return Refusal(
        Kind.EXHAUSTED,
        "KEY_USED_UP",
        f"this activation key was made for {max_devices} device(s), and all of them have used it",
        "Ask the administrator of the account for a new key: bucklerctl key issue",
        facts={"max_devices": str(max_devices)},
    )


def subscription_ended() -> Refusal:
    """Nothing can be activated on it."""
    return Refusal(
        Kind.PRECONDITION,
        "SUBSCRIPTION_ENDED",
        "the subscription of this activation key has ended",
        "The owner of the account can start a new subscription; devices keep their floor of protection",
    )


def subscription_expired(reason: str) -> Refusal:
    """No new seats while limited; devices that have one keep it."""
    return Refusal(
        Kind.PRECONDITION,
        "SUBSCRIPTION_EXPIRED",
        "the subscription of this activation key does not take new devices now",
        "The owner of the account can renew it: bucklerctl subscription renew; then activate again",
        facts={"access_reason": reason},
    )


def seat_limit(seats: int, holders: Sequence[Holder]) -> Refusal:
    """Every seat is taken; the holders are named so that somebody can choose."""
    return Refusal(
        Kind.EXHAUSTED,
        "SEAT_LIMIT",
        "the one seat of the subscription is taken"
        if seats == 1
        else f"all {seats} seats of the subscription are taken",
        "Free one with `bucklerctl seat release SEAT`, deactivate a device that no longer needs it "
        "(`buckler deactivate` on it), or choose a plan with more devices; then activate again",
        seat_holders=tuple(holders),
        facts={"seats": str(seats)},
    )


def seat_not_found() -> Refusal:
    """The same answer for ids that never existed and for other organisations' ids."""
    return Refusal(
        Kind.NOT_FOUND,
        "SEAT_NOT_FOUND",
        "there is no such seat, or device with a seat, in your organisation",
        "List the seats to find its id: bucklerctl seat list",
    )


def seat_free() -> Refusal:
    """Nothing to release."""
    return Refusal(
        Kind.PRECONDITION,
        "SEAT_FREE",
        "nobody holds this seat",
        "List the seats to see who holds which: bucklerctl seat list",
    )


def not_activated() -> Refusal:
    """The device has never had an entitlement here."""
    return Refusal(
        Kind.PRECONDITION,
        "NOT_ACTIVATED",
        "this device has no entitlement to refresh",
        "Activate it: buckler activate",
    )


def signing_unavailable() -> Refusal:
    """The entitlement is decided and durable; only its signature is missing."""
    return Refusal(
        Kind.UNAVAILABLE,
        "SIGNING_UNAVAILABLE",
        "the entitlement is decided but could not be signed yet",
        "Try again in a minute: the seat is yours and nothing will be taken twice",
        retry_after_s=60,
    )


def too_many_attempts(whose: str, seconds: int) -> Refusal:
    """Somebody guesses, or hammers."""
    return Refusal(
        Kind.EXHAUSTED,
        "RATE_LIMITED",
        f"too many activations of this {whose} were refused",
        f"Wait {seconds} seconds and compare the key with the one you were given, then try again",
        retry_after_s=seconds,
        facts={"counted_by": whose},
    )


def seat_cool_down(until: datetime, allowance: int) -> Refusal:
    """Seats are for devices, not for taking turns."""
    return Refusal(
        Kind.EXHAUSTED,
        "SEAT_COOL_DOWN",
        f"{allowance} different devices took a seat of this subscription within 30 days; "
        f"the next one can on {until:%Y-%m-%d %H:%M} UTC",
        "Devices that had a seat within these days come back at once; for more devices choose a larger plan",
        facts={"until": until.isoformat(), "allowance": str(allowance)},
    )


def seat_has_device(device_id: str) -> Refusal:
    """The other device has a seat already."""
    return Refusal(
        Kind.PRECONDITION,
        "DEVICE_HAS_SEAT",
        f"the device {device_id} holds a seat of this subscription already",
        "Name a device without a seat: bucklerctl device list",
        facts={"device_id": device_id},
    )


def seat_changed_hands() -> Refusal:
    """Somebody else was faster."""
    return Refusal(
        Kind.CONFLICT,
        "SEAT_CHANGED",
        "this seat changed hands while you were asking",
        "List the seats to see who holds it now: bucklerctl seat list",
    )


def licence_days_invalid(longest: int) -> Refusal:
    """Bounded, because nobody can take such a licence back."""
    return Refusal(
        Kind.INVALID,
        "LICENCE_DAYS_INVALID",
        f"a licence file lasts 1 to {longest} days",
        "Choose a shorter time and make a new file before it ends",
    )


def licence_request_invalid(why: str) -> Refusal:
    """Not a file of `buckler activate --request-file`, or of another version."""
    return Refusal(
        Kind.INVALID,
        "LICENCE_REQUEST_INVALID",
        f"this is not a licence request: {why}",
        "Make one on the device: buckler activate --request-file FILE",
    )
