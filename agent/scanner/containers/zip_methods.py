"""How members of a zip are packed (APPNOTE 4.4.5): the usual ways with the standard library, the rest with 7-Zip."""

import bz2
import lzma
import struct
import zlib
from collections.abc import Callable

from agent.scanner.containers import seven_zip_reader
from agent.scanner.containers.budget import CHUNK, Meter
from agent.scanner.containers.compressed_streams import Decompressor, Inflate
from agent.scanner.containers.family import ContainerError
from agent.scanner.containers.zip_records import Record

_INPUT_CHUNK = 64 * 1024
_STORED, _LZMA = 0, 14
#: Shrink, implode, deflate64, zstd (before and after it got its number), PPMd.
_SEVEN_ZIP_METHODS = frozenset({1, 6, 9, 20, 93, 98})
_SEVEN_ZIP_FORMAT = 0x01
#: Options of the method: sizes of implode's dictionary, end mark of LZMA.
_METHOD_FLAGS = 0b110
_LZMA_HEADER = struct.Struct("<2xHBL")
_LZMA_PROPERTIES = 5
_MOST_LZMA_PROPERTIES = 9 * 5 * 5


_NEW_DECOMPRESSOR: dict[int, Callable[[], Decompressor]] = {
    8: lambda: Inflate(-zlib.MAX_WBITS),
    12: bz2.BZ2Decompressor,
    95: lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ),
}


def is_known(method: int) -> bool:
    """Whether members packed this way can be unpacked, if 7-Zip is there."""
    return method in {_STORED, _LZMA} or method in _NEW_DECOMPRESSOR or method in _SEVEN_ZIP_METHODS


def ends_by_itself(method: int) -> bool:
    """Whether the packed bytes tell where they end."""
    return method in _NEW_DECOMPRESSOR or method == _LZMA


class Unpacking:
    """Unpacks one member.

    Args:
        record: What is said about it.
        packed: Its bytes in the archive, or more.
        meter: Enforces the limits.
    """

    def __init__(self, record: Record, packed: memoryview, meter: Meter) -> None:
        self._record = record
        self._packed = packed
        self._meter = meter
        #: How many of the packed bytes it took; none if their end was not found.
        self.consumed = 0 if ends_by_itself(record.method) else len(packed)

    def run(self, write: Callable[[bytes], None]) -> str | None:
        """Hand the unpacked bytes out.

        Returns:
            Why they are not all; None: no reason is known, the checksum has the last word.
        """
        method = self._record.method
        if method == _STORED:
            write(bytes(self._packed))
            return None
        if method in _NEW_DECOMPRESSOR:
            return self._decompress(_NEW_DECOMPRESSOR[method](), 0, write)
        if method == _LZMA:
            decompressor, start = _lzma_decompressor(self._packed)
            # It need not have an end mark: then the checksum tells.
            self._decompress(decompressor, start, write)
            self.consumed = self.consumed or len(self._packed)
            return None
        if method in _SEVEN_ZIP_METHODS:
            try:
                return seven_zip_reader.unpack_first(self._on_its_own(), self._meter, _SEVEN_ZIP_FORMAT, write)
            except ContainerError as error:
                return error.reason
        return "no_unpacker"

    def _decompress(self, decompressor: Decompressor, start: int, write: Callable[[bytes], None]) -> str | None:
        at = start
        while not decompressor.eof:
            given = bytes(self._packed[at : at + _INPUT_CHUNK]) if decompressor.needs_input else b""
            at += len(given)
            output = decompressor.decompress(given, CHUNK)
            if output:
                write(output)
            elif not given and at >= len(self._packed):
                return "damaged"
        self.consumed = at - len(decompressor.unused_data)
        return None

    def _on_its_own(self) -> bytes:
        """An archive with nothing in it but this member."""
        record = self._record
        flags, size = record.flags & _METHOD_FLAGS, min(record.size, 0xFFFF_FFFE)
        facts = struct.pack("<3H4x3L", 20, flags, record.method, record.crc, len(self._packed), size)
        local = b"PK\x03\x04" + facts + struct.pack("<2H", 1, 0) + b"x"
        central = b"PK\x01\x02\x14\0" + facts + struct.pack("<5H2L", 1, 0, 0, 0, 0, 0, 0) + b"x"
        start = len(local) + len(self._packed)
        end = b"PK\x05\x06" + struct.pack("<4H2LH", 0, 0, 1, 1, len(central), start, 0)
        return b"".join((local, self._packed, central, end))


def _lzma_decompressor(packed: memoryview) -> tuple[lzma.LZMADecompressor, int]:
    """For LZMA as zip has it (APPNOTE 5.8.8), and where its data begins."""
    length, properties, dictionary = _LZMA_HEADER.unpack_from(packed)
    if length != _LZMA_PROPERTIES or properties >= _MOST_LZMA_PROPERTIES:
        raise ContainerError("damaged")
    rest, lc = divmod(properties, 9)
    pb, lp = divmod(rest, 5)
    filters = [{"id": lzma.FILTER_LZMA1, "dict_size": dictionary, "lc": lc, "lp": lp, "pb": pb}]
    return lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=filters), _LZMA_HEADER.size
