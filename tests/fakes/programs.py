"""Programs of three systems as far as a scanner reads them, and what installers append to theirs."""

import base64
import struct
from collections.abc import Mapping, Sequence

_ALIGNMENT = 512
_SECTIONS_AT = 1024


def pe_of(
    resources: Mapping[int, bytes] | None = None,
    *,
    overlay: bytes = b"",
    certificates: bytes = b"",
    section: bytes = b".rsrc",
) -> bytes:
    """A Windows program of one section, with a resource of each type given."""
    section_data = _resource_section(resources or {})
    section_data += bytes(-len(section_data) % _ALIGNMENT)
    signed_at = _SECTIONS_AT + len(section_data)
    directories = [(0, 0)] * 16
    directories[2] = (0x1000, len(section_data)) if resources else (0, 0)
    directories[4] = (signed_at, len(certificates)) if certificates else (0, 0)
    optional = struct.pack("<H2B3L2L", 0x10B, 14, 0, 0, len(section_data), 0, 0x1000, 0x1000)
    optional += struct.pack(
        "<L3L6H4L2H6L",
        0,
        0x400000,
        0x1000,
        _ALIGNMENT,
        6,
        0,
        0,
        0,
        6,
        0,
        0,
        0x3000,
        0x400,
        0,
        2,
        0,
        *(4096,) * 4,
        0,
        16,
    )
    optional += b"".join(struct.pack("<2L", *directory) for directory in directories)
    header = b"PE\0\0" + struct.pack("<2H3L2H", 0x14C, 1, 0, 0, 0, len(optional), 0x102) + optional
    header += struct.pack(
        "<8s6L2HL", section, len(section_data), 0x1000, len(section_data), _SECTIONS_AT, 0, 0, 0, 0, 0x40000040
    )
    dos = b"MZ".ljust(60, b"\0") + struct.pack("<L", 64)
    return (dos + header).ljust(_SECTIONS_AT, b"\0") + section_data + certificates + overlay


def _resource_section(resources: Mapping[int, bytes]) -> bytes:
    """Three levels of directories (type, name, language), then where the data is, then the data."""
    number = len(resources)
    names_at = 16 + 8 * number
    entries_at = names_at + 48 * number
    data_at = entries_at + 16 * number
    root = struct.pack("<LL4H", 0, 0, 0, 0, 0, number)
    below, entries, data = b"", b"", b""
    for index, (kind, content) in enumerate(resources.items()):
        name_at = names_at + 48 * index
        root += struct.pack("<2L", kind, name_at | 1 << 31)
        below += struct.pack("<LL4H2L", 0, 0, 0, 0, 0, 1, 101, (name_at + 24) | 1 << 31)
        below += struct.pack("<LL4H2L", 0, 0, 0, 0, 0, 1, 1033, entries_at + 16 * index)
        entries += struct.pack("<4L", 0x1000 + data_at + len(data), len(content), 0, 0)
        data += content
    return root + below + entries + data


def elf_of(overlay: bytes = b"", *, is_64_bit: bool = True, byte_order: str = "<") -> bytes:
    """A program of Linux: one segment, two sections of which one takes no place, then whatever is appended."""
    code = b"\x90" * 64
    word = "Q" if is_64_bit else "L"
    header_size, segment_size, section_size = (64, 56, 64) if is_64_bit else (52, 32, 40)
    code_at = header_size + segment_size
    sections_at = code_at + len(code)
    ident = b"\x7fELF" + bytes([2 if is_64_bit else 1, 1 if byte_order == "<" else 2, 1]) + bytes(9)
    header = ident + struct.pack(
        f"{byte_order}2HL3{word}L6H",
        2,
        62,
        1,
        0,
        header_size,
        sections_at,
        0,
        header_size,
        segment_size,
        1,
        section_size,
        3,
        0,
    )
    end = sections_at
    if is_64_bit:
        segment = struct.pack(f"{byte_order}2L6Q", 1, 5, 0, 0, 0, end, end, 4096)
        layout = f"{byte_order}2L4Q2L2Q"
    else:
        segment = struct.pack(f"{byte_order}8L", 1, 0, 0, 0, end, end, 5, 4096)
        layout = f"{byte_order}10L"
    sections = struct.pack(layout, *(0,) * 10)
    sections += struct.pack(layout, 0, 1, 0, 0, code_at, len(code), 0, 0, 1, 0)
    sections += struct.pack(layout, 0, 8, 0, 0, code_at, 1 << 30, 0, 0, 1, 0)
    return header + segment + code + sections + overlay


def universal_of(programs: Sequence[bytes], *, is_64_bit: bool = False) -> bytes:
    """Mach-O programs of several architectures in one file."""
    entry = ">2L2Q2L" if is_64_bit else ">5L"
    magic = b"\xca\xfe\xba\xbf" if is_64_bit else b"\xca\xfe\xba\xbe"
    table, contents = b"", b""
    start = 8 + struct.calcsize(entry) * len(programs)
    for index, program in enumerate(programs):
        rest = (12, 0) if is_64_bit else (12,)
        table += struct.pack(entry, index, 0, start + len(contents), len(program), *rest)
        contents += program
    return magic + struct.pack(">L", len(programs)) + table + contents


#: What makensis 3.08 appends to its program for a script of two lines, `File a.txt` and `File c.bin`, packed with zlib;
#: a.txt holds `the secret content ` twenty times, c.bin `other`.
NSIS_DATA = base64.b85decode(
    b"0ssI2@4l_xPIYW-"
    b"b8lvJNp5p=jtu|+WC8#H83F)+?N+;P6HyR7CLm!%L_>`hDG~+7B0z!CAml)l0)%2pH*0$nR>byd9YYWl2Bo0lktz{gegsnI4?uhYG!)d~%(;8XdK"
    b"Cgx6zo{zJFk1@%-AdKO8~VBBzBrPUj?RkZdG0U>uDE%HI3iOeokBf*x~VQ|IY>gSU%=Bcuwys2YzPaSf-_vQc5YMlv2w7CugZ|fD;Qo@czTe*Uvs"
    b"zKJi__=kD-4SIAY4M7@U;1FY~nL=U$SV-*pGn5UI8-"
    b"(a@K&j9^HvvX(_FoIm2y}3LO+;?jNt625+8hE>oHLO#C4(&E8`n2z2#L87x4zSE@fJMfKv_i!LH1R}!r2da^mA5bBIxf+=h%V!8%;E}hW?^rcFUE"
    b"E!;*Aj!%@Gpug0LTRj#yZ8^nhFRZN8MAA$2rGLf^O##c@TsP>jygZm2#Lx*>HLizhfo%-#^X&1;+M@bn#vu_(vE^YeYz7!SA?w@tg>#6x-"
    b"sKi1h{8l!|;3i#VaVi9Yj0q*O5gPz@K(+k<5TbO(xwEoYo2mO{0<z-!`aY{Oc@z~q0PlpTx+*G$zTX$0obtdv32z_#Eq44ehQxn>fW=S=dL-"
    b"1Zm4xw(>#6DI1BBOnIQLd-kmg^a7Cw{uRHaE(6_2{kZ-#RnX;=FOT51YE4SwQu;f3}*`r_}A-Be?OGPyJ@W-"
    b"=*#yQU8Vd{TI12<grQp0U7`RfGf#JRVYqPE=ny?NY2kINzE%!C>a%^j}QO_0001QbZBLAgzi_|"
)
