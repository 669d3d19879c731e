"""The formats that 7-Zip's library opens, and what is said when it cannot."""

import zlib
from collections.abc import Callable
from typing import NoReturn

import pytest

from agent.domain.facts import Incomplete
from agent.scanner.containers import seven_zip_library
from tests.fakes.disk_images import dmg_of, hfs_plus_of, udf_of
from tests.fakes.old_archives import arj_of, chm_of, szdd_of
from tests.unit.agent.scanner.containers.test_formats import SECRET, contents_of

MEMBERS = {"a.txt": SECRET, "c.bin": b"other"}
ARJ = 0x04
ARCHIVES: dict[str, Callable[[], bytes]] = {
    "arj": lambda: arj_of(MEMBERS),
    "chm": lambda: chm_of(MEMBERS),
    "udf": lambda: udf_of(MEMBERS),
    "hfs": lambda: hfs_plus_of(MEMBERS),
    "dmg": lambda: dmg_of(hfs_plus_of(MEMBERS)),
    "dmg, not packed": lambda: dmg_of(hfs_plus_of(MEMBERS), is_packed=False),
}
needs_seven_zip = pytest.mark.skipif(seven_zip_library.load() is None, reason="7-Zip's library is not there")
every_archive = pytest.mark.parametrize("archive", ARCHIVES.values(), ids=ARCHIVES.keys())


@needs_seven_zip
@every_archive
def test_every_member_is_met(archive: Callable[[], bytes]) -> None:
    met, incomplete = contents_of(archive())
    by_name = {name.replace("/", "!").rpartition("!")[2]: data for name, data in met.items()}
    assert (by_name["a.txt"], by_name["c.bin"]) == (SECRET, b"other")
    assert incomplete == []


@needs_seven_zip
def test_the_only_member_of_a_stream_has_the_name_of_its_container() -> None:
    assert contents_of(szdd_of(SECRET), "setup.ex_") == (
        {"setup.ex_": szdd_of(SECRET), "setup.ex_!setup.ex_": SECRET},
        [],
    )


@every_archive
def test_without_the_library_a_container_is_incomplete(
    archive: Callable[[], bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seven_zip_library, "load", lambda: None)
    assert Incomplete("no_unpacker") in contents_of(archive())[1]


@needs_seven_zip
@every_archive
def test_an_archive_without_its_second_half_is_never_clean(archive: Callable[[], bytes]) -> None:
    data = archive()
    # The trailer is what a disk image of macOS is known by.
    half = data[: len(data) // 2] if not data.endswith(bytes(12)) or b"koly" not in data else data[len(data) // 2 :]
    assert contents_of(half)[1]


@pytest.mark.parametrize(
    "data",
    [
        b"\x60\xea\x22\0\x1e\x0b\x01\x02\x10\0\x02",
        b"SZDD\x88\xf0\x27\x33A\0",
        b"ITSF\x03\0\0\0",
        bytes(32769) + b"NSR02\1",
        bytes(1024) + b"H+\0\x04",
        bytes(1024) + b"BD" + bytes(122) + b"H+",
        bytes(32) + b"NXSB",
        bytes(100) + b"koly\0\0\0\x04\0\0\x02\0" + bytes(500),
    ],
    ids=["arj", "szdd", "chm", "udf", "hfs+", "hfs wrapper", "apfs", "dmg"],
)
@needs_seven_zip
def test_what_begins_like_a_container_and_cannot_be_opened_is_never_clean(data: bytes) -> None:
    garbage = b"" if data.endswith(bytes(500)) else b"garbage that is no archive at all " * 3000
    incomplete = contents_of(data + garbage)[1]
    assert {item.reason for item in incomplete} <= {"damaged", "no_unpacker"}
    assert incomplete


@pytest.mark.parametrize(
    "data",
    [b"\x60\xeaplain text", b"SZDD", b"ITSF is a magic", b"koly" * 200, bytes(40_000), b"`\xea\xff\xff\x1e" * 9],
)
def test_what_only_resembles_a_container_is_none(data: bytes) -> None:
    assert contents_of(data) == ({"outer": data}, [])


@needs_seven_zip
def test_an_encrypted_member_is_told() -> None:
    assert contents_of(arj_of({"a": SECRET}, flags=1))[1] == [Incomplete("encrypted", None, ("outer", "a"))]


@needs_seven_zip
def test_an_archive_that_goes_on_in_another_volume_is_told_and_its_part_looked_at() -> None:
    met, incomplete = contents_of(arj_of({"a": SECRET}, flags=4))
    assert met["outer!a"] == SECRET
    assert incomplete == [Incomplete("multi_volume")]


@needs_seven_zip
def test_a_stream_that_is_cut_off_is_damaged_and_looked_at() -> None:
    met, incomplete = contents_of(szdd_of(SECRET)[:-50])
    assert SECRET.startswith(met["outer!outer"])
    assert {item.reason for item in incomplete} == {"damaged"}


@needs_seven_zip
def test_a_member_with_a_wrong_checksum_is_damaged_and_looked_at() -> None:
    data = arj_of({"a": SECRET, "b": b"other"})
    bent = data.replace(SECRET, SECRET[:-1] + b"!")
    met, incomplete = contents_of(bent)
    assert met["outer!a"] == SECRET[:-1] + b"!"
    assert met["outer!b"] == b"other"
    assert incomplete == [Incomplete("damaged", None, ("outer", "a"))]


@pytest.mark.parametrize("data", [b"encrcdsa\0\0\0\x02" + bytes(900), bytes(900) + b"cdsaencr"])
def test_an_encrypted_disk_image_is_told(data: bytes) -> None:
    assert contents_of(data)[1] == [Incomplete("encrypted")]


@pytest.mark.parametrize(
    "data",
    [
        b"KWAJ\x88\xf0\x27\xd1" + bytes(99),
        b"SZ \x88\xf0\x27\x33\xd1" + bytes(99),
        b"\0\0\0\0\0\0\0**ACE**" + bytes(99),
        b"SIT!\0\1\0\0\0\0rLau" + bytes(99),
        b"StuffIt (c)1997-2001 Aladdin",
        b"ZOO 2.10 Archive.\x1a\0\0\xdc\xa7\xc4\xfd" + bytes(99),
        b"\x89LZO\0\r\n\x1a\n" + bytes(99),
    ],
    ids=["kwaj", "szdd of QBasic", "ace", "stuffit", "stuffit 5", "zoo", "lzop"],
)
def test_what_nothing_here_opens_is_incomplete(data: bytes) -> None:
    assert contents_of(data)[1] == [Incomplete("no_unpacker")]


class _TakerError(Exception):
    """What a consumer of pieces raises."""


@needs_seven_zip
def test_what_the_taker_of_pieces_raises_comes_out_of_the_library() -> None:
    library = seven_zip_library.load()
    assert library is not None

    def refuse(_piece: bytes) -> None:
        raise _TakerError

    with library.opened(arj_of({"a": SECRET}), ARJ, lambda: None) as archive, pytest.raises(_TakerError):
        archive.extract(0, refuse)


@pytest.mark.parametrize(("result", "reason"), [(-0x7FFFBFFF, "no_unpacker"), (1, "damaged"), (-0x7FFFBFFC, "damaged")])
def test_what_the_library_cannot_do_is_not_called_damaged(
    result: int, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Refusing:
        def opened(self, *_arguments: object) -> NoReturn:
            raise seven_zip_library.SevenZipError(result)

    monkeypatch.setattr(seven_zip_library, "load", Refusing)
    assert contents_of(szdd_of(SECRET))[1] == [Incomplete(reason)]


@needs_seven_zip
def test_the_library_forgets_what_it_was_given() -> None:
    before = len(seven_zip_library._objects)
    for data in (arj_of(MEMBERS), b"\x60\xea\x22\0\x1e\x0b\x01\x02\x10\0\x02", szdd_of(SECRET)):
        contents_of(data)
    assert len(seven_zip_library._objects) == before


@needs_seven_zip
def test_an_archive_in_an_archive_is_read_while_the_outer_one_is_open() -> None:
    inner = arj_of({"x": SECRET})
    met, incomplete = contents_of(arj_of({"a": inner, "b": b"after"}))
    assert (met["outer!a!x"], met["outer!b"]) == (SECRET, b"after")
    assert incomplete == []
    assert zlib.crc32(met["outer!a"]) == zlib.crc32(inner)
