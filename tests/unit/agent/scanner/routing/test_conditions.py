import pytest

from agent.scanner.routing.conditions import (
    And,
    Condition,
    Defined,
    Leaf,
    Not,
    Or,
    UnreadableConditionError,
    parse_condition,
    tokens_of,
    write_condition,
)

A, B, C = Leaf(("$a",)), Leaf(("$b",)), Leaf(("$c",))


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("$a", A),
        ("( ( $a ) )", A),
        ("$a and $b or $c", Or((And((A, B)), C))),
        ("$a and ( $b or $c )", And((A, Or((B, C))))),
        ("$a or $b or $c", Or((A, B, C))),
        ("not $a and $b", And((Not(A), B))),
        ("not ( $a and $b )", Not(And((A, B)))),
        ("not not $a", Not(Not(A))),
        ("defined $a or $b", Or((Defined(A), B))),
        ("( $a ) and ( $b )", And((A, B))),
        ("( filesize ) == ( 3 )", Leaf(("(", "filesize", ")", "==", "(", "3", ")"))),
        ("for any of them : ( $a and $b )", Leaf(("for", "any", "of", "them", ":", "(", "$a", "and", "$b", ")"))),
        ("$a in ( 0 .. 9 ) or $b", Or((Leaf(("$a", "in", "(", "0", "..", "9", ")")), B))),
    ],
)
def test_operators_bind_as_in_yara(text: str, tree: Condition) -> None:
    assert parse_condition(text.split()) == tree


@pytest.mark.parametrize("text", ["", "not", "$a and", "or $a", "( $a", "$a )", "( )", "not " * 300 + "$a"])
def test_what_is_no_condition_is_refused(text: str) -> None:
    with pytest.raises(UnreadableConditionError):
        parse_condition(text.split())


def test_a_tree_survives_being_written_and_read() -> None:
    tree = Or((And((Not(A), Defined(Or((B, C))))), Leaf(("#a", ">", "2"))))
    assert parse_condition(write_condition(tree).split()) == tree


def test_all_tokens_of_a_tree_are_found_in_order() -> None:
    assert list(tokens_of(Or((And((Not(A), B)), Defined(C))))) == ["$a", "$b", "$c"]
