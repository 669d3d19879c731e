from agent.scanner.routing.needs import ANYTHING, MAX_HEADS, NO_LIMIT, NOTHING, Need, any_of, sized, starts_with


def test_of_two_heads_where_one_begins_the_other_only_the_shorter_counts_as_alternative() -> None:
    assert starts_with(b"MZ", b"MZ\x90").heads == frozenset({b"MZ"})
    assert starts_with(b"", b"MZ") == ANYTHING


def test_both_keeps_the_longer_of_compatible_heads_and_the_narrower_size() -> None:
    both = Need(frozenset({b"MZ", b"PK"}), 2, 100).both(Need(frozenset({b"MZ\x90", b"Rar"}), 3, NO_LIMIT))
    assert both == Need(frozenset({b"MZ\x90"}), 3, 100)


def test_heads_that_exclude_each_other_are_impossible() -> None:
    assert starts_with(b"MZ").both(starts_with(b"PK")).impossible
    assert sized(at_least=5).both(sized(at_most=4)).impossible


def test_either_unites_heads_and_sizes() -> None:
    assert starts_with(b"MZ").both(sized(at_most=9)).either(starts_with(b"PK!")) == Need(
        frozenset({b"MZ", b"PK!"}), 2, NO_LIMIT
    )
    assert starts_with(b"MZ").either(ANYTHING).heads is None
    assert starts_with(b"MZ").either(NOTHING) == starts_with(b"MZ")


def test_too_many_alternatives_of_one_rule_become_any_head() -> None:
    need = NOTHING
    for number in range(MAX_HEADS + 1):
        need = need.either(starts_with(number.to_bytes(2, "big")))
    assert need.heads is None


def test_any_of_nothing_is_impossible() -> None:
    assert any_of([]).impossible
    assert any_of([NOTHING, NOTHING]).impossible
