"""Objects in RTF: hexadecimal digits among whatever a hostile writer strews between them.

Readers skip control words and, as they please, groups inside the object's own; both readings are members if they
differ.
"""

import re
from collections.abc import Iterator

from agent.scanner.containers import ole_packages
from agent.scanner.containers.budget import Meter
from agent.scanner.containers.family import Content, Family, Member

_START = re.compile(rb"\s{0,64}\{\\rt")
_OBJECT = re.compile(rb"\\(objdata|datastore)(?![a-z])(?:-?\d+)?")
#: In the order they must be tried; what matches none (a stray backslash at the end, other characters) is skipped.
_TOKEN = re.compile(
    rb"(?P<digits>[0-9A-Fa-f]+)|(?P<group>[{}])|\\bin(?P<raw>\d{1,9})? ?|\\'(?:[0-9A-Fa-f]{2})?|\\[a-z]+(?:-?\d+)? ?"
    rb"|\\.|[^0-9A-Fa-f{}\\]+",
    re.DOTALL,
)
_COMPOUND = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
#: How often the clock is looked at, in tokens.
_PATIENCE = 50_000


def recognise(data: bytes) -> bool:
    """By the beginning that Word insists on: a brace and the control word `rt`."""
    return _START.match(data) is not None


def members(content: Content, meter: Meter) -> Iterator[Member]:
    """The objects, and what is wrapped in each."""
    at = number = 0
    while (found := _OBJECT.search(content.data, at)) is not None:
        number += 1
        name = f"{found[1].decode()}-{number}"
        shallow, whole, at = _object_bytes(content.data, found.end(), meter)
        for reading, label in ((shallow, name), (whole, f"{name}-nested")):
            if reading and not (reading is whole and whole == shallow):
                yield Member(label, *meter.take(reading))
                yield from _payloads(reading, label, meter)


def _payloads(data: bytes, name: str, meter: Meter) -> Iterator[Member]:
    payload = ole_packages.ole1_payload(data)
    if payload is not None:
        yield Member(f"{name}/{payload[0]}", *meter.take(payload[1]))
    at = data.find(_COMPOUND, 1)
    # Readers find the document even if the header before it is bent.
    if at > 0 and (payload is None or not payload[1].startswith(_COMPOUND)):
        yield Member(f"{name}/compound", *meter.take(data[at:]))


def _object_bytes(data: bytes, start: int, meter: Meter) -> tuple[bytes, bytes, int]:
    """The object without and with what is in groups inside it, and where its own group ends."""
    digits: tuple[list[bytes], list[bytes]] = ([], [])
    depth = tokens = 0
    at = start
    while depth >= 0 and at < len(data):
        tokens += 1
        if tokens % _PATIENCE == 0:
            meter.budget.seconds_left()
        token = _TOKEN.match(data, at)
        at = token.end() if token else at + 1
        if token is None:
            continue
        found = token["digits"]
        if token["group"]:
            depth += 1 if token["group"] == b"{" else -1
        elif token["raw"]:
            end = at + int(token["raw"])
            found = data[at:end].hex().encode()
            at = end
        if found:
            digits[1].append(found)
            if depth == 0:
                digits[0].append(found)
    shallow, whole = (_from_hex(b"".join(pieces)) for pieces in digits)
    return shallow, whole, at


def _from_hex(digits: bytes) -> bytes:
    return bytes.fromhex(digits[: len(digits) & ~1].decode("ascii"))


FAMILY = Family("rtf", recognise, members)
