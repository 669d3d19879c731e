"""Zip and everything that is a zip inside: jar, apk, docx, xlsx, odt, whl; also behind a foreign beginning (SFX).

Programs differ in what they take for the members of an archive: what the directory names, or every local header from
the front. All of it is read: what the directory names, that again as the local header has it if the two contradict
each other, and local headers that stand where the directory knows of none.
"""

import zlib
from collections.abc import Iterator
from dataclasses import replace

from agent.domain.facts import Incomplete
from agent.scanner.containers import zip_methods, zip_records
from agent.scanner.containers.budget import Meter
from agent.scanner.containers.family import ContainerError, Content, Family, Member
from agent.scanner.containers.zip_records import Directory, Record

_BEGINNINGS = (zip_records.LOCAL, *zip_records.SPANNED)


def recognise(data: bytes) -> bool:
    """By its first bytes, or by an end record that really points to a directory."""
    return data.startswith(_BEGINNINGS) or zip_records.find_directory(data) is not None


def members(content: Content, meter: Meter) -> Iterator[Member]:
    """Members in the order of the directory, then those it does not name."""
    reader = _Reader(content.data, meter)
    directory = zip_records.find_directory(content.data, everywhere=True)
    if directory is not None:
        yield from reader.named(directory)
    yield from reader.unnamed()
    if directory is None:
        reader.reason = _why_no_directory(content.data, reader)
    if reader.reason is not None:
        raise ContainerError(reader.reason)


def _why_no_directory(data: bytes, reader: "_Reader") -> str:
    if reader.is_masked:
        return "encrypted"
    return "multi_volume" if data.startswith(zip_records.SPANNED) else "damaged"


class _Reader:
    def __init__(self, data: bytes, meter: Meter) -> None:
        self._data = data
        self._view = memoryview(data)
        self._meter = meter
        self._taken: list[tuple[int, int]] = []
        #: Why the archive as a whole is not complete.
        self.reason: str | None = None
        #: A local header hides its values because the directory is encrypted.
        self.is_masked = False

    def named(self, directory: Directory) -> Iterator[Member]:
        if directory.start is None:
            self.reason = "multi_volume"
            return
        self._taken.append((directory.start, directory.end))
        for record in zip_records.central_records(self._data, directory.start, directory.end):
            if record is None:
                self.reason = "damaged"
            elif record.disk != directory.disk:
                self.reason = "multi_volume"
                yield Member(record.name, None, Incomplete("multi_volume"))
            else:
                yield from self._named_member(record, directory.base)

    def _named_member(self, record: Record, base: int) -> Iterator[Member]:
        for at in (base + record.at, record.at):
            local = zip_records.local_record(self._data, at)
            if local is not None:
                break
        else:
            yield Member(record.name, None, Incomplete("damaged"))
            return
        member, end = self._read(replace(record, at=local.at))
        yield member
        if not record.is_folder and _contradict(record, local):
            other, other_end = self._read(replace(local, name=record.name))
            if other.data is not None and other.data != member.data:
                yield Member(other.name, other.data)
            end = min(end, other_end)
        self._taken.append((at, end))

    def unnamed(self) -> Iterator[Member]:
        for start, end in _gaps(self._taken, len(self._data)):
            at = self._data.find(zip_records.LOCAL, start, end)
            while at >= 0:
                record = zip_records.local_record(self._data, at, doubted=True)
                after = at + len(zip_records.LOCAL)
                if record is not None:
                    self.is_masked |= bool(record.flags & zip_records.FLAG_MASKED)
                    member, member_end = self._read(self._with_extent(record, end))
                    yield member
                    after = max(after, member_end)
                at = self._data.find(zip_records.LOCAL, after, end)

    def _with_extent(self, record: Record, end: int) -> Record:
        """A record whose sizes are only known behind its data, if they are."""
        if not record.flags & zip_records.FLAG_DESCRIPTOR or record.packed:
            return record
        if zip_methods.ends_by_itself(record.method):
            return replace(record, packed=end - record.at)
        packed = zip_records.next_record(self._data, record.at, end) - record.at
        return replace(record, packed=packed, size=record.size or packed)

    def _read(self, record: Record) -> tuple[Member, int]:
        """A member and where its data really ends."""
        name = record.name
        end = record.at + record.packed
        if record.is_folder:
            return Member(name, None), end
        is_encrypted = bool(record.flags & zip_records.FLAG_ENCRYPTED)
        if record.method == zip_records.AES or (is_encrypted and record.flags & zip_records.FLAG_STRONG_ENCRYPTION):
            return Member(name, None, Incomplete("encrypted")), end
        packed = self._view[record.at : end]
        if not zip_methods.is_known(record.method):
            # Scanned as it is: some installers of packages take a method they do not know for none.
            return Member(name, self._meter.take(bytes(packed))[0], Incomplete("no_unpacker")), end
        unpacking = zip_methods.Unpacking(record, packed, self._meter)
        data, problem = self._meter.collect(unpacking.run)
        end = record.at + unpacking.consumed
        if data is not None and (problem is None or problem.reason == "damaged"):
            problem = None if self._is_whole(data, record, end, problem) else Incomplete("damaged")
        if is_encrypted and problem is not None:
            return Member(name, None, Incomplete("encrypted")), end
        return Member(name, data, problem), end

    def _is_whole(self, data: bytes, record: Record, end: int, problem: Incomplete | None) -> bool:
        checksum = zlib.crc32(data)
        if checksum == record.crc:
            return record.flags & zip_records.FLAG_DESCRIPTOR != 0 or len(data) >= record.size
        if len(data) > record.size and zlib.crc32(data[: record.size]) == record.crc:
            return True
        in_descriptor = record.flags & zip_records.FLAG_DESCRIPTOR and record.crc == 0
        return bool(in_descriptor) and problem is None and zip_records.descriptor_crc(self._data, end) == checksum


def _contradict(central: Record, local: Record) -> bool:
    if local.method != central.method:
        return True
    return local.packed not in {0, central.packed} and not local.flags & zip_records.FLAG_DESCRIPTOR


def _gaps(taken: list[tuple[int, int]], end: int) -> Iterator[tuple[int, int]]:
    """What lies between extents that may overlap."""
    at = 0
    for start, stop in sorted(taken):
        if start > at:
            yield at, start
        at = max(at, stop)
    if at < end:
        yield at, end


FAMILY = Family("zip", recognise, members)
