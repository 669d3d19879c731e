"""Archives that contain themselves, after the construction in Russ Cox, "Zip Files All the Way Down" (2010).

A deflate stream is a program of two instructions, "print these n bytes" and "print the last n bytes printed again".
All instructions are padded to the same length, so that the program below, which prints itself with what stands before
and behind it, can be written down as a sequence of them.
"""

import struct
import zlib
from collections.abc import Iterator

from tests.fakes.hostile.case import Case, Expected

#: Bytes of every instruction.
_UNIT = 30
_FINAL_BLOCK = b"\x01\x00\x00\xff\xff"
_CHECKSUM = 0x5CA1AB1E
#: deflate's codes for lengths up to 258 and distances up to 384: first value, extra bits ([RFC 1951] 3.2.5).
_LENGTHS = [(3 + i, 0) for i in range(8)] + [
    (base, extra)
    for extra, bases in enumerate(((11, 13, 15, 17), (19, 23, 27, 31), (35, 43, 51, 59), (67, 83, 99, 115)), 1)
    for base in bases
] + [(131, 5), (163, 5), (195, 5), (227, 5)]  # fmt: skip
_DISTANCES = [(1, 0), (2, 0), (3, 0), (4, 0)] + [
    (base, extra)
    for extra, bases in enumerate(((5, 7), (9, 13), (17, 25), (33, 49), (65, 97), (129, 193), (257, 385)), 1)
    for base in bases
]


def quine_cases() -> Iterator[Case]:
    """A gzip and a zip that unpack to themselves, for ever."""
    yield Case("quine.gzip.0", gzip_quine(), Expected.NOT_CLEAN)
    yield Case("quine.zip.0", zip_quine(), Expected.NOT_CLEAN)


def gzip_quine() -> bytes:
    """A gzip whose content is the gzip."""
    prefix = b"\x1f\x8b\x08" + bytes(7)
    size = len(_self_printing(prefix, bytes(8), bytes(4)))
    return _with_right_checksum(prefix, struct.pack("<2L", _CHECKSUM, size))


def zip_quine() -> bytes:
    """A zip whose only member is the zip."""
    name = b"r.zip"
    size = packed = 0
    prefix = suffix = b""
    for _ in range(2):
        fields = struct.pack("<5H3L2H", 20, 0, 8, 0, 33, _CHECKSUM, packed, size, len(name), 0)
        prefix = b"PK\x03\x04" + fields + name
        central = b"PK\x01\x02\x14\x00" + fields + bytes(14) + name
        directory = size - len(central) - 22
        suffix = central + b"PK\x05\x06" + struct.pack("<4H2LH", 0, 0, 1, 1, len(central), max(0, directory), 0)
        size = len(_self_printing(prefix, suffix, bytes(4)))
        packed = size - len(prefix) - len(suffix)
    return _with_right_checksum(prefix, suffix)


def _self_printing(prefix: bytes, suffix: bytes, free: bytes) -> bytes:
    """The program; `free` are bytes that may be anything."""
    end = _FINAL_BLOCK + suffix
    last = _again(_UNIT + len(end)) + end
    rest = free + bytes(4 * _UNIT - len(last) - len(free)) + last
    own, four_again, four = _again(len(prefix) + _UNIT), _again(4 * _UNIT), _print(4 * _UNIT)
    opening = prefix + _print(len(prefix) + _UNIT)
    program = opening + opening + own + _print(_UNIT) + own
    program += four + _print(_UNIT) + own + four + _print(_UNIT)
    program += four + own + four + _print(_UNIT) + four + four_again
    program += four + four_again + four + four_again + four + four_again
    return program + four + rest + last


def _with_right_checksum(prefix: bytes, suffix: bytes) -> bytes:
    """Choose the free bytes so that the whole has the checksum that stands in it: 32 linear equations over GF(2)."""

    def checksum(free: int) -> int:
        return zlib.crc32(_self_printing(prefix, suffix, free.to_bytes(4, "little")))

    offset = checksum(0)
    basis: dict[int, tuple[int, int]] = {}
    for bit in range(32):
        value, chosen = checksum(1 << bit) ^ offset, 1 << bit
        while value and (lead := value.bit_length()) in basis:
            value, chosen = value ^ basis[lead][0], chosen ^ basis[lead][1]
        basis[value.bit_length()] = (value, chosen)
    wanted, free = offset ^ _CHECKSUM, 0
    while wanted:
        value, chosen = basis[wanted.bit_length()]
        wanted, free = wanted ^ value, free ^ chosen
    return _self_printing(prefix, suffix, free.to_bytes(4, "little"))


def _print(size: int) -> bytes:
    """The instruction that prints what follows it."""
    header = b"\x00" + struct.pack("<2H", size, size ^ 0xFFFF)
    return b"\x00\x00\x00\xff\xff" * (_UNIT // len(header) - 1) + header


def _again(size: int) -> bytes:
    """The instruction that prints the last bytes again: a block with one copy, then empty blocks."""
    bits = _Bits()
    bits.add(0b010, 3)
    code, extra, width = _coded(size, _LENGTHS)
    # Length codes 257 to 279 have 7 bits, the rest 8; Huffman codes go in with their highest bit first.
    bits.add_code(code + 1, 7) if code < 23 else bits.add_code(0b11000000 + code - 23, 8)
    bits.add(extra, width)
    code, extra, width = _coded(size, _DISTANCES)
    bits.add_code(code, 5)
    bits.add(extra, width)
    bits.add_code(0, 7)
    while (bits.width + 3 + 7) // 8 + 4 < _UNIT:
        bits.add(0b010, 3)
        bits.add_code(0, 7)
    bits.add(0, 3)
    body = bits.value.to_bytes((bits.width + 7) // 8, "little") + b"\x00\x00\xff\xff"
    assert len(body) == _UNIT
    return body


class _Bits:
    """Bits, the first one lowest."""

    def __init__(self) -> None:
        self.value = self.width = 0

    def add(self, value: int, width: int) -> None:
        self.value |= value << self.width
        self.width += width

    def add_code(self, code: int, width: int) -> None:
        self.add(int(f"{code:0{width}b}"[::-1], 2), width)


def _coded(value: int, table: list[tuple[int, int]]) -> tuple[int, int, int]:
    code = max(number for number, (base, _extra) in enumerate(table) if base <= value)
    base, width = table[code]
    return code, value - base, width
