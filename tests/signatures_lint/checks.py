"""All checks, and what they say about a pack."""

from collections.abc import Callable, Iterator

from tests.signatures_lint import bounds, fixtures, metadata
from tests.signatures_lint.pack import LintedRule, Pack

RULE_CHECKS: tuple[Callable[[LintedRule], Iterator[str]], ...] = (
    metadata.has_all_entries,
    metadata.id_is_well_formed,
    metadata.threat_name_is_dotted,
    metadata.category_is_known,
    metadata.severity_is_known,
    metadata.confidence_is_known,
    metadata.malice_needs_confidence,
    metadata.description_is_a_sentence,
    metadata.reference_is_a_page,
    metadata.false_positives_are_told,
    bounds.file_is_bounded,
    bounds.repetitions_are_bounded,
    bounds.short_strings_are_guarded,
    fixtures.has_both_fixtures,
)
PACK_CHECKS: tuple[Callable[[Pack], Iterator[str]], ...] = (
    metadata.names_are_unique,
    metadata.ids_are_unique,
    bounds.compiler_is_content,
    fixtures.fixtures_have_rules,
    fixtures.overlaps_are_real,
    fixtures.positives_are_found,
    fixtures.negatives_are_left_alone,
    fixtures.positives_are_found_in_zip,
    fixtures.positives_are_found_in_tar_gz,
    fixtures.the_pack_does_not_find_itself,
)


def of_rules(check: Callable[[LintedRule], Iterator[str]], pack: Pack) -> list[str]:
    """What one check says about each rule."""
    return [f"{rule.path.parent.name}/{rule.name}: {said}" for rule in pack.rules for said in check(rule)]


def complaints(pack: Pack) -> list[str]:
    """What all checks say."""
    said = [text for check in RULE_CHECKS for text in of_rules(check, pack)]
    return said + [text for check_pack in PACK_CHECKS for text in check_pack(pack)]
