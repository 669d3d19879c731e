"""The key under which secrets of people lie in the database: AES-256-GCM, one file."""

import base64
import binascii
import hmac
import json
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from controlplane.runtime.private_files import read_private, write_private
from controlplane.runtime.randomness import Randomness
from controlplane.runtime.refusal import Kind, Refusal

FILE_NAME = "sealing_key.json"
_KEY_BYTES = 32
#: The size that GCM is made for.
_NONCE_BYTES = 12


@dataclass(frozen=True, slots=True)
class SealingKey:
    """Seals secrets; implements `accounts.ports.Sealer`."""

    _key: bytes = field(repr=False)
    _randomness: Randomness
    #: Made once: each check-in needs it twice.
    _contact_key: bytes = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_contact_key", _derived(self._key, b"buckler-contact-v1"))

    @classmethod
    def create(cls, folder: Path, randomness: Randomness) -> "SealingKey":
        """Make the key and store it."""
        key = randomness.token_bytes(_KEY_BYTES)
        content = {"key": base64.b64encode(key).decode("ascii")}
        write_private(folder / FILE_NAME, json.dumps(content).encode())
        return cls(key, randomness)

    @classmethod
    def load(cls, folder: Path, randomness: Randomness) -> "SealingKey":
        """Read the stored key.

        Raises:
            Refusal: KEY_FILE_MISSING, KEY_FILE_UNREADABLE, KEY_FILE_EXPOSED or KEY_FILE_DAMAGED.
        """
        path = folder / FILE_NAME
        try:
            key = base64.b64decode(json.loads(read_private(path))["key"], validate=True)
        except (ValueError, KeyError, TypeError, binascii.Error) as error:
            raise _damaged(path) from error
        if len(key) != _KEY_BYTES:
            raise _damaged(path)
        return cls(key, randomness)

    def seal(self, secret: bytes, bound_to: str) -> bytes:
        """Encrypt for one owner."""
        nonce = self._randomness.token_bytes(_NONCE_BYTES)
        return nonce + AESGCM(self._key).encrypt(nonce, secret, bound_to.encode())

    def contact_seal(self, content: bytes) -> bytes:
        """See `devices.ports.ContactSeal`."""
        return hmac.digest(self._contact_key, content, "sha256")

    def open(self, sealed: bytes, bound_to: str) -> bytes:
        """Decrypt.

        Raises:
            Refusal: SEAL_BROKEN.
        """
        try:
            return AESGCM(self._key).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], bound_to.encode())
        except (InvalidTag, ValueError) as error:
            raise Refusal(
                Kind.ENVIRONMENT,
                "SEAL_BROKEN",
                "a secret in the database cannot be opened with this installation's key",
                f"Restore {FILE_NAME} from the back-up that belongs to this database",
            ) from error


def _derived(key: bytes, purpose: bytes) -> bytes:
    """A key for one purpose, so that no use of the sealing key can be confused with another (RFC 5869, one block)."""
    return HKDF(SHA256(), length=_KEY_BYTES, salt=None, info=purpose).derive(key)


def _damaged(path: Path) -> Refusal:
    return Refusal(
        Kind.ENVIRONMENT,
        "KEY_FILE_DAMAGED",
        f"{path} holds no key",
        "Restore the folder of keys from its back-up",
        facts={"path": str(path)},
    )
