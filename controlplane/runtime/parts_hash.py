"""One hash over several texts, so that no two lists of texts look alike."""

import hashlib
from collections.abc import Iterable


def parts_sha256(parts: Iterable[str]) -> bytes:
    """SHA-256 over the parts in their order, each behind its length."""
    digest = hashlib.sha256()
    for part in parts:
        encoded = part.encode()
        digest.update(len(encoded).to_bytes(8, "big"))
        digest.update(encoded)
    return digest.digest()
