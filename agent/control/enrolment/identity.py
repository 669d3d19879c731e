"""Who this device is: a key pair made here once, whose private half never leaves its file.

The public key is the identity and the idempotency key of an activation. P-256 and not Ed25519, because the same key
answers TLS handshakes, and ECDSA on P-256 is what every TLS stack between here and the server accepts.
"""

import hashlib
import hmac
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import NameOID

from agent.domain.errors import BucklerError, ExitStatus
from agent.platform.files.whole_files import create_whole
from agent.platform.system_facts import SystemFacts

#: X.509 allows 64 characters in a common name (RFC 5280, ub-common-name).
_COMMON_NAME_MAX = 64


@dataclass(frozen=True, slots=True)
class DeviceIdentity:
    """The device's key pair.

    Attributes:
        private_key_pem: PKCS#8; for the TLS channel of this process, nothing else.
        public_key_sha256: SHA-256 of the public key as SubjectPublicKeyInfo, DER.
    """

    private_key_pem: bytes = field(repr=False)
    public_key_sha256: bytes

    def certificate_request(self, device_name: str) -> bytes:
        """A PKCS#10 request, DER, signed with the device key: proves that we hold it.

        Args:
            device_name: For people who look at certificates; the server decides the names that count.
        """
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, device_name[:_COMMON_NAME_MAX] or "device")])
        builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
        return builder.sign(_parse(self.private_key_pem), hashes.SHA256()).public_bytes(Encoding.DER)


def load_identity(path: Path) -> DeviceIdentity | None:
    """Read the device key; None when there is none yet.

    Raises:
        BucklerError: `DEVICE_KEY_DAMAGED` when the file is there but holds no key we made.
    """
    try:
        pem = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise BucklerError(
            "DEVICE_KEY_UNREADABLE",
            f"the device key {path} cannot be read: {error.strerror}",
            next_step="run the command as the user the agent runs as, or as root",
            exit_status=ExitStatus.ENVIRONMENT,
        ) from error
    try:
        key = _parse(pem)
    except (ValueError, TypeError) as error:
        raise BucklerError(
            "DEVICE_KEY_DAMAGED",
            f"the device key {path} is damaged",
            next_step="move the file away and activate again; the device then asks for a seat under a new identity",
            exit_status=ExitStatus.ENVIRONMENT,
        ) from error
    public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return DeviceIdentity(pem, hashlib.sha256(public).digest())


def load_or_create_identity(path: Path) -> DeviceIdentity:
    """The device's identity, made now if this is the first time; of two processes at once one wins and both agree.

    Raises:
        BucklerError: `DEVICE_KEY_DAMAGED`, `DEVICE_KEY_UNREADABLE`.
    """
    existing = load_identity(path)
    if existing is not None:
        return existing
    key = ec.generate_private_key(ec.SECP256R1())
    create_whole(path, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    identity = load_identity(path)
    if identity is None:
        raise FileNotFoundError(path)
    return identity


def set_aside(path: Path) -> Path | None:
    """Move the device key away, so that the next one is new; where it is now. None: there was none."""
    aside = path.with_name(f"{path.name}.replaced")
    try:
        path.replace(aside)
    except FileNotFoundError:
        return None
    return aside


def fingerprint(facts: SystemFacts, salt: bytes) -> tuple[tuple[str, bytes], ...]:
    """Evidence for re-binding a seat: per hardware fact its kind and HMAC-SHA-256 under its organisation's salt.

    The server can tell "the same as before", never what the fact was; two organisations can compare nothing.
    """
    return tuple(
        (kind, hmac.new(salt, f"{kind}\0{value}".encode(), hashlib.sha256).digest()) for kind, value in facts.hardware
    )


def _parse(pem: bytes) -> ec.EllipticCurvePrivateKey:
    key = load_pem_private_key(pem, password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise TypeError("not a P-256 key")
    return key
