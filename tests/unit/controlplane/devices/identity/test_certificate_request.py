import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from controlplane.devices.identity.certificate_request import MAX_REQUEST_BYTES, read_certificate_request
from controlplane.runtime.refusal import Refusal
from tests.fakes.certificate_requests import DeviceKey


def _request(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> bytes:
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)


def _forged() -> bytes:
    der = bytearray(DeviceKey().certificate_request())
    der[-1] ^= 1
    return bytes(der)


def _ed25519() -> bytes:
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    return builder.sign(ed25519.Ed25519PrivateKey.generate(), None).public_bytes(Encoding.DER)


def test_a_request_gives_the_hash_of_the_public_key() -> None:
    key = DeviceKey()
    first, second = (read_certificate_request(key.certificate_request()) for _ in range(2))
    assert first.public_key_sha256 == second.public_key_sha256 == key.public_key_sha256


@pytest.mark.parametrize(
    "untrusted",
    [
        b"",
        b"not DER",
        b"0" * (MAX_REQUEST_BYTES + 1),
        DeviceKey().certificate_request()[:-3],
        _forged(),
        _ed25519(),
        _request(ec.generate_private_key(ec.SECP384R1())),
        _request(rsa.generate_private_key(65537, 2048)),
    ],
    ids=["empty", "garbage", "long", "cut", "forged", "ed25519", "p-384", "rsa"],
)
def test_everything_else_is_refused_with_one_code(untrusted: bytes) -> None:
    with pytest.raises(Refusal) as caught:
        read_certificate_request(untrusted)
    assert caught.value.reason == "BAD_CERTIFICATE_REQUEST"
