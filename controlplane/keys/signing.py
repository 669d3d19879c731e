"""The keys that sign entitlements: Ed25519, in one file, one of them active.

The file holds a list so that a key can be replaced with overlap: the next one is published before it signs, the old
one stays published until nothing it signed is alive.
"""

import base64
import hashlib
import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from controlplane.licensing.ports import SigningKeyInfo
from controlplane.runtime.clock import Clock
from controlplane.runtime.private_files import read_private, write_private
from controlplane.storage.types import from_microseconds, to_microseconds
from wire.entitlement_codec import signing_input

FILE_NAME = "entitlement_keys.json"


@dataclass(frozen=True, slots=True)
class _Key:
    kid: str
    private: Ed25519PrivateKey
    not_before: datetime
    not_after: datetime | None


class EntitlementKeys:
    """Signs entitlements; implements `licensing.ports.EntitlementSigner`."""

    def __init__(self, active_kid: str, keys: tuple[_Key, ...]) -> None:
        self._active = next(key for key in keys if key.kid == active_kid)
        self._keys = keys

    @classmethod
    def create(cls, folder: Path, clock: Clock) -> "EntitlementKeys":
        """Make the first key and store it."""
        private = Ed25519PrivateKey.generate()
        kid = "ent-" + hashlib.sha256(private.public_key().public_bytes_raw()).hexdigest()[:16]
        keys = cls(kid, (_Key(kid, private, clock.now(), None),))
        write_private(folder / FILE_NAME, keys._serialized())
        return keys

    @classmethod
    def load(cls, folder: Path) -> "EntitlementKeys":
        """Read the stored keys.

        Raises:
            Refusal: KEY_FILE_MISSING, KEY_FILE_UNREADABLE or KEY_FILE_EXPOSED.
        """
        content = json.loads(read_private(folder / FILE_NAME))
        keys = tuple(
            _Key(
                kid=each["kid"],
                private=Ed25519PrivateKey.from_private_bytes(base64.b64decode(each["private_key"])),
                not_before=from_microseconds(each["not_before_us"]),
                not_after=None if each["not_after_us"] is None else from_microseconds(each["not_after_us"]),
            )
            for each in content["keys"]
        )
        return cls(content["active"], keys)

    def sign(self, claims: bytes) -> tuple[str, bytes]:
        """Sign planned claims with the active key: its kid, and the signature."""
        return self._active.kid, self._active.private.sign(signing_input(claims))

    def public_keys(self) -> tuple[SigningKeyInfo, ...]:
        """Every key that a device should pin now."""
        return tuple(
            SigningKeyInfo(key.kid, key.private.public_key().public_bytes_raw(), key.not_before, key.not_after)
            for key in self._keys
        )

    def _serialized(self) -> bytes:
        content = {
            "active": self._active.kid,
            "keys": [
                {
                    "kid": key.kid,
                    "private_key": base64.b64encode(key.private.private_bytes_raw()).decode("ascii"),
                    "not_before_us": to_microseconds(key.not_before),
                    "not_after_us": None if key.not_after is None else to_microseconds(key.not_after),
                }
                for key in self._keys
            ],
        }
        return json.dumps(content, indent=1).encode()
