"""The facts about undefined values in YARA that routing's implications rest on, asked of the engines themselves."""

from types import ModuleType

import boreal
import pytest
import yara

DATA = b"hello zzz world"
IMPORTS = 'import "pe" import "elf" import "dotnet" import "math" import "hash"\n'
STRINGS = 'strings: $a = "zzz" $never = "\\x01\\x02\\x03"'
PE_MEMBERS = """
machine number_of_sections timestamp characteristics entry_point image_base subsystem checksum number_of_signatures
is_signed number_of_resources number_of_imports number_of_exports number_of_rva_and_sizes dll_name pdb_path
overlay.offset os_version.major linker_version.minor opthdr_magic size_of_image dll_characteristics
rich_signature.offset version_info["x"] sections[0].name data_directories[0].size resources[0].id
import_details[0].library_name export_details[0].name signatures[0].issuer is_dll() is_32bit() is_64bit() imphash()
exports("a") exports(/a/) exports(1) exports_index("a") imports("a") imports("a","b") imports("a",1) imports(/a/,/b/)
import_rva("a","b") delayed_import_rva("a",1) locale(1) language(1) section_index("a") section_index(1)
calculate_checksum() rva_to_offset(0) rich_signature.version(1) rich_signature.toolid(1,2) signatures[0].valid_on(1)
""".split()  # noqa: SIM905 - sixty quoted words would hide what they say
ELF_MEMBERS = """
type machine entry_point number_of_sections number_of_segments sections[0].name segments[0].type
dynamic_section_entries symtab_entries dynsym_entries telfhash() import_md5()
""".split()  # noqa: SIM905 - sixty quoted words would hide what they say
NO_PE = (b"", b"M", b"ZM" + bytes(400), b"xMZ" + bytes(400), DATA, b"\x7fELF" + bytes(400), b"MZ", b"MZ" + bytes(62))
NO_ELF = (b"", b"\x7fEL", DATA, b"MZ" + bytes(400), b"\x7fELF", b"\x7fELF\x02\x01\x01" + bytes(9))


@pytest.fixture(params=[yara, boreal], ids=["yara", "boreal"])
def library(request: pytest.FixtureRequest) -> ModuleType:
    assert isinstance(request.param, ModuleType)
    return request.param


def matches(condition: str, data: bytes = DATA, library: ModuleType = yara) -> bool:
    # The second half mentions every string and is never true.
    text = f"{IMPORTS}rule r {{ {STRINGS} condition: ({condition}) or ($a and $never) }}"
    return bool(library.compile(source=text).match(data=data))


def value(condition: str, library: ModuleType) -> bool | None:
    if matches(condition, library=library):
        return True
    return False if matches(f"not ({condition})", library=library) else None


@pytest.mark.parametrize("member", PE_MEMBERS)
def test_members_of_pe_are_undefined_on_other_files(member: str, library: ModuleType) -> None:
    if library is boreal and member == "calculate_checksum()":
        pytest.skip("boreal computes one of any file; routing leaves it to PE files, as engine yara does")
    rules = library.compile(source=f'import "pe" rule r {{ condition: defined pe.{member} }}')
    assert [data for data in NO_PE if rules.match(data=data)] == []


@pytest.mark.parametrize("member", ELF_MEMBERS)
def test_members_of_elf_are_undefined_on_other_files(member: str, library: ModuleType) -> None:
    rules = library.compile(source=f'import "elf" rule r {{ condition: defined elf.{member} }}')
    assert [data for data in NO_ELF if rules.match(data=data)] == []


def test_constants_and_is_pe_are_defined_everywhere(library: ModuleType) -> None:
    for condition in ("defined pe.MACHINE_I386", "defined pe.is_pe", "pe.is_pe == 0", "defined elf.ET_EXEC"):
        assert all(matches(condition, data, library) for data in (b"", DATA)), condition


@pytest.mark.parametrize(
    "condition",
    [
        "pe.number_of_sections == 0",
        "pe.number_of_sections == 1 + pe.entry_point",
        "pe.is_dll()",
        "pe.characteristics & pe.DLL",
        "-pe.entry_point == 1",
        "$a at pe.entry_point",
        "$a in (0..pe.entry_point)",
        "$a in (pe.entry_point..100)",
        "#a in (0..pe.entry_point) == 1",
        "@a[pe.entry_point] == 0",
        "!a[pe.entry_point] == 3",
        "uint16(pe.entry_point) == 0",
        'pe.imphash() == "a"',
        'pe.pdb_path contains "a"',
        'pe.pdb_path icontains "a"',
        'pe.pdb_path startswith "a"',
        'pe.pdb_path istartswith "a"',
        'pe.pdb_path endswith "a"',
        'pe.pdb_path iendswith "a"',
        'pe.pdb_path iequals "a"',
        "pe.pdb_path matches /a/",
        'hash.md5(0, pe.entry_point) == "a"',
        'hash.md5(pe.pdb_path) == "a"',
    ],
)
def test_leaves_without_floats_are_undefined_when_an_operand_is(condition: str, library: ModuleType) -> None:
    assert value(condition, library) is None


@pytest.mark.parametrize(
    "condition",
    [
        "for any i in (0..pe.number_of_sections) : (true)",
        "for all i in (0..pe.number_of_sections) : (true)",
        "for 1 i in (pe.number_of_sections..9) : (true)",
        "for any section in pe.sections : (true)",
        "for all section in pe.sections : (true)",
        "for any key, text in pe.version_info : (true)",
    ],
)
def test_loops_over_undefined_domains_are_false(condition: str, library: ModuleType) -> None:
    assert value(condition, library) is False


@pytest.mark.parametrize(
    "condition",
    [
        "not 1.0 < pe.entry_point",
        "not (pe.is_dll() or false)",
        "not (pe.is_dll() and true)",
        "for pe.number_of_sections of them : (true)",
        "for pe.number_of_sections i in (0..3) : (true)",
        "for any i in (1, pe.number_of_sections) : (i == 1)",
        "math.to_number(pe.is_dll() and true) == 0",
    ],
)
def test_these_are_true_of_files_that_are_no_pe_and_must_imply_nothing(condition: str) -> None:
    assert matches(condition)
