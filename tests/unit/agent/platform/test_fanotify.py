import errno
import struct

import pytest

from agent.platform.fanotify import Entry, EventMask, Notice, parse_events
from agent.platform.file_handles import FileHandle, FileSystemId


def event(mask: int, descriptor: int, pid: int, records: bytes = b"", *, version: int = 3) -> bytes:
    return struct.pack("=IBBHQii", 24 + len(records), version, 0, 24, mask, descriptor, pid) + records


def name_record(kind: int, handle: bytes, name: bytes) -> bytes:
    body = struct.pack("=ii", 7, -8) + struct.pack("=Ii", len(handle), 129) + handle + name + b"\0"
    body += b"\0" * (-len(body) % 4)
    return struct.pack("=BBH", kind, 0, 4 + len(body)) + body


def test_events_with_descriptors_are_split() -> None:
    buffer = event(EventMask.CLOSE_WRITE, 5, 100) + event(EventMask.Q_OVERFLOW, -1, 0)
    assert list(parse_events(buffer)) == [
        Notice(EventMask.CLOSE_WRITE, 5, 100, None),
        Notice(EventMask.Q_OVERFLOW, -1, 0, None),
    ]


def test_folder_and_name_are_read_whatever_bytes_the_name_has() -> None:
    buffer = event(EventMask.CREATE, -1, 100, name_record(2, b"handle!!", b"a\n\xff"))
    (notice,) = parse_events(buffer)
    assert notice.entry == Entry(FileSystemId(7, -8), FileHandle(129, b"handle!!"), b"a\n\xff")


def test_records_of_other_kinds_are_passed_over() -> None:
    other = struct.pack("=BBHI", 4, 0, 8, 0)
    (notice,) = parse_events(event(EventMask.MOVED_TO, -1, 1, other + name_record(2, b"hh", b"n")))
    assert notice.entry is not None
    assert notice.entry.name == b"n"
    (without,) = parse_events(event(EventMask.MOVED_TO, -1, 1, other))
    assert without.entry is None


def test_another_version_of_the_interface_is_refused() -> None:
    with pytest.raises(OSError, match="speaks version 9") as refusal:
        list(parse_events(event(1, 1, 1, version=9)))
    assert refusal.value.errno == errno.EPROTO


def test_a_cut_off_event_is_not_read() -> None:
    assert list(parse_events(event(1, 1, 1)[:20])) == []


@pytest.mark.parametrize("cut", range(1, 30))
def test_a_record_that_breaks_off_names_nothing(cut: int) -> None:
    record = name_record(2, b"handle!!", b"name")[:-cut]
    (notice,) = parse_events(event(EventMask.CREATE, -1, 100, record))
    assert notice.entry is None
