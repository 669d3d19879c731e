from datetime import timedelta
from hashlib import sha256
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from controlplane.keys.authority import CertificateAuthority, is_host_name, requested_key, server_names
from controlplane.keys.certificates import DEVICE_LIFETIME, ISSUER_LIFETIME, SERVER_LIFETIME
from controlplane.runtime.refusal import Refusal
from tests.fakes.certificate_requests import DeviceKey
from tests.fakes.clock import SOME_MONDAY, FakeClock
from tests.fakes.randomness import SeededRandomness


def create(folder: Path, clock: FakeClock) -> CertificateAuthority:
    return CertificateAuthority.create(
        folder, hostnames=["protect.example.com", "10.0.0.7"], wall=clock, randomness=SeededRandomness()
    )


def load(folder: Path, clock: FakeClock) -> CertificateAuthority:
    return CertificateAuthority.load(folder, wall=clock, randomness=SeededRandomness(1))


def test_a_device_certificate_names_the_device_binds_its_key_and_is_short_lived(tmp_path: Path) -> None:
    authority = create(tmp_path, FakeClock())
    device = DeviceKey()
    pem = authority.issue_device(device.certificate_request(), device_id="dev_1", org_id="org_1")
    certificate = x509.load_pem_x509_certificate(pem)
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == ["urn:buckler:org:org_1:device:dev_1"]
    key = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert sha256(key).digest() == device.public_key_sha256
    assert certificate.not_valid_after_utc == SOME_MONDAY + DEVICE_LIFETIME
    usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [x509.oid.ExtendedKeyUsageOID.CLIENT_AUTH]
    issuer = x509.load_pem_x509_certificate(authority.server_identity().client_issuers)
    certificate.verify_directly_issued_by(issuer)
    issuer.verify_directly_issued_by(x509.load_pem_x509_certificate(authority.authorities_pem()))


def test_the_root_certifies_issuers_and_each_of_them_leaves_of_one_purpose(tmp_path: Path) -> None:
    authority = create(tmp_path, FakeClock())
    root = x509.load_pem_x509_certificate(authority.authorities_pem())
    device = x509.load_pem_x509_certificate(authority.server_identity().client_issuers)
    server = x509.load_pem_x509_certificates(authority.server_identity().certificate)[1]
    for certificate, length in ((root, 1), (device, 0), (server, 0)):
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
        assert constraints.critical
        assert (constraints.value.ca, constraints.value.path_length) == (True, length)
    assert root.not_valid_after_utc - SOME_MONDAY >= timedelta(days=3650)
    purposes = [list(each.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) for each in (device, server)]
    assert purposes == [[x509.oid.ExtendedKeyUsageOID.CLIENT_AUTH], [x509.oid.ExtendedKeyUsageOID.SERVER_AUTH]]


def test_the_server_certificate_covers_its_names_and_this_machine(tmp_path: Path) -> None:
    identity = create(tmp_path, FakeClock()).server_identity()
    certificate = x509.load_pem_x509_certificate(identity.certificate)
    expected = {"protect.example.com", "10.0.0.7", "localhost", "127.0.0.1", "::1"}
    assert set(server_names(certificate)) == expected


def test_the_server_certificate_stays_until_near_its_end_and_is_then_renewed_with_its_names(tmp_path: Path) -> None:
    clock = FakeClock()
    first = create(tmp_path, clock).server_identity()
    assert load(tmp_path, clock).server_identity() == first
    clock.advance(SERVER_LIFETIME - timedelta(days=59))
    renewed = load(tmp_path, clock).server_identity()
    old, new = (x509.load_pem_x509_certificate(each.certificate) for each in (first, renewed))
    assert new.not_valid_after_utc == clock.now() + SERVER_LIFETIME
    assert set(server_names(new)) == set(server_names(old))
    assert renewed.authorities == first.authorities
    assert load(tmp_path, clock).ends().server == new.not_valid_after_utc


def test_every_key_file_is_its_owners_alone(tmp_path: Path) -> None:
    create(tmp_path, FakeClock())
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}


def test_a_request_signed_by_another_key_is_refused() -> None:
    request = bytearray(DeviceKey().certificate_request())
    request[-1] ^= 1
    with pytest.raises(Refusal) as refused:
        requested_key(bytes(request))
    assert refused.value.reason == "BAD_CERTIFICATE_REQUEST"


@pytest.mark.parametrize("kind", ["rsa", "ed25519", "p384"])
def test_keys_of_another_kind_are_refused(kind: str) -> None:
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    if kind == "ed25519":
        request = builder.sign(ed25519.Ed25519PrivateKey.generate(), None)
    elif kind == "rsa":
        request = builder.sign(rsa.generate_private_key(65537, 2048), hashes.SHA256())
    else:
        request = builder.sign(ec.generate_private_key(ec.SECP384R1()), hashes.SHA256())
    with pytest.raises(Refusal) as refused:
        requested_key(request.public_bytes(Encoding.DER))
    assert "P-256" in refused.value.message


@pytest.mark.parametrize("untrusted", [b"", b"\x30\x80", b"junk" * 10, b"\x30" * 9_000])
def test_what_is_no_request_is_refused(untrusted: bytes) -> None:
    with pytest.raises(Refusal) as refused:
        requested_key(untrusted)
    assert refused.value.reason == "BAD_CERTIFICATE_REQUEST"


@pytest.mark.parametrize("name", ["protect.example.com", "localhost", "10.0.0.1", "::1", "a-b.c"])
def test_host_names_and_addresses_can_stand_in_a_certificate(name: str) -> None:
    assert is_host_name(name)


@pytest.mark.parametrize("name", ["", "https://x", "a b", "x:443", "a..b", "ä.example", "a" * 64])
def test_other_texts_cannot(name: str) -> None:
    assert not is_host_name(name)


def test_a_server_certificate_ends_with_its_issuer_and_is_not_made_again_and_again(tmp_path: Path) -> None:
    clock = FakeClock()
    authority = create(tmp_path, clock)
    clock.advance(ISSUER_LIFETIME - timedelta(days=40))
    shown = authority.server_identity().certificate
    server, issuer = x509.load_pem_x509_certificates(shown)
    assert server.not_valid_after_utc == issuer.not_valid_after_utc == SOME_MONDAY + ISSUER_LIFETIME
    clock.advance(timedelta(days=10))
    assert authority.server_identity().certificate == shown
