import contextlib
import json

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from tests.vectors.entitlement.make_vectors import NAMED, VECTORS, full_claims, key_set
from wire.entitlement_codec import (
    KEY_SET_PREFIX,
    MAX_CLAIMS_BYTES,
    SIGNING_PREFIX,
    MalformedClaimsError,
    decode_claims,
    decode_key_set,
    encode_claims,
    key_set_signing_input,
    signing_input,
)

DOCUMENT = json.loads(VECTORS.read_text(encoding="utf-8"))
PUBLIC_KEY = Ed25519PublicKey.from_public_bytes(bytes.fromhex(DOCUMENT["public_key"]))
BY_NAME = {vector["name"]: vector for vector in DOCUMENT["vectors"]}


@pytest.mark.parametrize("name", NAMED)
def test_claims_have_had_the_same_bytes_since_version_1(name: str) -> None:
    assert encode_claims(NAMED[name]()).hex() == BY_NAME[name]["claims"]


@pytest.mark.parametrize("name", NAMED)
def test_the_bytes_mean_what_they_have_always_meant(name: str) -> None:
    assert decode_claims(bytes.fromhex(BY_NAME[name]["claims"])) == NAMED[name]()


@pytest.mark.parametrize("name", BY_NAME)
def test_signatures_cover_the_prefix_and_the_bytes_as_they_travelled(name: str) -> None:
    claims, signature = (bytes.fromhex(BY_NAME[name][part]) for part in ("claims", "signature"))
    PUBLIC_KEY.verify(signature, signing_input(claims))
    for forged in (claims, signing_input(claims + b"\x00"), b"other-use-v1\0" + claims):
        with pytest.raises(InvalidSignature):
            PUBLIC_KEY.verify(signature, forged)


def test_a_key_set_has_had_the_same_bytes_since_its_first_version() -> None:
    (vector,) = DOCUMENT["key_sets"]
    key_set_bytes, signature = (bytes.fromhex(vector[part]) for part in ("key_set", "signature"))
    assert key_set().SerializeToString(deterministic=True) == key_set_bytes
    assert decode_key_set(key_set_bytes) == key_set()
    PUBLIC_KEY.verify(signature, key_set_signing_input(key_set_bytes))
    for forged in (key_set_bytes, signing_input(key_set_bytes), key_set_signing_input(key_set_bytes + b"\x00")):
        with pytest.raises(InvalidSignature):
            PUBLIC_KEY.verify(signature, forged)


def test_the_prefix_is_the_one_that_devices_in_the_field_know() -> None:
    assert SIGNING_PREFIX == b"buckler-entitlement-v1\x00"
    assert KEY_SET_PREFIX == b"buckler-key-set-v1\x00"


def test_an_old_device_reads_what_it_knows_of_a_newer_statement() -> None:
    newer = decode_claims(bytes.fromhex(BY_NAME["with a field of a later version"]["claims"]))
    assert newer.serial == full_claims().serial
    assert newer.features == full_claims().features


@pytest.mark.parametrize("untrusted", [b"\xff", b"\x0a\x05abc", b"\x00" * (MAX_CLAIMS_BYTES + 1)])
def test_what_is_no_statement_is_refused(untrusted: bytes) -> None:
    for decode in (decode_claims, decode_key_set):
        with pytest.raises(MalformedClaimsError):
            decode(untrusted)


@given(st.binary(max_size=500))
def test_any_bytes_are_claims_or_are_refused(untrusted: bytes) -> None:
    with contextlib.suppress(MalformedClaimsError):
        assert decode_claims(untrusted).ByteSize() <= MAX_CLAIMS_BYTES
