"""Documents and mail, built in memory."""

import base64
import binascii
import quopri
import struct
import zlib
from collections.abc import Mapping
from uuid import UUID

_SECTOR, _MINI = 512, 64
_FREE, _END, _FAT, _NONE = 0xFFFFFFFF, 0xFFFFFFFE, 0xFFFFFFFD, 0xFFFFFFFF


def ole_of(streams: Mapping[str, bytes]) -> bytes:
    """A compound file; streams under 4,096 bytes, `storage/stream` at most one deep."""
    # Kind, sibling, child, start, size.
    names, entries = ["Root Entry"], [[5, _NONE, _NONE, 0, 0]]
    storages = {"": 0}
    mini = bytearray()
    mini_fat: list[int] = []
    for path, data in streams.items():
        storage, _, name = path.rpartition("/")
        if storage not in storages:
            storages[storage] = len(entries)
            names.append(storage)
            entries.append([1, entries[0][2], _NONE, 0, 0])
            entries[0][2] = storages[storage]
        parent = entries[storages[storage]]
        count = -(-len(data) // _MINI)
        start = len(mini_fat)
        mini_fat += [*range(start + 1, start + count), _END] if count else []
        mini += data.ljust(count * _MINI, b"\0")
        names.append(name)
        entries.append([2, parent[2], _NONE, start if count else _END, len(data)])
        parent[2] = len(entries) - 1
    directory = b""
    for number, (name, (kind, sibling, child, start, size)) in enumerate(zip(names, entries, strict=True)):
        raw = name.encode("utf-16-le") + b"\0\0"
        where = (0, len(mini)) if number == 0 else (start, size)
        directory += raw.ljust(64, b"\0") + struct.pack("<HBBIII", len(raw), kind, 1, _NONE, sibling, child)
        directory += bytes(36) + struct.pack("<IQ", *where)
    fat, body = [_FAT], b""

    def place(data: bytes, filler: bytes) -> int:
        nonlocal body
        count = -(-len(data) // _SECTOR)
        start = len(fat)
        fat.extend([*range(start + 1, start + count), _END])
        body += data + filler * (count * _SECTOR - len(data))
        return start

    directory_at = place(directory, b"\0")
    packed = struct.pack(f"<{len(mini_fat)}I", *mini_fat)
    mini_fat_at = place(packed, b"\xff") if packed else _END
    mini_at = place(bytes(mini), b"\0") if mini else _END
    # The root entry is the first thing in the body; its start was not known when it was written.
    body = body[:116] + struct.pack("<I", mini_at) + body[120:]
    header = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(16) + struct.pack("<HHHHH", 0x3E, 3, 0xFFFE, 9, 6) + bytes(6)
    header += struct.pack("<IIIIIIIII", 0, 1, directory_at, 0, 4096, mini_fat_at, -(-len(packed) // _SECTOR), _END, 0)
    header += struct.pack("<I", 0) + b"\xff" * (108 * 4)
    return header + struct.pack(f"<{len(fat)}I", *fat).ljust(_SECTOR, b"\xff") + body


def vba_of(source: bytes) -> bytes:
    """A VBA compressed container that holds literals only."""
    out = b"\x01"
    for at in range(0, len(source), 3000):
        piece = source[at : at + 3000]
        body = b"".join(b"\0" + piece[i : i + 8] for i in range(0, len(piece), 8))
        out += struct.pack("<H", 0xB000 | (len(body) - 1)) + body
    return out


def package_of(name: str, data: bytes) -> bytes:
    """What the object packager makes of a file, without the size before it."""
    path = b"C:\\" + name.encode() + b"\0"
    return (
        b"\2\0" + name.encode() + b"\0" + path + b"\0\0\3\0" + struct.pack("<I", len(path)) + path
        + struct.pack("<I", len(data)) + data
    )  # fmt: skip


def mail_of(attachments: Mapping[str, bytes], encoding: str = "base64") -> bytes:
    """A MIME message with attachments."""
    text = b"From: a@example.org\nTo: b@example.org\nSubject: x\nMIME-Version: 1.0\n"
    text += b'Content-Type: multipart/mixed; boundary="=-x"\n\n'
    for name, data in attachments.items():
        encoded = base64.encodebytes(data) if encoding == "base64" else quopri.encodestring(data)
        text += b"--=-x\nContent-Type: application/octet-stream\nContent-Transfer-Encoding: " + encoding.encode()
        text += (
            b'\nContent-Disposition: attachment; filename="'
            + name.encode("utf-8", "surrogateescape")
            + b'"\n\n'
            + encoded
            + b"\n"
        )
    return text + b"--=-x--\n"


def uu_of(name: str, data: bytes) -> bytes:
    """A uuencoded file."""
    lines = b"".join(binascii.b2a_uu(data[at : at + 45]) for at in range(0, len(data), 45))
    return b"begin 644 " + name.encode() + b"\n" + lines + b"`\nend\n"


def rtf_of(data: bytes) -> bytes:
    """RTF with an OLE 1.0 package, obfuscated a little."""
    native = package_of("a.com", data)
    header = struct.pack("<III", 0x501, 2, 8) + b"Package\0" + struct.pack("<II", 0, 0)
    digits = (header + struct.pack("<I", len(native)) + native).hex().encode()
    strewn = b"\n".join(digits[at : at + 7] + b"\\par " for at in range(0, len(digits), 7))
    return b"{\\rtf1 text {\\object\\objemb{\\*\\objdata " + strewn + b"}}}"


def onenote_of(data: bytes) -> bytes:
    """A OneNote section with one embedded file."""
    section = UUID("7b5c52e4-d88c-4da7-aeb1-5378d02996d3").bytes_le
    stored = UUID("bde316e7-2665-4511-a4c4-8d4d0b7a9eac").bytes_le
    return section + bytes(1008) + stored + struct.pack("<Q12x", len(data)) + data + bytes(16)


def tnef_of(name: str, data: bytes) -> bytes:
    """A TNEF stream with one attachment."""
    out = b"\x78\x9f\x3e\x22\1\0"
    for kind, value in (
        (0x00069002, bytes(14)),
        (0x00018010, name.encode("utf-8", "surrogateescape") + b"\0"),
        (0x0006800F, data),
    ):
        out += struct.pack("<BII", 2, kind, len(value)) + value + struct.pack("<H", sum(value) & 0xFFFF)
    return out


def pdf_of(data: bytes, coding: str = "/FlateDecode") -> bytes:
    """A PDF with one stream: plain, `/FlateDecode` or `/ASCIIHexDecode`."""
    body = {"": data, "/FlateDecode": zlib.compress(data), "/ASCIIHexDecode": data.hex().encode() + b">"}[coding]
    header = f"/Filter {coding} " if coding else ""
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[]/Count 0>>",
        f"<<{header}/Length {len(body)}>>\nstream\n".encode() + body + b"\nendstream",
    ]
    out, offsets = b"%PDF-1.7\n", []
    for number, item in enumerate(objects, 1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, item)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    start = len(out)
    return (
        out
        + b"xref\n0 4\n0000000000 65535 f \n"
        + table
        + b"trailer<</Root 1 0 R/Size 4>>\nstartxref\n%d\n%%%%EOF\n" % start
    )
