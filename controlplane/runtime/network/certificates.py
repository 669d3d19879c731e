"""Whose a client certificate is. TLS has verified it against our authority, which writes the names in it."""

import re
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from controlplane.runtime.principal import DevicePrincipal

#: Certificates that need not be read again; some 500 bytes each.
MOST: Final = 50_000
_DEVICE_URI: Final = re.compile(r"urn:buckler:org:(?P<org>[A-Za-z0-9_]{1,64}):device:(?P<device>[A-Za-z0-9_]{1,64})")


def device_from_certificate(uris: Sequence[bytes], public_key_sha256: bytes) -> DevicePrincipal | None:
    """The device that a certificate's subject alternative names speak of, with the key that it proved."""
    for uri in uris:
        match = _DEVICE_URI.fullmatch(uri.decode("ascii", errors="replace"))
        if match is not None:
            return DevicePrincipal(device_id=match["device"], org_id=match["org"], public_key_sha256=public_key_sha256)
    return None


class DeviceCertificates:
    """Reads certificates, each once: who it names follows from its bytes, and whether they may call is asked elsewhere.

    Args:
        most: How many are remembered.
    """

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._read: OrderedDict[bytes, DevicePrincipal | None] = OrderedDict()

    def device(self, peer: Mapping[str, Sequence[bytes]]) -> DevicePrincipal | None:
        """The device at the other end of a connection; None: it is none.

        Args:
            peer: What gRPC says about it.
        """
        names = peer.get("x509_subject_alternative_name", ())
        for pem in peer.get("x509_pem_cert", ()):
            digest = sha256(pem).digest()
            if digest not in self._read:
                self._read[digest] = device_from_certificate(names, _key_of(pem))
                if len(self._read) > self._most:
                    self._read.popitem(last=False)
            return self._read[digest]
        # A key that is nobody's.
        return device_from_certificate(names, b"")


def _key_of(pem: bytes) -> bytes:
    """SHA-256 of a certificate's key."""
    public_key = x509.load_pem_x509_certificate(pem).public_key()
    return sha256(public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).digest()
