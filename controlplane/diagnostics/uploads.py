"""Bundles on their way from a device, as values; pure."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum
from typing import Final

from controlplane.commands.model import UNDER_WAY, CommandState

#: What a device may send: twice what an agent's bundle can be.
MOST_BYTES: Final = 8 * 1024 * 1024
PIECE_BYTES: Final = 256 * 1024
#: How long a bundle is kept once it is here, and how long an unfinished one may take.
KEPT_FOR: Final = timedelta(days=14)
#: Kinds of commands that bundles answer.
KIND: Final = "diagnostics"


class BundleState(Enum):
    """Where a bundle stands, for people; stable names."""

    #: The device has not heard of it.
    PENDING = "pending"
    COLLECTING = "collecting"
    UPLOADING = "uploading"
    READY = "ready"
    #: It was destroyed, or the device did not come in time.
    EXPIRED = "expired"
    #: Refused by the device's policy, broken off, cancelled.
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class StoredBundle:
    """What is here of a bundle.

    Attributes:
        pieces: How many.
        received_at: When the last of it came; None: it is not whole.
        expires_at: When it is destroyed.
        destroyed_at: When it was.
    """

    org_id: str
    command_id: str
    total_bytes: int
    sha256: bytes
    received_bytes: int
    pieces: int
    received_at: datetime | None
    expires_at: datetime
    destroyed_at: datetime | None = None

    def readable(self, now: datetime) -> bool:
        """Whether it is whole and its time is not over."""
        return self.received_at is not None and now < self.expires_at and self.destroyed_at is None


@dataclass(frozen=True, slots=True)
class Piece:
    """What a device sends; checked in shape."""

    command_id: str
    total_bytes: int
    sha256: bytes
    offset: int
    content: bytes


def begun(org_id: str, piece: Piece, now: datetime) -> StoredBundle:
    """A bundle of which nothing is here."""
    return StoredBundle(org_id, piece.command_id, piece.total_bytes, piece.sha256, 0, 0, None, now + KEPT_FOR)


def is_same(bundle: StoredBundle, piece: Piece) -> bool:
    """Whether a piece belongs to what is here, and not to one that the device made anew."""
    return (bundle.total_bytes, bundle.sha256) == (piece.total_bytes, piece.sha256)


def extended(bundle: StoredBundle, piece: Piece, now: datetime) -> StoredBundle:
    """The bundle with one more piece, which begins where it ended; whole with the last."""
    received = bundle.received_bytes + len(piece.content)
    whole = received == bundle.total_bytes
    return replace(
        bundle,
        received_bytes=received,
        pieces=bundle.pieces + 1,
        received_at=now if whole else None,
        expires_at=now + KEPT_FOR if whole else bundle.expires_at,
    )


def state_of(command: CommandState, bundle: StoredBundle | None, now: datetime) -> BundleState:
    """What people are told, of the command and of what is here."""
    if bundle is not None and bundle.received_at is not None:
        return BundleState.READY if bundle.readable(now) else BundleState.EXPIRED
    if command in UNDER_WAY:
        return BundleState.UPLOADING if bundle is not None and bundle.received_bytes else BundleState.COLLECTING
    by_command = {CommandState.PENDING: BundleState.PENDING, CommandState.EXPIRED: BundleState.EXPIRED}
    return by_command.get(command, BundleState.FAILED)
