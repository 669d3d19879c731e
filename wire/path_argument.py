"""Paths are any bytes; arguments of commands are text. Printable ASCII stays as it is, the rest is percent-encoded."""

from typing import Final
from urllib.parse import quote_from_bytes, unquote_to_bytes

_AS_IT_IS: Final = "".join(chr(code) for code in range(0x20, 0x7F) if chr(code) != "%")


def path_to_argument(path: bytes) -> str:
    """A path as text."""
    return quote_from_bytes(path, safe=_AS_IT_IS)


def path_from_argument(untrusted_text: str) -> bytes:
    """The path that a text stands for."""
    return unquote_to_bytes(untrusted_text)
