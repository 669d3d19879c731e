"""VBA source out of the streams that Office keeps it in ([MS-OVBA] sections 2.3.4.2 and 2.4.1)."""

import re
import struct
from collections.abc import Callable, Iterator

from agent.scanner.containers.family import ContainerError

#: A compressed container: signature byte 1, a chunk header marked compressed, and the word every module begins with.
_MODULE = re.compile(rb"\x01.[\xb0-\xbf]\x00Attribut", re.DOTALL)
_CHUNK = 4096
_CHUNK_SIGNATURE, _COMPRESSED = 0x3000, 0x8000
#: Bits of a copy token at the beginning of a chunk that tell how far back; the rest tell how long.
_FEWEST_OFFSET_BITS = 4
_SHORTEST_COPY = 3
_RECORD = struct.Struct("<HI")
_PROJECT_VERSION, _STREAM_NAME, _TEXT_OFFSET = 0x0009, 0x001A, 0x0031
_PROJECT_VERSION_SIZE = 6


def decompressor(data: bytes, start: int) -> Callable[[int], bytes]:
    """A reader of the compressed container at an offset; it gives one chunk (at most 4,096 bytes) at a time.

    Reading raises `ContainerError` (`damaged`) where the container contradicts itself.
    """
    chunks = _chunks(data, start)
    return lambda _size: next(chunks, b"")


def find_modules(data: bytes) -> Iterator[int]:
    """Where compressed module source begins, found by what it looks like."""
    return (match.start() for match in _MODULE.finditer(data))


def module_offsets(directory: bytes) -> dict[str, int]:
    """Where in its stream each module's source begins, by the stream's name in lower case.

    Args:
        directory: The project's `dir` stream, decompressed. What cannot be read of it is left out.
    """
    offsets: dict[str, int] = {}
    name = ""
    at = 0
    while at + _RECORD.size <= len(directory):
        kind, size = _RECORD.unpack_from(directory, at)
        at += _RECORD.size
        if kind == _PROJECT_VERSION:
            # Its size field says 4 and 6 bytes follow.
            size = _PROJECT_VERSION_SIZE
        value = directory[at : at + size]
        if kind == _STREAM_NAME:
            name = value.decode("latin-1").lower()
        elif kind == _TEXT_OFFSET:
            offsets[name] = int.from_bytes(value[:4], "little")
        at += size
    return offsets


def _chunks(data: bytes, start: int) -> Iterator[bytes]:
    if data[start : start + 1] != b"\x01":
        raise ContainerError("damaged")
    at = start + 1
    while at + 2 <= len(data):
        header = int.from_bytes(data[at : at + 2], "little")
        if header & 0x7000 != _CHUNK_SIGNATURE:
            raise ContainerError("damaged")
        end = at + (header & 0x0FFF) + 3
        body = data[at + 2 : end]
        yield _chunk(body) if header & _COMPRESSED else body
        if end > len(data):
            raise ContainerError("damaged")
        at = end


def _chunk(body: bytes) -> bytes:
    out = bytearray()
    at = 0
    while at < len(body) and len(out) < _CHUNK:
        flags = body[at]
        at += 1
        for bit in range(8):
            if at >= len(body):
                break
            if flags >> bit & 1:
                if at + 2 > len(body):
                    raise ContainerError("damaged")
                _copy(out, int.from_bytes(body[at : at + 2], "little"))
                at += 2
            else:
                out.append(body[at])
                at += 1
    return bytes(out)


def _copy(out: bytearray, token: int) -> None:
    offset_bits = max(_FEWEST_OFFSET_BITS, (len(out) - 1).bit_length())
    back = (token >> (16 - offset_bits)) + 1
    length = (token & (0xFFFF >> offset_bits)) + _SHORTEST_COPY
    if back > len(out):
        raise ContainerError("damaged")
    # The piece may reach into what it is about to write: it then repeats.
    piece = out[-back:]
    out += (piece * (length // back + 1))[:length]
