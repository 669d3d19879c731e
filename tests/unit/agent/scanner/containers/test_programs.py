"""What programs carry and what is appended to them."""

import pytest

from agent.domain.facts import Incomplete
from agent.scanner.containers import libarchive_reader, seven_zip_library
from agent.scanner.containers.unix_programs import end_of_elf
from agent.scanner.limits import Limits
from tests.fakes.archives import shrink, zip_of
from tests.fakes.documents import ole_of
from tests.fakes.packages import cab_of
from tests.fakes.programs import NSIS_DATA, elf_of, pe_of, universal_of
from tests.unit.agent.scanner.containers.test_formats import SECRET, contents_of

RCDATA, ICON, HTML, MANIFEST = 10, 3, 23, 24
needs_seven_zip = pytest.mark.skipif(seven_zip_library.load() is None, reason="7-Zip's library is not there")


def names_of(data: bytes) -> set[str]:
    met, incomplete = contents_of(data)
    assert incomplete == []
    return set(met)


def test_resources_are_met_and_opened() -> None:
    met, incomplete = contents_of(pe_of({RCDATA: shrink(SECRET, "gz"), HTML: b"<html>"}))
    assert met["outer!resources/10/101/1033!resources/10/101/1033"] == SECRET
    assert met["outer!resources/23/101/1033"] == b"<html>"
    assert incomplete == []


def test_icons_and_manifests_stay_where_they_are_unless_they_are_something_else() -> None:
    assert names_of(pe_of({ICON: bytes(64), MANIFEST: b"<assembly/>"})) == {"outer"}
    assert "outer!resources/3/101/1033" in names_of(pe_of({ICON: pe_of()}))


def test_what_is_appended_is_met_on_both_sides_of_the_certificates() -> None:
    met, incomplete = contents_of(pe_of({RCDATA: b"x"}, certificates=b"signed", overlay=shrink(SECRET, "gz")))
    assert met["outer!overlay-1!overlay-1"] == SECRET
    assert not any(data == b"signed" for data in met.values())
    assert incomplete == []


def test_padding_is_no_member() -> None:
    assert names_of(pe_of(overlay=bytes(4096))) == {"outer"}
    assert names_of(elf_of(bytes(8))) == {"outer"}


def test_the_archive_behind_the_instructions_of_a_self_extractor_is_met() -> None:
    overlay = b'\xef\xbb\xbf;!@Install@!UTF-8!\nRunProgram="a"\n;!@InstallEnd@!' + b"7z\xbc\xaf\x27\x1c" + b"rest"
    assert contents_of(pe_of(overlay=overlay))[0]["outer!overlay-1"].startswith(b"7z\xbc\xaf")


def test_a_program_that_breaks_off_is_incomplete() -> None:
    whole = pe_of({RCDATA: SECRET})
    assert contents_of(whole[:-1])[1] == [Incomplete("damaged")]
    assert contents_of(whole[:80])[1] == [Incomplete("damaged")]


def test_resources_that_lead_in_circles_end() -> None:
    whole = bytearray(pe_of({RCDATA: SECRET}))
    # The directory below the type leads to the root again.
    whole[1024 + 20 : 1024 + 24] = (1 << 31).to_bytes(4, "little")
    met, _ = contents_of(bytes(whole))
    assert "outer" in met


def test_members_of_a_program_are_counted() -> None:
    limits = Limits(max_members=2)
    resources = {RCDATA: SECRET, HTML: SECRET, 500: SECRET}
    assert contents_of(pe_of(resources), limits=limits)[1] == [Incomplete("max_members", 2)]


@pytest.mark.parametrize("is_64_bit", [True, False])
@pytest.mark.parametrize("byte_order", ["<", ">"])
def test_what_is_appended_to_an_elf_file_is_met(byte_order: str, is_64_bit: bool) -> None:  # noqa: FBT001 -- a parameter
    program = elf_of(is_64_bit=is_64_bit, byte_order=byte_order)
    assert end_of_elf(program) == len(program)
    assert names_of(program) == {"outer"}
    met, _ = contents_of(program + shrink(SECRET, "gz"))
    assert met["outer!overlay!overlay"] == SECRET


@pytest.mark.parametrize("cut", [5, 20, 60, 100])
def test_headers_that_make_no_sense_have_no_end(cut: int) -> None:
    assert end_of_elf(elf_of()[:cut]) is None


@pytest.mark.parametrize(
    ("at", "lie"),
    [(40, bytes(8)), (40, b"\xff" * 8), (58, b"\x3e\0"), (58, bytes(2)), (60, bytes(2)), (60, b"\xff\xff")],
    ids=["nowhere", "beyond", "odd size", "no size", "none", "too many"],
)
def test_a_lie_about_sections_hides_nothing(at: int, lie: bytes) -> None:
    program = elf_of()
    bent = program[:at] + lie + program[at + len(lie) :]
    met, _ = contents_of(bent + SECRET)
    assert met["outer!overlay"].endswith(SECRET)


@pytest.mark.parametrize("is_64_bit", [True, False])
def test_every_architecture_is_met(is_64_bit: bool) -> None:  # noqa: FBT001 -- a parameter
    universal = universal_of([zip_of({"a": SECRET}), b"other"], is_64_bit=is_64_bit)
    met, incomplete = contents_of(universal)
    assert (met["outer!architecture-1!a"], met["outer!architecture-2"]) == (SECRET, b"other")
    assert incomplete == []
    assert Incomplete("damaged", None, ("outer", "architecture-2")) in contents_of(universal[:-1])[1]


def test_a_java_class_is_no_universal_program() -> None:
    assert names_of(b"\xca\xfe\xba\xbe\0\0\0\x34" + bytes(64)) == {"outer"}


@needs_seven_zip
def test_what_an_nsis_installer_brings_is_met() -> None:
    met, incomplete = contents_of(pe_of(overlay=NSIS_DATA))
    assert (met["outer!overlay-1!a.txt"], met["outer!overlay-1!c.bin"]) == (SECRET, b"other")
    assert incomplete == []


@needs_seven_zip
def test_an_nsis_installer_that_breaks_off_is_incomplete() -> None:
    assert contents_of(pe_of(overlay=NSIS_DATA[:-40]))[1]


@pytest.mark.parametrize(
    "installer",
    [
        pe_of(overlay=b"zlb\x1a" + SECRET),
        pe_of(overlay=b"idska32\x1a" + SECRET),
        pe_of(overlay=b"InstallShield\0" + SECRET),
        pe_of(overlay=b"ISSetupStream\0" + SECRET),
        pe_of({RCDATA: bytes.fromhex("a3484bbe986c4aa9994c530a86d6487d") + b"AU3!EA06" + SECRET}),
    ],
    ids=["inno-setup", "inno-setup-stored", "installshield", "installshield-stream", "autoit"],
)
def test_what_other_installers_bring_is_told_as_not_unpacked(installer: bytes) -> None:
    assert [item.reason for item in contents_of(installer)[1]] == ["no_unpacker"]


def test_a_cabinet_of_installshield_is_told_as_not_unpacked() -> None:
    assert contents_of(b"ISc(" + SECRET)[1] == [Incomplete("no_unpacker")]


def test_programs_packed_with_upx_are_told_as_not_unpacked() -> None:
    windows = pe_of(section=b"UPX0").replace(bytes(64), b"UPX!".ljust(64, b"\0"), 1)
    linux = elf_of().replace(b"\x90" * 8, b"UPX!1234", 1)
    assert contents_of(windows)[1] == [Incomplete("no_unpacker")]
    assert contents_of(linux)[1] == [Incomplete("no_unpacker")]


def test_a_program_that_only_speaks_of_upx_is_none() -> None:
    assert names_of(pe_of({RCDATA: b"UPX! UPX0".ljust(16, b"\0")})) == {"outer", "outer!resources/10/101/1033"}


@pytest.mark.skipif(libarchive_reader.load() is None, reason="libarchive is not installed")
def test_a_cabinet_in_an_installation_database_is_opened() -> None:
    met, incomplete = contents_of(ole_of({"Data1.cab": cab_of({"a.txt": SECRET})}))
    assert SECRET in met.values()
    assert incomplete == []
