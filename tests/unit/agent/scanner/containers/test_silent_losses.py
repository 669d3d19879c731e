"""What libraries step over without a word, and what hides behind a bent field: met, or called damaged."""

import struct
import zlib
from collections.abc import Callable

import pytest

from agent.domain.facts import Incomplete
from agent.scanner.containers import libarchive_reader, rar_blocks, seven_zip_library
from tests.fakes.archives import ar_of, cpio_of, libarchive_of, zip_of
from tests.fakes.documents import ole_of, pdf_of, tnef_of
from tests.fakes.eicar import EICAR
from tests.fakes.old_archives import binhex_of
from tests.fakes.packages import cpio_odc_of, rar5_of, rar_of
from tests.unit.agent.scanner.containers.test_formats import SECRET, contents_of

needs_libarchive = pytest.mark.skipif(libarchive_reader.load() is None, reason="libarchive is not installed")
needs_7_zip = pytest.mark.skipif(seven_zip_library.load() is None, reason="7-Zip's library is not installed")
MEMBERS = {"a": SECRET, "b": EICAR}


def reasons_of(data: bytes) -> set[str]:
    return {item.reason for item in contents_of(data)[1]}


@needs_libarchive
@pytest.mark.parametrize("pack", [cpio_of, cpio_odc_of])
def test_the_last_member_of_a_cpio_whose_header_is_bent_is_missed(pack: Callable[[dict[str, bytes]], bytes]) -> None:
    data = bytearray(pack(MEMBERS))
    data[data.rindex(b"0707", 0, data.index(EICAR))] ^= 1
    assert reasons_of(bytes(data)) == {"damaged"}


@needs_libarchive
def test_a_7z_without_members_is_damaged_unless_it_is_empty() -> None:
    data = bytearray(libarchive_of({"a": SECRET}, "7zip"))
    data[20:28] = bytes(8)
    assert reasons_of(bytes(data)) == {"damaged"}
    assert reasons_of(libarchive_of({}, "7zip")) == set()


@needs_libarchive
@needs_7_zip
@pytest.mark.parametrize("pack", [rar_of, rar5_of])
def test_a_rar_that_is_cut_off_in_a_header_is_damaged(pack: Callable[[dict[str, bytes]], bytes]) -> None:
    data = pack(MEMBERS)
    end = data.index(SECRET) + len(SECRET)
    assert all(reasons_of(data[:at]) == {"damaged"} for at in range(end + 1, data.index(EICAR)))


def test_the_blocks_of_a_rar_are_whole_or_they_are_not() -> None:
    data = rar_of(MEMBERS)
    assert rar_blocks.is_whole(data)
    second = data.index(SECRET) + len(SECRET)
    bent = bytearray(data)
    bent[second + 24] ^= 1
    assert not rar_blocks.is_whole(bytes(bent))
    assert not rar_blocks.is_whole(data[: second + 5])


def test_a_binhex_header_that_is_bent_is_damaged() -> None:
    data = binhex_of("a", SECRET)
    at = data.index(b":") + 12
    bent = data[:at] + (b"!" if data[at : at + 1] != b"!" else b"#") + data[at + 1 :]
    assert reasons_of(bent) == {"damaged"}


def test_a_tnef_attribute_of_an_unknown_kind_is_met() -> None:
    data = tnef_of("a", EICAR).replace(struct.pack("<I", 0x0006800F), struct.pack("<I", 0x0006810F))
    assert EICAR in contents_of(data)[0].values()


def test_a_tnef_attribute_that_reaches_beyond_the_end_is_damaged() -> None:
    data = bytearray(tnef_of("a", EICAR))
    struct.pack_into("<I", data, 11, 0x7FFFFFFF)
    assert reasons_of(bytes(data)) == {"damaged"}


def test_deflated_streams_of_a_broken_pdf_are_found_each_by_its_own_beginning() -> None:
    packed = zlib.compress(EICAR)
    met, incomplete = contents_of(b"%PDF-1.7\n" + b"stream\n" + packed + b"\nstream\n" + packed)
    assert list(met.values()).count(EICAR) == 2
    assert incomplete[-1] == Incomplete("damaged")


def test_a_stream_of_a_pdf_that_expands_over_many_pieces_is_met_whole() -> None:
    content = bytes(range(256)) * 8000
    assert content in contents_of(pdf_of(content))[0].values()


@needs_libarchive
@needs_7_zip
def test_a_static_library_of_windows_is_read_whole() -> None:
    # Its table of long names ends each with a zero, where libarchive asks for a slash and a line's end.
    symbols = ar_of({"": b"\0\0\0\0"})
    data = symbols + symbols[8:] + ar_of({"/": b"a_name_longer_than_sixteen.obj\0\0", "/0": SECRET})[8:]
    data = data.replace(b"/0/ ", b"/0  ", 1)
    met, incomplete = contents_of(data)
    assert (SECRET in met.values(), incomplete) == (True, [])


def test_the_number_of_savings_in_a_compound_file_is_no_damage() -> None:
    data = bytearray(ole_of({"a": SECRET}))
    struct.pack_into("<I", data, 52, 7)
    assert contents_of(bytes(data))[1] == []


def test_a_record_of_a_zip_directory_that_swallows_the_next_is_damaged() -> None:
    data = bytearray(zip_of({"a": SECRET, "b": EICAR}))
    struct.pack_into("<H", data, data.index(b"PK\x01\x02") + 30, 0x1000)
    data[data.index(b"PK\x03\x04", 4)] ^= 1
    assert "damaged" in reasons_of(bytes(data))
