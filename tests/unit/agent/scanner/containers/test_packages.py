"""What libarchive opens, each kind made here; and what 7-Zip adds to it."""

import base64
from collections.abc import Callable

import pytest

from agent.domain.facts import Incomplete
from agent.scanner.containers import libarchive_reader, seven_zip_library
from tests.fakes.packages import (
    cab_of,
    cpio_binary_of,
    cpio_crc_of,
    cpio_odc_of,
    deb_of,
    lha_of,
    rar5_of,
    rar_of,
    rpm_of,
)
from tests.unit.agent.scanner.containers.test_formats import SECRET, contents_of

pytestmark = pytest.mark.skipif(libarchive_reader.load() is None, reason="libarchive is not installed")
needs_seven_zip = pytest.mark.skipif(seven_zip_library.load() is None, reason="7-Zip's library is not there")
MEMBERS = {"a.txt": SECRET, "c.bin": b"other"}
#: Made by 7-Zip with a password: its members, and its header too.
ENCRYPTED_7Z = base64.b64decode(
    b"N3q8ryccAARt7K8zUAAAAAAAAABiAAAAAAAAAJfvCJstPQbwzM/Tlv856RJ6fW1ogxqmBdkiEtdT+4r2157E1wkpUFl13H63A3IOffl2oSvCTLJa"
    b"7NL6Aw7kQuULuPW+kU1EPz0gDh9rZGPglpG4+gEEBgABCVAABwsBAAIkBvEHARJTDylPRfhI0tkpBsBlIX415AEhIQECAQAMQZ2wAAgKAURhh4gA"
    b"AAUBGQARDQBhAC4AdAB4AHQAAAAUCgEAEtzvNIB83QEVBgEAIICkgQAA"
)
HEADER_ENCRYPTED_7Z = base64.b64decode(
    b"N3q8ryccAATNqMwTwAAAAAAAAAAuAAAAAAAAABbeRCKqWsPUamIxLggFvbfrQ+XRE1ggDRxhKVcHRC9AVmw39QTiyiXFKX8qIyF8c3UTljcvJq3v"
    b"KRHsIMLkBj9D92iMPCRU7uZjNZf054925fy6tQlh9rV+lEtZTI4uPc0cKUUSNr87DgY7qWRc0KiAT523hmnADaSa7ke989U86z381T+fCmNT4f8G"
    b"gS0yjkbBeQXcQn5P3xakvYhVXeDpBAI9Tnt9krE1POjO9osvyCesClR9lvKX8pY2VRSbEuFbx94XBlABCXAABwsBAAEkBvEHARJTD8MUeJ38ZQPr"
    b"xLS4AxnHymIMYgoBGKemcgAA"
)

#: Made by 7-Zip with deflate64, which libarchive does not unpack.
DEFLATE64_7Z = base64.b64decode(
    b"N3q8ryccAASak5ZEIgAAAAAAAABSAAAAAAAAALNsIA/lyLEJAAAIA7BX+psUnCpo/8cvXMwYJzGMphElU8b7uqoFAQQGAAEJIgAHCwEAAQMEAQkM"
    b"gXwACAoBYc9IHAAABQEZCwAAAAAAAAAAAAAAEQ0AYQAuAHQAeAB0AAAAFAoBAPvuOemCfN0BFQYBACCApIEAAA=="
)


@pytest.mark.parametrize(
    "archive",
    [
        cpio_odc_of,
        cpio_crc_of,
        cpio_binary_of,
        lambda members: cpio_binary_of(members, ">"),
        rpm_of,
        cab_of,
        lambda members: cab_of(members, is_packed=False),
        lha_of,
        rar_of,
        rar5_of,
    ],
    ids=["odc", "crc", "binary", "binary, swapped", "rpm", "cab", "cab, stored", "lha", "rar", "rar5"],
)
def test_every_member_is_met(archive: Callable[[dict[str, bytes]], bytes]) -> None:
    met, incomplete = contents_of(archive(MEMBERS))
    assert (met["outer!a.txt"], met["outer!c.bin"]) == (SECRET, b"other")
    assert incomplete == []


def test_the_files_of_a_deb_are_met() -> None:
    met, incomplete = contents_of(deb_of(MEMBERS))
    assert met["outer!data.tar.xz!data.tar!a.txt"] == SECRET
    assert incomplete == []


@pytest.mark.parametrize(
    "data",
    [
        ENCRYPTED_7Z,
        HEADER_ENCRYPTED_7Z,
        rar_of({"a": SECRET}, flags=4),
        rar_of({"a": SECRET}, archive_flags=0x80),
        pytest.param(rar5_of({"a": SECRET}, is_encrypted=True), marks=needs_seven_zip),
    ],
    ids=["7z", "7z, header", "rar", "rar, header", "rar5"],
)
def test_what_needs_a_password_says_so_and_is_not_called_damaged(data: bytes) -> None:
    met, incomplete = contents_of(data)
    assert {item.reason for item in incomplete} == {"encrypted"}
    assert list(met) == ["outer"]


def test_a_file_that_says_it_is_none_is_looked_at() -> None:
    # Attributes without a type; libarchive takes them from the archive.
    assert contents_of(rar5_of({"a": SECRET}))[0]["outer!a"] == SECRET


@needs_seven_zip
def test_what_libarchive_cannot_unpack_7_zip_does(monkeypatch: pytest.MonkeyPatch) -> None:
    met, incomplete = contents_of(DEFLATE64_7Z)
    assert met["outer!a.txt"] == SECRET
    assert incomplete == []
    monkeypatch.setattr(seven_zip_library, "load", lambda: None)
    assert {item.reason for item in contents_of(DEFLATE64_7Z)[1]} <= {"damaged", "no_unpacker"}


@needs_seven_zip
def test_what_neither_library_can_read_is_damaged() -> None:
    # A block of a kind that deflate does not have.
    data = cab_of(MEMBERS).replace(b"CK", b"CK\xff")
    incomplete = contents_of(data)[1]
    assert {item.reason for item in incomplete} == {"damaged"}


@needs_seven_zip
@pytest.mark.parametrize("flag", [1, 2], ids=["goes on", "began before"])
def test_a_volume_of_a_set_says_so_and_its_part_is_looked_at(flag: int) -> None:
    met, incomplete = contents_of(rar_of({"a": SECRET}, flags=flag, archive_flags=1))
    assert met["outer!a"] == SECRET
    assert Incomplete("multi_volume", None, ("outer", "a")) in incomplete
