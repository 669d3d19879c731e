"""The bytes a string of a rule must begin with, where they are fixed."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import product
from typing import Literal

KNOWN_PREFIX = 8  # more tells families of files apart no better, and would only make the heads longer
MAX_SPELLINGS = 16  # a nocase string is known by as many letters as keep its spellings below this

_HEX_PAIRS = re.compile(r"\{((?:\s*[0-9A-Fa-f]{2})*)")
_ESCAPED = re.compile(r'\\(?:x([0-9A-Fa-f]{2})|(["\\trn]))|([^\\])', re.DOTALL)
_ESCAPES = {'"': b'"', "\\": b"\\", "t": b"\t", "r": b"\r", "n": b"\n"}
_ENCODED = ("xor", "base64", "base64wide")


@dataclass(frozen=True, slots=True)
class StringDefinition:
    """One entry of a rule's `strings:` section.

    Attributes:
        name: With its `$`; an anonymous string is just `$`.
        kind: How it is written.
        value: As written in the source, text without its quotes.
        modifiers: As written, e.g. `wide` or `xor(0x01-0xff)`.
        written: The whole definition, as written.
    """

    name: str
    kind: Literal["text", "byte", "regex"]
    value: str
    modifiers: tuple[str, ...] = ()
    written: str = ""


def leading_bytes(string: StringDefinition) -> tuple[bytes, ...] | None:
    """Return the alternatives an occurrence of the string starts with, or None when they are not fixed.

    An alternative may be shorter than the string, never longer.
    """
    if string.kind == "regex" or any(modifier.startswith(_ENCODED) for modifier in string.modifiers):
        return None
    if string.kind == "byte":
        spellings: tuple[bytes, ...] = (_hex_prefix(string.value),)
    else:
        spellings = _spellings(_text_prefix(string.value), nocase="nocase" in string.modifiers)
    if "wide" in string.modifiers:
        wide = tuple(bytes(byte for letter in spelling for byte in (letter, 0)) for spelling in spellings)
        spellings = wide + spellings if "ascii" in string.modifiers else wide
    shortened = tuple(spelling[:KNOWN_PREFIX] for spelling in spellings)
    return None if b"" in shortened else shortened


def _hex_prefix(value: str) -> bytes:
    found = _HEX_PAIRS.match(value)
    return bytes.fromhex(found.group(1)) if found else b""


def _text_prefix(value: str) -> bytes:
    """Return the unescaped text up to the first byte whose encoding we would have to guess."""
    prefix = bytearray()
    position = 0
    while len(prefix) < KNOWN_PREFIX and (found := _ESCAPED.match(value, position)):
        in_hex, escaped, plain = found.groups()
        if in_hex:
            prefix += bytes.fromhex(in_hex)
        elif escaped:
            prefix += _ESCAPES[escaped]
        elif plain.isascii():
            prefix += plain.encode()
        else:
            break
        position = found.end()
    return bytes(prefix)


def _spellings(prefix: bytes, *, nocase: bool) -> tuple[bytes, ...]:
    if not nocase:
        return (prefix,)
    letters: list[set[bytes]] = []
    spellings = 1
    for value in prefix:
        letter = bytes([value])
        cases = {letter.lower(), letter.upper()}
        spellings *= len(cases)
        if spellings > MAX_SPELLINGS:
            break
        letters.append(cases)
    return tuple(b"".join(spelling) for spelling in product(*(sorted(cases) for cases in letters)))
