"""A device's identity is the key pair it made; this reads the public half out of a certificate request."""

from dataclasses import dataclass
from hashlib import sha256

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from controlplane.devices.errors import bad_certificate_request

#: An honest request is under 1 KiB.
MAX_REQUEST_BYTES = 8 * 1024


@dataclass(frozen=True, slots=True)
class CertificateRequest:
    """A PKCS#10 request that proved possession of its private key."""

    der: bytes
    public_key_sha256: bytes


def read_certificate_request(untrusted_der: bytes) -> CertificateRequest:
    """Check a certificate request: parseable, a key we accept, signed with that key.

    Raises:
        Refusal: `BAD_CERTIFICATE_REQUEST`.
    """
    if not untrusted_der:
        raise bad_certificate_request("it is empty")
    if len(untrusted_der) > MAX_REQUEST_BYTES:
        raise bad_certificate_request(f"it is longer than {MAX_REQUEST_BYTES} bytes")
    try:
        request = x509.load_der_x509_csr(untrusted_der)
        key = request.public_key()
        signed = request.is_signature_valid
    except (ValueError, TypeError, UnsupportedAlgorithm, InvalidSignature) as error:
        raise bad_certificate_request("it is not a PKCS#10 request that we can read") from error
    # The one kind that the agent makes and that the certificate authority accepts.
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise bad_certificate_request("its key is not an elliptic-curve key on P-256")
    if not signed:
        raise bad_certificate_request("it is not signed with its own key")
    public_key = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return CertificateRequest(der=untrusted_der, public_key_sha256=sha256(public_key).digest())
