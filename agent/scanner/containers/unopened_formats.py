"""Containers that nothing here opens: recognised, so that they are incomplete and never clean."""

from collections.abc import Callable, Iterator
from typing import NoReturn

from agent.scanner.containers.budget import Meter
from agent.scanner.containers.family import ContainerError, Content, Family, Member

#: Encrypted disk images of macOS: version 2 begins with it, version 1 ends with it.
_ENCRYPTED_DMG, _OLD_ENCRYPTED_DMG = b"encrcdsa", b"cdsaencr"
#: By name: magic, and where it stands.
_NO_UNPACKER = {
    "kwaj": (b"KWAJ\x88\xf0\x27\xd1", 0),
    "szdd of QBasic": (b"SZ \x88\xf0\x27\x33\xd1", 0),
    "ace": (b"**ACE**", 7),
    "alz": (b"ALZ\x01", 0),
    "egg": (b"EGGA\0\x01", 0),
    "lzop": (b"\x89LZO\0\r\n\x1a\n", 0),
    "lrzip": (b"LRZI\0", 0),
    "stuffit": (b"rLau", 10),
    "stuffit 5": (b"StuffIt (c)1997-", 0),
    "zoo": (b"\xdc\xa7\xc4\xfd", 20),
}


def _is_encrypted_dmg(data: bytes) -> bool:
    return data.startswith(_ENCRYPTED_DMG) or data.endswith(_OLD_ENCRYPTED_DMG)


def _has(magic: bytes, at: int) -> Callable[[bytes], bool]:
    return lambda data: data.startswith(magic, at)


def _refuse(reason: str) -> Callable[[Content, Meter], Iterator[Member]]:
    def members(_content: Content, _meter: Meter) -> NoReturn:
        raise ContainerError(reason)

    return members


FAMILIES = (
    Family("dmg, encrypted", _is_encrypted_dmg, _refuse("encrypted")),
    *(Family(name, _has(*magic), _refuse("no_unpacker")) for name, magic in _NO_UNPACKER.items()),
)
