"""Which keys may sign entitlements. Pure: signed bytes and what is trusted so far in, trusted keys or an error out.

1. the root that signed is the one pinned at the first activation;
2. its Ed25519 signature covers exactly the bytes that travelled;
3. only then are the bytes parsed;
4. their version is not lower than the one trusted.
"""

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from agent.domain.entitlement import EntitlementError, EntitlementRefusal
from agent.domain.ports import PinnedKey, TrustedKeys
from wire.entitlement_codec import MalformedClaimsError, decode_key_set, key_set_signing_input
from wire.instants import from_us, optional_from_us
from wire.v1.entitlement_pb2 import SignedKeySet

#: RFC 8032: an Ed25519 public key is 32 bytes.
_KEY_BYTES = 32


def verify_key_set(untrusted: SignedKeySet, trusted: TrustedKeys | None) -> TrustedKeys:
    """Check a set of signing keys and return what is trusted from now on.

    Args:
        untrusted: As it arrived.
        trusted: What is trusted so far; None before the first activation, whose root is pinned.

    Raises:
        EntitlementError: With the first rule that was broken.
    """
    pinned = trusted.root_public_key if trusted is not None else b""
    root = pinned or untrusted.root_public_key
    if untrusted.root_public_key != root:
        raise EntitlementError(EntitlementRefusal.OTHER_ROOT)
    try:
        Ed25519PublicKey.from_public_bytes(root).verify(untrusted.signature, key_set_signing_input(untrusted.key_set))
    except (InvalidSignature, ValueError) as error:
        raise EntitlementError(EntitlementRefusal.BAD_SIGNATURE) from error
    try:
        key_set = decode_key_set(untrusted.key_set)
        keys = tuple(
            PinnedKey(key.kid, key.public_key, from_us(key.not_before_at_us), optional_from_us(key.not_after_at_us))
            for key in key_set.keys
            if len(key.public_key) == _KEY_BYTES
        )
    except (MalformedClaimsError, OverflowError) as error:
        raise EntitlementError(EntitlementRefusal.MALFORMED) from error
    if trusted is not None and key_set.version < trusted.version:
        raise EntitlementError(EntitlementRefusal.KEY_SET_LOWER)
    return TrustedKeys(root, key_set.version, keys, frozenset(key_set.revoked_kids))
