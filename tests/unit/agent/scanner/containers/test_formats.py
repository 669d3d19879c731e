"""Each format with the same content: found in it, named right, and told when it cannot be had."""

import tarfile
import zipfile
from collections.abc import Callable

import pytest

from agent.domain.facts import Incomplete
from agent.platform.clock import SystemClock
from agent.scanner.containers import libarchive_reader
from agent.scanner.containers.budget import Budget
from agent.scanner.containers.family import Content
from agent.scanner.containers.registry import FORMATS
from agent.scanner.containers.walk import Walk
from agent.scanner.limits import Limits
from tests.fakes.archives import ar_of, cpio_of, encrypted_zip_of, libarchive_of, shrink, tar_of, zip_of

SECRET = b"the secret content " * 20
needs_libarchive = pytest.mark.skipif(libarchive_reader.load() is None, reason="libarchive is not installed")


def walked(data: bytes, name: str = "outer", limits: Limits | None = None) -> tuple[list[Content], list[Incomplete]]:
    """Every content met, and what was not looked at."""
    met: list[Content] = []
    walk = Walk(FORMATS, Budget(limits or Limits(), SystemClock().monotonic_ns), met.append)
    walk.run(Content(data, (name,)))
    return met, walk.incomplete


def contents_of(
    data: bytes, name: str = "outer", limits: Limits | None = None
) -> tuple[dict[str, bytes], list[Incomplete]]:
    """Every content met, by its names, and what was not looked at."""
    met, incomplete = walked(data, name, limits)
    return {"!".join(content.trail): content.data for content in met}, incomplete


@pytest.mark.parametrize(
    "pack",
    [
        lambda m: zip_of(m, zipfile.ZIP_STORED),
        lambda m: zip_of(m, zipfile.ZIP_DEFLATED),
        lambda m: zip_of(m, zipfile.ZIP_BZIP2),
        lambda m: zip_of(m, zipfile.ZIP_LZMA),
        lambda m: tar_of(m, tarfile.USTAR_FORMAT),
        lambda m: tar_of(m, tarfile.GNU_FORMAT),
        lambda m: tar_of(m, tarfile.PAX_FORMAT),
        pytest.param(cpio_of, marks=needs_libarchive),
        pytest.param(ar_of, marks=needs_libarchive),
    ],
    ids=["zip-stored", "zip-deflate", "zip-bzip2", "zip-lzma", "tar-ustar", "tar-gnu", "tar-pax", "cpio", "ar"],
)
def test_every_member_of_an_archive_is_met(pack: Callable[[dict[str, bytes]], bytes]) -> None:
    met, incomplete = contents_of(pack({"a.txt": SECRET, "b.txt": b"", "c.bin": b"other"}))
    assert (met["outer!a.txt"], met["outer!c.bin"]) == (SECRET, b"other")
    assert incomplete == []


@pytest.mark.parametrize("kind", ["gz", "bz2", "xz", "lzma"])
def test_a_compressed_stream_is_one_member_named_without_its_suffix(kind: str) -> None:
    met, incomplete = contents_of(shrink(SECRET, kind), f"report.txt.{kind}")
    assert met[f"report.txt.{kind}!report.txt"] == SECRET
    assert incomplete == []


@pytest.mark.parametrize("kind", ["gz", "bz2", "xz"])
def test_streams_in_a_row_are_one_content_and_trailing_bytes_are_left_alone(kind: str) -> None:
    met, incomplete = contents_of(shrink(b"one", kind) + shrink(b"two", kind) + b"trailing", f"x.{kind}")
    assert met[f"x.{kind}!x"] == b"onetwo"
    assert incomplete == []


@pytest.mark.parametrize("kind", ["gz", "bz2", "xz", "lzma"])
def test_a_stream_that_is_cut_off_is_damaged_and_what_there_is_is_met(kind: str) -> None:
    noise = bytes(i * i % 251 for i in range(300_000))
    _met, incomplete = contents_of(shrink(noise, kind)[:-20], f"x.{kind}")
    assert {item.reason for item in incomplete} == {"damaged"}


@needs_libarchive
def test_a_gzip_with_a_wrong_checksum_still_gives_its_content() -> None:
    data = bytearray(shrink(SECRET, "gz"))
    data[-8] ^= 1
    met, incomplete = contents_of(bytes(data), "x.gz")
    assert met["x.gz!x"] == SECRET
    assert incomplete == [Incomplete("damaged", None, ("x.gz", "x"))]


def test_a_zip_member_with_a_wrong_checksum_still_gives_its_content() -> None:
    data = bytearray(zip_of({"a": SECRET}, zipfile.ZIP_STORED))
    at = data.find(b"PK\x01\x02") + 16
    data[at] ^= 1
    met, incomplete = contents_of(bytes(data))
    assert met["outer!a"] == SECRET
    assert incomplete == [Incomplete("damaged", None, ("outer", "a"))]


@needs_libarchive
def test_a_zip_without_its_directory_is_read_from_the_front_and_called_damaged() -> None:
    data = zip_of({"a": SECRET, "b": b"more"})
    met, incomplete = contents_of(data[: data.index(b"PK\x01\x02")])
    assert met["outer!a"] == SECRET
    assert "damaged" in {item.reason for item in incomplete}


def test_a_zip_behind_a_program_is_found_by_its_end() -> None:
    met, incomplete = contents_of(b"MZ" + bytes(5000) + zip_of({"a": SECRET}))
    assert met["outer!a"] == SECRET
    assert incomplete == []


def test_text_that_only_mentions_the_end_of_a_zip_is_no_zip() -> None:
    met, incomplete = contents_of(b"magic = 'PK\x05\x06'" + bytes(30) + b"\xff" * 40)
    assert (list(met), incomplete) == (["outer"], [])


def test_an_encrypted_zip_is_incomplete_not_clean() -> None:
    _met, incomplete = contents_of(encrypted_zip_of({"a": SECRET}))
    assert incomplete == [Incomplete("encrypted", None, ("outer", "a"))]


def test_a_zip_member_packed_in_a_way_nobody_here_knows_says_so() -> None:
    data = bytearray(zip_of({"a": SECRET, "b": SECRET}))
    for magic, at in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        data[data.find(magic) + at] = 97
    met, incomplete = contents_of(bytes(data))
    assert incomplete == [Incomplete("no_unpacker", None, ("outer", "a"))]
    assert met["outer!b"] == SECRET


@pytest.mark.parametrize("name", ["/etc/passwd", "../../x", "a\nb", "C:\\x", "x" * 3000])
def test_names_of_members_are_labels_and_nothing_else(name: str) -> None:
    met, incomplete = contents_of(tar_of({name: SECRET}))
    assert met[f"outer!{name}"] == SECRET
    assert incomplete == []


def test_a_tar_that_breaks_off_is_damaged() -> None:
    data = bytearray(tar_of({"a": SECRET, "b": SECRET}))
    data[1024] ^= 0xFF
    met, incomplete = contents_of(bytes(data))
    assert met["outer!a"] == SECRET
    assert incomplete == [Incomplete("damaged")]


def test_a_tar_appended_to_another_one_is_read_too() -> None:
    met, incomplete = contents_of(tar_of({"a": b"1"}) + tar_of({"b": SECRET}))
    assert met["outer!b"] == SECRET
    assert incomplete == []


def test_a_tar_of_the_seventh_edition_is_known_by_its_checksum() -> None:
    data = bytearray(tar_of({"a": SECRET}, tarfile.USTAR_FORMAT))
    data[257:265] = bytes(8)
    data[148:156] = b" " * 8
    data[148:156] = b"%06o\0 " % sum(data[:512])
    assert contents_of(bytes(data))[0]["outer!a"] == SECRET


def test_links_and_folders_in_a_tar_have_no_content() -> None:
    import io

    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE):
            entry = tarfile.TarInfo(f"kind-{kind.decode()}")
            entry.type = kind
            entry.linkname = "/etc/shadow"
            archive.addfile(entry)
    met, incomplete = contents_of(buffer.getvalue())
    assert (list(met), incomplete) == (["outer"], [])


@needs_libarchive
@pytest.mark.parametrize("format_name", ["7zip", "xar", "iso9660", "ar_svr4", "cpio", "cpio_newc", "zip"])
def test_what_libarchive_packs_is_unpacked(format_name: str) -> None:
    met, incomplete = contents_of(libarchive_of({"a.txt": SECRET}, format_name))
    assert met["outer!a.txt"] == SECRET
    assert incomplete == []


@needs_libarchive
@pytest.mark.parametrize("name", ["\xfcml\xe4ut.txt", "\u6f22\u5b57.txt"])
def test_a_7z_member_keeps_its_name_whatever_the_script(name: str) -> None:
    assert contents_of(libarchive_of({name: SECRET}, "7zip"))[0][f"outer!{name}"] == SECRET


@needs_libarchive
@pytest.mark.parametrize(
    ("filter_name", "suffix"), [("zstd", "zst"), ("lz4", "lz4"), ("compress", "Z"), ("lzip", "lz")]
)
def test_a_stream_that_libarchive_packs_is_unpacked(filter_name: str, suffix: str) -> None:
    met, incomplete = contents_of(libarchive_of({"a": SECRET}, "raw", filter_name), f"a.txt.{suffix}")
    assert met[f"a.txt.{suffix}!a.txt"] == SECRET
    assert incomplete == []


@needs_libarchive
@pytest.mark.parametrize(
    "magic",
    [
        b"7z\xbc\xaf\x27\x1c",
        b"Rar!\x1a\x07\x00",
        b"Rar!\x1a\x07\x01\x00",
        b"MSCF\0\0\0\0",
        b"xar!",
        b"\xed\xab\xee\xdb",
        b"\x28\xb5\x2f\xfd",
        b"\x04\x22\x4d\x18",
        b"LZIP\x01",
        b"\x1f\x9d\x90x",
        b"x\x00-lh5-",
        bytes(32769) + b"CD001",
    ],
    ids=["7z", "rar", "rar5", "cab", "xar", "rpm", "zstd", "lz4", "lzip", "Z", "lha", "iso"],
)
def test_what_begins_like_a_container_and_cannot_be_opened_is_never_clean(magic: bytes) -> None:
    _met, incomplete = contents_of(magic + b"garbage that is no archive at all " * 3000)
    assert incomplete
    assert {item.reason for item in incomplete} <= {"damaged", "no_unpacker"}


@needs_libarchive
def test_an_archive_with_bytes_between_its_members_is_damaged() -> None:
    first, second = cpio_of({"a": SECRET}), cpio_of({"b": SECRET})
    trailer = first.index(b"070701", 6)
    met, incomplete = contents_of(first[:trailer] + b"stray bytes " * 9 + second)
    assert met["outer!b"] == SECRET
    assert {item.reason for item in incomplete} == {"damaged"}
