"""From signed bytes to trusted claims. Pure: bytes, trusted keys and `now` in, claims or an error out.

1. the `kid` names a trusted key that is not revoked, valid when the claims say they were issued;
2. its Ed25519 signature covers exactly the bytes that travelled;
3. only then are the bytes parsed;
4. `agent.domain.entitlement.accept` has the last word: this device, not an older statement, not from the future.
"""

from datetime import datetime

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from agent.domain.entitlement import AccessLevel, Claims, EntitlementError, EntitlementRefusal, accept
from agent.domain.ports import TrustedKeys
from wire.entitlement_codec import MalformedClaimsError, decode_claims, signing_input
from wire.instants import from_us, optional_from_us
from wire.v1.common_pb2 import AccessLevel as WireLevel
from wire.v1.entitlement_pb2 import EntitlementClaims, SignedEntitlement

_LEVELS = {
    WireLevel.ACCESS_LEVEL_FULL: AccessLevel.FULL,
    WireLevel.ACCESS_LEVEL_GRACE: AccessLevel.GRACE,
    WireLevel.ACCESS_LEVEL_LIMITED: AccessLevel.LIMITED,
    WireLevel.ACCESS_LEVEL_ENDED: AccessLevel.ENDED,
}


def verify_entitlement(
    untrusted: SignedEntitlement,
    keys: TrustedKeys,
    *,
    trusted: Claims | None,
    device_public_key_sha256: bytes,
    now: datetime,
) -> Claims:
    """Check a signed entitlement and return its claims.

    Args:
        untrusted: As it arrived, or as it lay in the database.
        keys: Which keys may sign.
        trusted: The claims trusted so far; None before the first.
        device_public_key_sha256: This device's own key.
        now: See `agent.domain.entitlement.accept`.

    Raises:
        EntitlementError: With the first rule that was broken.
    """
    if untrusted.kid in keys.revoked_kids:
        raise EntitlementError(EntitlementRefusal.REVOKED_KEY)
    key = next((key for key in keys.keys if key.kid == untrusted.kid), None)
    if key is None:
        raise EntitlementError(EntitlementRefusal.UNKNOWN_KEY)
    try:
        public_key = Ed25519PublicKey.from_public_bytes(key.public_key)
        public_key.verify(untrusted.signature, signing_input(untrusted.claims))
    except (InvalidSignature, ValueError) as error:
        raise EntitlementError(EntitlementRefusal.BAD_SIGNATURE) from error
    claims = read_claims(untrusted.claims)
    if claims.issued_at < key.not_before or (key.not_after is not None and claims.issued_at >= key.not_after):
        raise EntitlementError(EntitlementRefusal.UNKNOWN_KEY)
    return accept(claims, trusted, device_public_key_sha256, now)


def read_claims(signed_claims: bytes) -> Claims:
    """Parse claims whose signature has been checked.

    Raises:
        EntitlementError: MALFORMED.
    """
    try:
        wire = decode_claims(signed_claims)
        return _from_wire(wire)
    except (MalformedClaimsError, KeyError, OverflowError) as error:
        raise EntitlementError(EntitlementRefusal.MALFORMED) from error


def _from_wire(wire: EntitlementClaims) -> Claims:
    return Claims(
        serial=wire.serial,
        org_id=wire.org_id,
        subscription_id=wire.subscription_id,
        seat_id=wire.seat_id,
        device_id=wire.device_id,
        device_public_key_sha256=wire.device_public_key_sha256,
        plan_id=wire.plan_id,
        plan_name=wire.plan_name,
        catalog_version=wire.catalog_version,
        access=_LEVELS[wire.access],
        access_reason=wire.access_reason,
        access_until=optional_from_us(wire.access_until_at_us),
        paid_until=optional_from_us(wire.paid_until_at_us),
        issued_at=from_us(wire.issued_at_us),
        not_before=from_us(wire.not_before_at_us),
        refresh_after=from_us(wire.refresh_after_at_us),
        expires_at=from_us(wire.expires_at_us),
        grace_until=from_us(wire.grace_until_at_us),
        # A level this agent does not know (a newer server's) grants nothing rather than too much.
        features={g.feature: _LEVELS[g.granted_down_to] for g in wire.features if g.granted_down_to in _LEVELS},
        revocation_epoch=wire.revocation_epoch,
    )
