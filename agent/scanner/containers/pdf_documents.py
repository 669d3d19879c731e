"""PDF: every stream decoded, which includes attached files and scripts."""

import contextlib
import io
import re
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import pikepdf

from agent.domain.facts import Incomplete
from agent.scanner.containers.budget import Meter
from agent.scanner.containers.family import ContainerError, Content, Family, Member

_MAGIC = b"%PDF-"
#: Readers look this far for the beginning.
_SIGHT = 1024
#: A zlib stream with the window that everybody uses, right behind the keyword.
_DEFLATED = re.compile(rb"stream\r?\n(\x78[\x01\x5e\x9c\xda])")
#: What ends it: `endstream`, or the next one's beginning if that is missing.
_STREAM_END = b"stream"
_INPUT_CHUNK = 64 * 1024
_FLATE = ("/FlateDecode", "/Fl")
#: Pictures and sound stay as they are; they are files of their own kind.
_PICTURES = {"/DCTDecode", "/DCT", "/JPXDecode", "/JBIG2Decode", "/CCITTFaxDecode", "/CCF"}


def recognise(data: bytes) -> bool:
    """By its header, near the beginning."""
    return data.find(_MAGIC, 0, _SIGHT) >= 0


def members(content: Content, meter: Meter) -> Iterator[Member]:
    """All streams by the number of their object; a damaged document as far as it can be pieced together."""
    try:
        document = pikepdf.open(io.BytesIO(content.data))
    except pikepdf.PasswordError as error:
        raise ContainerError("encrypted") from error
    except pikepdf.PdfError as error:
        yield from _carved(content.data, meter)
        raise ContainerError("damaged") from error
    with document:
        for item in document.objects:
            if isinstance(item, pikepdf.Stream):
                yield _stream_member(item, meter)
        bent = bool(document.get_warnings())
    if bent:
        # Pieced together, and maybe not from all of its pieces.
        yield from _carved(content.data, meter)
        raise ContainerError("damaged")


def _carved(data: bytes, meter: Meter) -> Iterator[Member]:
    """Deflated streams wherever they stand, for documents whose own order cannot be trusted."""
    for match in _DEFLATED.finditer(data):
        end = data.find(_STREAM_END, match.end())
        packed = data[match.start(1) : end if end >= 0 else len(data)]
        # Only that there is more than was read is known of it; the document is called damaged as a whole.
        yield Member(f"offset-{match.start(1)}", meter.read_all(_inflater(packed))[0])


def _stream_member(stream: Any, meter: Meter) -> Member:
    name = f"object-{stream.objgen[0]}"
    try:
        filters = _filters(stream)
        read = _reader(stream, filters)
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001 -- supervision point: one bent stream must not hide the others
        raw = None
        with contextlib.suppress(pikepdf.PdfError):
            raw, _problem = meter.take(stream.read_raw_bytes())
        return Member(name, raw, Incomplete("damaged"))
    return Member(name, *meter.read_all(read))


def _filters(stream: Any) -> list[str]:
    named = stream.get("/Filter")
    if named is None:
        return []
    return [str(each) for each in named] if isinstance(named, pikepdf.Array) else [str(named)]


def _reader(stream: Any, filters: list[str]) -> Callable[[int], bytes]:
    if len(filters) == 1 and filters[0] in _FLATE and "/DecodeParms" not in stream:
        # The usual case; unlike the library this stops at the limits, however far the stream expands.
        return _inflater(stream.read_raw_bytes())
    if _PICTURES.intersection(filters):
        return io.BytesIO(stream.read_raw_bytes()).read
    return io.BytesIO(stream.read_bytes()).read


def _inflater(packed: bytes) -> Callable[[int], bytes]:
    inflate = zlib.decompressobj()
    source = io.BytesIO(packed)

    def read(size: int) -> bytes:
        output = b""
        while packed and not output and not inflate.eof:
            given = inflate.unconsumed_tail or source.read(_INPUT_CHUNK)
            output = inflate.decompress(given, size)
            if not (given or output or inflate.eof):
                raise EOFError("the stream is cut off")
        return output

    return read


FAMILY = Family("pdf", recognise, members)
