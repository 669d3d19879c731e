"""The root that says which keys may sign entitlements: Ed25519, one file, kept away from the server.

A server needs what the root signed, never the root itself. Whoever takes the server can sign entitlements until its
keys are revoked, but cannot bring in a key of their own.
"""

import base64
import binascii
import json
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from controlplane.licensing.ports import SignedKeySetBytes
from controlplane.runtime.private_files import read_private, write_private
from controlplane.runtime.refusal import Kind, Refusal
from wire.entitlement_codec import key_set_signing_input

FILE_NAME = "root_key.json"


@dataclass(frozen=True, slots=True)
class RootKey:
    """Signs key sets."""

    _private: Ed25519PrivateKey

    @classmethod
    def create(cls, path: Path) -> "RootKey":
        """Make a root and store it; the file is to be moved to a safe place."""
        root = cls(Ed25519PrivateKey.generate())
        private = base64.b64encode(root._private.private_bytes_raw()).decode("ascii")
        write_private(path, json.dumps({"private_key": private}).encode())
        return root

    @classmethod
    def load(cls, path: Path) -> "RootKey":
        """Read a root.

        Raises:
            Refusal: KEY_FILE_MISSING, KEY_FILE_UNREADABLE, KEY_FILE_EXPOSED or ROOT_KEY_INVALID.
        """
        try:
            content = json.loads(read_private(path))
            return cls(Ed25519PrivateKey.from_private_bytes(base64.b64decode(content["private_key"], validate=True)))
        except (ValueError, KeyError, TypeError, binascii.Error) as error:
            raise Refusal(
                Kind.INVALID,
                "ROOT_KEY_INVALID",
                f"{path} holds no root key",
                "Give the file that `buckler-server init` made: --root-key FILE",
            ) from error

    @property
    def public_key(self) -> bytes:
        """Raw, 32 bytes."""
        return self._private.public_key().public_bytes_raw()

    def sign(self, key_set: bytes) -> SignedKeySetBytes:
        """Sign a serialized key set."""
        return SignedKeySetBytes(key_set, self._private.sign(key_set_signing_input(key_set)), self.public_key)
