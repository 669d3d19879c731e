"""OLE2: streams, macros and embedded objects are members."""

import struct

from agent.domain.facts import Incomplete
from agent.scanner.containers import vba_macros
from tests.fakes.archives import zip_of
from tests.fakes.documents import ole_of, package_of, vba_of
from tests.fakes.eicar import EICAR
from tests.unit.agent.scanner.containers.test_formats import contents_of


def test_every_stream_is_met_under_its_storage() -> None:
    met, incomplete = contents_of(ole_of({"Contents": EICAR, "Storage/inner": b"x"}))
    assert (met["outer!Contents"], met["outer!Storage/inner"]) == (EICAR, b"x")
    assert incomplete == []


def test_a_macro_is_met_as_source() -> None:
    source = b'Attribute VB_Name = "x"\r\n' + EICAR
    met, incomplete = contents_of(ole_of({"VBA/Module1": b"cache" * 9 + vba_of(source)}))
    assert met["outer!VBA/Module1.bas"] == source
    assert incomplete == []


def test_a_macro_without_its_usual_beginning_is_found_by_the_directory() -> None:
    directory = struct.pack("<HI6s", 9, 4, bytes(6)) + struct.pack("<HI", 0x1A, 1) + b"M"
    directory += struct.pack("<HII", 0x31, 4, 7)
    met, incomplete = contents_of(ole_of({"VBA/m": b"7 bytes" + vba_of(EICAR), "VBA/dir": vba_of(directory)}))
    assert met["outer!VBA/m.bas"] == EICAR
    assert incomplete == []


def test_copy_tokens_repeat_what_came_before() -> None:
    # The example of [MS-OVBA] 3.2.2: maximum compression.
    packed = bytes.fromhex("0103b0026145 00".replace(" ", ""))
    assert vba_macros.decompressor(packed, 0)(0) == b"a" * 73


def test_a_macro_that_contradicts_itself_is_damaged_and_what_came_before_is_met() -> None:
    packed = vba_of(b"Attribute VB_Name" + EICAR) + b"\0\0\0"
    met, incomplete = contents_of(ole_of({"m": packed}))
    assert EICAR in met["outer!m.bas"]
    assert incomplete == [Incomplete("damaged", None, ("outer", "m.bas"))]


def test_a_packaged_file_is_met_and_opened_in_turn() -> None:
    native = package_of("inner.zip", zip_of({"a": EICAR}))
    met, incomplete = contents_of(ole_of({"ObjectPool/\x01Ole10Native": struct.pack("<I", len(native)) + native}))
    assert met["outer!ObjectPool/\x01Ole10Native/inner.zip!a"] == EICAR
    assert incomplete == []


def test_encrypted_documents_say_so() -> None:
    book = b"\x09\x08\x02\x00\x00\x06" + b"\x2f\x00\x00\x00"
    for streams in ({"EncryptedPackage": b"x" * 99}, {"WordDocument": bytes(11) + b"\1"}, {"Workbook": book}):
        incomplete = contents_of(ole_of(streams))[1]
        assert [item.reason for item in incomplete] == ["encrypted"]


def test_a_compound_file_that_cannot_be_read_is_damaged() -> None:
    assert contents_of(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"x" * 3000)[1] == [Incomplete("damaged")]
    assert contents_of(ole_of({"a": EICAR})[:600])[1]


def test_names_in_an_installer_package_are_readable() -> None:
    assert "outer!AB" in contents_of(ole_of({chr(0x3800 + 10 + (11 << 6)): EICAR}))[0]


def test_a_stream_that_claims_more_than_the_file_and_goes_in_a_circle_is_damaged() -> None:
    data = bytearray(ole_of({"a": EICAR}))
    sector, entry = 2, 1024 + 128
    struct.pack_into("<I", data, 512 + 4 * sector, sector)
    struct.pack_into("<IQ", data, entry + 116, sector, 1 << 30)
    assert Incomplete("damaged", None, ("outer", "a")) in contents_of(bytes(data))[1]


def test_a_stream_shorter_than_its_entry_says_is_damaged() -> None:
    data = bytearray(ole_of({"a": EICAR}))
    struct.pack_into("<I", data, 60, 0xFFFFFFFE)
    struct.pack_into("<I", data, 64, 0)
    assert Incomplete("damaged", None, ("outer", "a")) in contents_of(bytes(data))[1]


def test_an_entry_that_no_storage_leads_to_is_opened_all_the_same() -> None:
    data = bytearray(ole_of({"a": EICAR}))
    struct.pack_into("<I", data, 1024 + 76, 0xFFFFFFFF)
    assert contents_of(bytes(data))[0]["outer!orphans/a"] == EICAR
