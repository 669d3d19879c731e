"""Writes vectors.json. Run once per addition; vectors that exist are never rewritten (the test compares them).

python -m tests.vectors.entitlement.make_vectors
"""

import json
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from wire.entitlement_codec import encode_claims, key_set_signing_input, signing_input
from wire.v1.common_pb2 import (
    ACCESS_LEVEL_ENDED,
    ACCESS_LEVEL_FULL,
    ACCESS_LEVEL_GRACE,
    ACCESS_LEVEL_LIMITED,
)
from wire.v1.entitlement_pb2 import EntitlementClaims, FeatureGrant, KeySet, SigningKey

VECTORS = Path(__file__).with_name("vectors.json")
#: A key for vectors only: the bytes 0 to 31.
TEST_KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))

_DAY = 86_400_000_000
_NOW = 1_772_442_000_000_000  # 2026-03-02 09:00 UTC


def full_claims() -> EntitlementClaims:
    """Every field that version 1 has, set to a value of its own."""
    return EntitlementClaims(
        serial=7,
        org_id="org_0102",
        subscription_id="sub_0304",
        seat_id="seat_0304_2",
        device_id="dev_0506",
        device_public_key_sha256=bytes(range(32)),
        plan_id="home-3",
        plan_name="Buckler 3 devices",
        catalog_version=2,
        access=ACCESS_LEVEL_FULL,
        access_reason="PAID",
        access_until_at_us=_NOW + 300 * _DAY,
        paid_until_at_us=_NOW + 300 * _DAY,
        issued_at_us=_NOW,
        not_before_at_us=_NOW,
        refresh_after_at_us=_NOW + _DAY // 2,
        expires_at_us=_NOW + 30 * _DAY,
        grace_until_at_us=_NOW + 44 * _DAY,
        features=[
            FeatureGrant(feature="blocking_mode", granted_down_to=ACCESS_LEVEL_GRACE),
            FeatureGrant(feature="quarantine", granted_down_to=ACCESS_LEVEL_ENDED),
            FeatureGrant(feature="signature_updates", granted_down_to=ACCESS_LEVEL_FULL),
        ],
        revocation_epoch=1,
    )


def limited_claims() -> EntitlementClaims:
    """A released seat: empty texts and zero times, which protobuf leaves out."""
    return EntitlementClaims(
        serial=8,
        org_id="org_0102",
        subscription_id="sub_0304",
        device_id="dev_0506",
        device_public_key_sha256=bytes(range(32)),
        plan_id="home-3",
        plan_name="Buckler f\u00fcr 3 Ger\u00e4te",
        catalog_version=2,
        access=ACCESS_LEVEL_LIMITED,
        access_reason="SEAT_RELEASED",
        issued_at_us=_NOW,
        not_before_at_us=_NOW,
        refresh_after_at_us=_NOW + _DAY // 2,
        expires_at_us=_NOW + 30 * _DAY,
        grace_until_at_us=_NOW + 44 * _DAY,
    )


def key_set() -> KeySet:
    """Every field that a key set has: a key that has ended, one that signs, one that was revoked."""
    return KeySet(
        version=3,
        keys=[
            SigningKey(kid="ent-01", public_key=bytes(32), not_before_at_us=_NOW, not_after_at_us=_NOW + 90 * _DAY),
            SigningKey(kid="ent-02", public_key=bytes(range(32)), not_before_at_us=_NOW + 90 * _DAY),
        ],
        revoked_kids=["ent-00"],
        made_at_us=_NOW + 89 * _DAY,
    )


NAMED = {"full": full_claims, "limited": limited_claims}


def main() -> None:
    """Write the file."""
    vectors = []
    for name, make in NAMED.items():
        claims = encode_claims(make())
        signature = TEST_KEY.sign(signing_input(claims))
        vectors.append({"name": name, "claims": claims.hex(), "signature": signature.hex()})
    # A field that a later version adds, as an old device receives it.
    extended = encode_claims(full_claims()) + bytes.fromhex("ca020576616c7565")  # field 41, "value"
    signature = TEST_KEY.sign(signing_input(extended))
    vectors.append({"name": "with a field of a later version", "claims": extended.hex(), "signature": signature.hex()})
    public_key = TEST_KEY.public_key().public_bytes_raw().hex()
    key_set_bytes = key_set().SerializeToString(deterministic=True)
    signed_set = {
        "key_set": key_set_bytes.hex(),
        "signature": TEST_KEY.sign(key_set_signing_input(key_set_bytes)).hex(),
    }
    document = {"public_key": public_key, "vectors": vectors, "key_sets": [signed_set]}
    VECTORS.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
