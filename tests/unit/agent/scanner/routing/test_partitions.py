import yara

from agent.scanner.routing.analysis import RuleText
from agent.scanner.routing.partitions import Partition, partition
from agent.scanner.routing.selection import Selector
from tests.property.agent.scanner.routing.samples import minimal_elf, minimal_pe

IMPORT = 'import "pe"\n'


def divided(text: str, *, worth: int = 1) -> dict[str, Partition]:
    return {part.name: part for part in partition([RuleText("n", text)], rules_worth_a_pack=worth)}


def names(part: Partition) -> set[str]:
    return {name for _, name in part.rules}


def matches(parts: dict[str, Partition], data: bytes) -> set[str]:
    chosen = list(parts.values())
    selector = Selector([part.route for part in chosen])
    return {
        match.rule
        for index in selector.select(data, len(data))
        for match in yara.compile(sources={s.namespace: s.text for s in chosen[index].sources}).match(data=data)
    }


def test_each_family_gets_its_rules_and_those_for_any_file() -> None:
    parts = divided("""
        rule for_pe { condition: uint16(0) == 0x5a4d }
        rule for_elf { condition: uint32(0) == 0x464c457f }
        rule for_both { condition: uint16(0) == 0x5a4d or uint16(0) == 0x457f }
        rule for_zip { condition: uint16(0) == 0x4b50 }
        rule for_all { condition: true }
    """)
    assert names(parts["pe"]) == {"for_pe", "for_both", "for_all"}
    assert names(parts["elf"]) == {"for_elf", "for_both", "for_all"}
    assert names(parts["other"]) == {"for_zip", "for_all"}
    assert matches(parts, minimal_elf()) == {"for_elf", "for_both", "for_all"}


def test_a_family_with_few_rules_and_no_module_gets_no_pack() -> None:
    parts = divided("rule a { condition: uint16(0) == 0x5a4d } rule b { condition: true }", worth=100)
    assert parts.keys() == {"other"}
    assert matches(parts, minimal_pe()) == {"a", "b"}


def test_files_that_no_rule_can_match_are_in_no_partition() -> None:
    parts = divided("rule a { condition: uint16(0) == 0x4b50 and filesize < 9 }")
    selector = Selector([part.route for part in parts.values()])
    assert selector.select(b"hello", 5) == ()
    assert selector.select(b"PK", 9) == ()
    assert selector.select(b"PK", 8) == (0,)


def test_the_expensive_module_is_named_only_where_it_can_matter() -> None:
    parts = divided(IMPORT + 'rule a { strings: $a = "alpha" $b = "b" condition: (pe.is_dll() and $b) or $a }')
    assert '"pe"' not in parts["other"].sources[0].text
    assert "$b" not in parts["other"].sources[0].text
    assert matches(parts, b"alpha") == {"a"}
    assert matches(parts, b"beta") == set()
    assert matches(parts, minimal_pe()) == {"a"}


def test_an_alternative_inside_a_conjunction_is_left_out_too() -> None:
    condition = "$a and (pe.is_dll() or (filesize < 9 and (pe.is_32bit() or $b))) and (pe.is_pe or $c)"
    strings = '$a = "alpha" $b = "b" $c = "l"'
    parts = divided(IMPORT + f"rule a {{ strings: {strings} condition: {condition} }}")
    assert '"pe"' not in parts["other"].sources[0].text
    assert matches(parts, b"alphab") == {"a"}
    assert matches(parts, b"alpha") == set()


def test_a_conjunction_whose_every_alternative_needs_the_module_is_left_out_whole() -> None:
    parts = divided(
        IMPORT + 'rule a { strings: $a = "alpha" $b = "zz" condition: ($a and (pe.is_dll() or pe.is_pe)) or $b }'
    )
    assert matches(parts, b"alpha") == set()
    assert matches(parts, b"alpha zz") == {"a"}


def test_a_module_under_not_stays() -> None:
    parts = divided(IMPORT + "rule a { condition: not (pe.is_dll() or false) }")
    assert parts.keys() == {"other"}
    assert matches(parts, b"alpha") == {"a"}


def test_rules_that_are_referred_to_come_along_and_are_reported_once() -> None:
    parts = divided("""
        private rule hidden { condition: filesize < 1000 }
        rule seen { condition: uint16(0) == 0x4b50 }
        rule user { condition: hidden and not seen and uint16(0) == 0x5a4d }
    """)
    assert names(parts["pe"]) == {"user"}
    assert matches(parts, b"MZ") == {"user"}
    assert matches(parts, b"PK") == {"seen"}


def test_a_global_rule_holds_back_its_whole_namespace_and_no_other() -> None:
    sources = [
        RuleText("a", "global rule small { condition: filesize < 5 } rule x { condition: true }"),
        RuleText("b", "rule y { condition: true }"),
    ]
    parts = {part.name: part for part in partition(sources)}
    assert matches(parts, b"123456") == {"y"}
    assert matches(parts, b"1234") == {"small", "x", "y"}


def test_a_private_global_rule_is_never_reported_and_still_holds() -> None:
    parts = divided("private global rule mz { condition: uint16(0) == 0x5a4d } rule x { condition: true }")
    assert matches(parts, b"MZ") == {"x"}
    assert matches(parts, b"PK") == set()


def test_texts_of_one_namespace_may_refer_to_each_other() -> None:
    sources = [RuleText("n", "rule a { condition: true }"), RuleText("n", "rule b { condition: a }")]
    assert matches({part.name: part for part in partition(sources)}, b"") == {"a", "b"}


def test_a_rule_set_counts_equal_names_in_other_namespaces_as_yara_does() -> None:
    sources = [
        RuleText("a", "rule ra { condition: uint16(0) == 0x5a4d }"),
        RuleText("b", "rule ra { condition: true } rule pair { condition: 2 of (ra*) }"),
    ]
    whole = yara.compile(sources={source.namespace: source.text for source in sources})
    assert {match.rule for match in whole.match(data=b"PK")} == {"ra", "pair"}
    assert matches({part.name: part for part in partition(sources, rules_worth_a_pack=1)}, b"PK") == {"ra", "pair"}


def test_what_cannot_be_taken_apart_runs_everywhere() -> None:
    text = "rule a { strings: $a = /* why */ { 41 42 } condition: $a and uint16(0) == 0x4241 }"
    sources = [RuleText("odd", text), RuleText("n", "rule b { condition: uint16(0) == 0x5a4d }")]
    parts = {part.name: part for part in partition(sources, rules_worth_a_pack=1)}
    assert all(RuleText("odd", text) in part.sources for part in parts.values())
    assert matches(parts, b"AB") == {"a"}
    assert matches(parts, b"MZ") == {"b"}


def test_tags_meta_and_strings_survive() -> None:
    part = divided('rule a : t { meta: severity = "high" strings: $a = "x" condition: $a /* } */ // }\n }')["other"]
    (match,) = yara.compile(source=part.sources[0].text).match(data=b"x")
    assert (match.tags, match.meta) == (["t"], {"severity": "high"})


def test_no_rules_make_no_partitions() -> None:
    assert partition([]) == ()
    assert partition([RuleText("n", "// nothing")]) == ()
