"""What this device may do: accepting signed claims, and deriving access from them.

Rules, in the order they are applied by `accept`:

1. the claims name this device's public key;
2. their serial is not lower than the serial trusted so far, nor their revocation epoch;
3. they are not from the future (more than 5 minutes ahead of the clock mark).

What is *not* done here: checking the signature (the caller hands in claims whose signature was verified against a
pinned key, `agent.control.enrolment.entitlement_verifier`), reading clocks, storing anything.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

#: A statement may be ahead of our clock by this much before we call it from the future.
FUTURE_TOLERANCE = timedelta(minutes=5)
#: A clock set back by more than this is evaluated at the high-water mark.
CLOCK_BACK_TOLERANCE = timedelta(hours=24)


class AccessLevel(Enum):
    """What a subscription lets a device do; ordered from most to least in `_RANK`."""

    FULL = "full"
    GRACE = "grace"
    LIMITED = "limited"
    ENDED = "ended"
    #: Never activated: the same floor as LIMITED, and nobody to come back to.
    UNLICENSED = "unlicensed"


_RANK = {level: rank for rank, level in enumerate(AccessLevel)}


class Feature(Enum):
    """Features this agent asks about; the catalog may name others, which are carried and ignored."""

    REAL_TIME_PROTECTION = "real_time_protection"
    LOCAL_SCANS = "local_scans"
    QUARANTINE = "quarantine"
    BLOCKING_MODE = "blocking_mode"
    SCHEDULED_SCANS = "scheduled_scans"
    SIGNATURE_UPDATES = "signature_updates"
    REMOTE_COMMANDS = "remote_commands"


#: Never depends on a subscription: billing trouble does not switch protection off.
FLOOR = frozenset({Feature.REAL_TIME_PROTECTION, Feature.LOCAL_SCANS, Feature.QUARANTINE})


class EntitlementRefusal(Enum):
    """Why a statement was not accepted; the statement trusted so far stays in force."""

    OTHER_DEVICE = "other_device"
    SERIAL_LOWER = "serial_lower"
    EPOCH_LOWER = "epoch_lower"
    FROM_THE_FUTURE = "from_the_future"
    BAD_SIGNATURE = "bad_signature"
    UNKNOWN_KEY = "unknown_key"
    REVOKED_KEY = "revoked_key"
    #: The set of signing keys is not signed by the root that was pinned.
    OTHER_ROOT = "other_root"
    KEY_SET_LOWER = "key_set_lower"
    MALFORMED = "malformed"


class EntitlementError(Exception):
    """A signed statement must not be trusted."""

    def __init__(self, refusal: EntitlementRefusal) -> None:
        super().__init__(refusal.value)
        self.refusal = refusal


@dataclass(frozen=True, slots=True)
class Claims:
    """The control plane's statement about one device; field for field `EntitlementClaims` on the wire."""

    serial: int
    org_id: str
    subscription_id: str
    seat_id: str
    device_id: str
    device_public_key_sha256: bytes
    plan_id: str
    plan_name: str
    catalog_version: int
    access: AccessLevel
    access_reason: str
    access_until: datetime | None
    paid_until: datetime | None
    issued_at: datetime
    not_before: datetime
    refresh_after: datetime
    expires_at: datetime
    grace_until: datetime
    #: Feature name to the weakest level that still allows it.
    features: Mapping[str, AccessLevel]
    revocation_epoch: int = 0


@dataclass(frozen=True, slots=True)
class Access:
    """What this device may do at one instant, and why.

    Attributes:
        level: The level in force.
        reason: Stable code, e.g. `PAID`, `SUBSCRIPTION_EXPIRED`, `NO_CONTACT`, `NOT_ACTIVATED`.
        until: When the level changes next if nothing happens; None: it does not.
        features: Feature name to the weakest level that still allows it.
    """

    level: AccessLevel
    reason: str
    until: datetime | None
    features: Mapping[str, AccessLevel]

    def allows(self, feature: Feature) -> bool:
        """Whether a feature may be used now; the floor always may."""
        if feature in FLOOR:
            return True
        weakest = self.features.get(feature.value)
        return weakest is not None and _RANK[self.level] <= _RANK[weakest]


NOT_ACTIVATED = Access(AccessLevel.UNLICENSED, "NOT_ACTIVATED", None, {})


def accept(claims: Claims, trusted: Claims | None, device_public_key_sha256: bytes, now: datetime) -> Claims:
    """Accept a statement whose signature has been verified, or raise.

    Args:
        claims: What was received.
        trusted: What is trusted so far; None before the first activation.
        device_public_key_sha256: This device's own key.
        now: The clock mark's time, see `evaluation_time`.

    Raises:
        EntitlementError: With the first rule that was broken.
    """
    if claims.device_public_key_sha256 != device_public_key_sha256:
        raise EntitlementError(EntitlementRefusal.OTHER_DEVICE)
    same_device = trusted is not None and trusted.device_id == claims.device_id
    if trusted is not None and same_device and claims.serial < trusted.serial:
        raise EntitlementError(EntitlementRefusal.SERIAL_LOWER)
    if trusted is not None and same_device and claims.revocation_epoch < trusted.revocation_epoch:
        raise EntitlementError(EntitlementRefusal.EPOCH_LOWER)
    if claims.not_before > now + FUTURE_TOLERANCE:
        raise EntitlementError(EntitlementRefusal.FROM_THE_FUTURE)
    return claims


def access_at(trusted: Claims | None, now: datetime) -> Access:
    """Derive what the device may do at `now`.

    While the statement is fresh its own word holds, up to the date it names itself. A stale one leaves the device
    in grace, then limited: no contact never takes the floor away and never does so without a date.
    """
    if trusted is None:
        return NOT_ACTIVATED
    if trusted.access in {AccessLevel.LIMITED, AccessLevel.ENDED}:
        return Access(trusted.access, trusted.access_reason, trusted.access_until, trusted.features)
    if now < trusted.expires_at:
        return Access(trusted.access, trusted.access_reason, trusted.access_until, trusted.features)
    if now < trusted.grace_until:
        return Access(AccessLevel.GRACE, "NO_CONTACT", trusted.grace_until, trusted.features)
    return Access(AccessLevel.LIMITED, "NO_CONTACT", None, trusted.features)


def evaluation_time(wall: datetime, mark: datetime | None) -> datetime:
    """The time at which entitlements are judged.

    Small steps back are tolerated. A clock set back further is judged at the high-water mark of everything seen
    (wall clock, server time, newest event); it is never called tampering, and one authenticated contact heals it.
    """
    if mark is None or wall >= mark - CLOCK_BACK_TOLERANCE:
        return wall
    return mark
