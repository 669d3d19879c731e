import pytest

from agent.scanner.routing.conditions import parse_condition
from agent.scanner.routing.implications import ELF, MZ, Implications
from agent.scanner.routing.leading_bytes import StringDefinition
from agent.scanner.routing.needs import ANYTHING, Need, sized, starts_with
from agent.scanner.routing.reading import read_rules

RULES = {"is_pe_rule": MZ, "small": sized(at_most=9), "anything": ANYTHING}
MODULES = frozenset({"pe", "elf", "dotnet", "math", "hash"})
STRINGS = (StringDefinition("$pk", "text", "PK"), StringDefinition("$", "text", "MZ"))


def need_of(condition: str, modules: frozenset[str] = MODULES) -> Need:
    tokens = read_rules(f"rule r {{ condition: {condition} }}").rules[0].tokens
    return Implications(STRINGS, modules, RULES.get).of(parse_condition(tokens))


@pytest.mark.parametrize(
    "condition",
    [
        "uint16(0) == 0x5A4D",
        "uint16(0x0) == 23117",
        "0x5a4d == uint16(0)",
        "(uint16be(0) == 0x4D5A)",
        "int16(0) == 0x5a4d and $pk",
        "pe.is_pe",
        "pe.is_pe == 1",
        "pe.number_of_sections > 3",
        "pe.is_dll()",
        "not pe.is_dll()",
        "defined pe.machine",
        "pe.characteristics & pe.DLL",
        '$pk at pe.entry_point and not pe.imphash() == "x"',
        'for any i in (0..pe.number_of_signatures - 1) : (pe.signatures[i].issuer == "x" or true)',
        "for all section in pe.sections : (true)",
        "dotnet.number_of_streams > 1",
        "is_pe_rule",
        "any of (is_pe_rule)",
        "(pe.is_dll() and $pk) or (uint16(0) == 0x5a4d and filesize > 0)",
    ],
)
def test_these_conditions_need_a_file_that_starts_with_mz(condition: str) -> None:
    assert need_of(condition).heads == MZ.heads


@pytest.mark.parametrize(
    "condition",
    [
        "uint16(0) != 0x5A4D",
        "not uint16(0) == 0x5A4D",
        "uint16(2) == 0x5A4D",
        "uint16(0) == 0x15A4D",
        "int8(0) == 0xff",
        "uint16(0) & 0xff == 0x4d",
        "uint16(0) == uint16(2)",
        "uint16(0) == 0x5A4D or $pk",
        "not (pe.is_dll() and true)",
        "not not pe.is_dll()",
        "not pe.is_pe",
        "pe.is_pe == 0",
        "pe.MACHINE_I386 == 3",
        "1.5 < pe.entry_point",
        "not math.entropy(0, pe.entry_point) < 3",
        "math.to_number(pe.is_dll() and true) == 0",
        "pe.number_of_sections of them",
        "for pe.number_of_sections i in (0..3) : (true)",
        "for any i in (1, pe.number_of_sections) : (true)",
        "for any of them : ($ at pe.entry_point)",
        "none of (is_pe_rule)",
        "not is_pe_rule",
        "any of (is_pe_rule, anything)",
        "2 of (is_pe*)",
        "$pk at 1",
        "$unknown at 0",
        "$pk",
    ],
)
def test_nothing_is_concluded_about_the_head_from_these(condition: str) -> None:
    assert need_of(condition).heads is None


def test_a_name_is_a_module_only_where_it_is_imported() -> None:
    assert need_of("pe.is_dll()", modules=frozenset()) == ANYTHING


@pytest.mark.parametrize(
    ("condition", "need"),
    [
        ("uint32(0) == 0x464c457f", ELF),
        ("elf.type == elf.ET_EXEC", ELF),
        ("uint32be(0) == 0x504B0304", starts_with(b"PK\x03\x04")),
        ("$pk at 0", starts_with(b"PK")),
        ("filesize < 3KB", sized(at_most=3071)),
        ("3MB >= filesize", sized(at_most=3 << 20)),
        ("filesize > 10 and filesize <= 20", sized(at_least=11, at_most=20)),
        ("filesize == 0x10", sized(at_least=16, at_most=16)),
        ("small or filesize == 20", sized(at_most=20)),
        ("filesize >= 10 + 20", ANYTHING),
    ],
)
def test_magic_numbers_and_sizes_are_read(condition: str, need: Need) -> None:
    assert need_of(condition) == need


def test_alternatives_are_united_and_contradictions_seen() -> None:
    assert need_of("uint16(0) == 0x5a4d or uint32(0) == 0x464c457f").heads == frozenset({b"MZ", b"\x7fELF"})
    assert need_of("uint16(0) == 0x5a4d and uint32(0) == 0x464c457f").impossible
