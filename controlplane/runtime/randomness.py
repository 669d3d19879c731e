"""Randomness comes in from outside, so that tests can repeat it."""

import secrets
from typing import Protocol


class Randomness(Protocol):
    """The only way to be unpredictable."""

    def token_bytes(self, count: int) -> bytes:
        """Bytes fit for keys and ids."""


class SystemRandomness:
    """The operating system's generator."""

    def token_bytes(self, count: int) -> bytes:
        """Bytes fit for keys and ids."""
        return secrets.token_bytes(count)


def new_id(randomness: Randomness, prefix: str) -> str:
    """An id that names its kind and cannot be guessed, e.g. `dev_5f0c…` (80 random bits in hex)."""
    return f"{prefix}_{randomness.token_bytes(10).hex()}"
