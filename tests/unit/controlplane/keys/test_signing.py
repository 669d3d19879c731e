from pathlib import Path

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from controlplane.keys.signing import FILE_NAME, EntitlementKeys
from tests.fakes.clock import SOME_MONDAY, FakeClock
from wire.entitlement_codec import signing_input


def test_what_is_signed_verifies_with_the_published_key_also_after_a_restart(tmp_path: Path) -> None:
    created = EntitlementKeys.create(tmp_path, FakeClock())
    loaded = EntitlementKeys.load(tmp_path)
    assert loaded.public_keys() == created.public_keys()
    kid, signature = loaded.sign(b"claims")
    (published,) = loaded.public_keys()
    assert (published.kid, published.not_before, published.not_after) == (kid, SOME_MONDAY, None)
    Ed25519PublicKey.from_public_bytes(published.public_key).verify(signature, signing_input(b"claims"))


def test_the_bare_claims_are_not_what_is_signed(tmp_path: Path) -> None:
    keys = EntitlementKeys.create(tmp_path, FakeClock())
    _, signature = keys.sign(b"claims")
    public = Ed25519PublicKey.from_public_bytes(keys.public_keys()[0].public_key)
    with pytest.raises(InvalidSignature):
        public.verify(signature, b"claims")


def test_the_key_file_is_its_owners_alone(tmp_path: Path) -> None:
    EntitlementKeys.create(tmp_path, FakeClock())
    assert (tmp_path / FILE_NAME).stat().st_mode & 0o777 == 0o600
