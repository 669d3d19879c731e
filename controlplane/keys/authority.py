"""The control plane's own certificate authority: a root key in a file, server and device certificates from it.

Certificates follow the wall clock, as every TLS peer does, whatever the business clock of a demonstration says.
"""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from controlplane.keys.certificates import (
    SERIAL_BYTES,
    Issuer,
    authority_certificate,
    device_certificate,
    server_certificate,
)
from controlplane.runtime.clock import Clock
from controlplane.runtime.private_files import read_private, write_private
from controlplane.runtime.randomness import Randomness
from controlplane.runtime.refusal import Kind, Refusal

AUTHORITY_KEY = "authority_key.pem"
AUTHORITY_CERTIFICATE = "authority.pem"
#: Certificate and key in one file, so that no crash can part them.
SERVER_IDENTITY = "server.pem"
#: Names that a server certificate always carries, so that this machine can reach it.
LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")
#: A server certificate is replaced at start-up when less than this is left of it.
RENEWED_BEFORE_END = timedelta(days=60)
#: Honest requests have some 400 bytes.
MAX_REQUEST_BYTES = 8 * 1024


@dataclass(frozen=True, slots=True)
class ServerIdentity:
    """What a TLS server shows, PEM."""

    private_key: bytes
    certificate: bytes
    authorities: bytes


@dataclass(frozen=True, slots=True)
class CertificateEnds:
    """When certificates end; for the doctor."""

    authority: datetime
    server: datetime


class CertificateAuthority:
    """Issues certificates; implements `licensing.ports.CertificateAuthority`.

    Args:
        folder: Where its files are.
        issuer: The root.
        wall: The machine's clock.
        randomness: For serial numbers.
    """

    def __init__(self, folder: Path, issuer: Issuer, *, wall: Clock, randomness: Randomness) -> None:
        self._folder = folder
        self._issuer = issuer
        self._wall = wall
        self._randomness = randomness

    @classmethod
    def create(
        cls, folder: Path, *, hostnames: Sequence[str], wall: Clock, randomness: Randomness
    ) -> "CertificateAuthority":
        """Make the root and the first server certificate, and store both."""
        key = ec.generate_private_key(ec.SECP256R1())
        serial = randomness.token_bytes(SERIAL_BYTES)
        certificate = authority_certificate(key, name="Buckler control plane", serial=serial, now=wall.now())
        write_private(folder / AUTHORITY_KEY, _key_pem(key))
        write_private(folder / AUTHORITY_CERTIFICATE, _pem(certificate))
        authority = cls(folder, Issuer(certificate, key), wall=wall, randomness=randomness)
        authority._issue_server((*hostnames, *(name for name in LOCAL_NAMES if name not in hostnames)))
        return authority

    @classmethod
    def load(cls, folder: Path, *, wall: Clock, randomness: Randomness) -> "CertificateAuthority":
        """Read the stored root.

        Raises:
            Refusal: KEY_FILE_MISSING, KEY_FILE_UNREADABLE or KEY_FILE_EXPOSED.
        """
        issuer = Issuer(_stored_certificate(folder / AUTHORITY_CERTIFICATE), _stored_key(folder / AUTHORITY_KEY))
        return cls(folder, issuer, wall=wall, randomness=randomness)

    def issue_device(self, csr_der: bytes, *, device_id: str, org_id: str) -> bytes:
        """Certify a device's key for 30 days. Names inside the request are ignored.

        Args:
            csr_der: PKCS#10 as it came from the network.
            device_id: Who the certificate will speak of.
            org_id: Whose device it is.

        Returns:
            PEM.

        Raises:
            Refusal: BAD_CERTIFICATE_REQUEST, it is malformed, not signed by its own key, or not a P-256 key.
        """
        public = requested_key(csr_der)
        certificate = device_certificate(
            public,
            self._issuer,
            device_id=device_id,
            org_id=org_id,
            serial=self._randomness.token_bytes(SERIAL_BYTES),
            now=self._wall.now(),
        )
        return _pem(certificate)

    def authorities_pem(self) -> bytes:
        """PEM: what device and server certificates chain to."""
        return _pem(self._issuer.certificate)

    def server_identity(self) -> ServerIdentity:
        """What the server shows; a certificate near its end is replaced first, with the same names.

        Raises:
            Refusal: KEY_FILE_MISSING, KEY_FILE_UNREADABLE or KEY_FILE_EXPOSED.
        """
        certificate, key = _stored_identity(self._folder / SERVER_IDENTITY)
        if self._wall.now() >= certificate.not_valid_after_utc - RENEWED_BEFORE_END:
            self._issue_server(server_names(certificate))
            certificate, key = _stored_identity(self._folder / SERVER_IDENTITY)
        return ServerIdentity(private_key=key, certificate=_pem(certificate), authorities=self.authorities_pem())

    def ends(self) -> CertificateEnds:
        """When the stored certificates end."""
        server, _ = _stored_identity(self._folder / SERVER_IDENTITY)
        return CertificateEnds(self._issuer.certificate.not_valid_after_utc, server.not_valid_after_utc)

    def _issue_server(self, names: Sequence[str]) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = server_certificate(
            key.public_key(),
            self._issuer,
            names=names,
            serial=self._randomness.token_bytes(SERIAL_BYTES),
            now=self._wall.now(),
        )
        write_private(self._folder / SERVER_IDENTITY, _pem(certificate) + _key_pem(key))


def requested_key(untrusted_csr_der: bytes) -> ec.EllipticCurvePublicKey:
    """The public key that a request asks a certificate for.

    Raises:
        Refusal: BAD_CERTIFICATE_REQUEST.
    """
    if len(untrusted_csr_der) > MAX_REQUEST_BYTES:
        raise _bad_request(f"it is longer than {MAX_REQUEST_BYTES} bytes")
    try:
        request = x509.load_der_x509_csr(untrusted_csr_der)
        public = request.public_key()
        signed = request.is_signature_valid
    except (ValueError, UnsupportedAlgorithm, InvalidSignature) as error:
        raise _bad_request("it is not a PKCS#10 request that can be read") from error
    if not isinstance(public, ec.EllipticCurvePublicKey) or not isinstance(public.curve, ec.SECP256R1):
        raise _bad_request("its key is not an elliptic-curve key on P-256")
    if not signed:
        raise _bad_request("it is not signed by the key it asks a certificate for")
    return public


def server_names(certificate: x509.Certificate) -> tuple[str, ...]:
    """The host names and addresses a server certificate is for."""
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    addresses = (str(address) for address in names.get_values_for_type(x509.IPAddress))
    return (*names.get_values_for_type(x509.DNSName), *addresses)


def is_host_name(name: str) -> bool:
    """Whether a certificate can be made out to it."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        labels = name.rstrip(".").split(".")
        return len(name) <= 253 and all(  # noqa: PLR2004 -- RFC 1035, section 2.3.4
            0 < len(label) <= 63 and label.isascii() and label.replace("-", "a").isalnum()  # noqa: PLR2004 -- as above
            for label in labels
        )
    return True


def _bad_request(problem: str) -> Refusal:
    return Refusal(
        Kind.INVALID,
        "BAD_CERTIFICATE_REQUEST",
        f"the certificate request was not accepted: {problem}",
        "Update the agent; if it stays, run: buckler doctor",
    )


def _stored_certificate(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(read_private(path))


def _stored_identity(path: Path) -> tuple[x509.Certificate, bytes]:
    """A certificate and the PEM of its key, as `_issue_server` wrote them: in this order."""
    content = read_private(path)
    certificate = x509.load_pem_x509_certificate(content)
    return certificate, content[content.index(b"-----BEGIN PRIVATE KEY-----") :]


def _stored_key(path: Path) -> ec.EllipticCurvePrivateKey:
    key = serialization.load_pem_private_key(read_private(path), password=None)
    assert isinstance(key, ec.EllipticCurvePrivateKey), "only this file writes it"
    return key


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
