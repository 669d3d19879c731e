"""7-Zip's library, called through the C interface that it publishes (`CPP/7zip/Archive/IArchive.h` of its sources).

The interface is COM: an object is an address whose first word points to a table of functions. Archives are objects of
the library; the stream that an archive reads and the one that a member is written to are objects of ours. All our
functions are made when the library is loaded: a confined process may not make new ones.

The wheel `pybit7z` brings the library. Its own binding is not used: it gives members whole or not at all, unbounded.
"""

import ctypes
import importlib.util
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

_FILE_NAME = "lib7zip.dylib" if sys.platform == "darwin" else "lib7zip.so"
#: From 23.00 on the tables of functions have no entries for C++ destructors, unless built to have them.
_OLDEST_VERSION = 23 << 16
_INTERFACE_TYPE, _VERSION = 0, 1

_OK = 0
_NOT_IMPLEMENTED, _NO_INTERFACE, _ABORT, _OUT_OF_MEMORY = -0x7FFFBFFF, -0x7FFFBFFE, -0x7FFFBFFC, -0x7FF8FFF2
_POINTER = ctypes.sizeof(ctypes.c_void_p)

# Slots of the tables, behind the three of IUnknown.
_QUERY, _RELEASE = 0, 2
_OPEN, _CLOSE, _COUNT, _PROPERTY, _EXTRACT, _ARCHIVE_PROPERTY = range(3, 9)
_SET = 3

# PropID.h
_PATH, _IS_FOLDER, _SIZE, _ENCRYPTED, _SPLIT_BEFORE, _SPLIT_AFTER, _ERROR_FLAGS = 3, 6, 7, 15, 16, 17, 71
# PROPVARIANT: what kind of value it holds.
_EMPTY, _STRING, _BOOLEAN, _NUMBER = 0, 8, 11, 19
#: How much of the value counts: the two kinds narrower than it.
_MASKS = {_BOOLEAN: 0xFFFF, _NUMBER: 0xFFFFFFFF}


def _interface_id(group: int, number: int) -> bytes:
    return UUID(f"23170F69-40C1-278A-0000-00{group:02X}00{number:02X}0000").bytes_le


_UNKNOWN = UUID("00000000-0000-0000-C000-000000000046").bytes_le
_SEQUENTIAL_IN, _SEQUENTIAL_OUT, _IN_STREAM = (_interface_id(3, number) for number in (1, 2, 3))
_PROGRESS, _SET_PROPERTIES, _OPEN_CALLBACK, _EXTRACT_CALLBACK, _IN_ARCHIVE = (
    _interface_id(group, number) for group, number in ((0, 5), (6, 3), (6, 0x10), (6, 0x20), (6, 0x60))
)


class _Variant(ctypes.Structure):
    _fields_ = (("kind", ctypes.c_uint16), ("padding", ctypes.c_uint16 * 3), ("value", ctypes.c_uint64))


class _Object:
    """An object of ours as the library sees it; lives as long as the archive it was given to."""

    interfaces: tuple[bytes, ...]
    table: Any

    def __init__(self) -> None:
        self._memory = (ctypes.c_void_p * 1)(ctypes.addressof(self.table))
        self.address = ctypes.addressof(self._memory)
        _objects[self.address] = self

    def forget(self) -> None:
        """The library does not know it any more."""
        del _objects[self.address]


#: By address: all that the library tells us when it calls.
_objects: dict[int, Any] = {}


class _InStream(_Object):
    """What an archive reads: bytes in memory."""

    interfaces = (_UNKNOWN, _SEQUENTIAL_IN, _IN_STREAM)

    def __init__(self, data: bytes) -> None:
        super().__init__()
        self._data = data
        self._start = ctypes.cast(ctypes.c_char_p(data), ctypes.c_void_p).value or 0
        self._at = 0

    def read(self, buffer: int, size: int, processed: Any) -> int:
        size = max(0, min(size, len(self._data) - self._at))
        ctypes.memmove(buffer, self._start + self._at, size)
        self._at += size
        if processed:
            processed[0] = size
        return _OK

    def seek(self, offset: int, origin: int, position: Any) -> int:
        self._at = max(0, offset + (0, self._at, len(self._data))[origin])
        if position:
            position[0] = self._at
        return _OK


class _Progress(_Object):
    """Told while an archive is opened, which is when it may take too long.

    Args:
        check: Raises when the time is up.
    """

    interfaces = (_UNKNOWN, _OPEN_CALLBACK)

    def __init__(self, check: Callable[[], object]) -> None:
        super().__init__()
        self._check = check
        self.error: BaseException | None = None

    def report(self, *_numbers: object) -> int:
        self._check()
        return _OK


class _OutStream(_Object):
    """What a member is written to."""

    interfaces = (_UNKNOWN, _SEQUENTIAL_OUT)

    def __init__(self, take: Callable[[bytes], None], owner: "_Extraction") -> None:
        super().__init__()
        self._take = take
        self._owner = owner

    @property
    def error(self) -> BaseException | None:
        return self._owner.error

    @error.setter
    def error(self, value: BaseException) -> None:
        self._owner.error = value

    def write(self, buffer: int, size: int, processed: Any) -> int:
        self._take(ctypes.string_at(buffer, size))
        if processed:
            processed[0] = size
        return _OK


class _Extraction(_Object):
    """Told while one member is extracted.

    Args:
        index: Of the member; the library may go through others to get there.
        take: Given the member's bytes; what it raises ends the extraction.
        check: Raises when the time is up.
    """

    interfaces = (_UNKNOWN, _PROGRESS, _EXTRACT_CALLBACK)

    def __init__(self, index: int, take: Callable[[bytes], None], check: Callable[[], object]) -> None:
        super().__init__()
        self._index = index
        self._check = check
        self._stream = _OutStream(take, self)
        self.error: BaseException | None = None
        self.result: int | None = None

    def forget(self) -> None:
        self._stream.forget()
        super().forget()

    def report(self, *_numbers: object) -> int:
        self._check()
        return _OK

    def give_stream(self, index: int, stream: Any, _mode: int) -> int:
        stream[0] = self._stream.address if index == self._index else None
        return _OK

    def prepare(self, _mode: int) -> int:
        return _OK

    def finish(self, result: int) -> int:
        # The member itself is what was asked for last.
        self.result = result
        return _OK


def _query(this: int, interface: int, found: Any) -> int:
    known = ctypes.string_at(interface, 16) in _objects[this].interfaces
    found[0] = this if known else None
    return _OK if known else _NO_INTERFACE


def _method(name: str, *arguments: Any) -> Any:
    """A function of a table, which calls the method of that name."""

    def call(this: int, *values: Any) -> int:
        receiver = _objects[this]
        try:
            return int(getattr(receiver, name)(*values))
        except BaseException as error:  # noqa: BLE001 -- nothing may unwind through the library; the caller raises it
            receiver.error = error
            return _ABORT

    return ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, *arguments)(call)


#: ctypes frees functions nobody refers to.
_functions: list[Any] = []


def _table(*functions: Any) -> Any:
    unknown = (
        ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_void_p, ctypes.POINTER(ctypes.c_void_p))(_query),
        ctypes.CFUNCTYPE(ctypes.c_uint32, ctypes.c_void_p)(lambda _this: 2),
        ctypes.CFUNCTYPE(ctypes.c_uint32, ctypes.c_void_p)(lambda _this: 1),
    )
    entries = (*unknown, *functions)
    table = (ctypes.c_void_p * len(entries))(*(ctypes.cast(entry, ctypes.c_void_p) for entry in entries))
    _functions.extend(entries)
    return table


def _make_tables() -> None:
    number, pointer = ctypes.c_uint32, ctypes.c_void_p
    numbers, positions = ctypes.POINTER(ctypes.c_uint32), ctypes.POINTER(ctypes.c_uint64)
    _InStream.table = _table(
        _method("read", pointer, number, numbers), _method("seek", ctypes.c_int64, number, positions)
    )
    _OutStream.table = _table(_method("write", pointer, number, numbers))
    report = _method("report", pointer, pointer)
    _Progress.table = _table(report, report)
    _Extraction.table = _table(
        _method("report", ctypes.c_uint64),
        _method("report", pointer),
        _method("give_stream", number, ctypes.POINTER(ctypes.c_void_p), ctypes.c_int32),
        _method("prepare", ctypes.c_int32),
        _method("finish", ctypes.c_int32),
    )


class SevenZipError(Exception):
    """The library refuses.

    Args:
        result: Its HRESULT.
    """

    def __init__(self, result: int) -> None:
        super().__init__(f"{result & 0xFFFFFFFF:#x}")
        #: It knows the format or the method and cannot do it, rather than finding it bent.
        self.is_unsupported = result == _NOT_IMPLEMENTED


class Archive:
    """An opened archive, valid inside `SevenZip.opened`."""

    def __init__(self, library: Any, address: int, check: Callable[[], object]) -> None:
        self._library = library
        self._address = address
        self._check = check

    def item_count(self) -> int:
        """How many members it has, folders included."""
        count = ctypes.c_uint32()
        _raise_for(self._call(_COUNT, ctypes.byref(count)))
        return count.value

    def path(self, index: int) -> str:
        """Name of a member; empty: it has none."""
        return str(self._item(index, _PATH) or "")

    def is_folder(self, index: int) -> bool:
        """Whether a member is one."""
        return bool(self._item(index, _IS_FOLDER))

    def is_encrypted(self, index: int) -> bool:
        """Whether a member needs a password."""
        return bool(self._item(index, _ENCRYPTED))

    def is_split(self, index: int) -> bool:
        """Whether a part of a member is in another volume."""
        return bool(self._item(index, _SPLIT_BEFORE) or self._item(index, _SPLIT_AFTER))

    def size(self, index: int) -> int:
        """Bytes of a member, as the archive says; 0: it does not."""
        return int(self._item(index, _SIZE) or 0)

    def error_flags(self) -> int:
        """What is wrong with the archive as a whole, as bits `kpv_ErrorFlags_…` of `PropID.h`."""
        return int(self._value(_ARCHIVE_PROPERTY, ctypes.c_uint32(_ERROR_FLAGS)) or 0)

    def extract(self, index: int, take: Callable[[bytes], None]) -> int | None:
        """Unpack a member, piece by piece.

        Args:
            index: Which.
            take: Given each piece; what it raises is raised here.

        Returns:
            `NArchive::NExtract::NOperationResult`; 0: it is whole; None: the library said nothing about it.

        Raises:
            SevenZipError: The library refuses.
            MemoryError: It got none.
        """
        extraction = _Extraction(index, take, self._check)
        try:
            wanted = ctypes.c_uint32(index)
            result = self._call(
                _EXTRACT,
                ctypes.byref(wanted),
                ctypes.c_uint32(1),
                ctypes.c_int32(0),
                ctypes.c_void_p(extraction.address),
            )
        finally:
            extraction.forget()
        if extraction.error is not None:
            raise extraction.error
        _raise_for(result)
        return extraction.result

    def _item(self, index: int, kind: int) -> str | int | None:
        return self._value(_PROPERTY, ctypes.c_uint32(index), ctypes.c_uint32(kind))

    def _value(self, slot: int, *arguments: Any) -> str | int | None:
        variant = _Variant()
        result = self._call(slot, *arguments, ctypes.byref(variant))
        if result != _OK or variant.kind == _EMPTY:
            return None
        if variant.kind != _STRING:
            return int(variant.value & _MASKS.get(variant.kind, -1))
        try:
            size = ctypes.c_uint32.from_address(variant.value - 4).value
            return ctypes.string_at(variant.value, size).decode("utf-32-le", "replace")
        finally:
            self._library.VariantClear(ctypes.byref(variant))

    def _call(self, slot: int, *arguments: Any) -> int:
        return _call(self._address, slot, *arguments)


class SevenZip:
    """The loaded library."""

    def __init__(self, library: Any) -> None:
        self._library = library

    @contextmanager
    def opened(self, data: bytes, format_id: int, check: Callable[[], object]) -> Iterator[Archive]:
        """Open an archive in memory.

        Args:
            data: All of it.
            format_id: The library's number of the format.
            check: Called now and then; what it raises ends the work and is raised here.

        Raises:
            SevenZipError: It is no archive of that format, or the library refuses.
            MemoryError: The library got none.
        """
        handler = UUID(f"23170F69-40C1-278A-1000-000110{format_id:02X}0000").bytes_le
        address = ctypes.c_void_p()
        _raise_for(self._library.CreateObject(handler, _IN_ARCHIVE, ctypes.byref(address)))
        assert address.value is not None, "the library said it made one"
        _forbid_threads(address.value)
        stream, progress = _InStream(data), _Progress(check)
        try:
            from_the_start = ctypes.c_uint64(0)
            result = _call(
                address.value,
                _OPEN,
                ctypes.c_void_p(stream.address),
                ctypes.byref(from_the_start),
                ctypes.c_void_p(progress.address),
            )
            if progress.error is not None:
                raise progress.error
            _raise_for(result)
            yield Archive(self._library, address.value, check)
        finally:
            _call(address.value, _CLOSE)
            _call(address.value, _RELEASE)
            stream.forget()
            progress.forget()


def _forbid_threads(archive: int) -> None:
    """A confined process may not start any; a handler that is not told tries, and takes the refusal for bad data."""
    settings = ctypes.c_void_p()
    wanted = ctypes.create_string_buffer(_SET_PROPERTIES, len(_SET_PROPERTIES))
    if _call(archive, _QUERY, wanted, ctypes.byref(settings)) != _OK or settings.value is None:
        return
    # One thread to unpack, and filters in the same; a handler refuses names it does not know.
    for name, value in (("mt", _Variant(kind=_NUMBER, value=1)), ("mtf", _Variant(kind=_BOOLEAN, value=0))):
        _call(settings.value, _SET, (ctypes.c_wchar_p * 1)(name), ctypes.byref(value), ctypes.c_uint32(1))
    _call(settings.value, _RELEASE)


def _call(address: int, slot: int, *arguments: Any) -> int:
    table = ctypes.c_void_p.from_address(address).value or 0
    function = ctypes.c_void_p.from_address(table + slot * _POINTER).value or 0
    return int(_FUNCTION(function)(ctypes.c_void_p(address), *arguments))


#: Arguments are given as ctypes objects of their own types.
_FUNCTION = ctypes.CFUNCTYPE(ctypes.c_int32)


def _raise_for(result: int) -> None:
    if result == _OUT_OF_MEMORY:
        raise MemoryError
    if result != _OK:
        raise SevenZipError(result)


def load() -> SevenZip | None:
    """The library; None if it is not there or too old. Call once before files are forbidden: it is kept."""
    global _loaded, _seven_zip  # noqa: PLW0603 -- a shared library is loaded once per process, whoever asks
    if not _loaded:
        _loaded = True
        _seven_zip = _load()
    return _seven_zip


_loaded = False
_seven_zip: SevenZip | None = None


def _load() -> SevenZip | None:
    package = importlib.util.find_spec("pybit7z")
    if sys.platform == "win32" or package is None or package.origin is None:
        return None
    try:
        library = ctypes.CDLL(str(Path(package.origin).with_name(_FILE_NAME)))
        library.CreateObject.argtypes = (ctypes.c_char_p, ctypes.c_char_p, ctypes.c_void_p)
        library.CreateObject.restype = ctypes.c_int32
        interface, version = _Variant(), _Variant()
        library.GetModuleProp(_INTERFACE_TYPE, ctypes.byref(interface))
        library.GetModuleProp(_VERSION, ctypes.byref(version))
    except (OSError, AttributeError):
        return None
    if interface.kind != _NUMBER or interface.value != 0 or version.value < _OLDEST_VERSION:
        return None
    _make_tables()
    return SevenZip(library)
