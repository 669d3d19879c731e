"""What licensing needs from the room that holds the keys; implemented in `controlplane.keys`, wired in `app.py`."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class SigningKeyInfo:
    """A public key that may sign entitlements.

    Attributes:
        kid: Names the key.
        public_key: Raw Ed25519, 32 bytes.
        not_before: From when it signs.
        not_after: Until when devices accept it; None: no end set yet.
    """

    kid: str
    public_key: bytes
    not_before: datetime
    not_after: datetime | None


class SignerUnavailableError(Exception):
    """The signing key cannot be used right now; what was to be signed is planned and will be signed later."""


class EntitlementSigner(Protocol):
    """Signs statements; the private key never leaves the implementation."""

    def sign(self, claims: bytes) -> tuple[str, bytes]:
        """Sign `wire.entitlement_codec.signing_input(claims)`, so that no other use of the key can be confused with it.

        Args:
            claims: The planned bytes, exactly as stored.

        Returns:
            The kid of the key that was used, and the Ed25519 signature.

        Raises:
            SignerUnavailableError: Not now; ask again.
        """

    def public_keys(self) -> Sequence[SigningKeyInfo]:
        """Every key that a device should pin now."""


class CertificateAuthority(Protocol):
    """Issues short-lived certificates to devices. Their times follow the wall clock, as TLS peers do."""

    def issue_device(self, csr_der: bytes, *, device_id: str, org_id: str) -> bytes:
        """Certify the key of a PKCS#10 request whose signature was checked; every name inside the request is ignored.

        Returns:
            PEM: the device certificate, then intermediates if there are any.
        """

    def authorities_pem(self) -> bytes:
        """PEM: what device and server certificates chain to."""
