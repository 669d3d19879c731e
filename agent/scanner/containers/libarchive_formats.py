"""The formats that libarchive opens for us, one line each; what libarchive makes of each is in `docs/formats.md`."""

from collections.abc import Callable, Iterator

from agent.scanner.containers import libarchive_reader, rar_blocks, second_reader, seven_zip_reader
from agent.scanner.containers.budget import Meter
from agent.scanner.containers.compressed_streams import inner_name
from agent.scanner.containers.family import ContainerError, Content, Family, Member

#: ISO 9660 volume descriptors begin at sector 16; the first one's identifier is one byte in.
_ISO_AT = 16 * 2048 + 1
#: cpio's old binary header, in either byte order: magic 070707.
_CPIO_MAGICS = (b"070701", b"070702", b"070707", b"\xc7\x71", b"\x71\xc7")
#: lha: `-lh5-` and its relatives, two bytes in.
_LHA_AT = 2
_LHA_METHODS = tuple(b"-%s-" % m for m in (b"lh0 lh1 lh2 lh3 lh4 lh5 lh6 lh7 lhd lzs lz4 lz5").split())
_OLD_CPIO_HEADER = 26
_LONGEST_NAME = 4096
_Z_HEADER = 3
#: ar: where the first header and its data stand, and the size in it.
_AR_FIRST, _AR_FIRST_DATA, _AR_SIZE = 8, 68, slice(56, 66)
_AR_OF_7_ZIP = 0xEC
#: An archive longer than this, in bytes, has members; one that shows none has lost them.
_LONGEST_EMPTY = {"7z": 32, "rar": 64, "rar5": 64}
_LONGEST_EMPTY_OTHER = 1024
#: What a Z, zst, lz4 or lz stream is called without its suffix, on top of what `inner_name` knows.
_SUFFIXES = (".zst", ".lz4", ".lz", ".z")


def _begins(*magics: bytes, at: int = 0) -> Callable[[bytes], bool]:
    return lambda data: data.startswith(magics, at)


def _archive(
    name: str,
    recognises: Callable[[bytes], bool],
    *formats: str,
    filters: tuple[str, ...] = ("none",),
) -> Family:
    def members(content: Content, meter: Meter) -> Iterator[Member]:
        empty = len(content.data) > _LONGEST_EMPTY.get(name, _LONGEST_EMPTY_OTHER)
        for member in libarchive_reader.members(content, meter, formats=formats, filters=filters):
            empty = False
            yield member
        if empty:
            raise ContainerError("damaged")

    return Family(name, recognises, members)


def _archive_read_twice(name: str, recognises: Callable[[bytes], bool], format_name: str, format_id: int) -> Family:
    first = _archive(name, recognises, format_name).members

    def members(content: Content, meter: Meter) -> Iterator[Member]:
        return second_reader.members(content, meter, first, format_id)

    return Family(name, recognises, members)


_READ_RAR = _archive_read_twice("rar", _begins(b"Rar!\x1a\x07\x00"), "rar", 0x03)


def _rar_members(content: Content, meter: Meter) -> Iterator[Member]:
    yield from _READ_RAR.members(content, meter)
    if not rar_blocks.is_whole(content.data):
        raise ContainerError("damaged")


_READ_AR = _archive("ar", _begins(b"!<arch>\n"), "ar")


def _ar_members(content: Content, meter: Meter) -> Iterator[Member]:
    if _is_windows_library(content.data):
        return seven_zip_reader.members(content, meter, _AR_OF_7_ZIP)
    return _READ_AR.members(content, meter)


def _is_windows_library(data: bytes) -> bool:
    """Two tables of symbols at the front, where others have one; libarchive cannot read the names behind them."""
    size = data[_AR_SIZE].strip()
    second = _AR_FIRST_DATA + int(size) + int(size) % 2 if size.isdigit() else 0
    return data.startswith(b"/ ", _AR_FIRST) and data.startswith(b"/ ", second)


def _stream(name: str, recognises: Callable[[bytes], bool], filter_name: str) -> Family:
    def members(content: Content, meter: Meter) -> Iterator[Member]:
        return libarchive_reader.members(
            content, meter, formats=("raw",), filters=(filter_name,), name=_without_suffix(content.name)
        )

    return Family(name, recognises, members)


def _without_suffix(name: str) -> str:
    for suffix in _SUFFIXES:
        if name.lower().endswith(suffix):
            return name[: -len(suffix)]
    return inner_name(name)


def _is_old_cpio(data: bytes) -> bool:
    # Two bytes prove nothing; the name's length (bytes 20-21) has to fit and the name has to end with a zero.
    if not data.startswith(_CPIO_MAGICS[3:]) or len(data) < _OLD_CPIO_HEADER:
        return False
    length = int.from_bytes(data[20:22], "little" if data.startswith(_CPIO_MAGICS[3]) else "big")
    end = _OLD_CPIO_HEADER + length
    return 1 < length <= _LONGEST_NAME and end <= len(data) and data[end - 1] == 0


def _is_compress(data: bytes) -> bool:
    # The third byte holds the code width, 9 to 16 bits, and two bits that are never set.
    return data.startswith(b"\x1f\x9d") and len(data) > _Z_HEADER and 9 <= data[2] & 0x7F <= 16  # noqa: PLR2004


FAMILIES = (
    _archive_read_twice("7z", _begins(b"7z\xbc\xaf\x27\x1c"), "7zip", 0x07),
    Family("rar", _READ_RAR.recognises, _rar_members),
    _archive_read_twice("rar5", _begins(b"Rar!\x1a\x07\x01\x00"), "rar5", 0xCC),
    _archive("cpio", lambda data: data.startswith(_CPIO_MAGICS[:3]) or _is_old_cpio(data), "cpio"),
    _archive("iso9660", _begins(b"CD001", at=_ISO_AT), "iso9660"),
    _archive_read_twice("cab", _begins(b"MSCF\0\0\0\0"), "cab", 0x08),
    _archive("xar", _begins(b"xar!"), "xar"),
    _archive("lha", _begins(*_LHA_METHODS, at=_LHA_AT), "lha"),
    Family("ar", _begins(b"!<arch>\n"), _ar_members),
    _archive("rpm", _begins(b"\xed\xab\xee\xdb"), "cpio", filters=("rpm", "gzip", "bzip2", "xz", "lzma", "zstd")),
    _stream("zstd", _begins(b"\x28\xb5\x2f\xfd"), "zstd"),
    _stream("lz4", _begins(b"\x04\x22\x4d\x18"), "lz4"),
    _stream("compress", _is_compress, "compress"),
    _stream("lzip", _begins(b"LZIP\x01"), "lzip"),
)
