"""Programs of Linux and macOS: what is appended to an ELF file, and the programs in a universal Mach-O file.

The few numbers that say where such a file ends are read here: the libraries that read these formats build a model of
the whole program first, and every program of a machine would have to wait for that.
"""

import struct
from collections.abc import Iterator

from agent.domain.facts import Incomplete
from agent.scanner.containers.budget import Meter
from agent.scanner.containers.family import ContainerError, Content, Family, Member

_ELF, _CLASS_AT, _ORDER_AT = b"\x7fELF", 4, 5
#: By class: the header from `e_phoff` on, without `e_flags`; a program header; a section header; as the System V ABI
#: has them. `x` stands for what does not matter here.
_HEADERS = {1: ("LL4x2x4H", 28), 2: ("QQ4x2x4H", 32)}
_SEGMENTS = {1: struct.calcsize("=8L"), 2: struct.calcsize("=2L6Q")}
_SECTIONS = {1: struct.calcsize("=10L"), 2: struct.calcsize("=2L4Q2L2Q")}
_SEGMENT_FIELDS = {1: "4xL8xL12x", 2: "8xQ16xQ16x"}
_SECTION_FIELDS = {1: "4xL8xLL16x", 2: "4xL16xQQ24x"}
_ORDERS = {1: "<", 2: ">"}
_NO_BITS = 8  # a section that takes no place in the file

_UNIVERSAL = {b"\xca\xfe\xba\xbe": ">8xLL4x", b"\xca\xfe\xba\xbf": ">8xQQ8x"}
#: The same magic begins a Java class, which has its version there: 45 at least.
_MOST_ARCHITECTURES = 30


def end_of_elf(data: bytes) -> int | None:
    """Where the last thing ends that the headers of an ELF file name; None: they make no sense.

    Systems run a program without a look at its sections, so nonsense there must hide nothing: it is left aside.
    """
    if not data.startswith(_ELF) or len(data) <= _ORDER_AT:
        return None
    kind, order = data[_CLASS_AT], _ORDERS.get(data[_ORDER_AT])
    if kind not in _HEADERS or order is None:
        return None
    fields, at = _HEADERS[kind]
    try:
        segments_at, sections_at, segment_size, segments, section_size, sections = struct.unpack_from(
            order + fields, data, at
        )
    except struct.error:
        return None
    ends: list[int] = []
    if segments:
        ends.append(segments_at + segment_size * segments)
        if segment_size != _SEGMENTS[kind] or ends[0] > len(data):
            return None
        table = data[segments_at : ends[0]]
        ends += (offset + size for offset, size in struct.iter_unpack(order + _SEGMENT_FIELDS[kind], table))
    sections_end = sections_at + section_size * sections
    if sections_at and sections and section_size == _SECTIONS[kind] and sections_end <= len(data):
        table = data[sections_at:sections_end]
        ends.append(sections_end)
        for type_, offset, size in struct.iter_unpack(order + _SECTION_FIELDS[kind], table):
            ends += [] if type_ == _NO_BITS else [offset + size]
    return max(ends, default=None)


def _has_appendix(data: bytes) -> bool:
    end = end_of_elf(data)
    return end is not None and 0 < end < len(data)


def _appendix(content: Content, meter: Meter) -> Iterator[Member]:
    appended = content.data[end_of_elf(content.data) or 0 :]
    if appended.strip(b"\0"):
        yield Member("overlay", *meter.take(appended))


def _is_universal(data: bytes) -> bool:
    return data[:4] in _UNIVERSAL and 0 < int.from_bytes(data[4:8], "big") <= _MOST_ARCHITECTURES


def _architectures(content: Content, meter: Meter) -> Iterator[Member]:
    layout = _UNIVERSAL[content.data[:4]]
    size = struct.calcsize(layout)
    number = int.from_bytes(content.data[4:8], "big")
    table = content.data[8 : 8 + size * number]
    if len(table) < size * number:
        raise ContainerError("damaged")
    for index, (offset, length) in enumerate(struct.iter_unpack(layout, table), 1):
        data, problem = meter.take(content.data[offset : offset + length])
        if offset + length > len(content.data):
            problem = Incomplete("damaged")
        yield Member(f"architecture-{index}", data, problem)


FAMILIES = (
    Family("appended to elf", _has_appendix, _appendix),
    Family("universal mach-o", _is_universal, _architectures),
)
