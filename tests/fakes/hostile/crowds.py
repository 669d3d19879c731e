"""Very many of something: entries, parts, objects, streams, headers."""

import gzip
import struct
import tarfile
from collections.abc import Iterator

from tests.fakes.archives import ar_of, cpio_of
from tests.fakes.hostile.case import Case, Expected
from tests.fakes.hostile.names import raw_zip_of


def crowd_cases(*, heavy: bool) -> Iterator[Case]:
    """A million of each if heavy, fewer of those that cost the maker more than the scanner."""
    many = 1_000_000 if heavy else 20_000
    expected = Expected.NOT_CLEAN if heavy else Expected.ANYTHING
    yield Case("crowd.zip.0", crowded_zip(many), expected)
    yield Case("crowd.tar.0", gzip.compress(_tar_entry() * min(many, 400_000) + bytes(1024), mtime=0), expected)
    yield Case("crowd.ar.0", b"!<arch>\n" + ar_of({"a": b""})[8:] * many, expected)
    yield Case("crowd.cpio.0", cpio_of({"a": b""})[:112] * many + cpio_of({}), expected)
    yield Case("crowd.mbox.0", _MESSAGE * many, expected)
    yield Case("crowd.html.0", b"<html>" + b"<img src='data:image/gif;base64,R0lGODlhAQABAAAAACw='>" * many, expected)
    yield Case("crowd.rtf.0", b"{\\rtf1 " + b"{\\object{\\*\\objdata 0105}}" * many + b"}", expected)
    yield Case("crowd.uu.0", b"begin 644 a\n!00\n`\nend\n" * many, Expected.ANYTHING)
    yield Case("crowd.mail-parts.0", _HEAD + b"--b\n\nx\n" * (many // 10) + b"--b--\n")
    yield Case("crowd.mail-headers.0", b"From: a\nTo: b\n" + b"X-Y: z\n" * (many // 4) + b"\nbody")
    yield Case("crowd.mail-fold.0", b"From: a\nTo: b\nSubject: a" + b"\n a" * (many // 4) + b"\n\nbody")
    yield Case("crowd.mail-boundary.0", _HEAD + (b"--" + b"b" * 70 + b"\n") * (many // 10))
    yield Case("crowd.tnef.0", b"\x78\x9f\x3e\x22\1\0" + struct.pack("<BIIHH", 2, 0x00069002, 2, 0, 0) * many)
    yield Case("crowd.rtf-braces.0", b"{\\rtf1{\\object{\\*\\objdata " + b"{" * many)
    yield Case("crowd.pdf-objects.0", b"%PDF-1.7\n" + b"1 0 obj\n<<>>\nendobj\n" * (many // 10))
    yield Case("crowd.pdf-streams.0", b"%PDF-1.7\n" + b"stream\n\x78\x9c\x01\n" * (many // 10))


_HEAD = b"From: a\nTo: b\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n"
_MESSAGE = b"From a Mon Jan  1 00:00:00 2024\nFrom: a\nTo: b\n\nx\n\n"


def crowded_zip(count: int) -> bytes:
    """One small member, named so many times."""
    one = raw_zip_of(b"a", b"")
    at, end = one.index(b"PK\x01\x02"), one.index(b"PK\x05\x06")
    directory = one[at:end] * count
    tail = struct.pack("<4H2LH", 0, 0, min(count, 0xFFFF), min(count, 0xFFFF), len(directory), at, 0)
    return one[:at] + directory + b"PK\x05\x06" + tail


def _tar_entry() -> bytes:
    return tarfile.TarInfo("a").tobuf(tarfile.USTAR_FORMAT)
