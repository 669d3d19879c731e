"""BinHex 4.0, in which old Macs sent files by mail (RFC 1741, appendix A): both forks of one file.

The standard library had a module for it until Python 3.11.
"""

import binascii
import re
import struct
from collections.abc import Callable, Iterator

from agent.domain.facts import Incomplete
from agent.scanner.containers.budget import Meter
from agent.scanner.containers.family import ContainerError, Content, Family, Member

_ANNOUNCEMENT = b"(This file must be converted with BinHex"
#: How far from the start it may stand: behind the headers of a mail that was saved.
_PREAMBLE = 1024
_ALPHABET = b"!\"#$%&'()*+,-012345689@ABCDEFGHIJKLMNPQRSTUVXYZ[`abcdefhijklmpqr"
_BASE64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_TO_BASE64 = bytes.maketrans(_ALPHABET, _BASE64)
_NOT_IN_ALPHABET = re.compile(rb"[^" + re.escape(_ALPHABET) + rb"]")
_SPACE = b" \t\r\n"
#: The announcement's line, and the colon that begins the data, with data behind it.
_START = re.compile(re.escape(_ANNOUNCEMENT) + rb"[^\r\n:]{0,40}\s{1,64}:(?=[" + re.escape(_ALPHABET) + rb"\s]{40})")
#: Behind the name: its end, type, creator, flags, lengths of the two forks, checksum.
_HEADER = struct.Struct(">x4s4sH2L2x")
_CHECKSUM_SIZE = 2
_REPEAT = 0x90


def recognise(data: bytes) -> bool:
    """By the sentence that every such file begins with, and data after it."""
    at = data.find(_ANNOUNCEMENT, 0, _PREAMBLE)
    return at >= 0 and _START.match(data, at) is not None


def members(content: Content, meter: Meter) -> Iterator[Member]:
    """The data fork, and the resource fork if there is one."""
    found = _START.search(content.data)
    assert found is not None, "it was recognised by this"
    packed, is_whole = _decoded(content.data, found.end())
    expanded, problem = meter.collect(lambda write: _expand(packed, write))
    if expanded is None:
        yield Member(content.name, None, problem)
        return
    yield from _forks(expanded)
    if not is_whole or problem is not None:
        raise ContainerError("damaged")


def _decoded(data: bytes, start: int) -> tuple[bytes, bool]:
    """The bytes that the characters stand for, and whether they end with the colon that they must end with."""
    text = data[start:end] if (end := data.find(b":", start)) >= 0 else data[start:]
    text = text.translate(None, _SPACE)
    stray = _NOT_IN_ALPHABET.search(text)
    text = text[: stray.start()] if stray else text
    decoded = binascii.a2b_base64(text.translate(_TO_BASE64) + b"A" * (-len(text) % 4))
    return decoded[: len(text) * 6 // 8], end >= 0 and stray is None


def _expand(packed: bytes, write: Callable[[bytes], None]) -> None:
    """Undo the run lengths: a byte, 0x90 and how often; 0x90 and zero stand for 0x90."""
    last = b""
    at = 0
    while at < len(packed):
        mark = packed.find(_REPEAT, at)
        plain = packed[at : mark if mark >= 0 else len(packed)]
        count = packed[mark + 1] if 0 <= mark < len(packed) - 1 else 1
        last = bytes([_REPEAT]) if mark >= 0 and count == 0 else plain[-1:] or last
        write(plain + (last if count == 0 else last * (count - 1)))
        at = mark + 2 if mark >= 0 else len(packed)


def _forks(data: bytes) -> Iterator[Member]:
    name_end = 1 + data[0] if data else 0
    start = name_end + _HEADER.size
    if len(data) < start:
        raise ContainerError("damaged")
    name = data[1:name_end].decode("mac-roman")
    *_, data_size, resource_size = _HEADER.unpack_from(data, name_end)
    ends = start
    for label, size in ((name, data_size), (f"{name}/resources", resource_size)):
        begin, ends = ends, ends + size + _CHECKSUM_SIZE
        if size:
            fork = data[begin : begin + size]
            yield Member(label, fork, None if _is_whole(data, begin, size) else Incomplete("damaged"))
    if not _is_whole(data, 0, start - _CHECKSUM_SIZE):
        raise ContainerError("damaged")


def _is_whole(data: bytes, start: int, size: int) -> bool:
    end = start + size
    if end + _CHECKSUM_SIZE > len(data):
        return False
    return int.from_bytes(data[end : end + _CHECKSUM_SIZE], "big") == binascii.crc_hqx(data[start:end], 0)


FAMILY = Family("binhex", recognise, members)
