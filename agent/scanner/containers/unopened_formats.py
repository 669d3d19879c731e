"""Containers that nothing here opens: recognised, so that they are incomplete and never clean."""

from collections.abc import Callable, Iterator
from typing import NoReturn

from agent.scanner.containers.budget import Meter
from agent.scanner.containers.family import ContainerError, Content, Family, Member

#: Encrypted disk images of macOS: version 2 begins with it, version 1 ends with it.
_ENCRYPTED_DMG, _OLD_ENCRYPTED_DMG = b"encrcdsa", b"cdsaencr"
#: kwaj, szdd as QBasic had it, alz, egg, lzop, lrzip, stuffit 5
_MAGICS = (
    b"KWAJ\x88\xf0\x27\xd1",
    b"SZ \x88\xf0\x27\x33\xd1",
    b"ALZ\x01",
    b"EGGA\0\x01",
    b"\x89LZO\0\r\n\x1a\n",
    b"LRZI\0",
    b"StuffIt (c)1997-",
)
_ACE_AT, _ACE = 7, b"**ACE**"
_STUFFIT_AT, _STUFFIT = 10, b"rLau"
_ZOO_AT, _ZOO = 20, b"\xdc\xa7\xc4\xfd"
#: What installers append to their program (Inno Setup packed and stored, InstallShield twice), and InstallShield's
#: cabinets.
_INSTALLERS = (b"zlb\x1a", b"idska32\x1a", b"InstallShield\0", b"ISSetupStream\0", b"ISc(")
#: A compiled AutoIt script: a resource, or appended.
_AUTOIT = bytes.fromhex("a3484bbe986c4aa9994c530a86d6487d")


def _is_unopened(data: bytes) -> bool:
    return (
        data.startswith(_MAGICS)
        or data.startswith(_ACE, _ACE_AT)
        or data.startswith(_STUFFIT, _STUFFIT_AT)
        or data.startswith(_ZOO, _ZOO_AT)
    )


def _is_installer(data: bytes) -> bool:
    return data.startswith(_INSTALLERS) or data.startswith(_AUTOIT)


def _is_encrypted_dmg(data: bytes) -> bool:
    return data.startswith(_ENCRYPTED_DMG) or data.endswith(_OLD_ENCRYPTED_DMG)


def refuse(reason: str) -> Callable[[Content, Meter], Iterator[Member]]:
    """Members of a container that is told instead of opened."""

    def members(_content: Content, _meter: Meter) -> NoReturn:
        raise ContainerError(reason)

    return members


FAMILIES = (
    Family("dmg, encrypted", _is_encrypted_dmg, refuse("encrypted")),
    Family("unopened", _is_unopened, refuse("no_unpacker")),
    Family("installer", _is_installer, refuse("no_unpacker")),
)
