"""From a decision to the bytes that will be signed."""

from controlplane.catalog.wire_names import ACCESS_LEVEL_ON_THE_WIRE
from controlplane.licensing.model import Basis, Times
from controlplane.storage.types import optional_microseconds, to_microseconds
from wire.entitlement_codec import encode_claims
from wire.v1.entitlement_pb2 import EntitlementClaims, FeatureGrant


def claims_bytes(basis: Basis, times: Times, serial: int) -> bytes:
    """Serialize a statement, once: these bytes are stored, signed and sent."""
    return encode_claims(
        EntitlementClaims(
            serial=serial,
            org_id=basis.org_id,
            subscription_id=basis.subscription_id,
            seat_id=basis.seat_id,
            device_id=basis.device_id,
            device_public_key_sha256=basis.device_public_key_sha256,
            plan_id=basis.plan_id,
            plan_name=basis.plan_name,
            catalog_version=basis.catalog_version,
            access=ACCESS_LEVEL_ON_THE_WIRE[basis.access],
            access_reason=basis.access_reason,
            access_until_at_us=optional_microseconds(basis.access_until),
            paid_until_at_us=optional_microseconds(basis.paid_until),
            issued_at_us=to_microseconds(times.issued_at),
            not_before_at_us=to_microseconds(times.not_before),
            refresh_after_at_us=to_microseconds(times.refresh_after),
            expires_at_us=to_microseconds(times.expires_at),
            grace_until_at_us=to_microseconds(times.grace_until),
            features=[
                FeatureGrant(feature=feature, granted_down_to=ACCESS_LEVEL_ON_THE_WIRE[level])
                for feature, level in basis.features
            ],
            revocation_epoch=basis.revocation_epoch,
        )
    )
