"""Generated packs of rules and generated files: small, and full of what routing and engines could get wrong."""

import re
from base64 import b64encode
from random import Random

from agent.scanner.routing.analysis import RuleText
from tests.property.agent.scanner.routing.samples import minimal_elf, minimal_pe

EXTERNALS = {"filename": "x.exe", "filepath": "/tmp/x.exe", "extension": ".exe", "filetype": "", "owner": "root"}
IMPORTS = 'import "pe" import "elf" import "math" import "hash" import "dotnet"\n'
STRINGS = {
    "alpha": '"alpha"',
    "beta": '"BETA" nocase wide ascii',
    "gamma": "/ga[mn]ma/",
    "mz": "{ 4D 5A ?? }",
    "mzwide": '"MZ" wide ascii',
    "elf": '"\\x7fELF" ascii',
    "zip": '"pk\\x03" nocase',
    "mixed": "{ (4D | 7F) 5A }",
    "xored": '"MZ" xor',
    "hidden": '"alphabet" xor(1-5) ascii wide',
    "encoded": '"alphabet" base64',
    "encoded_wide": '"alphabet" base64wide',
    "wild": "{ 61 6C [1-3] 68 ~62 ( 6? | 7? ) }",
    "sequence": "{ 61 6C 70 68 61 62 65 74 ?? 00 }",
    "pattern": "/a[l-p]{2,4}(ha|HA)b?/i",
    "long": '"alphabet\\x00\\x01 and more than that of the same text" wide',
}
LEAVES = (
    "uint16(0) == 0x5A4D",
    "uint16be(0) == 0x4D5A",
    "0x464c457f == uint32(0)",
    "uint32be(0) == 0x7f454c46",
    "uint16(0) == 0x457f",
    "uint16(0) != 0x5a4d",
    "int16(0) == 0x5a4d",
    "int8(0) == 0xff",
    "uint8(0) == 0x4D",
    "uint8(0) == 0x150",
    "uint16(0) == 0x4b50",
    "uint16(1) == 0x4b50",
    "uint16(0) & 0xff == 0x4d",
    "(uint16(0) == 0x5a4d or uint32(0) == 0x464c457f)",
    "uint16(0) == uint16(2)",
    "uint32(uint32(0x3c)) == 0x4550",
    "$mz at 0",
    "$mzwide at 0",
    "$elf at 0",
    "$zip at 0",
    "$mixed at 0",
    "$xored at 0",
    "$mz at 2",
    "$elf in (0..1)",
    "$alpha",
    "#beta > 1",
    "#alpha*2 > 1",
    "@gamma[1] < 100",
    "!gamma[1] == 5",
    "any of them",
    "none of them",
    "any of ($mz*)",
    "all of ($mz*, $alpha)",
    "2 of ($alpha, $beta, $gamma)",
    "2 of them",
    "any of ($enc*, $hidden)",
    "all of ($wild, $pattern)",
    "$sequence or $long",
    "#alpha > #pattern",
    "#alpha + #wild > #encoded + #hidden",
    "#alpha > 1",
    "@pattern < 100",
    "!alpha[1] == 5",
    "@alpha[2] > @pattern",
    "for 1 of ($wild, $encoded) : ($ in (0..500))",
    "for all of ($alpha, $pattern) : ($)",
    "for any of ($alpha, $pattern) : (not $)",
    "not any of ($hidden, $alpha)",
    "$alpha in (0..filesize)",
    "for any of ($alpha, $beta) : ($ at pe.entry_point)",
    "for all of ($alpha) : (# > 0)",
    "filesize < 3",
    "filesize <= 600",
    "filesize > 500",
    "1KB > filesize",
    "filesize == 0",
    "filesize == 1KB",
    "filesize >= 1000 - 500",
    "true",
    "false",
    "uint8(filesize) == 0",
    'filename == "x.exe"',
    "extension matches /exe$/",
    'owner contains "nobody"',
    "entrypoint >= 0",
    "pe.is_pe",
    "pe.is_pe == 1",
    "pe.is_pe == 0",
    "pe.is_dll()",
    "pe.MACHINE_I386 == 0x14c",
    "pe.machine == pe.MACHINE_I386",
    "pe.number_of_sections < 5",
    "not pe.number_of_sections > 5",
    "pe.number_of_signatures == 0",
    "1.5 < pe.entry_point",
    "pe.entry_point * 1.5 != 0.5",
    "pe.characteristics & pe.DLL",
    "pe.number_of_sections of them",
    'for any s in pe.sections : (s.name == ".text")',
    "for all i in (0..pe.number_of_sections) : (uint8(i) >= 0)",
    "for any i in (1, pe.number_of_sections) : (i == 1)",
    "for pe.number_of_sections i in (0..3) : (uint8(i) == 0)",
    'pe.sections[0].name contains "text"',
    'pe.imphash() != "x"',
    "$alpha at pe.entry_point",
    "$alpha in (0..pe.size_of_headers + 100)",
    "any of them in (0..pe.size_of_headers)",
    "elf.type == elf.ET_EXEC",
    "elf.number_of_segments >= 0",
    "$alpha at elf.entry_point",
    "dotnet.number_of_streams >= 0",
    "math.entropy(0, filesize) < 3.0",
    "math.entropy(0, pe.size_of_headers) < 8.0",
    "math.to_number(pe.is_dll() and true) == 0",
    "math.max(pe.number_of_sections, 3) > 1",
    'hash.md5(0, pe.size_of_headers) != "a"',
    'hash.md5(0, 2) != "a"',
)
_MAY_HAVE_NO_VALUE = re.compile(r"\b(pe|elf|dotnet)\.(?!is_pe|MACHINE_I386 ==)|^entrypoint|entropy\(0, filesize\)")
#: Those that have a value whatever the content.
DEFINED_LEAVES = tuple(leaf for leaf in LEAVES if not _MAY_HAVE_NO_VALUE.search(leaf))
JOINS = (
    "({} and {})",
    "({} or {})",
    "{} and {}",
    "{} or {}",
    "not ({} and {})",
    "not ({} or {})",
    "defined ({} or {})",
)
WRAPPINGS = ("{}", "{}", "{}", "({})", "not {}", "not ({})", "defined ({})", "not not {}")
SCOPES = ("", "", "", "", "", "private", "global", "global private")
LOCAL_SCOPES = tuple(scopes for scopes in SCOPES if "global" not in scopes)
NAMES = ("ra", "rb", "rab", "rabc", "sa", "sb", "sc")
HEADS = (
    b"",
    b"M",
    b"MZ",
    b"M\0Z\0",
    b"\x7f",
    b"\x7fE",
    b"\x7fELF",
    b"PK\x03\x04",
    b"pK\x03",
    b"\xffPK",
    b"\x7fZ",
    b"LX",
)
_ALPHABET = b"alphabet"
BODIES = (
    *(b64encode(bytes(before) + _ALPHABET + b"xyz") for before in range(3)),
    bytes(byte for letter in b64encode(_ALPHABET) for byte in (letter, 0)),
    bytes(letter ^ 3 for letter in _ALPHABET),
    bytes(byte ^ 3 for letter in _ALPHABET for byte in (letter, 0)),
    _ALPHABET + b"x\0",
    b"ALMOHAb",
    "alphabet\x00\x01 and more than that of the same text".encode("utf-16-le"),
    b"",
    b"alpha",
    b"b\0e\0t\0a\0",
    b"betaBETA",
    b"gamma",
    b"\0" * 70,
    b"alpha" * 130,
    b"MZ",
    b"\x7fELF",
)


def condition(
    random: Random, earlier: list[str], later: list[str], leaves_left: int, leaves: tuple[str, ...] = LEAVES
) -> str:
    if leaves_left > 1 and random.random() < 0.8:
        here = random.randint(1, leaves_left - 1)
        left = condition(random, earlier, later, here, leaves)
        right = condition(random, earlier, later, leaves_left - here, leaves)
        return random.choice(JOINS).format(left, right)
    if earlier and random.random() < 0.3:
        name, other = random.choice(earlier), random.choice(earlier)
        count = random.choice(["any", "all", "none", "1", "2"])
        choices = [name, f"{count} of ({name}, {other})"]
        if not any(following.startswith(name[0]) for following in later):  # YARA forbids to add to such a set
            choices += [f"any of ({name[0]}*)", f"{count} of ({name[:2]}*)"]
        leaf = random.choice(choices)
    else:
        leaf = random.choice(leaves)
    return random.choice(WRAPPINGS).format(leaf)


def written(scopes: str, name: str, condition: str) -> str:
    if re.search(r"\bthem\b", condition):
        used = set(STRINGS)
    else:
        named = set(re.findall(r"[$#@!](\w+)(?!\w|\*\))", condition))
        prefixes = tuple(re.findall(r"\$(\w+)\*", condition))
        used = {string for string in STRINGS if string in named or (prefixes and string.startswith(prefixes))}
    lines = "".join(f"    ${string} = {STRINGS[string]} // }}\n" for string in STRINGS if string in used)
    strings = f"  strings:\n{lines}" if lines else ""
    return f'{scopes} rule {name} : tag {{\n  meta:\n    x = "}}"\n{strings}  condition:\n    {condition} // }}\n}}\n'


def pack(
    random: Random, *, namespaces: int = 2, leaves: tuple[str, ...] = LEAVES, lone_globals: bool = False
) -> tuple[RuleText, ...]:
    """A pack of at most so many namespaces; with `lone_globals` only the first rule of each may be global."""
    sources: list[RuleText] = []
    for namespace in range(random.randint(1, namespaces)):
        names = random.sample(NAMES, random.randint(1, len(NAMES)))
        rules = []
        for index, name in enumerate(names):
            text = condition(random, names[:index], names[index:], random.randint(1, 5), leaves)
            scopes = LOCAL_SCOPES if lone_globals and index else SCOPES
            rules.append(written(random.choice(scopes), name, text))
        split = random.randint(0, len(rules))
        parts = [part for part in (rules[:split], rules[split:]) if part]
        sources.extend(RuleText(namespace=f"n{namespace}", text=IMPORTS + "".join(part)) for part in parts)
    return tuple(sources)


def content(random: Random) -> bytes:
    whole = random.choice([minimal_pe(), minimal_pe(sections=3), minimal_elf()])
    loose = random.choice(HEADS) + b"".join(random.choices(BODIES, k=random.randint(0, 3)))
    return random.choice(
        [whole, whole[: random.randint(0, len(whole))], loose, loose[:3], loose.ljust(random.choice([500, 600, 1024]))]
    )


def texts_of(sources: tuple[RuleText, ...]) -> dict[str, str]:
    """One text a namespace, as engines take them."""
    texts: dict[str, str] = {}
    for source in sources:
        texts[source.namespace] = texts.get(source.namespace, "") + source.text + "\n"
    return texts
