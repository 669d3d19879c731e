from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from controlplane.keys.root import RootKey
from controlplane.keys.signing import FILE_NAME, EntitlementKeys
from controlplane.licensing.ports import SignerUnavailableError
from controlplane.runtime.refusal import Refusal
from controlplane.storage.types import to_microseconds
from tests.fakes.clock import SOME_MONDAY, FakeClock
from wire.entitlement_codec import decode_key_set, encode_claims, key_set_signing_input, signing_input
from wire.v1.entitlement_pb2 import EntitlementClaims

DAY = timedelta(days=1)


def claims(issued_after: timedelta = timedelta(0)) -> bytes:
    return encode_claims(EntitlementClaims(serial=1, issued_at_us=to_microseconds(SOME_MONDAY + issued_after)))


@pytest.fixture
def root(tmp_path: Path) -> RootKey:
    return RootKey.create(tmp_path / "root.json")


@pytest.fixture
def keys(tmp_path: Path, root: RootKey) -> EntitlementKeys:
    return EntitlementKeys.create(tmp_path, FakeClock(), root)


def test_what_is_signed_verifies_with_the_published_key_also_after_a_restart(
    keys: EntitlementKeys, tmp_path: Path
) -> None:
    loaded = EntitlementKeys.load(tmp_path)
    assert loaded.public_keys() == keys.public_keys()
    assert loaded.key_set() == keys.key_set()
    kid, signature = loaded.sign(claims())
    (published,) = loaded.public_keys()
    assert (published.kid, published.not_before, published.not_after) == (kid, SOME_MONDAY, None)
    Ed25519PublicKey.from_public_bytes(published.public_key).verify(signature, signing_input(claims()))


def test_the_bare_claims_are_not_what_is_signed(keys: EntitlementKeys) -> None:
    _, signature = keys.sign(claims())
    public = Ed25519PublicKey.from_public_bytes(keys.public_keys()[0].public_key)
    with pytest.raises(InvalidSignature):
        public.verify(signature, claims())


def test_the_key_files_are_their_owners_alone(keys: EntitlementKeys, tmp_path: Path) -> None:
    assert keys.version == 1
    for name in (FILE_NAME, "root.json"):
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o600


def test_the_set_says_what_the_root_signed(keys: EntitlementKeys, root: RootKey) -> None:
    signed = keys.key_set()
    assert signed.root_public_key == root.public_key
    Ed25519PublicKey.from_public_bytes(root.public_key).verify(signed.signature, key_set_signing_input(signed.key_set))
    assert [key.kid for key in decode_key_set(signed.key_set).keys] == [key.kid for key in keys.public_keys()]


def test_a_rotation_is_published_before_it_signs_and_each_key_signs_its_own_time(
    keys: EntitlementKeys, root: RootKey, tmp_path: Path
) -> None:
    rotated = keys.rotated(tmp_path, root, now=SOME_MONDAY + DAY, signs_from=SOME_MONDAY + 2 * DAY)
    old, new = (key.kid for key in rotated.public_keys())
    assert (rotated.version, EntitlementKeys.load(tmp_path).version) == (2, 2)
    assert rotated.sign(claims(2 * DAY - timedelta(microseconds=1)))[0] == old
    assert rotated.sign(claims(2 * DAY))[0] == new
    with pytest.raises(Refusal) as pending:
        rotated.rotated(tmp_path, root, now=SOME_MONDAY + DAY, signs_from=SOME_MONDAY + 3 * DAY)
    assert pending.value.reason == "ROTATION_PENDING"


def test_an_old_key_leaves_the_set_when_nothing_it_signed_can_be_alive(
    keys: EntitlementKeys, root: RootKey, tmp_path: Path
) -> None:
    (first,) = keys.public_keys()
    second = keys.rotated(tmp_path, root, now=SOME_MONDAY, signs_from=SOME_MONDAY + DAY)
    soon = second.rotated(tmp_path, root, now=SOME_MONDAY + 400 * DAY, signs_from=SOME_MONDAY + 401 * DAY)
    assert first.kid in {key.kid for key in soon.public_keys()}
    late = second.rotated(tmp_path, root, now=SOME_MONDAY + 420 * DAY, signs_from=SOME_MONDAY + 421 * DAY)
    assert first.kid not in {key.kid for key in late.public_keys()}


def test_a_revoked_key_is_named_and_another_signs_in_its_time(
    keys: EntitlementKeys, root: RootKey, tmp_path: Path
) -> None:
    (leaked,) = keys.public_keys()
    without = keys.without(leaked.kid, tmp_path, root, now=SOME_MONDAY + DAY)
    assert without.revoked_kids() == {leaked.kid}
    assert without.sign(claims())[0] != leaked.kid
    assert list(decode_key_set(without.key_set().key_set).revoked_kids) == [leaked.kid]
    with pytest.raises(Refusal) as again:
        without.without(leaked.kid, tmp_path, root, now=SOME_MONDAY + DAY)
    assert again.value.reason == "SIGNING_KEY_NOT_FOUND"


def test_another_root_changes_nothing(keys: EntitlementKeys, tmp_path: Path) -> None:
    stored = (tmp_path / FILE_NAME).read_bytes()
    other = RootKey.create(tmp_path / "other.json")
    with pytest.raises(Refusal) as refused:
        keys.rotated(tmp_path, other, now=SOME_MONDAY, signs_from=SOME_MONDAY)
    assert refused.value.reason == "ROOT_KEY_OTHER"
    assert (tmp_path / FILE_NAME).read_bytes() == stored


def test_no_key_signs_a_time_that_none_covers(keys: EntitlementKeys) -> None:
    with pytest.raises(SignerUnavailableError):
        keys.sign(claims(-DAY))


def test_a_file_that_holds_no_root_is_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "root.json"
    path.write_bytes(b'{"private_key": "no"}')
    path.chmod(0o600)
    with pytest.raises(Refusal) as refused:
        RootKey.load(path)
    assert refused.value.reason == "ROOT_KEY_INVALID"
