"""The formats that 7-Zip's library opens for us, one line each."""

from collections.abc import Callable, Iterator

from agent.scanner.containers import seven_zip_reader
from agent.scanner.containers.budget import Meter
from agent.scanner.containers.family import ContainerError, Content, Family, Member

#: ISO 9660 and UDF announce themselves from sector 16 on, one descriptor a sector; an identifier is one byte in.
_DESCRIPTORS_AT, _SECTOR, _MOST_DESCRIPTORS = 16 * 2048 + 1, 2048, 16
_DESCRIPTORS = (b"BEA01", b"CD001", b"NSR02", b"NSR03", b"TEA01", b"BOOT2", b"CDW02")
_UDF_DESCRIPTORS = (b"NSR02", b"NSR03")
#: The trailer of a disk image: `koly`, version 4, its own size.
_DMG_TRAILER, _DMG_TRAILER_SIZE = b"koly\0\0\0\x04\0\0\x02\0", 512
_HFS_AT, _HFS_PLUS = 1024, (b"H+\0\x04", b"HX\0\x05")
#: A volume of old that only wraps one of HFS+.
_HFS, _WRAPPED_AT, _WRAPPED = b"BD", 1024 + 124, b"H+"
_APFS_AT, _APFS = 32, b"NXSB"
_ARJ, _ARJ_SIZES, _ARJ_TYPE_AT, _ARJ_MAIN_HEADER = b"\x60\xea", range(30, 2601), 10, 2

_NSIS_AT, _NSIS = 4, b"\xef\xbe\xad\xdeNullsoftInst"
_ARJ_FLAGS_AT, _ARJ_GOES_ON, _ARJ_FORMAT = 8, 4, 0x04


def _is_arj(data: bytes) -> bool:
    return (
        data.startswith(_ARJ)
        and int.from_bytes(data[2:4], "little") in _ARJ_SIZES
        and data[_ARJ_TYPE_AT : _ARJ_TYPE_AT + 1] == bytes([_ARJ_MAIN_HEADER])
    )


def _is_udf(data: bytes) -> bool:
    for at in range(_DESCRIPTORS_AT, _DESCRIPTORS_AT + _MOST_DESCRIPTORS * _SECTOR, _SECTOR):
        if data.startswith(_UDF_DESCRIPTORS, at):
            return True
        # With sectors of 4,096 bytes every other one is empty.
        if not data.startswith(_DESCRIPTORS, at) and not (at - _DESCRIPTORS_AT) // _SECTOR % 2:
            return False
    return False


def _is_dmg(data: bytes) -> bool:
    return data.startswith(_DMG_TRAILER, max(0, len(data) - _DMG_TRAILER_SIZE))


def _is_hfs(data: bytes) -> bool:
    return data.startswith(_HFS_PLUS, _HFS_AT) or (
        data.startswith(_HFS, _HFS_AT) and data.startswith(_WRAPPED, _WRAPPED_AT)
    )


def _is_nsis(data: bytes) -> bool:
    # What an installer of NSIS appends to its program: flags, then these.
    return data.startswith(_NSIS, _NSIS_AT)


def _arj_members(content: Content, meter: Meter) -> Iterator[Member]:
    yield from seven_zip_reader.members(content, meter, _ARJ_FORMAT)
    if content.data[_ARJ_FLAGS_AT] & _ARJ_GOES_ON:
        raise ContainerError("multi_volume")


def _archive(name: str, recognises: Callable[[bytes], bool], format_id: int) -> Family:
    def members(content: Content, meter: Meter) -> Iterator[Member]:
        return seven_zip_reader.members(content, meter, format_id)

    return Family(name, recognises, members)


FAMILIES = (
    Family("arj", _is_arj, _arj_members),
    _archive("szdd", lambda data: data.startswith(b"SZDD\x88\xf0\x27\x33"), 0xD5),
    _archive("chm", lambda data: data.startswith((b"ITSF\x02\0\0\0", b"ITSF\x03\0\0\0", b"ITSF\x04\0\0\0")), 0xE9),
    _archive("udf", _is_udf, 0xE0),
    _archive("dmg", _is_dmg, 0xE4),
    _archive("hfs", _is_hfs, 0xE3),
    _archive("nsis", _is_nsis, 0x09),
    _archive("apfs", lambda data: data.startswith(_APFS, _APFS_AT), 0xC3),
)
