"""The root of certificates: one key in one file, kept away from the server; it certifies issuers and nothing else."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from controlplane.keys.certificates import SERIAL_BYTES, Issuer, authority_certificate, issuer_certificate
from controlplane.keys.issuers import Issuing
from controlplane.runtime.private_files import read_private, write_private
from controlplane.runtime.randomness import Randomness
from controlplane.runtime.refusal import Kind, Refusal

FILE_NAME: Final = "authority_root_key.pem"


@dataclass(frozen=True, slots=True)
class AuthorityRoot:
    """Certifies issuers."""

    _issuer: Issuer
    _randomness: Randomness

    @classmethod
    def create(cls, path: Path, *, now: datetime, randomness: Randomness) -> "AuthorityRoot":
        """Make a root and store its key; the file is to be moved to a safe place."""
        key = ec.generate_private_key(ec.SECP256R1())
        serial = randomness.token_bytes(SERIAL_BYTES)
        certificate = authority_certificate(key, name="Buckler control plane", serial=serial, now=now)
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        write_private(path, private)
        return cls(Issuer(certificate, key), randomness)

    @classmethod
    def load(cls, path: Path, certificate: x509.Certificate, randomness: Randomness) -> "AuthorityRoot":
        """Read the key that belongs to a root's certificate.

        Raises:
            Refusal: KEY_FILE_MISSING, KEY_FILE_UNREADABLE, KEY_FILE_EXPOSED, AUTHORITY_ROOT_INVALID or
                AUTHORITY_ROOT_OTHER.
        """
        try:
            key = serialization.load_pem_private_key(read_private(path), password=None)
        except (ValueError, TypeError) as error:
            raise _invalid(path) from error
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise _invalid(path)
        if key.public_key() != certificate.public_key():
            raise Refusal(
                Kind.PRECONDITION,
                "AUTHORITY_ROOT_OTHER",
                "this key is not the root of this installation's certificates",
                "Give the root key that was made with this installation: --authority-root FILE",
            )
        return cls(Issuer(certificate, key), randomness)

    @property
    def certificate(self) -> x509.Certificate:
        """What devices and people trust."""
        return self._issuer.certificate

    def server_issuer(self, *, now: datetime, issues_from: datetime) -> Issuing:
        """A new issuer of servers' certificates."""
        return self._issuing("Buckler servers", ExtendedKeyUsageOID.SERVER_AUTH, now, issues_from)

    def device_issuer(self, *, now: datetime, issues_from: datetime) -> Issuing:
        """A new issuer of devices' certificates."""
        return self._issuing("Buckler devices", ExtendedKeyUsageOID.CLIENT_AUTH, now, issues_from)

    def _issuing(self, name: str, purpose: x509.ObjectIdentifier, now: datetime, issues_from: datetime) -> Issuing:
        key = ec.generate_private_key(ec.SECP256R1())
        serial = self._randomness.token_bytes(SERIAL_BYTES)
        # Issuers of one kind have one name each: whoever looks for the issuer of a certificate finds one.
        name = f"{name} {serial[:4].hex()}"
        certificate = issuer_certificate(
            key.public_key(), self._issuer, name=name, purpose=purpose, serial=serial, now=now
        )
        return Issuing(Issuer(certificate, key), issues_from)


def _invalid(path: Path) -> Refusal:
    return Refusal(
        Kind.INVALID,
        "AUTHORITY_ROOT_INVALID",
        f"{path} holds no root key of certificates",
        f"Give the file that `buckler-server init` made ({FILE_NAME}): --authority-root FILE",
    )
