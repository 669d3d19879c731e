"""The chain of blocks of a rar 3 archive: both libraries take a bent header for the end of it, and say nothing."""

import struct
import zlib

_MARKER_SIZE = 7
#: Checksum of the rest of the header, type, flags, size of the header.
_HEADER = struct.Struct("<HBHH")
_ARCHIVE, _FILE, _END = 0x73, 0x74, 0x7B
#: Something follows the header, and its size stands behind the first seven bytes.
_HAS_DATA = 0x8000
_SIZE_AT, _HIGH_SIZE_AT, _FILE_HEADER_SIZE = 7, 32, 36
_IS_LARGE = 0x100
#: A comment inside the header is not part of what the checksum covers.
_COMMENTED = {_ARCHIVE: 0x02, _FILE: 0x08}


def is_whole(data: bytes) -> bool:
    """Whether every header is right, up to the block that ends the archive or to the end of the file."""
    at = _MARKER_SIZE
    while at + _HEADER.size <= len(data):
        checksum, kind, flags, size = _HEADER.unpack_from(data, at)
        header = data[at : at + size]
        if size < _HEADER.size or len(header) < size:
            return False
        if not flags & _COMMENTED.get(kind, 0) and zlib.crc32(header[2:]) & 0xFFFF != checksum:
            return False
        if kind == _END:
            return True
        at += size + _following(header, kind, flags)
    return at == len(data)


def _following(header: bytes, kind: int, flags: int) -> int:
    if not flags & _HAS_DATA:
        return 0
    size = int.from_bytes(header[_SIZE_AT : _SIZE_AT + 4], "little")
    if kind == _FILE and flags & _IS_LARGE and len(header) >= _FILE_HEADER_SIZE:
        size |= int.from_bytes(header[_HIGH_SIZE_AT : _HIGH_SIZE_AT + 4], "little") << 32
    return size
