from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from controlplane.keys.authority import FORMER_CERTIFICATE, FORMER_KEY, ISSUERS, CertificateAuthority
from controlplane.keys.authority_root import FILE_NAME as ROOT_KEY
from controlplane.keys.certificates import DEVICE_LIFETIME, authority_certificate
from controlplane.runtime.private_files import write_private
from controlplane.runtime.refusal import Refusal
from tests.fakes.certificate_requests import DeviceKey
from tests.fakes.clock import FakeClock
from tests.unit.controlplane.keys.test_authority import create, load

DAY = timedelta(days=1)


def _accepted(authority: CertificateAuthority) -> list[x509.Certificate]:
    return x509.load_pem_x509_certificates(authority.server_identity().client_issuers)


def _is_accepted(authority: CertificateAuthority, device_certificate: x509.Certificate) -> bool:
    return any(device_certificate.issuer == issuer.subject for issuer in _accepted(authority))


def _issued(authority: CertificateAuthority) -> x509.Certificate:
    pem = authority.issue_device(DeviceKey().certificate_request(), device_id="dev_1", org_id="org_1")
    return x509.load_pem_x509_certificate(pem)


def _names(authority: CertificateAuthority) -> list[str]:
    return [issuing.name for issuing in authority.issuers.devices]


def _from_before_there_was_a_root(folder: Path, clock: FakeClock) -> CertificateAuthority:
    """The files that an older version made."""
    rooted = create(folder, clock)
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = authority_certificate(key, name="Buckler control plane", serial=b"\x01" * 20, now=clock.now())
    write_private(folder / FORMER_CERTIFICATE, certificate.public_bytes(serialization.Encoding.PEM))
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    write_private(folder / FORMER_KEY, private)
    del rooted
    (folder / ISSUERS).unlink()
    (folder / ROOT_KEY).unlink()
    return load(folder, clock)


def test_a_new_issuer_is_accepted_at_once_and_issues_later_while_the_old_one_is_accepted_to_its_last_day(
    tmp_path: Path,
) -> None:
    clock = FakeClock()
    authority = create(tmp_path, clock)
    (old,) = _accepted(authority)
    authority.rotate(tmp_path / ROOT_KEY, DAY)
    assert len(_accepted(authority)) == 2
    assert _issued(authority).issuer == old.subject
    clock.advance(DAY)
    last = _issued(authority)
    assert last.issuer != old.subject
    clock.advance(DEVICE_LIFETIME)
    assert old in _accepted(authority)
    clock.advance(timedelta(minutes=6))
    assert old not in _accepted(authority)
    assert _is_accepted(authority, _issued(authority))


def test_devices_trust_the_root_and_so_the_next_server_certificate(tmp_path: Path) -> None:
    clock = FakeClock()
    authority = create(tmp_path, clock)
    trusted, before = authority.authorities_pem(), authority.server_identity()
    (tmp_path / ROOT_KEY).rename(tmp_path / "safe")
    authority.rotate(tmp_path / "safe", timedelta(0))
    after = authority.server_identity()
    assert after.certificate != before.certificate
    leaf, issuer = x509.load_pem_x509_certificates(after.certificate)
    leaf.verify_directly_issued_by(issuer)
    issuer.verify_directly_issued_by(x509.load_pem_x509_certificate(trusted))
    assert authority.authorities_pem() == trusted


def test_a_running_server_follows_the_file(tmp_path: Path) -> None:
    clock = FakeClock()
    create(tmp_path, clock)
    serving, ceremony = load(tmp_path, clock), load(tmp_path, clock)
    serving.server_identity()
    ceremony.rotate(tmp_path / ROOT_KEY, timedelta(0))
    assert serving.server_identity() == ceremony.server_identity()
    assert _issued(serving).issuer == _issued(ceremony).issuer


def test_nothing_of_a_revoked_issuer_is_accepted_and_another_takes_over_its_time(tmp_path: Path) -> None:
    clock = FakeClock()
    authority = create(tmp_path, clock)
    leaked = _issued(authority)
    authority.rotate(tmp_path / ROOT_KEY, DAY)
    first, following = _names(authority)
    authority.revoke(first, tmp_path / ROOT_KEY)
    assert not _is_accepted(authority, leaked)
    instead = _issued(authority)
    assert _is_accepted(authority, instead)
    assert _names(load(tmp_path, clock))[0] == first
    assert following in _names(authority)
    clock.advance(DAY)
    assert _issued(authority).issuer not in {instead.issuer, leaked.issuer}
    with pytest.raises(Refusal) as refused:
        authority.revoke(first, tmp_path / ROOT_KEY)
    assert refused.value.reason == "ISSUER_NOT_FOUND"


def test_only_the_root_of_this_installation_certifies_issuers(tmp_path: Path) -> None:
    clock = FakeClock()
    (tmp_path / "other").mkdir()
    authority, other = create(tmp_path, clock), tmp_path / "other" / ROOT_KEY
    create(tmp_path / "other", clock)
    before = (tmp_path / ISSUERS).read_bytes()
    write_private(tmp_path / "junk", b"junk")
    for root, reason in (
        (other, "AUTHORITY_ROOT_OTHER"),
        (tmp_path / "junk", "AUTHORITY_ROOT_INVALID"),
        (tmp_path / "nowhere", "KEY_FILE_MISSING"),
    ):
        with pytest.raises(Refusal) as refused:
            authority.rotate(root, DAY)
        assert refused.value.reason == reason
    assert (tmp_path / ISSUERS).read_bytes() == before


def test_a_rotation_waits_for_the_one_before(tmp_path: Path) -> None:
    authority = create(tmp_path, FakeClock())
    authority.rotate(tmp_path / ROOT_KEY, DAY)
    with pytest.raises(Refusal) as refused:
        authority.rotate(tmp_path / ROOT_KEY, DAY)
    assert refused.value.reason == "ROTATION_PENDING"


def test_an_installation_from_before_gets_its_root_with_its_first_rotation_and_loses_no_device(tmp_path: Path) -> None:
    clock = FakeClock()
    authority = _from_before_there_was_a_root(tmp_path, clock)
    former, device = authority.authorities_pem(), _issued(authority)
    assert _is_accepted(authority, device)
    with pytest.raises(Refusal) as refused:
        authority.revoke(_names(authority)[0], tmp_path / ROOT_KEY)
    assert refused.value.reason == "ISSUER_HAS_NO_ROOT"
    authority.rotate(tmp_path / ROOT_KEY, timedelta(0))
    assert _is_accepted(authority, device)
    # Devices learn of the root with their next certificate; up to then they are shown what they know.
    for _ in range(2):
        shown = x509.load_pem_x509_certificate(authority.server_identity().certificate)
        shown.verify_directly_issued_by(x509.load_pem_x509_certificate(former))
        assert len(x509.load_pem_x509_certificates(authority.authorities_pem())) == 2
        clock.advance(DEVICE_LIFETIME - timedelta(minutes=1))
    clock.advance(timedelta(minutes=2))
    (root,) = x509.load_pem_x509_certificates(authority.authorities_pem())
    leaf, issuer = x509.load_pem_x509_certificates(authority.server_identity().certificate)
    leaf.verify_directly_issued_by(issuer)
    issuer.verify_directly_issued_by(root)


def test_a_damaged_file_of_issuers_is_named(tmp_path: Path) -> None:
    create(tmp_path, FakeClock())
    write_private(tmp_path / ISSUERS, b'{"root": null}')
    with pytest.raises(Refusal) as refused:
        load(tmp_path, FakeClock())
    assert refused.value.reason == "KEY_FILE_DAMAGED"
