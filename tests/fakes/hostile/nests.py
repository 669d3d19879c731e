"""Things inside themselves, deeper than any limit."""

from collections.abc import Callable, Iterator

from tests.fakes.archives import cpio_of, shrink, tar_of, zip_of
from tests.fakes.documents import mail_of, ole_of, pdf_of, rtf_of, tnef_of
from tests.fakes.eicar import EICAR
from tests.fakes.hostile.bombs import cyclic_zip
from tests.fakes.hostile.case import Case, Expected

_LAYERS: dict[str, Callable[[bytes], bytes]] = {
    "zip": lambda inner: zip_of({"a.zip": inner}),
    "tar": lambda inner: tar_of({"a.tar": inner}),
    "gzip": lambda inner: shrink(inner, "gz"),
    "xz": lambda inner: shrink(inner, "xz"),
    "cpio": lambda inner: cpio_of({"a.cpio": inner}),
    "mail": lambda inner: mail_of({"a.eml": inner}),
    "tnef": lambda inner: tnef_of("winmail.dat", inner),
}
_MIXED = (*_LAYERS.values(), pdf_of)


def nest_cases(*, heavy: bool) -> Iterator[Case]:
    """Deeper than `max_depth`; base64 grows by a third with every layer, so mail is not nested as deep."""
    for name, wrap in _LAYERS.items():
        depth = 30 if name == "mail" else 100 if heavy else 40
        yield Case(f"nest.{name}.0", _nested([wrap], depth), Expected.NOT_CLEAN)
    yield Case("nest.mixed.0", _nested(list(_MIXED), 40), Expected.NOT_CLEAN)
    yield Case("nest.rtf.0", rtf_of(rtf_of(rtf_of(EICAR))), Expected.INFECTED)
    deep = 200_000 if heavy else 5_000
    yield Case("nest.rtf-groups.0", b"{\\rtf1" + b"{" * deep + b"\\object\\objdata 01" + b"}" * deep)
    yield Case("nest.pdf-arrays.0", b"%PDF-1.7\n1 0 obj\n" + b"[" * deep + b"]" * deep + b"\nendobj\n")
    yield Case("nest.pdf-dictionaries.0", b"%PDF-1.7\n1 0 obj\n" + b"<</A" * deep + b">>" * deep + b"\nendobj\n")
    yield Case("nest.multipart.0", _multiparts(3_000 if heavy else 500))
    yield Case(
        "nest.messages.0", b"From: a\nTo: b\nContent-Type: message/rfc822\n\n" * (3_000 if heavy else 500) + b"x"
    )
    yield Case("nest.ole2.0", ole_of({"a": ole_of({"b": ole_of({"c": EICAR})[:4000]})[:4000]}))
    yield Case("cyclic.zip.0", cyclic_zip(), Expected.NOT_CLEAN)
    yield Case("cyclic.ole2.0", _looped_ole(), Expected.NOT_CLEAN)


def _nested(wraps: list[Callable[[bytes], bytes]], depth: int) -> bytes:
    data = EICAR
    for number in range(depth):
        data = wraps[number % len(wraps)](data)
    return data


def _multiparts(depth: int) -> bytes:
    text = b"From: a\nTo: b\n"
    for number in range(depth):
        text += b'Content-Type: multipart/mixed; boundary="b%d"\n\n--b%d\n' % (number, number)
    return text + b"\nx\n"


def _looped_ole() -> bytes:
    """A compound file whose first sector follows itself."""
    data = bytearray(ole_of({"a": EICAR, "b/c": EICAR}))
    data[512 + 4 : 512 + 8] = (1).to_bytes(4, "little")
    return bytes(data)
