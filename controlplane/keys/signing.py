"""The keys that sign entitlements: Ed25519, in one file, with the set of their public halves that the root signed.

Each key signs the statements of its own time, from `not_before` until `not_after`, and stays in the set until nothing
it signed can be alive. A key that leaked is revoked: another takes over its time, and devices refuse what it signed.
"""

import base64
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from controlplane.keys.root import RootKey
from controlplane.licensing.model import GRACE, LONGEST_LICENCE
from controlplane.licensing.ports import SignedKeySetBytes, SignerUnavailableError, SigningKeyInfo
from controlplane.runtime.clock import Clock
from controlplane.runtime.private_files import read_private, write_private
from controlplane.runtime.refusal import Kind, Refusal
from controlplane.storage.types import from_microseconds, to_microseconds
from wire.entitlement_codec import decode_claims, signing_input
from wire.v1.entitlement_pb2 import KeySet, SigningKey

FILE_NAME = "entitlement_keys.json"


@dataclass(frozen=True, slots=True)
class _Key:
    kid: str
    private: Ed25519PrivateKey
    not_before: datetime
    not_after: datetime | None

    @classmethod
    def generate(cls, not_before: datetime, not_after: datetime | None = None) -> "_Key":
        private = Ed25519PrivateKey.generate()
        kid = "ent-" + hashlib.sha256(private.public_key().public_bytes_raw()).hexdigest()[:16]
        return cls(kid, private, not_before, not_after)

    def covers(self, instant: datetime) -> bool:
        return self.not_before <= instant and (self.not_after is None or instant < self.not_after)


@dataclass(frozen=True, slots=True)
class EntitlementKeys:
    """Signs entitlements; implements `licensing.ports.EntitlementSigner`."""

    _keys: tuple[_Key, ...]
    _revoked: tuple[str, ...]
    _signed_set: SignedKeySetBytes
    version: int

    @classmethod
    def create(cls, folder: Path, clock: Clock, root: RootKey) -> "EntitlementKeys":
        """Make the first key and store it."""
        now = clock.now()
        return _published(folder, (_Key.generate(now),), (), root, version=1, now=now)

    @classmethod
    def load(cls, folder: Path) -> "EntitlementKeys":
        """Read the stored keys.

        Raises:
            Refusal: KEY_FILE_MISSING, KEY_FILE_UNREADABLE, KEY_FILE_EXPOSED or KEY_SET_MISSING.
        """
        content = json.loads(read_private(folder / FILE_NAME))
        if "key_set" not in content:
            raise Refusal(
                Kind.ENVIRONMENT,
                "KEY_SET_MISSING",
                "the signing keys of this installation were made by a version that had no root key",
                "Make a new installation: buckler-server init; devices activate again",
            )
        keys = tuple(
            _Key(
                kid=each["kid"],
                private=Ed25519PrivateKey.from_private_bytes(base64.b64decode(each["private_key"])),
                not_before=from_microseconds(each["not_before_us"]),
                not_after=None if each["not_after_us"] is None else from_microseconds(each["not_after_us"]),
            )
            for each in content["keys"]
        )
        signed = SignedKeySetBytes(*(base64.b64decode(content[name]) for name in _SIGNED_PARTS))
        return cls(keys, tuple(content["revoked_kids"]), signed, content["version"])

    def rotated(self, folder: Path, root: RootKey, *, now: datetime, signs_from: datetime) -> "EntitlementKeys":
        """Publish a new key that signs from `signs_from` on, when the present one stops; stored.

        Raises:
            Refusal: ROOT_KEY_OTHER or ROTATION_PENDING.
        """
        self._check(root)
        if any(key.not_before > now for key in self._keys):
            raise Refusal(
                Kind.PRECONDITION,
                "ROTATION_PENDING",
                "a new key is published already and does not sign yet",
                "See when it begins: buckler-server keys show",
            )
        kept = [
            replace(key, not_after=signs_from) if key.not_after is None else key
            for key in self._keys
            if key.not_after is None or now < key.not_after + LONGEST_LICENCE + GRACE
        ]
        keys = (*kept, _Key.generate(signs_from))
        return _published(folder, keys, self._revoked, root, version=self.version + 1, now=now)

    def without(self, kid: str, folder: Path, root: RootKey, *, now: datetime) -> "EntitlementKeys":
        """Revoke a key for good; another one takes over its time. Stored.

        Raises:
            Refusal: ROOT_KEY_OTHER or SIGNING_KEY_NOT_FOUND.
        """
        self._check(root)
        gone = next((key for key in self._keys if key.kid == kid), None)
        if gone is None:
            raise Refusal(
                Kind.NOT_FOUND,
                "SIGNING_KEY_NOT_FOUND",
                f"there is no signing key {kid} that could be revoked",
                "List the keys: buckler-server keys show",
            )
        keys = tuple(_Key.generate(gone.not_before, gone.not_after) if key.kid == kid else key for key in self._keys)
        return _published(folder, keys, (*self._revoked, kid), root, version=self.version + 1, now=now)

    def _check(self, root: RootKey) -> None:
        if root.public_key != self._signed_set.root_public_key:
            raise Refusal(
                Kind.PRECONDITION,
                "ROOT_KEY_OTHER",
                "this root key is not the one that the devices of this installation trust",
                "Give the root key that was made with this installation: --root-key FILE",
            )

    def sign(self, claims: bytes) -> tuple[str, bytes]:
        """Sign planned claims with the key of their time: its kid, and the signature.

        Raises:
            SignerUnavailableError: No key covers the time at which they were planned.
        """
        issued_at = from_microseconds(decode_claims(claims).issued_at_us)
        key = next((key for key in reversed(self._keys) if key.covers(issued_at)), None)
        if key is None:
            raise SignerUnavailableError
        return key.kid, key.private.sign(signing_input(claims))

    def public_keys(self) -> tuple[SigningKeyInfo, ...]:
        """Every key that a device should trust now."""
        return tuple(
            SigningKeyInfo(key.kid, key.private.public_key().public_bytes_raw(), key.not_before, key.not_after)
            for key in self._keys
        )

    def revoked_kids(self) -> frozenset[str]:
        """Keys whose statements must not be believed any more."""
        return frozenset(self._revoked)

    def key_set(self) -> SignedKeySetBytes:
        """The public keys, as the root signed them."""
        return self._signed_set

    def serialized(self) -> bytes:
        """The content of the file."""
        parts = (self._signed_set.key_set, self._signed_set.signature, self._signed_set.root_public_key)
        content = {
            "version": self.version,
            "keys": [
                {
                    "kid": key.kid,
                    "private_key": base64.b64encode(key.private.private_bytes_raw()).decode("ascii"),
                    "not_before_us": to_microseconds(key.not_before),
                    "not_after_us": None if key.not_after is None else to_microseconds(key.not_after),
                }
                for key in self._keys
            ],
            "revoked_kids": list(self._revoked),
            **{name: base64.b64encode(part).decode("ascii") for name, part in zip(_SIGNED_PARTS, parts, strict=True)},
        }
        return json.dumps(content, indent=1).encode()


_SIGNED_PARTS = ("key_set", "signature", "root_public_key")


def _published(
    folder: Path, keys: Sequence[_Key], revoked: Sequence[str], root: RootKey, *, version: int, now: datetime
) -> EntitlementKeys:
    """Have the root sign a set of keys, and store both."""
    key_set = KeySet(
        version=version,
        keys=[
            SigningKey(
                kid=key.kid,
                public_key=key.private.public_key().public_bytes_raw(),
                not_before_at_us=to_microseconds(key.not_before),
                not_after_at_us=0 if key.not_after is None else to_microseconds(key.not_after),
            )
            for key in keys
        ],
        revoked_kids=revoked,
        made_at_us=to_microseconds(now),
    )
    signed = root.sign(key_set.SerializeToString(deterministic=True))
    published = EntitlementKeys(tuple(keys), tuple(revoked), signed, version)
    write_private(folder / FILE_NAME, published.serialized())
    return published
