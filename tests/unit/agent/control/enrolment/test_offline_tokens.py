"""What a device believes without asking anybody: statements, sets of keys, licence files, and its own clock."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from agent.control.enrolment.entitlement_verifier import verify_entitlement
from agent.control.enrolment.key_set import verify_key_set
from agent.domain.entitlement import AccessLevel, Claims, EntitlementError, EntitlementRefusal, Feature
from agent.domain.errors import BucklerError
from agent.domain.ports import PinnedKey, TrustedKeys
from tests.fakes.clock import SOME_MONDAY as NOW
from tests.fakes.control_plane import ORG, FakeControlPlane, Seat
from tests.fakes.device import TestDevice
from wire.entitlement_codec import encode_claims, key_set_signing_input, signing_input
from wire.instants import to_us
from wire.v1 import common_pb2
from wire.v1.enrollment_pb2 import ActivateResponse, LicenceFile, LicenceRequest
from wire.v1.entitlement_pb2 import EntitlementClaims, SignedEntitlement, SignedKeySet

DAY = timedelta(days=1)
ROOT, SIGNER = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
DEVICE = b"d" * 32
KEYS = TrustedKeys(b"root", 1, (PinnedKey("k1", SIGNER.public_key().public_bytes_raw(), NOW - DAY, None),))


def signed(**changes: object) -> SignedEntitlement:
    claims = EntitlementClaims(
        serial=1,
        device_id="dev",
        device_public_key_sha256=DEVICE,
        access=common_pb2.ACCESS_LEVEL_FULL,
        issued_at_us=to_us(NOW),
        not_before_at_us=to_us(NOW),
        refresh_after_at_us=to_us(NOW + DAY),
        expires_at_us=to_us(NOW + 30 * DAY),
        grace_until_at_us=to_us(NOW + 44 * DAY),
    )
    claims.MergeFrom(EntitlementClaims(**changes))  # type: ignore[arg-type] # fields by name
    encoded = encode_claims(claims)
    return SignedEntitlement(claims=encoded, signature=SIGNER.sign(signing_input(encoded)), kid="k1")


def verify(untrusted: SignedEntitlement, keys: TrustedKeys = KEYS, device: bytes = DEVICE) -> Claims:
    return verify_entitlement(untrusted, keys, trusted=None, device_public_key_sha256=device, now=NOW)


def refused(untrusted: SignedEntitlement, keys: TrustedKeys = KEYS, device: bytes = DEVICE) -> EntitlementRefusal:
    with pytest.raises(EntitlementError) as caught:
        verify(untrusted, keys, device)
    return caught.value.refusal


# ------------------------------------------------------------ statements


def test_every_single_flipped_bit_is_noticed() -> None:
    good = signed()
    assert verify(good).serial == 1
    for field in ("claims", "signature"):
        honest = getattr(good, field)
        for position in range(8 * len(honest)):
            flipped = bytearray(honest)
            flipped[position // 8] ^= 1 << position % 8
            forged = SignedEntitlement(claims=good.claims, signature=good.signature, kid="k1")
            setattr(forged, field, bytes(flipped))
            assert refused(forged) is EntitlementRefusal.BAD_SIGNATURE, (field, position)


@pytest.mark.parametrize(
    "prefix", [b"", b"buckler-entitlement-v2\0", b"buckler-key-set-v1\0", b"buckler-entitlement-v1"]
)
def test_a_signature_for_another_use_of_the_key_is_none(prefix: bytes) -> None:
    good = signed()
    forged = SignedEntitlement(claims=good.claims, signature=SIGNER.sign(prefix + good.claims), kid="k1")
    assert refused(forged) is EntitlementRefusal.BAD_SIGNATURE


def test_a_statement_copied_to_another_machine_is_refused_there() -> None:
    assert refused(signed(), device=b"e" * 32) is EntitlementRefusal.OTHER_DEVICE


def test_a_revoked_key_counts_for_nothing_even_while_it_is_in_the_set() -> None:
    assert refused(signed(), replace(KEYS, revoked_kids=frozenset({"k1"}))) is EntitlementRefusal.REVOKED_KEY


def test_a_key_signs_only_its_own_time() -> None:
    (key,) = KEYS.keys
    ended = replace(KEYS, keys=(replace(key, not_after=NOW),))
    assert refused(signed(), ended) is EntitlementRefusal.UNKNOWN_KEY
    not_yet = replace(KEYS, keys=(replace(key, not_before=NOW + timedelta(microseconds=1)),))
    assert refused(signed(), not_yet) is EntitlementRefusal.UNKNOWN_KEY


# ------------------------------------------------------------ sets of keys


def test_every_single_flipped_bit_of_a_set_of_keys_is_noticed() -> None:
    good = FakeControlPlane().signed_key_set()
    assert verify_key_set(good, None).version == 1
    for field in ("key_set", "signature", "root_public_key"):
        honest = getattr(good, field)
        for position in range(8 * len(honest)):
            flipped = bytearray(honest)
            flipped[position // 8] ^= 1 << position % 8
            forged = SignedKeySet()
            forged.CopyFrom(good)
            setattr(forged, field, bytes(flipped))
            with pytest.raises(EntitlementError) as caught:
                verify_key_set(forged, None)
            assert caught.value.refusal is EntitlementRefusal.BAD_SIGNATURE, (field, position)


@pytest.mark.parametrize("key_set", [b"\xff", b"\0" * 70_000])
def test_what_the_root_signed_by_mistake_is_malformed_and_no_crash(key_set: bytes) -> None:
    root = ROOT.public_key().public_bytes_raw()
    untrusted = SignedKeySet(key_set=key_set, signature=ROOT.sign(key_set_signing_input(key_set)), root_public_key=root)
    with pytest.raises(EntitlementError) as caught:
        verify_key_set(untrusted, None)
    assert caught.value.refusal is EntitlementRefusal.MALFORMED


def test_no_set_at_all_is_refused() -> None:
    with pytest.raises(EntitlementError):
        verify_key_set(SignedKeySet(), None)


# ------------------------------------------------------------ licence files


@dataclass
class Island:
    """A device without network, and the control plane that a person walks to."""

    device: TestDevice
    plane: FakeControlPlane

    def licence(self, request: bytes, *, serial: int = 1, lasts: timedelta = 365 * DAY) -> bytes:
        """What the person brings back."""
        from cryptography import x509
        from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

        wished = LicenceRequest.FromString(request)
        csr = x509.load_der_x509_csr(wished.certificate_request_der)
        public = csr.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        self.plane.now, self.plane.lifetime = self.device.clock.now(), lasts
        claims = self.plane.claims_for(Seat("dev_1", wished.device_name, public, serial))
        grant = ActivateResponse(
            device_id="dev_1",
            org_id=ORG,
            device_certificate_pem=self.plane.authority.device_certificate(csr, "dev_1", DAY),
            authorities_pem=self.plane.authority.pem,
            entitlement=self.plane.sign(claims),
            key_set=self.plane.signed_key_set(),
            server_time_at_us=to_us(self.plane.now),
        )
        return LicenceFile(format=1, grant=grant).SerializeToString()

    def activate(self, *, serial: int = 1) -> None:
        enroller = self.device.enroller()
        enroller.adopt_licence(self.licence(enroller.licence_request(), serial=serial))

    def refused(self, untrusted_file: bytes) -> str:
        before = self.device.keeper().enrolment
        with pytest.raises(BucklerError) as caught:
            self.device.enroller().adopt_licence(untrusted_file)
        assert self.device.keeper().enrolment == before, "what was trusted stays"
        return caught.value.facts.get("cause", caught.value.code)


@pytest.fixture
def island(tmp_path: Path) -> Island:
    return Island(TestDevice(tmp_path), FakeControlPlane())


def test_a_licence_file_activates_a_device_that_never_had_any_contact(island: Island) -> None:
    island.activate()
    keeper = island.device.keeper()
    assert keeper.access().level is AccessLevel.FULL
    assert keeper.enrolment is not None
    assert keeper.enrolment.device_server == ""
    # The claims of the fake end their paid time after 300 days; a real server signs no longer life than that.
    island.device.clock.advance(299 * DAY)
    assert island.device.keeper().access().level is AccessLevel.FULL


async def test_a_device_with_a_licence_file_calls_nobody(island: Island) -> None:
    island.activate()
    link = island.device.link(island.device.keeper())
    assert await link._turn() is None
    assert link.last_error is None
    with pytest.raises(BucklerError) as caught:
        await link.deactivate("")
    assert caught.value.code == "NO_CONTROL_PLANE"


def test_a_newer_licence_takes_the_place_of_the_old_one_and_never_the_other_way_round(island: Island) -> None:
    request = island.device.enroller().licence_request()
    old, new = island.licence(request, serial=1), island.licence(request, serial=2)
    for file in (old, new, new):
        island.device.enroller().adopt_licence(file)
    assert island.refused(old) == "serial_lower"


def test_a_licence_for_another_device_is_refused_with_the_way_out(island: Island, tmp_path: Path) -> None:
    folder = tmp_path / "other"
    folder.mkdir()
    foreign = island.licence(TestDevice(folder).enroller().licence_request())
    assert island.refused(foreign) == "other_device"


def test_a_licence_of_another_root_is_refused_once_a_root_is_known(island: Island) -> None:
    island.activate()
    island.plane.root_key = Ed25519PrivateKey.generate()
    assert island.refused(island.licence(island.device.enroller().licence_request(), serial=2)) == "other_root"


def test_a_licence_with_an_older_set_of_keys_is_refused(island: Island) -> None:
    island.plane.key_set_version = 5
    island.activate()
    island.plane.key_set_version = 4
    assert island.refused(island.licence(island.device.enroller().licence_request(), serial=2)) == "key_set_lower"


@pytest.mark.parametrize("untrusted", [b"", b"\xff", b"hello", b"\x08\x02", b"\0" * 300_000])
def test_what_is_no_licence_file_is_told_apart(island: Island, untrusted: bytes) -> None:
    assert island.refused(untrusted) == "LICENCE_FILE_INVALID"


def test_a_cut_off_licence_changes_nothing(island: Island) -> None:
    whole = island.licence(island.device.enroller().licence_request())
    for length in range(0, len(whole), 97):
        assert island.refused(whole[:length])


# ------------------------------------------------------------ clocks


@pytest.mark.parametrize(
    ("back", "judged_at_the_mark"),
    [(timedelta(minutes=1), False), (timedelta(hours=6), False), (3 * DAY, True), (365 * DAY, True)],
)
def test_a_clock_set_back_gains_no_day(island: Island, back: timedelta, *, judged_at_the_mark: bool) -> None:
    island.activate()
    island.device.clock.advance(20 * DAY)
    keeper = island.device.keeper()
    keeper.note_time()
    seen = island.device.clock.now()
    island.device.clock.set_wall(seen - back)
    restarted = island.device.keeper()
    assert restarted.now() == (seen if judged_at_the_mark else seen - back)
    assert restarted.access().level is AccessLevel.FULL, "never called tampering"


@pytest.mark.parametrize("there_and_back", [DAY, 365 * DAY])
def test_a_clock_that_went_ahead_and_came_back_never_takes_the_floor_and_heals_with_one_contact(
    island: Island, there_and_back: timedelta
) -> None:
    island.activate()
    start = island.device.clock.now()
    keeper = island.device.keeper()
    island.device.clock.set_wall(start + there_and_back)
    keeper.note_time()
    island.device.clock.set_wall(start)
    for feature in (Feature.REAL_TIME_PROTECTION, Feature.LOCAL_SCANS, Feature.QUARANTINE):
        assert keeper.access().allows(feature)
    keeper.note_contact(start, 60)
    assert (keeper.now(), keeper.access().level) == (start, AccessLevel.FULL)


def test_sixty_days_without_contact_limit_the_device_on_the_day_it_was_told_and_not_before(tmp_path: Path) -> None:
    island = Island(TestDevice(tmp_path), FakeControlPlane())
    enroller = island.device.enroller()
    enroller.adopt_licence(island.licence(enroller.licence_request(), lasts=30 * DAY))
    start, levels = island.device.clock.now(), []
    for day in range(60):
        island.device.clock.set_wall(start + day * DAY)
        access = island.device.keeper().access()
        assert access.allows(Feature.REAL_TIME_PROTECTION)
        levels.append(access.level)
    full, grace, limited = AccessLevel.FULL, AccessLevel.GRACE, AccessLevel.LIMITED
    assert levels == [full] * 30 + [grace] * 14 + [limited] * 16


def test_a_machine_set_back_to_an_old_snapshot_is_no_worse_off_than_it_was_then(island: Island) -> None:
    island.activate()
    snapshot = island.device.store
    assert island.device.keeper().access().level is AccessLevel.FULL
    island.device.clock.set_wall(datetime(2020, 1, 1, tzinfo=UTC))
    restored = TestDevice(island.device.folder, snapshot, island.device.clock)
    assert restored.keeper().access().level is AccessLevel.FULL
