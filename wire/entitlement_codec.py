"""The signed entitlement, byte for byte; both sides use exactly these functions.

What is signed is `SIGNING_PREFIX` followed by the serialized claims *as they travelled*. Nobody re-serializes claims
to check a signature: protobuf promises no canonical form. Golden vectors: tests/vectors/entitlement.
"""

from google.protobuf.message import DecodeError

from wire.v1.entitlement_pb2 import EntitlementClaims, KeySet

#: Separates this use of the key from every other (domain separation).
SIGNING_PREFIX = b"buckler-entitlement-v1\0"
#: The same for the set of keys that may sign, which the root signs.
KEY_SET_PREFIX = b"buckler-key-set-v1\0"
#: Far above any honest statement; longer ones are not even parsed.
MAX_CLAIMS_BYTES = 64 * 1024
#: Trailing metadata that carries a serialized `ErrorDetail`.
ERROR_DETAIL_METADATA = "buckler-error-bin"
#: Metadata of calls and of failed ones: under which id the log has them; `[A-Za-z0-9_-]{8,64}`, else it is not taken.
REQUEST_ID_METADATA = "buckler-request-id"


class MalformedClaimsError(ValueError):
    """The bytes are no claims."""


def signing_input(claims: bytes) -> bytes:
    """What the Ed25519 signature covers."""
    return SIGNING_PREFIX + claims


def key_set_signing_input(key_set: bytes) -> bytes:
    """What the root's Ed25519 signature covers."""
    return KEY_SET_PREFIX + key_set


def decode_key_set(untrusted_key_set: bytes) -> KeySet:
    """Parse a key set; says nothing about whether it may be trusted.

    Raises:
        MalformedClaimsError: Too long, or not a serialized `KeySet`.
    """
    if len(untrusted_key_set) > MAX_CLAIMS_BYTES:
        raise MalformedClaimsError(f"longer than {MAX_CLAIMS_BYTES} bytes")
    try:
        return KeySet.FromString(untrusted_key_set)
    except DecodeError as error:
        raise MalformedClaimsError("not a serialized key set") from error


def encode_claims(claims: EntitlementClaims) -> bytes:
    """Serialize once, at planning; the result is stored, signed and sent unchanged."""
    return claims.SerializeToString(deterministic=True)


def decode_claims(untrusted_claims: bytes) -> EntitlementClaims:
    """Parse claims; says nothing about whether they may be trusted.

    Raises:
        MalformedClaimsError: Too long, or not a serialized `EntitlementClaims`.
    """
    if len(untrusted_claims) > MAX_CLAIMS_BYTES:
        raise MalformedClaimsError(f"longer than {MAX_CLAIMS_BYTES} bytes")
    try:
        return EntitlementClaims.FromString(untrusted_claims)
    except DecodeError as error:
        raise MalformedClaimsError("not serialized claims") from error
