"""Checks of what a rule says about itself."""

import re
from collections import Counter
from collections.abc import Iterator

from agent.domain.facts import Severity
from tests.signatures_lint.pack import LintedRule, Pack

REQUIRED = frozenset(
    {"id", "threat_name", "category", "severity", "confidence", "description", "reference", "false_positives"}
)
CATEGORIES = frozenset(
    {
        "backdoor",
        "bind_shell",
        "credential_theft",
        "downloader",
        "dropper",
        "evasion",
        "exploit",
        "loader",
        "macro",
        "miner",
        "packer",
        "persistence",
        "phishing",
        "ransomware",
        "reverse_shell",
        "rootkit",
        "spyware",
        "stealer",
        "suspicious",
        "test",
        "virus",
        "webshell",
        "worm",
    }
)
CONFIDENCES = ("certain", "high", "medium", "low")
_ID = re.compile(r"BKL-[A-Z]{3,4}-\d{4}")
_THREAT_NAME = re.compile(r"[A-Z][A-Za-z0-9-]*(\.[A-Za-z0-9-]+)*")
_REFERENCE = re.compile(r"https://[a-z0-9.-]+\.[a-z]{2,}/\S*")
_LONGEST_DESCRIPTION = 220


def has_all_entries(rule: LintedRule) -> Iterator[str]:
    """Every entry, and no other one: what nobody reads misleads."""
    for entry in sorted(REQUIRED ^ set(rule.meta)):
        yield f"`{entry}` is {'missing' if entry in REQUIRED else 'unknown'}"


def id_is_well_formed(rule: LintedRule) -> Iterator[str]:
    """`BKL-WEB-0001`."""
    if not _ID.fullmatch(rule.meta.get("id", "")):
        yield f"the id {rule.meta.get('id')!r} is not like BKL-XXX-0000"


def threat_name_is_dotted(rule: LintedRule) -> Iterator[str]:
    """`WebShell.PHP.Eval`: a person sees it in a table."""
    if not _THREAT_NAME.fullmatch(rule.meta.get("threat_name", "")):
        yield f"the threat name {rule.meta.get('threat_name')!r} is not like Kind.Platform.Detail"


def category_is_known(rule: LintedRule) -> Iterator[str]:
    """A typo would make a category of its own."""
    if rule.meta.get("category") not in CATEGORIES:
        yield f"the category {rule.meta.get('category')!r} is unknown"


def severity_is_known(rule: LintedRule) -> Iterator[str]:
    """An unknown one counts as high, which nobody meant."""
    if rule.meta.get("severity") not in {severity.value for severity in Severity}:
        yield f"the severity {rule.meta.get('severity')!r} is unknown"


def confidence_is_known(rule: LintedRule) -> Iterator[str]:
    """One of four words."""
    if rule.meta.get("confidence") not in CONFIDENCES:
        yield f"the confidence {rule.meta.get('confidence')!r} is unknown"


def malice_needs_confidence(rule: LintedRule) -> Iterator[str]:
    """What is acted on must not be a guess."""
    severity = next((severity for severity in Severity if severity.value == rule.meta.get("severity")), None)
    if severity and severity.is_malicious and rule.meta.get("confidence") == "low":
        yield "a finding is acted on, but the confidence is low"


def description_is_a_sentence(rule: LintedRule) -> Iterator[str]:
    """It says what was found, to a person."""
    text = rule.meta.get("description", "")
    if not text[:1].isupper() or text.count(" ") < 3 or len(text) > _LONGEST_DESCRIPTION or text != text.strip():
        yield f"the description is no sentence of up to {_LONGEST_DESCRIPTION} characters"


def reference_is_a_page(rule: LintedRule) -> Iterator[str]:
    """Where the technique is explained."""
    if not _REFERENCE.fullmatch(rule.meta.get("reference", "")):
        yield "the reference is no https address"


def false_positives_are_told(rule: LintedRule) -> Iterator[str]:
    """`none known` is an answer, nothing is not."""
    if len(rule.meta.get("false_positives", "")) < len("none"):
        yield "it does not say what else it may find"


def names_are_unique(pack: Pack) -> Iterator[str]:
    """Fixtures belong to names."""
    yield from _doubles("name", (rule.name for rule in pack.rules))


def ids_are_unique(pack: Pack) -> Iterator[str]:
    """Ids are never used again."""
    yield from _doubles("id", (rule.meta.get("id", "") for rule in pack.rules))


def _doubles(what: str, values: Iterator[str]) -> Iterator[str]:
    for value, times in sorted(Counter(values).items()):
        if times > 1:
            yield f"the {what} {value} is used {times} times"
