"""Both engines, as workers use them, find the same in every file of a corpus made here; and where they do not.

With the public rule sets beside the repository: in files of this machine, and in the strings of the rules themselves.
"""

import base64
import io
import string
from collections.abc import Iterator, Sequence
from random import Random

import pytest

from agent.scanner.engines.port import Matcher, RuleSource
from agent.scanner.engines.registry import ENGINE_NAMES, engine_named
from agent.scanner.packs.rule_files import builtin_signatures
from agent.scanner.packs.rule_variables import file_type
from agent.scanner.packs.rulepack import load_rules
from tests.fakes.archives import zip_of
from tests.fakes.eicar import EICAR
from tests.integration.scanner.routing.corpora import public_rules
from tests.integration.scanner.routing.test_public_rules import contents as contents_for_public_rules
from tests.property.agent.scanner.routing.samples import minimal_elf, minimal_pe

TIMEOUT_S = 60.0
#: One rule a line: what is between the braces.
RULES = r"""
text            strings: $a = "needle" condition: $a
any_case        strings: $a = "NeeDle" nocase condition: $a
two_byte        strings: $a = "needle" wide condition: $a
wide_and_ascii  strings: $a = "needle" wide ascii nocase condition: #a > 1
whole_word      strings: $a = "needle" fullword condition: $a
wide_word       strings: $a = "needle" wide fullword condition: $a
xored           strings: $a = "needle" xor condition: $a
xored_range     strings: $a = "needle" xor(0x10-0x20) condition: $a
xored_wide      strings: $a = "needle" xor(1-255) wide condition: $a
base64_any      strings: $a = "needle in hay" base64 condition: $a
base64_wide     strings: $a = "needle in hay" base64wide condition: $a
base64_own      strings: $a = "needle in hay" base64("{backwards}") condition: $a
short           strings: $a = "ne" condition: #a == 3
escapes         strings: $a = "\x00\x01\t\"\\" condition: $a
hex             strings: $a = { 6E 65 65 64 } condition: $a
hex_wildcard    strings: $a = { 6? ?5 65 ?? 6C } condition: $a
hex_not         strings: $a = { 6E ~66 65 } condition: $a
hex_jump        strings: $a = { 6E 65 [1-4] 65 } condition: $a
hex_far_jump    strings: $a = { 6E 65 [0-200] 4D 5A } condition: $a
hex_open_jump   strings: $a = { 6E 65 [2-] 4D 5A } condition: filesize < 4KB and $a
hex_choice      strings: $a = { (6E 65 | 4D 5A ?? | 7F 45 4C) 65 } condition: $a
hex_common      strings: $a = { 00 00 00 00 } condition: #a > 3
regex           strings: $a = /ne+dle/ condition: $a
regex_class     strings: $a = /[a-n][^x]{2}d[k-m]e?/ condition: $a
regex_digits    strings: $a = /\d{3,5}\s\w+\b/ condition: $a
regex_nocase    strings: $a = /NE{2}D\x4ce/i condition: $a
regex_lines     strings: $a = /^needle.*hay$/s condition: $a
regex_wide      strings: $a = /ne{2}dle/ wide condition: $a
regex_choice    strings: $a = /(needle|MZ|\x7fELF)(.{0,9})(hay|PE)/ condition: $a
regex_lazy      strings: $a = /n.*?e/ condition: #a > 2 and !a[1] < 5
regex_word      strings: $a = /need?le?/ fullword condition: $a
counts          strings: $a = "e" condition: #a > 5 and #a < 500
count_in        strings: $a = "e" condition: #a in (0..20) == 2
count_of_many   strings: $a = "aa" condition: #a > 4000
offset          strings: $a = "needle" condition: $a at 0
offset_in       strings: $a = "needle" condition: $a in (1..filesize)
offset_second   strings: $a = "needle" condition: @a[2] - @a[1] > 6
of_them         strings: $a = "needle" $b = "hay" $c = "MZ" condition: 2 of them
of_some         strings: $a1 = "needle" $a2 = "hay" $b = "MZ" condition: all of ($a*) and none of ($b)
of_percent      strings: $a = "needle" $b = "hay" $c = "MZ" $d = "PE" condition: 50% of them
of_at           strings: $a = "needle" $b = "MZ" condition: any of them at 0
of_in           strings: $a = "needle" $b = "hay" condition: all of them in (0..64)
loop_of         strings: $a = "needle" $b = "hay" condition: for any of them : (@ > 10 and # == 1)
loop_offsets    strings: $a = "needle" condition: for all i in (1..#a) : (@a[i] % 2 == 0) and #a > 0
loop_numbers    condition: for any i in (0..100) : (uint16(i) == 0x5A4D and uint8(i + 2) > 0)
loop_list       condition: for all i in (0, 1, 2) : (uint8(i) >= 0x20)
loop_nested     condition: for any i in (0..9) : (for any j in (0..9) : (uint8(i) == 0x65 and uint8(i + j) == 0x64))
numbers         condition: uint32be(0) == 0x7f454c46 or int16(0) < 0 or uint16be(2) >> 4 == 0x656
sizes           condition: filesize > 1KB and filesize < 1MB
empty           condition: filesize == 0
arithmetic      condition: (filesize * 3 - 1) % 7 == 2 and filesize \ 2 >= 8 and ~filesize & 0xff != 3
named           condition: filename == "sample.exe" or extension matches /^\.E/i or filepath startswith "/home"
typed           condition: filetype == "EXE" and owner iequals "ROOT"
comparisons     condition: filename icontains "AMP" and filename iendswith ".EXE" and filename != "x"
is_pe           condition: pe.is_pe
pe_fields       condition: pe.is_pe and pe.number_of_sections == 1 and pe.machine == pe.MACHINE_I386 and pe.is_dll()
pe_sections     condition: pe.is_pe and for any s in pe.sections : (s.name == ".text" and s.raw_data_size > 0)
pe_entry        strings: $a = "alpha" condition: pe.is_pe and $a in (0..pe.entry_point + 600)
elf_fields      condition: elf.type == elf.ET_EXEC and elf.machine == elf.EM_X86_64 and elf.number_of_segments > 0
elf_loop        condition: for any s in elf.segments : (s.type == elf.PT_LOAD)
entropy         condition: filesize > 0 and math.entropy(0, filesize) > 7.0
math_mean       condition: filesize > 0 and math.mean(0, filesize) > 100.0
math_range      condition: filesize > 0 and math.in_range(math.deviation(0, filesize, 64.0), 1.0, 90.0)
hash_md5        condition: hash.md5(0, filesize) == "d41d8cd98f00b204e9800998ecf8427e" or filesize == 6
hash_sha256     condition: hash.sha256("a") startswith "ca97" and hash.sha1(0, filesize) != ""
hash_checksum   condition: hash.checksum32(0, filesize) > 1000 and hash.crc32(0, filesize) != 0
of_rules        condition: 3 of (hex*) or all of (pe_fields, is_pe)
of_a_rule       condition: text and not whole_word
"""
BASE64 = string.ascii_uppercase + string.ascii_lowercase + string.digits + "+/"
#: Another alphabet for it.
BACKWARDS = (string.digits + string.ascii_letters)[::-1] + "+/"
IMPORTS = 'import "pe" import "elf" import "math" import "hash"\n'
VARIABLES = {"filename": "sample.exe", "filepath": "/home/a", "extension": ".exe", "owner": "root"}


def curated() -> list[RuleSource]:
    rules = [line.partition(" ") for line in RULES.replace("{backwards}", BACKWARDS).strip().splitlines()]
    text = "".join(f"rule {name} {{ {body} }}\n" for name, _, body in rules)
    guarded = (
        'global private rule small { condition: filesize < 5000 } rule in_small { strings: $a = "e" condition: $a }'
    )
    return [RuleSource("all", "all.yar", IMPORTS + text), RuleSource("guarded", "guarded.yar", guarded)]


def generated_contents() -> Iterator[bytes]:
    random = Random(11)
    needle, hay = b"needle", b"needle in hay"
    yield from (b"", b"n", needle, hay, b"xneedle", needle * 3, b"Needle NEEDLE needle", b"needles", hay[::-1])
    yield from (needle.decode().encode("utf-16-le"), b"\0" + "needle ".encode("utf-16-le") + needle)
    for key in (1, 0x15, 0x80, 0xFF):
        yield b"--" + bytes(byte ^ key for byte in needle) + b"--"
        yield bytes(byte ^ key for byte in "needle".encode("utf-16-le"))
    for shift in range(3):
        encoded = base64.b64encode(b"x" * shift + hay + b"yz")
        yield encoded
        yield encoded.decode().encode("utf-16-le")
        yield encoded.translate(bytes.maketrans(BASE64.encode(), BACKWARDS.encode()))
    yield b'\x00\x01\t"\\ 1234 word'
    yield needle + b"-" * 150 + b"MZ"
    yield b"a" * 5000
    yield b"aa" * 600_000
    yield b"first\nneedle and hay\nlast"
    for size in (1, 2, 3, 4, 7, 8, 1023, 1024, 1025, 4999, 5000, 1 << 20):
        yield bytes(size)
        yield random.randbytes(size)
        yield (needle + random.randbytes(size))[:size]
    for head in (minimal_pe(), minimal_pe(sections=3), minimal_elf(), b"MZ", b"\x7fELF", b"PK\x03\x04", b"%PDF-1.7\n"):
        yield head
        yield head + hay
        yield head + random.randbytes(3000)
    yield hay.join(random.randbytes(40) for _ in range(40))
    yield zip_of({"a.txt": hay, "b.exe": minimal_pe()})
    yield EICAR


def both(sources: Sequence[RuleSource]) -> list[Matcher]:
    matchers = []
    for name in ENGINE_NAMES:
        image = io.BytesIO()
        engine = engine_named(name)
        engine.compile(sources, image)
        image.seek(0)
        matchers.append(engine.load(image))
    return matchers


def found(matcher: Matcher, data: bytes) -> set[tuple[str, str, str, str]]:
    variables = {**VARIABLES, "filetype": file_type(data)}
    matches = matcher.match(data, variables, TIMEOUT_S).matches
    return {(match.namespace, match.rule, match.severity, match.threat_name) for match in matches}


def test_they_find_the_same_in_every_generated_file() -> None:
    one, other = both(curated())
    assert one.rule_count == other.rule_count
    matched = set()
    for number, data in enumerate(generated_contents()):
        expected = found(one, data)
        assert found(other, data) == expected, f"content {number}: {data[:40]!r}, {len(data)} bytes"
        matched |= {rule for _, rule, _, _ in expected}
    unmatched = {line.split()[0] for line in RULES.strip().splitlines()} - matched
    assert unmatched == set()  # or the comparison would prove little


def test_they_find_the_same_in_what_the_built_in_rules_are_tested_with() -> None:
    root = builtin_signatures()
    one, other = both(load_rules([root]).sources)
    fixtures = sorted(root.glob("*/fixtures/*.b85"))
    matched = 0
    for path in fixtures:
        data = base64.b85decode(path.read_text(encoding="ascii").replace("\n", ""))
        expected = found(one, data)
        assert found(other, data) == expected, path.name
        matched += bool(expected)
    assert matched >= len(fixtures) / 2


@pytest.mark.corpus
@pytest.mark.timeout(300)
@pytest.mark.parametrize("every", [4, pytest.param(1, marks=pytest.mark.slow)], ids=["quarter", "all"])
def test_they_find_the_same_with_public_rules(every: int) -> None:
    rules = public_rules()[::every]
    one, other = both([RuleSource(rule.namespace, rule.namespace, rule.text) for rule in rules])
    assert one.rule_count == other.rule_count
    matched = set()
    for name, data in contents_for_public_rules(rules):
        expected = found(one, data)
        assert found(other, data) == expected, name
        matched |= expected
    assert len(matched) > 100 / every


# ------------------------------------------------------------ known differences


def matching_engines(text: str, data: bytes) -> list[str]:
    """Engines with which the rule `last` of a text matches; another file holds two rules, which should not matter."""
    sources = [RuleSource("a", "a.yar", IMPORTS + "rule r1 { condition: true } rule r2 { condition: true }")]
    matchers = both([*sources, RuleSource("b", "b.yar", IMPORTS + text)])
    pairs = zip(ENGINE_NAMES, matchers, strict=True)
    return [name for name, matcher in pairs if ("b", "last", "", "") in found(matcher, data)]


@pytest.mark.parametrize(
    ("condition", "data", "who"),
    [
        ("not 1.5 < pe.entry_point", b"no PE", ["yara"]),
        ("for pe.number_of_sections i in (0..3) : (uint8(i) >= 0)", b"no PE", ["yara"]),
        ("not math.entropy(0, filesize) < 3.0", b"", ["yara"]),
        ('for any s in pe.sections : (s.name == ".text")', minimal_pe(sections=3)[:396], ["yara"]),
    ],
)
def test_fields_without_a_value_and_files_cut_short(condition: str, data: bytes, who: list[str]) -> None:
    assert matching_engines(f"rule last {{ condition: {condition} }}", data) == who


@pytest.mark.parametrize(
    ("pattern", "gap", "who"),
    [
        ("{ 6E 65 [0-9000] 4D 5A }", 4000, ["yara", "boreal"]),
        ("{ 6E 65 [0-9000] 4D 5A }", 5000, ["yara"]),
        ("/ne.*MZ/s", 1000, ["yara", "boreal"]),
        ("/ne.*MZ/s", 2000, ["boreal"]),
        ("/ne.*MZ/s", 5000, []),
    ],
)
def test_how_far_a_pattern_reaches(pattern: str, gap: int, who: list[str]) -> None:
    rule = f"rule last {{ strings: $a = {pattern} condition: $a }}"
    assert matching_engines(rule, b"ne" + b"x" * gap + b"MZ") == who


@pytest.mark.parametrize(
    ("rules", "who"),
    [
        # A global rule that holds beside one that does not.
        ("global rule last { condition: true } global private rule never { condition: false }", ["boreal"]),
        # A global rule about a rule before it: boreal has not looked at that yet.
        ("rule r { condition: true } global rule last { condition: not r }", ["boreal"]),
        # A set of rules counts rules of the same name in other files, with libyara.
        ("rule r1 { condition: true } rule last { condition: 2 of (r1*) }", ["yara"]),
    ],
)
def test_global_rules_and_sets_across_files(rules: str, who: list[str]) -> None:
    assert matching_engines(rules, b"x") == who
