"""Routing and reading on 7,087 real rules, against the engine and against plyara."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
import yara
from plyara import Plyara

from agent.scanner.routing.analysis import RuleText
from agent.scanner.routing.partitions import partition
from agent.scanner.routing.reading import read_rules
from agent.scanner.routing.selection import Selector
from tests.integration.scanner.routing.corpora import public_rules
from tests.property.agent.scanner.routing.samples import minimal_elf, minimal_pe

pytestmark = pytest.mark.corpus

EXTERNALS = dict.fromkeys(("filename", "filepath", "extension", "filetype", "owner"), "")
TREES = ("/usr/bin", "/usr/lib", "/usr/share", "/etc")
FILES = 300
LARGEST = 1 << 20


@pytest.fixture(scope="module", name="rules")
def load_rules() -> list[RuleText]:
    return public_rules()


def compiled(sources: list[RuleText] | tuple[RuleText, ...]) -> yara.Rules:
    return yara.compile(sources={source.namespace: source.text for source in sources}, externals=EXTERNALS)


def contents(rules: list[RuleText]) -> Iterator[tuple[str, bytes]]:
    """Yield files of this machine, made-up heads, and the strings of the rules themselves, which match a lot."""
    random = Random(7)
    paths = [Path(root, name) for tree in TREES for root, _, names in os.walk(tree) for name in names]
    for path in random.sample(sorted(paths), min(FILES, len(paths))):
        if path.is_file() and not path.is_symlink() and os.access(path, os.R_OK) and path.stat().st_size <= LARGEST:
            yield str(path), path.read_bytes()
    heads = (
        b"",
        b"M",
        b"MZ",
        b"\x7fE",
        minimal_pe(),
        minimal_elf(),
        b"PK\x03\x04",
        b"%PDF-1",
        b"{\\rtf",
        b"\xd0\xcf\x11\xe0",
    )
    for source in random.sample(rules, 120):
        texts = "\n".join(re.findall(r'= *"(.*)"', source.text))
        body = re.sub(r"\\x([0-9a-fA-F]{2})", lambda found: chr(int(found[1], 16)), texts).encode("latin1", "replace")
        for head in random.sample(heads, 3):
            yield f"{source.namespace} after {head[:4]!r}", head + body


@pytest.mark.parametrize("every", [4, pytest.param(1, marks=pytest.mark.slow)], ids=["quarter", "all"])
def test_the_partitions_match_what_the_whole_matches(rules: list[RuleText], every: int) -> None:
    rules = rules[::every]
    whole = compiled(rules)
    parts = partition(rules)
    packs = [compiled(part.sources) for part in parts]
    selector = Selector([part.route for part in parts])
    matched = set()
    for name, data in contents(rules):
        expected = {(match.namespace, match.rule) for match in whole.match(data=data)}
        routed = {
            (match.namespace, match.rule)
            for index in selector.select(data[: selector.head_bytes], len(data))
            for match in packs[index].match(data=data)
        }
        assert routed == expected, name
        matched |= expected
    assert len(matched) > 100 / every  # or the comparison would prove little


def test_every_rule_has_a_partition_and_no_module_is_loaded_for_other_files(rules: list[RuleText]) -> None:
    whole = compiled(rules)
    parts = {part.name: part for part in partition(rules)}
    reported = {name for part in parts.values() for _, name in part.rules}
    impossible = {"CN_Tools_xbat", "CN_Tools_srss_2"}  # they ask for two different first bytes
    assert {rule.identifier for rule in whole if not rule.is_private} - reported == impossible
    assert not any(
        re.search(r'^import "(pe|elf|dotnet)"', source.text, re.MULTILINE) for source in parts["other"].sources
    )


def test_rules_are_read_as_plyara_reads_them(rules: list[RuleText]) -> None:
    parser = Plyara()
    for source in Random(11).sample(rules, 150):
        parser.rules, parser.imports, parser.includes = [], set(), []  # its own `clear` builds the grammar anew
        theirs = parser.parse_string(source.text)
        ours = read_rules(source.text).rules
        assert [rule.name for rule in ours] == [rule["rule_name"] for rule in theirs]
        for our, their in zip(ours, theirs, strict=True):
            # plyara takes the dots of a range into the name before it.
            their_tokens = re.sub(r"(\w)\.\.(\w)", r"\1 .. \2", " ".join(their["condition_terms"])).split(" ")
            assert " ".join(our.tokens).split(" ") == their_tokens
            assert our.tags == tuple(their.get("tags", ()))
            assert [(s.name, s.kind, s.value, s.modifiers) for s in our.strings] == [
                (s["name"], s["type"], s["value"], tuple(s.get("modifiers", ()))) for s in their.get("strings", ())
            ]
