"""Small files of the formats that rules tell apart."""

import struct


def minimal_pe(*, sections: int = 1) -> bytes:
    """Return a 32-bit PE file that YARA's `pe` module accepts."""
    dos = b"MZ" + bytes(58) + struct.pack("<I", 64)
    coff = b"PE\0\0" + struct.pack("<HHIIIHH", 0x14C, sections, 0x5F000000, 0, 0, 0xE0, 0x2102)
    optional = struct.pack("<HBBIIIIIII", 0x10B, 14, 0, 512, 0, 0, 0x1000, 0x1000, 0x2000, 0x400000)
    optional += struct.pack("<IIHHHHHHIIIIHH", 0x1000, 0x200, 6, 0, 0, 0, 6, 0, 0, 0x3000, 0x200, 0, 3, 0)
    optional += struct.pack("<IIIIII", 0x100000, 0x1000, 0x100000, 0x1000, 0, 16) + bytes(16 * 8)
    table = b"".join(
        b".text\0\0\0" + struct.pack("<IIIIIIHHI", 512, 0x1000 * (index + 1), 512, 0x200, 0, 0, 0, 0, 0x60000020)
        for index in range(sections)
    )
    return (dos + coff + optional + table).ljust(0x200, b"\0") + b"alpha beta".ljust(0x200, b"\x90")


def minimal_elf() -> bytes:
    """Return a 64-bit ELF executable with one segment."""
    ident = b"\x7fELF\x02\x01\x01" + bytes(9)
    header = ident + struct.pack("<HHIQQQIHHHHHH", 2, 62, 1, 0x400078, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, 0x400000, 0x400000, 0x200, 0x200, 0x1000)
    return (header + segment + b"alpha beta").ljust(0x200, b"\x90")
