"""TNEF, the `winmail.dat` of Outlook ([MS-OXTNEF]): attachments and the message's own properties."""

import struct
from collections.abc import Iterator

from agent.domain.facts import Incomplete
from agent.scanner.containers.budget import Meter
from agent.scanner.containers.family import ContainerError, Content, Family, Member

_SIGNATURE = b"\x78\x9f\x3e\x22"
_HEADER_SIZE = 6
#: Level, identifier, length; the data and a checksum of two bytes follow.
_ATTRIBUTE = struct.Struct("<BII")
_CHECKSUM_SIZE = 2
_MESSAGE, _ATTACHMENT = 1, 2
_BEGIN, _TITLE, _DATA = 0x00069002, 0x00018010, 0x0006800F
#: Shorter attributes are dates, numbers and identifiers; any longer one can carry something, whatever it calls itself.
_SHORTEST = 32
_COMPOUND = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"


def recognise(data: bytes) -> bool:
    """By its signature, and an attribute that belongs to a message or to an attachment."""
    return data.startswith(_SIGNATURE) and data[_HEADER_SIZE : _HEADER_SIZE + 1] in {b"\x01", b"\x02"}


def members(content: Content, meter: Meter) -> Iterator[Member]:
    """The attachments under their titles, and the properties that could hold more."""
    data = content.data
    at = _HEADER_SIZE
    number = 0
    pending: tuple[bytes, Incomplete | None] | None = None
    title = ""
    while at < len(data):
        if at + _ATTRIBUTE.size > len(data):
            break
        level, kind, size = _ATTRIBUTE.unpack_from(data, at)
        start = at + _ATTRIBUTE.size
        if level not in {_MESSAGE, _ATTACHMENT}:
            break
        value = data[start : start + size]
        problem = Incomplete("damaged") if start + size > len(data) else None
        at = start + size + _CHECKSUM_SIZE
        if kind == _BEGIN:
            if pending is not None:
                yield _attachment(pending, title, number, meter)
            pending, title = None, ""
            number += 1
        elif kind == _TITLE:
            title = value.rstrip(b"\0").decode("latin-1")
        elif kind == _DATA:
            if pending is not None:
                yield _attachment(pending, title, number, meter)
            pending = (value, problem)
        elif len(value) >= _SHORTEST:
            yield from _properties(value, f"properties-{number}", problem, meter)
    if pending is not None:
        yield _attachment(pending, title, number, meter)
    if at != len(data):
        raise ContainerError("damaged")


def _attachment(pending: tuple[bytes, Incomplete | None], title: str, number: int, meter: Meter) -> Member:
    data, problem = meter.take(pending[0])
    return Member(title or f"attachment-{number}", data, problem or pending[1])


def _properties(value: bytes, name: str, problem: Incomplete | None, meter: Meter) -> Iterator[Member]:
    data, reached = meter.take(value)
    yield Member(name, data, reached or problem)
    # Embedded objects and messages (PR_ATTACH_DATA_OBJ) stand inside the properties.
    for magic in (_COMPOUND, _SIGNATURE):
        at = value.find(magic, 1)
        if at > 0:
            yield Member(f"{name}/object", *meter.take(value[at:]))


FAMILY = Family("tnef", recognise, members)
