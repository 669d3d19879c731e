"""What an entitlement says and for how long it holds. Pure: values and `now` in, values out."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256

from controlplane.catalog.model import AccessLevel

#: A device asks for a new statement once this one is so old, with its next check-in.
REFRESH_AFTER = timedelta(hours=12)
#: A statement is stale after this without contact; Keygen's licence files default to one month as well.
LIFETIME = timedelta(days=30)
#: How long a device without contact keeps everything beyond that.
GRACE = timedelta(days=14)

#: The longest and the usual life of a statement for a device that reaches no control plane: a year, and a little more
#: than the 13 months after which a yearly customer has certainly renewed or not.
LONGEST_LICENCE = timedelta(days=400)
USUAL_LICENCE = timedelta(days=365)

SEAT_RELEASED = "SEAT_RELEASED"


@dataclass(frozen=True, slots=True)
class SubscriptionTerms:
    """What a subscription gives its devices at one instant.

    Attributes:
        seats: Devices it covers.
        access: Derived by the subscriptions capability.
        access_until: When access changes next if nothing happens; None: it does not.
        paid_until: Last moment that is paid for; None: none.
        features: Feature name to the weakest level that still allows it, on the platform in question.
    """

    org_id: str
    subscription_id: str
    plan_id: str
    plan_name: str
    catalog_version: int
    seats: int
    access: AccessLevel
    access_reason: str
    access_until: datetime | None
    paid_until: datetime | None
    revocation_epoch: int
    features: Mapping[str, AccessLevel]


@dataclass(frozen=True, slots=True)
class Basis:
    """Everything an entitlement says besides its serial and its times; equal bases mean that nothing changed."""

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
    revocation_epoch: int
    features: tuple[tuple[str, AccessLevel], ...]

    def digest(self) -> bytes:
        """SHA-256 over every field, each with its length, so that no two bases share their bytes."""
        hashed = sha256()
        for part in self._parts():
            hashed.update(len(part).to_bytes(4, "big") + part)
        return hashed.digest()

    def _parts(self) -> list[bytes]:
        texts = [
            self.org_id,
            self.subscription_id,
            self.seat_id,
            self.device_id,
            self.device_public_key_sha256.hex(),
            self.plan_id,
            self.plan_name,
            str(self.catalog_version),
            self.access.value,
            self.access_reason,
            self.access_until.isoformat() if self.access_until else "",
            self.paid_until.isoformat() if self.paid_until else "",
            str(self.revocation_epoch),
        ]
        texts.extend(f"{feature}={level.value}" for feature, level in self.features)
        return [text.encode() for text in texts]


@dataclass(frozen=True, slots=True)
class Times:
    """From when to when a statement holds; see `EntitlementClaims` on the wire."""

    issued_at: datetime
    not_before: datetime
    refresh_after: datetime
    expires_at: datetime
    grace_until: datetime


@dataclass(frozen=True, slots=True)
class LatestEntitlement:
    """The newest statement about a device, as far as deciding about the next one needs it."""

    serial: int
    basis_sha256: bytes
    refresh_after: datetime


def basis_of(
    terms: SubscriptionTerms,
    *,
    seat_id: str,
    device_id: str,
    device_public_key_sha256: bytes,
    reason_of_loss: str = SEAT_RELEASED,
) -> Basis:
    """What to say about a device.

    A device without a seat is limited, whatever the subscription allows, and told how it lost the seat.

    Args:
        terms: Of the subscription it belongs or belonged to, for its platform.
        seat_id: Empty: it holds none.
        device_id: The device.
        device_public_key_sha256: Binds the statement to it.
        reason_of_loss: For one that holds no seat, see `seat_rules.REASON_OF_LOSS`.
    """
    access, reason, until = terms.access, terms.access_reason, terms.access_until
    if not seat_id and access is not AccessLevel.ENDED:
        access, reason, until = AccessLevel.LIMITED, reason_of_loss, None
    return Basis(
        org_id=terms.org_id,
        subscription_id=terms.subscription_id,
        seat_id=seat_id,
        device_id=device_id,
        device_public_key_sha256=device_public_key_sha256,
        plan_id=terms.plan_id,
        plan_name=terms.plan_name,
        catalog_version=terms.catalog_version,
        access=access,
        access_reason=reason,
        access_until=until,
        paid_until=terms.paid_until,
        revocation_epoch=terms.revocation_epoch,
        features=tuple(sorted(terms.features.items())),
    )


def times_of(basis: Basis, now: datetime, licence: timedelta | None = None) -> Times:
    """How long a statement made now holds.

    It never outlives the day on which access changes anyway: a device that is out of contact then goes on in grace,
    as the subscription itself does. A statement that *is* the grace gets no second one: it ends on the announced day,
    however long the device stays away.

    Args:
        basis: What it says.
        now: The present.
        licence: For a device without contact: how long it goes on, at most `LONGEST_LICENCE`, and as any statement
            never beyond what is paid for; such a device is not told to ask again.
    """
    stale_at = now + (LIFETIME if licence is None else min(licence, LONGEST_LICENCE))
    expires_at = min(stale_at, max(now, basis.access_until)) if basis.access_until else stale_at
    grace_until = expires_at + GRACE
    if basis.access is AccessLevel.GRACE and basis.access_until is not None:
        grace_until = max(expires_at, min(grace_until, basis.access_until))
    return Times(
        issued_at=now,
        not_before=now,
        refresh_after=expires_at if licence is not None else min(now + REFRESH_AFTER, expires_at),
        expires_at=expires_at,
        grace_until=grace_until,
    )


def needs_new(latest: LatestEntitlement | None, basis: Basis, now: datetime) -> bool:
    """Whether a device gets a new serial: only when something changed, or the last statement wants a refresh."""
    return latest is None or latest.basis_sha256 != basis.digest() or now >= latest.refresh_after


def may_take_new_seat(access: AccessLevel) -> bool:
    """Whether a subscription may take in another device; a device that has its seat keeps it in any case."""
    return access in {AccessLevel.FULL, AccessLevel.GRACE}


def seat_id_of(subscription_id: str, slot_no: int) -> str:
    """The id of a slot: readable, and the same whenever it is computed, e.g. `seat_5f0c…_3`."""
    return f"seat_{subscription_id.rpartition('_')[2]}_{slot_no}"
