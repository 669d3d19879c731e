"""Nonces of contacts as bytes: made here and sealed, so that nothing has to be stored to know them again."""

import hmac
import struct
from typing import Final

from controlplane.devices.identity.lineage import Nonce, Shown
from controlplane.devices.ports import ContactSeal
from controlplane.runtime.randomness import Randomness

_FIELDS: Final = struct.Struct(">Q16s16s")
_SEAL_BYTES: Final = 16
NONCE_BYTES: Final = _FIELDS.size + _SEAL_BYTES
_DEEPEST: Final = 2**62


class ContactNonces:
    """Makes and reads nonces.

    Args:
        seal: Only this installation can make it.
        randomness: For names.
    """

    def __init__(self, seal: ContactSeal, randomness: Randomness) -> None:
        self._seal = seal
        self._randomness = randomness

    def next(self, org_id: str, device_id: str, shown: Shown) -> bytes:
        """What a device that showed this is to show next."""
        fields = _FIELDS.pack(shown.depth + 1, self._randomness.token_bytes(len(shown.name)), shown.name)
        return fields + self._sealed(org_id, device_id, fields)

    def read(self, org_id: str, device_id: str, untrusted: bytes) -> Nonce | None:
        """A nonce that we made for this device; None: we did not."""
        if len(untrusted) != NONCE_BYTES:
            return None
        fields, seal = untrusted[: _FIELDS.size], untrusted[_FIELDS.size :]
        if not hmac.compare_digest(seal, self._sealed(org_id, device_id, fields)):
            return None
        depth, name, parent = _FIELDS.unpack(fields)
        return Nonce(depth, name, parent) if depth < _DEEPEST else None

    def _sealed(self, org_id: str, device_id: str, fields: bytes) -> bytes:
        return self._seal.contact_seal(f"{org_id}\0{device_id}\0".encode() + fields)[:_SEAL_BYTES]
