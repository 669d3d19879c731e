"""What licensing asks of what is sold and of the room that holds the keys, and whom it tells; wired in `app.py`."""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Protocol

from sqlalchemy.ext.asyncio import AsyncConnection

from controlplane.licensing.model import SubscriptionTerms
from controlplane.storage.database import UnitOfWork


class NoticeKind(Enum):
    """What the owner of an account is told about devices and seats; stable names."""

    #: A device needed a seat and got that of one that was not seen any more.
    SEAT_RECLAIMED = "seat_reclaimed"
    #: The plan covers fewer devices than hold a seat: choose until the day named.
    SEATS_SURPLUS = "seats_surplus"
    #: The choice is over, this device lost its seat.
    SEAT_LOST = "seat_lost"
    #: A machine came back under a new key and kept its seat. Not yours? Then somebody copied it.
    DEVICE_REBOUND = "device_rebound"
    #: A second machine shows the evidence of one that is still in contact: a copied image.
    DEVICE_COPIED = "device_copied"
    #: Two machines call as one device: an image was copied after it was activated; both are held.
    DEVICE_CLONED = "device_cloned"
    #: Somebody revoked its identity, for good.
    DEVICE_REVOKED = "device_revoked"


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that the owner should hear.

    Attributes:
        subject: Id of what it is about.
        facts: Names, dates and numbers for the text; never a secret.
    """

    org_id: str
    kind: NoticeKind
    subject: str
    facts: Mapping[str, str]


class Notices(Protocol):
    """Tells owners, in the transaction of what happened: it is told if and only if it happened."""

    async def tell_owner(self, uow: UnitOfWork, notice: Notice) -> None:
        """Queue a notice."""


class Terms(Protocol):
    """Says what a subscription gives a device now."""

    async def of(
        self, connection: AsyncConnection, *, org_id: str, subscription_id: str, platform_os: str = ""
    ) -> SubscriptionTerms:
        """Terms of a subscription at this instant.

        Args:
            connection: A reading one, or that of a unit of work.
            org_id: The tenant.
            subscription_id: Empty: the only one there is.
            platform_os: Whose features; empty: none are asked for.

        Raises:
            Refusal: SUBSCRIPTION_UNKNOWN or SUBSCRIPTION_AMBIGUOUS.
        """


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


@dataclass(frozen=True, slots=True)
class SignedKeySetBytes:
    """A key set as devices get it; see `SignedKeySet` on the wire."""

    key_set: bytes
    signature: bytes
    root_public_key: bytes


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

    def revoked_kids(self) -> AbstractSet[str]:
        """Keys whose statements must not be believed any more: they are made again."""

    def key_set(self) -> SignedKeySetBytes:
        """The same keys as a set that the root signed."""


class CertificateAuthority(Protocol):
    """Issues short-lived certificates to devices. Their times follow the wall clock, as TLS peers do."""

    def issue_device(self, csr_der: bytes, *, device_id: str, org_id: str) -> bytes:
        """Certify the key of a PKCS#10 request whose signature was checked; every name inside the request is ignored.

        Returns:
            PEM: the device certificate, then intermediates if there are any.
        """

    def authorities_pem(self) -> bytes:
        """PEM: what device and server certificates chain to."""
