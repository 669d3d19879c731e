"""Texts for any few rules: with all that must accompany them, in their order, and nothing else."""

from agent.scanner.routing.analysis import RuleText
from agent.scanner.routing.composing import Kit
from agent.scanner.routing.partitions import FEW_UNSCREENED, partition

PACK = (
    RuleText(
        "first",
        'import "math"\n'
        'private rule helper { strings: $h = "helper-string" condition: $h }\n'
        'rule uses { strings: $u = "uses-string" condition: $u and helper }\n'
        'rule counts { strings: $c = "counts-string" condition: $c and math.entropy(0, filesize) > 7.0 }\n',
    ),
    RuleText("second", 'rule alone { strings: $a = "alone-string" condition: $a }\nrule any_file { condition: true }'),
)


def kit_of(*sources: RuleText) -> tuple[Kit, dict[str, int]]:
    """The kit of the only partition, and the number of each of its screened rules by a word that only it holds."""
    (part,) = partition(sources)
    assert part.kit is not None
    names = ("uses", "counts", "alone")
    numbers = {
        name: number
        for number in range(len(part.screened))
        for name in names
        if any(f"rule {name} " in text.text for text in part.kit.compose([number]))
    }
    return part.kit, numbers


def test_a_rule_comes_with_those_it_refers_to_and_no_others() -> None:
    kit, numbers = kit_of(PACK[0])
    (text,) = kit.compose([numbers["uses"]])
    assert text.namespace == "first"
    assert text.text.index("rule helper") < text.text.index("rule uses")
    assert "counts" not in text.text
    assert "import" not in text.text


def test_a_module_is_imported_by_those_that_use_it() -> None:
    kit, numbers = kit_of(PACK[0])
    (text,) = kit.compose([numbers["counts"]])
    assert text.text.startswith('import "math"\n')
    assert "rule uses" not in text.text


def test_rules_of_several_namespaces_stay_apart_and_in_order() -> None:
    kit, numbers = kit_of(*PACK)
    texts = kit.compose([numbers["alone"], numbers["uses"]])
    assert [text.namespace for text in texts] == ["first", "second"]


def test_what_runs_on_every_file_is_in_every_composition_if_it_is_little() -> None:
    kit, numbers = kit_of(*PACK)
    assert any("rule any_file" in text.text for text in kit.compose([numbers["uses"]]))
    many = "\n".join(f"rule any_{number} {{ condition: filesize > {number} }}" for number in range(FEW_UNSCREENED + 1))
    kit, numbers = kit_of(*PACK, RuleText("many", many))
    assert not kit.always
    assert not any("rule any_" in text.text for text in kit.compose([numbers["uses"]]))


def test_a_text_that_could_not_be_taken_apart_keeps_compositions_from_answering_for_all() -> None:
    kit, _ = kit_of(*PACK, RuleText("unread", 'include "x"\nrule r { condition: true }'))
    assert not kit.always
