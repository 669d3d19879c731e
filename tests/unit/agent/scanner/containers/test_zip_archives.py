"""Zip archives as they are, and as those write them who want a scanner to see something else than the unpacker does."""

import struct

import pytest

from agent.domain.facts import Incomplete
from agent.scanner.containers import libarchive_reader, seven_zip_library, zip_methods
from agent.scanner.limits import MIB, Limits
from tests.fakes import zips
from tests.fakes.zips import DEFLATE, DESCRIPTOR, PPMD_CONTENT, STORED, Entry, encrypted_entry, zip_from
from tests.unit.agent.scanner.containers.test_formats import contents_of, walked

SECRET = PPMD_CONTENT
HARMLESS = b"nothing to see here"
needs_seven_zip = pytest.mark.skipif(seven_zip_library.load() is None, reason="7-Zip's library is not there")
needs_libarchive = pytest.mark.skipif(libarchive_reader.load() is None, reason="libarchive is not installed")


def in_first(reason: str) -> list[Incomplete]:
    return [Incomplete(reason, None, ("outer", "a"))]


@pytest.mark.parametrize(
    "method",
    [
        zips.STORED,
        zips.DEFLATE,
        zips.BZIP2,
        zips.LZMA,
        zips.XZ,
        pytest.param(zips.SHRINK, marks=needs_seven_zip),
        pytest.param(zips.IMPLODE, marks=needs_seven_zip),
        pytest.param(zips.DEFLATE64, marks=needs_seven_zip),
        pytest.param(zips.PPMD, marks=needs_seven_zip),
        pytest.param(zips.ZSTD, marks=(needs_seven_zip, needs_libarchive)),
    ],
)
def test_every_method_is_unpacked(method: int) -> None:
    met, incomplete = contents_of(zip_from(Entry("a", SECRET, method), Entry("b", HARMLESS)))
    assert (met["outer!a"], met["outer!b"]) == (SECRET, HARMLESS)
    assert incomplete == []


@pytest.mark.parametrize("method", [zips.SHRINK, zips.DEFLATE64, zips.PPMD])
def test_without_7_zip_its_methods_are_told_and_the_others_unpacked(
    method: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seven_zip_library, "load", lambda: None)
    met, incomplete = contents_of(zip_from(Entry("a", SECRET, method), Entry("b", HARMLESS)))
    assert incomplete == in_first("no_unpacker")
    assert met["outer!b"] == HARMLESS


@pytest.mark.parametrize("method", [2, 5, 10, 96, 97, 1234])
def test_a_method_nobody_here_knows_is_told_and_the_packed_bytes_are_looked_at(method: int) -> None:
    met, incomplete = contents_of(zip_from(Entry("a", SECRET, method)))
    assert incomplete == in_first("no_unpacker")
    assert met["outer!a"] == SECRET


@pytest.mark.parametrize("method", [STORED, DEFLATE, zips.BZIP2, zips.LZMA, zips.XZ])
@pytest.mark.parametrize("has_signature", [True, False])
def test_sizes_may_follow_the_data(method: int, *, has_signature: bool) -> None:
    entries = [
        Entry(name, SECRET, method, DESCRIPTOR, has_signature=has_signature, named=named)
        for name, named in (("a", True), ("b", False), ("c", False))
    ]
    met, incomplete = contents_of(zip_from(*entries))
    assert met["outer!a"] == SECRET
    if has_signature or method != STORED:
        assert (met["outer!b"], met["outer!c"]) == (SECRET, SECRET)
        assert incomplete == []


@pytest.mark.parametrize("zip64", [True, False])
def test_zip64_is_understood(*, zip64: bool) -> None:
    entries = [Entry("a", SECRET, zip64=True), Entry("b", HARMLESS, zip64=True, flags=DESCRIPTOR)]
    met, incomplete = contents_of(zip_from(*entries, prefix=b"MZ stub", zip64=zip64))
    assert (met["outer!a"], met["outer!b"]) == (SECRET, HARMLESS)
    assert incomplete == []


def test_an_encrypted_member_is_told_and_the_others_are_unpacked() -> None:
    met, incomplete = contents_of(zip_from(encrypted_entry("a", SECRET), Entry("b", HARMLESS)))
    assert incomplete == in_first("encrypted")
    assert (list(met), met["outer!b"]) == (["outer", "outer!b"], HARMLESS)


@pytest.mark.parametrize("method", [STORED, DEFLATE])
def test_a_member_that_only_claims_to_be_encrypted_is_unpacked(method: int) -> None:
    met, incomplete = contents_of(zip_from(Entry("a", SECRET, method, zips.ENCRYPTED)))
    assert met["outer!a"] == SECRET
    assert incomplete == []


@pytest.mark.parametrize(
    ("method", "flags"), [(99, zips.ENCRYPTED), (DEFLATE, zips.ENCRYPTED | zips.STRONG)], ids=["AES", "strong"]
)
def test_the_other_ways_to_encrypt_are_known(method: int, flags: int) -> None:
    assert contents_of(zip_from(Entry("a", SECRET, method, flags, packed=SECRET)))[1] == in_first("encrypted")


def test_an_archive_whose_directory_is_encrypted_says_so() -> None:
    masked = Entry("a", SECRET, flags=zips.ENCRYPTED | zips.STRONG | zips.MASKED)
    data = zip_from(masked)
    directory = data.index(b"PK\x01\x02")
    _met, incomplete = contents_of(data[:directory] + b"PK\x06\x08" + bytes(60) + data[-22:])
    assert {item.reason for item in incomplete} == {"encrypted"}


def test_members_of_one_name_are_all_looked_at() -> None:
    seen = contents_of_all(zip_from(Entry("a", HARMLESS), Entry("a", SECRET)))
    assert seen == [HARMLESS, SECRET]


def contents_of_all(data: bytes) -> list[bytes]:
    return [content.data for content in walked(data)[0][1:]]


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_member_the_directory_does_not_name_is_looked_at_wherever_it_stands(place: int) -> None:
    entries = [Entry("a", HARMLESS), Entry("b", HARMLESS)]
    entries.insert(place, Entry("hidden", SECRET, named=False))
    met, incomplete = contents_of(zip_from(*entries))
    assert met["outer!hidden"] == SECRET
    assert incomplete == []


def test_a_member_behind_the_end_of_the_archive_is_looked_at() -> None:
    met, incomplete = contents_of(zip_from(Entry("a", HARMLESS)) + Entry("hidden", SECRET).local() + bytes(70_000))
    assert (met["outer!a"], met["outer!hidden"]) == (HARMLESS, SECRET)
    assert incomplete == []


def test_a_member_in_the_comment_is_looked_at() -> None:
    hidden = Entry("hidden", SECRET).local()
    assert contents_of(zip_from(Entry("a", HARMLESS), comment=hidden))[0]["outer!hidden"] == SECRET


def test_two_archives_in_one_file_are_both_read() -> None:
    met, incomplete = contents_of(zip_from(Entry("a", SECRET)) + zip_from(Entry("b", HARMLESS)))
    assert (met["outer!a"], met["outer!b"]) == (SECRET, HARMLESS)
    assert incomplete == []


def test_a_member_hidden_in_the_size_of_another_is_looked_at() -> None:
    hidden = Entry("hidden", SECRET, named=False)
    shell = Entry("a", HARMLESS)
    shell = Entry("a", HARMLESS, central_packed=len(shell.body) + len(hidden.local()))
    met, _incomplete = contents_of(zip_from(shell, hidden))
    assert (met["outer!a"], met["outer!hidden"]) == (HARMLESS, SECRET)


def test_headers_that_contradict_each_other_are_both_believed() -> None:
    # Stored, says the directory; the program that reads from the front inflates.
    packed = zips.pack(SECRET, DEFLATE)
    entry = Entry("a", packed, STORED, packed=packed, local_method=DEFLATE)
    assert contents_of_all(zip_from(entry)) == [packed, SECRET]


@pytest.mark.parametrize("size", [0, 5, 10_000])
def test_a_size_that_lies_hides_nothing(size: int) -> None:
    met, incomplete = contents_of(zip_from(Entry("a", SECRET, central_size=size)))
    assert met["outer!a"] == SECRET
    assert incomplete == ([] if size < len(SECRET) else in_first("damaged"))


def test_a_folder_with_content_is_looked_at() -> None:
    assert contents_of(zip_from(Entry("a.exe/", SECRET)))[0]["outer!a.exe/"] == SECRET
    assert contents_of(zip_from(Entry("a/", b"", STORED))) == ({"outer": zip_from(Entry("a/", b"", STORED))}, [])


@pytest.mark.parametrize("name", ["../../etc/passwd", "/abs", "a\nb", "C:\\x", "", "\u6f22"])
def test_a_name_is_a_label(name: str) -> None:
    entry = Entry(name, SECRET, flags=1 << 11)
    met, incomplete = contents_of(zip_from(entry))
    assert met[f"outer!{name}"] == SECRET
    assert incomplete == []


def test_a_name_that_is_no_utf_8_is_kept_lossless() -> None:
    data = zip_from(Entry("XXX", SECRET, flags=1 << 11)).replace(b"XXX", b"\xff\xfeX")
    assert contents_of(data)[0]["outer!\udcff\udcfeX"] == SECRET


def test_a_member_whose_local_header_is_missing_is_damaged() -> None:
    met, incomplete = contents_of(zip_from(Entry("a", SECRET, central_offset=7), Entry("b", HARMLESS)))
    # It is found all the same, as one that the directory does not name.
    assert (met["outer!a"], met["outer!b"]) == (SECRET, HARMLESS)
    assert incomplete == in_first("damaged")


def test_a_directory_that_breaks_off_is_damaged() -> None:
    data = zip_from(Entry("a", HARMLESS), Entry("b", SECRET))
    at = data.rindex(b"PK\x01\x02")
    met, incomplete = contents_of(data[:at] + b"XX" + data[at + 2 :])
    assert met["outer!b"] == SECRET
    assert incomplete == [Incomplete("damaged")]


def test_an_end_record_that_lies_does_not_hide_the_right_one() -> None:
    fake = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 1, 1, 46, 9, 0)
    met, incomplete = contents_of(zip_from(Entry("a", SECRET), comment=fake))
    assert met["outer!a"] == SECRET
    assert incomplete == []


def test_the_last_volume_of_a_set_gives_its_own_members_and_says_what_it_is() -> None:
    data = zip_from(Entry("a", HARMLESS, disk=0, central_offset=123), Entry("b", SECRET, disk=2), disk=2)
    met, incomplete = contents_of(data)
    assert met["outer!b"] == SECRET
    assert incomplete == [*in_first("multi_volume"), Incomplete("multi_volume")]


def test_the_first_volume_of_a_set_says_what_it_is() -> None:
    data = b"PK\x07\x08" + Entry("a", SECRET).local() + Entry("b", HARMLESS * 900, STORED).local()[:9000]
    met, incomplete = contents_of(data)
    assert met["outer!a"] == SECRET
    assert Incomplete("multi_volume") in incomplete


def test_a_last_volume_whose_directory_began_in_another_says_what_it_is() -> None:
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 3, 2, 10, 40, 9_000, 60_000, 0)
    assert contents_of(bytes(500) + end)[1] == [Incomplete("multi_volume")]


@pytest.mark.parametrize("marker", [b"PK\x07\x08", b"PK00"])
def test_a_split_archive_that_fits_in_one_volume_is_opened(marker: bytes) -> None:
    met, incomplete = contents_of(zip_from(Entry("a", SECRET), prefix=marker))
    assert met["outer!a"] == SECRET
    assert incomplete == []


def test_a_text_about_zip_files_is_none() -> None:
    page = b"Local headers begin with PK\x03\x04, the end is PK\x05\x06" + b" and so on" * 9
    assert contents_of(page) == ({"outer": page}, [])


def test_members_that_lie_inside_one_another_end_at_a_limit() -> None:
    # Each local header's data is all that follows, which is an archive of the same kind with one header less: an
    # archive of n members unpacks to 2 to the power of n.
    count = 40
    directory_start = count * len(Entry("a").local()) - count * len(Entry("a").body)
    total = directory_start + count * len(Entry("a").central(0)) + 22
    headers, directory = b"", b""
    for _ in range(count):
        entry = Entry("a", method=STORED, packed=b"", central_size=total, crc=1)
        size = total - len(headers) - len(entry.local())
        entry = Entry("a", method=STORED, packed=b"", crc=1, local_packed=size, central_packed=size, central_size=size)
        directory += entry.central(len(headers))
        headers += entry.local()
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, count, count, len(directory), len(headers), 0)
    met, incomplete = contents_of(headers + directory + end, limits=Limits(max_depth=4, max_members=500))
    assert len(met) > 1
    assert {"max_depth", "max_members"} <= {item.reason for item in incomplete}


def test_members_that_share_their_data_are_a_bomb() -> None:
    kernel = Entry("0", bytes(4 * MIB))
    others = [
        Entry(str(number), named=True, method=DEFLATE, packed=b"", crc=kernel.checksum) for number in range(1, 200)
    ]
    directory = b"".join(
        Entry(entry.name, crc=kernel.checksum, central_packed=len(kernel.body), central_size=4 * MIB).central(0)
        for entry in others
    )
    local = kernel.local()
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 199, 199, len(directory), len(local), 0)
    met, incomplete = contents_of(local + directory + end)
    assert incomplete == [Incomplete("max_ratio", 1_200)]
    assert len(met) < 50


def test_more_entries_than_members_are_allowed() -> None:
    data = zip_from(*(Entry(str(number), b"", STORED) for number in range(50)))
    assert contents_of(data, limits=Limits(max_members=20))[1] == [Incomplete("max_members", 20)]


def test_the_methods_that_find_their_own_end_are_known() -> None:
    assert all(zip_methods.is_known(method) for method in range(120) if zip_methods.ends_by_itself(method))
