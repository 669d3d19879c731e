"""gzip, bzip2 and xz: one stream or several in a row, one member."""

import bz2
import lzma
import re
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from agent.scanner.containers import libarchive_reader
from agent.scanner.containers.budget import Meter
from agent.scanner.containers.family import Content, Family, Member

_INPUT_CHUNK = 64 * 1024
_NOT_ZERO = re.compile(rb"[^\0]")
_GZIP_WINDOW = 16 + zlib.MAX_WBITS
#: What the shell tools strip; `.tgz` hides a `.tar`.
_SUFFIXES = {
    **dict.fromkeys((".gz", ".bz2", ".xz", ".lzma"), ""),
    **dict.fromkeys((".tgz", ".tbz2", ".tbz", ".txz", ".tlz"), ".tar"),
}


class Decompressor(Protocol):
    """The interface `bz2` and `lzma` share."""

    @property
    def eof(self) -> bool: ...  # noqa: D102 -- as documented there
    @property
    def needs_input(self) -> bool: ...  # noqa: D102
    @property
    def unused_data(self) -> bytes: ...  # noqa: D102
    def decompress(self, data: bytes, max_length: int) -> bytes: ...  # noqa: D102


class Inflate:
    """zlib with that interface.

    Args:
        window_bits: As zlib has them, which also tell what is around the stream; gzip's checksum is checked.
    """

    def __init__(self, window_bits: int = _GZIP_WINDOW) -> None:
        self._inflate = zlib.decompressobj(window_bits)

    @property
    def eof(self) -> bool:
        """The stream has ended."""
        return self._inflate.eof

    @property
    def needs_input(self) -> bool:
        """Nothing is left of the input given so far."""
        return not self._inflate.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        """What follows the stream."""
        return self._inflate.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        """Give input, take output."""
        return self._inflate.decompress(self._inflate.unconsumed_tail + data, max_length)


class ConcatenatedStreams:
    """Reads compressed streams that follow one another, as the shell tools do; zero padding between them is skipped.

    Args:
        data: All input.
        magic: What a stream begins with; anything else after a stream is no part of it and is left alone.
        new_decompressor: For each stream.
    """

    def __init__(self, data: bytes, magic: bytes, new_decompressor: Callable[[], Decompressor]) -> None:
        self._data = data
        self._at = 0
        self._magic = magic
        self._new = new_decompressor
        self._stream: Decompressor | None = new_decompressor()

    def read(self, size: int) -> bytes:
        """At most that many bytes; empty at the end.

        Raises:
            EOFError: The input ends inside a stream.
        """
        while self._stream is not None:
            given = b""
            if self._stream.needs_input:
                given = self._data[self._at : self._at + _INPUT_CHUNK]
                self._at += len(given)
            output = self._stream.decompress(given, size)
            if self._stream.eof:
                self._to_next_stream(self._stream)
            elif not output and not given and self._at >= len(self._data):
                raise EOFError("the stream is cut off")
            if output:
                return output
        return b""

    def _to_next_stream(self, ended: Decompressor) -> None:
        self._at -= len(ended.unused_data)
        padded = _NOT_ZERO.search(self._data, self._at)
        self._at = padded.start() if padded else len(self._data)
        self._stream = self._new() if self._data.startswith(self._magic, self._at) else None


@dataclass(frozen=True, slots=True)
class _Compression:
    magic: bytes
    new_decompressor: Callable[[], Decompressor]
    #: Where else to look to be sure: offset and the values allowed there.
    also_at: int = 0
    also: tuple[bytes, ...] = (b"",)

    def recognises(self, data: bytes) -> bool:
        return data.startswith(self.magic) and data.startswith(self.also, self.also_at)

    def members(self, content: Content, meter: Meter) -> Iterator[Member]:
        streams = ConcatenatedStreams(content.data, self.magic, self.new_decompressor)
        data, problem = meter.read_all(streams.read)
        yield Member(inner_name(content.name), data, problem)


def _gzip_members(content: Content, meter: Meter) -> Iterator[Member]:
    for member in _GZIP.members(content, meter):
        yield member
        if member.problem is not None and member.problem.reason == "damaged":
            # zlib keeps back the last piece of a stream whose checksum is wrong; libarchive does not ask for it.
            yield from libarchive_reader.members(content, meter, formats=("raw",), filters=("gzip",), name=member.name)


def inner_name(name: str) -> str:
    """What the tool would call the file it makes of this one; the same name if the suffix is not known."""
    for suffix, replacement in _SUFFIXES.items():
        if name.lower().endswith(suffix):
            return name[: -len(suffix)] + replacement
    return name


#: bzip2 streams begin with a block (the digits of pi) or end at once (those of its root).
_BZIP2_FIRST_BLOCK = (b"\x31\x41\x59\x26\x53\x59", b"\x17\x72\x45\x38\x50\x90")
_GZIP = _Compression(b"\x1f\x8b\x08", Inflate)
_BZIP2 = _Compression(b"BZh", bz2.BZ2Decompressor, 4, _BZIP2_FIRST_BLOCK)
_XZ = _Compression(b"\xfd7zXZ\0", lzma.LZMADecompressor)
#: The usual properties, and a dictionary of whole 64 KiB.
_LZMA = _Compression(b"\x5d\0\0", lambda: lzma.LZMADecompressor(lzma.FORMAT_ALONE))
_LZMA_HEADER = struct.Struct("<xLQB")
_UNKNOWN_SIZE, _LARGEST_SIZE = 0xFFFF_FFFF_FFFF_FFFF, 1 << 38


def _is_lzma(data: bytes) -> bool:
    """The format has no magic; as liblzma does, it is known by sizes that make sense, and a first byte of zero."""
    if not data.startswith(_LZMA.magic) or len(data) < _LZMA_HEADER.size:
        return False
    dictionary, size, first = _LZMA_HEADER.unpack_from(data)
    # A power of two, or half as much again.
    is_round = dictionary.bit_count() == 1 or (dictionary.bit_count() == 2 and dictionary & dictionary << 1)  # noqa: PLR2004
    return bool(is_round) and (size == _UNKNOWN_SIZE or 0 < size < _LARGEST_SIZE) and first == 0


FAMILIES = (
    Family("gzip", _GZIP.recognises, _gzip_members),
    Family("bzip2", _BZIP2.recognises, _BZIP2.members),
    Family("xz", _XZ.recognises, _XZ.members),
    Family("lzma", _is_lzma, _LZMA.members),
)
