"""One hash over several byte strings, so that no two lists of them look alike."""

import hashlib
from collections.abc import Iterable


def parts_sha256(parts: Iterable[bytes], *, seed: bytes = b"") -> str:
    """SHA-256, hex, over a seed and then the parts in their order, each behind its length."""
    digest = hashlib.sha256(seed)
    for part in parts:
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.hexdigest()
