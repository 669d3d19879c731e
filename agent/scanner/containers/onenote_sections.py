"""OneNote: the files embedded in a section ([MS-ONESTORE] 2.6.13, FileDataStoreObject)."""

import struct
from collections.abc import Iterator
from uuid import UUID

from agent.domain.facts import Incomplete
from agent.scanner.containers.budget import Meter
from agent.scanner.containers.family import Content, Family, Member

_SECTION = UUID("7b5c52e4-d88c-4da7-aeb1-5378d02996d3").bytes_le
_CONTENTS_TABLE = UUID("43ff2fa1-efd9-4c76-9ee2-10ea5722765f").bytes_le
_FILE_DATA = UUID("bde316e7-2665-4511-a4c4-8d4d0b7a9eac").bytes_le
#: The object's identifier, its length, and 12 reserved bytes.
_HEADER = struct.Struct("<16sQ12x")


def recognise(data: bytes) -> bool:
    """By the identifier of a section or of a table of contents."""
    return data.startswith((_SECTION, _CONTENTS_TABLE))


def members(content: Content, meter: Meter) -> Iterator[Member]:
    """Every file, wherever in the section it lies, whether or not a page still refers to it."""
    data = content.data
    at = data.find(_FILE_DATA)
    number = 0
    while at >= 0:
        number += 1
        start = at + _HEADER.size
        size = _HEADER.unpack_from(data, at)[1] if start <= len(data) else 0
        taken, problem = meter.take(data[start : start + size])
        if start + size > len(data) or start > len(data):
            problem = problem or Incomplete("damaged")
        yield Member(f"file-{number}", taken, problem)
        # What a lying size skips could hold another one: go on right behind the identifier.
        at = data.find(_FILE_DATA, at + len(_FILE_DATA))


FAMILY = Family("onenote", recognise, members)
