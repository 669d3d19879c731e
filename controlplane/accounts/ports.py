"""What accounts need from outside."""

from typing import Protocol


class Sealer(Protocol):
    """Keeps a secret of somebody's so that a copy of the database does not give it away."""

    def seal(self, secret: bytes, bound_to: str) -> bytes:
        """Encrypt; only `open` with the same `bound_to` gives it back, so that rows cannot be swapped."""

    def open(self, sealed: bytes, bound_to: str) -> bytes:
        """Decrypt.

        Raises:
            Refusal: SEAL_BROKEN, it was sealed with another key or for somebody else.
        """
