"""Archives of another age, built in memory."""

import binascii
import struct
import zlib
from collections.abc import Mapping


def arj_of(members: Mapping[str, bytes], flags: int = 0) -> bytes:
    """An arj archive, stored. Flags: 1: its members are encrypted; 4: it goes on in the next volume."""
    out = _arj_header(b"a.arj", flags & 4, 2, (0, 0, 0))
    for name, data in members.items():
        out += _arj_header(name.encode(), flags, 0, (len(data), len(data), zlib.crc32(data))) + data
    return out + b"\x60\xea\0\0"


def _arj_header(name: bytes, flags: int, kind: int, sizes: tuple[int, int, int]) -> bytes:
    body = struct.pack("<8BL3L3H", 30, 11, 1, 2, flags, 0, kind, 0, 0, *sizes, 0, 0, 0) + name + b"\0\0"
    return b"\x60\xea" + struct.pack("<H", len(body)) + body + struct.pack("<LH", zlib.crc32(body), 0)


def szdd_of(data: bytes) -> bytes:
    """What `compress.exe` of MS-DOS made, with every byte a literal."""
    pieces = b"".join(b"\xff" + data[at : at + 8] for at in range(0, len(data), 8))
    return b"SZDD\x88\xf0\x27\x33A\0" + struct.pack("<L", len(data)) + pieces


_CHUNK = 4096
_ONE_SECTION = struct.pack("<3H", 16, 1, 12) + "Uncompressed\0".encode("utf-16-le")


def chm_of(members: Mapping[str, bytes]) -> bytes:
    """Compiled HTML help with its files in the section that is not packed."""
    entries, contents = b"", b""
    listed = {f"/{name}": data for name, data in members.items()} | {"::DataSpace/NameList": _ONE_SECTION}
    for name, data in listed.items():
        raw = name.encode()
        entries += _encoded(len(raw)) + raw + _encoded(0) + _encoded(len(contents)) + _encoded(len(data))
        contents += data
    assert len(entries) < _CHUNK - 64, "one chunk of directory"
    free = _CHUNK - 20 - len(entries)
    chunk = struct.pack("<4sLLll", b"PMGL", free, 0, -1, -1) + entries
    chunk = chunk.ljust(_CHUNK - 2, b"\0") + struct.pack("<H", len(listed))
    directory = struct.pack("<4s4L2L", b"ITSP", 1, 0x54, 10, _CHUNK, 2, 1)
    directory += struct.pack("<lLLlLL16sL3l", -1, 0, 0, -1, 1, 0x409, bytes(16), 0x54, -1, -1, -1)
    directory += chunk
    start = 0x60 + 0x18
    total = start + len(directory) + len(contents)
    header = struct.pack("<4s3L2L32s", b"ITSF", 3, 0x60, 1, 0, 0x409, bytes(32))
    header += struct.pack("<5Q", 0x60, 0x18, start, len(directory), start + len(directory))
    return header + struct.pack("<2LQ2L", 0x1FE, 0, total, 0, 0) + directory + contents


def _encoded(value: int) -> bytes:
    out = bytes([value & 0x7F])
    while value := value >> 7:
        out = bytes([value & 0x7F | 0x80]) + out
    return out


_HQX = b"!\"#$%&'()*+,-012345689@ABCDEFGHIJKLMNPQRSTUVXYZ[`abcdefhijklmpqr"
_TO_HQX = bytes.maketrans(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/", _HQX)


def binhex_of(name: str, data: bytes, resources: bytes = b"") -> bytes:
    """A BinHex 4.0 file; repeated bytes are run lengths."""
    head = bytes([len(name)]) + name.encode() + struct.pack(">x4s4sH2L", b"TEXT", b"ttxt", 0, len(data), len(resources))
    raw = b"".join(part + struct.pack(">H", binascii.crc_hqx(part, 0)) for part in (head, data, resources))
    packed = bytearray()
    at = 0
    while at < len(raw):
        length = 1
        while length < 255 and raw[at : at + 1] == raw[at + length : at + length + 1]:
            length += 1
        packed += b"\x90\0" if raw[at] == 0x90 else raw[at : at + 1]
        packed += bytes([0x90, length]) if length > 1 else b""
        at += length
    size = -(-len(packed) * 8 // 6)
    text = binascii.b2a_base64(bytes(packed) + b"\0\0\0", newline=False)[:size].translate(_TO_HQX)
    lines = b"\r\n".join(text[at : at + 64] for at in range(0, len(text), 64))
    return b"(This file must be converted with BinHex 4.0)\r\n:" + lines + b":\r\n"
