"""Reads containers with 7-Zip's library, from memory, one member at a time.

The library is optional; without it what needs it is `no_unpacker`.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from agent.domain.facts import Incomplete
from agent.scanner.containers import seven_zip_library
from agent.scanner.containers.budget import Meter
from agent.scanner.containers.family import ContainerError, Content, Member
from agent.scanner.containers.seven_zip_library import Archive, SevenZipError

#: `NArchive::NExtract::NOperationResult`: why a member is not whole. Data that follows the end is no flaw.
_UNSUPPORTED_METHOD, _DATA_AFTER_END, _WRONG_PASSWORD = 1, 6, 9
_MEMBER_REASONS = {0: None, _UNSUPPORTED_METHOD: "no_unpacker", _DATA_AFTER_END: None, _WRONG_PASSWORD: "encrypted"}
#: `kpv_ErrorFlags_…`, the ones that say more than that an archive is bent.
_ENCRYPTED_HEADERS = 1 << 2
_UNSUPPORTED = 1 << 7 | 1 << 8
_HARMLESS = 1 << 4 | 1 << 6  # the start is a guess; something follows the end


def members(content: Content, meter: Meter, format_id: int, skip: Counter[str] | None = None) -> Iterator[Member]:
    """Members of a container in the library's order.

    Args:
        content: The container.
        meter: Enforces the limits.
        format_id: The library's number of the format.
        skip: How many members of which names to leave out; counted down.

    Raises:
        ContainerError: `no_unpacker`, `encrypted` or `damaged`.
    """
    with _opened(content.data, meter, format_id) as archive:
        count = archive.item_count()
        for index in range(count):
            name = archive.path(index) or (f"item-{index + 1}" if count > 1 else content.name)
            if skip and skip[name]:
                skip[name] -= 1
            else:
                yield _read(archive, index, name, meter)
        reason = _archive_reason(archive.error_flags())
    if reason is not None:
        raise ContainerError(reason)


def has_encrypted_or_split(content: Content, meter: Meter, format_id: int) -> bool:
    """Whether any member needs a password or is partly in another volume; False of what cannot be opened."""
    try:
        with _opened(content.data, meter, format_id) as archive:
            for index in range(archive.item_count()):
                meter.budget.seconds_left()
                if archive.is_encrypted(index) or archive.is_split(index):
                    return True
    except ContainerError:
        pass
    return False


def is_bent(content: Content, meter: Meter, format_id: int) -> bool:
    """Whether the library finds fault with the archive as a whole; False of what it cannot open."""
    try:
        with _opened(content.data, meter, format_id) as archive:
            return _archive_reason(archive.error_flags()) is not None
    except ContainerError:
        return False


def unpack_first(data: bytes, meter: Meter, format_id: int, write: Callable[[bytes], None]) -> str | None:
    """Unpack the only member of an archive.

    Returns:
        Why it is not whole; None: it is.

    Raises:
        ContainerError: As `members`.
    """
    with _opened(data, meter, format_id) as archive:
        return _extract(archive, 0, write)


@contextmanager
def _opened(data: bytes, meter: Meter, format_id: int) -> Iterator[Archive]:
    library = seven_zip_library.load()
    if library is None:
        raise ContainerError("no_unpacker")
    try:
        with library.opened(data, format_id, meter.budget.seconds_left) as archive:
            yield archive
    except SevenZipError as error:
        raise ContainerError(_refusal(error)) from error


def _read(archive: Archive, index: int, name: str, meter: Meter) -> Member:
    if archive.is_folder(index):
        return Member(name, None)
    if archive.is_encrypted(index):
        return Member(name, None, Incomplete("encrypted"))
    data, problem = meter.collect(lambda write: _extract(archive, index, write))
    if data is not None and problem is None and len(data) < archive.size(index):
        problem = Incomplete("damaged")
    if archive.is_split(index) and (problem is None or problem.reason == "damaged"):
        problem = Incomplete("multi_volume")
    return Member(name, data, problem)


def _extract(archive: Archive, index: int, write: Callable[[bytes], None]) -> str | None:
    try:
        result = archive.extract(index, write)
    except SevenZipError as error:
        return _refusal(error)
    return "damaged" if result is None else _MEMBER_REASONS.get(result, "damaged")


def _refusal(error: SevenZipError) -> str:
    return "no_unpacker" if error.is_unsupported else "damaged"


def _archive_reason(flags: int) -> str | None:
    if flags & _ENCRYPTED_HEADERS:
        return "encrypted"
    if flags & _UNSUPPORTED:
        return "no_unpacker"
    return "damaged" if flags & ~_HARMLESS else None
