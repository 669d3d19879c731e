"""What grows with time, how long it is kept and why. Data and decisions; pure.

What is not named here is kept for ever: licences, seats and their history, invoices, payments, the journal, consents to
renewals and the proof that charges were announced. Laws ask for those for years after the last of them was written, see
docs/operations.md; deleting them is a decision that no program makes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from types import MappingProxyType
from typing import Any, Final

from controlplane.retention.errors import period_invalid, rule_unknown

#: A row as the database has it.
Row = Mapping[str, Any]
#: In the settings, instead of a number of days.
FOREVER: Final = "forever"
#: Ten times the longest that a law we know of asks for.
MOST_DAYS: Final = 36_500


class Test(Enum):
    """What a column can be asked."""

    #: pytest takes every class of this name for a test.
    __test__ = False

    EMPTY = "is empty"
    FILLED = "is filled"
    ONE_OF = "is one of"
    BEGINS_WITH_NONE_OF = "begins with none of"


@dataclass(frozen=True, slots=True)
class Only:
    """A condition on a column; `EMPTY` is NULL or a text without characters."""

    column: str
    test: Test
    values: tuple[str, ...] = ()

    def holds(self, row: Row) -> bool:
        """Whether a row fulfils it."""
        value = row[self.column]
        match self.test:
            case Test.EMPTY:
                return value is None or value == ""
            case Test.FILLED:
                return value is not None and value != ""
            case Test.ONE_OF:
                return value in self.values
            case Test.BEGINS_WITH_NONE_OF:
                return not any(value.startswith(start) for start in self.values)


@dataclass(frozen=True, slots=True)
class Related:
    """Rows of a table that have the same values in some columns; the organisation is always among them.

    Attributes:
        table: Where they are.
        same: Columns with the same values, besides `org_id`.
        only: What else must be true of them.
        higher: A column whose value is greater in them; empty: that does not matter.
        wanted: Whether there must be such a row; else there must be none.
    """

    table: str
    same: tuple[str, ...]
    only: tuple[Only, ...] = ()
    higher: str = ""
    wanted: bool = False

    def holds(self, row: Row, others: Sequence[Row]) -> bool:
        """Whether a row has such relatives, or has none, as is asked."""
        found = any(
            all(other[column] == row[column] for column in ("org_id", *self.same))
            and all(only.holds(other) for only in self.only)
            and (not self.higher or other[self.higher] > row[self.higher])
            for other in others
        )
        return found == self.wanted


@dataclass(frozen=True, slots=True)
class Rule:
    """What is kept for how long.

    Attributes:
        name: In the settings and in metrics.
        table: Which rows.
        at: Their age counts from this instant.
        days: How long they are kept unless the settings say otherwise.
        least_days: The settings cannot say less.
        why: For people: what is bound to the period.
        only: What must be true of a row that goes.
        related: What must be true of its relatives.
        members: Tables whose rows of the same key go in the same transaction.
        blanks: Columns that are emptied; the row stays. Empty: the row goes.
        of_tenants: Whether the table has an `org_id`.
        by_wall: Sandboxes keep it by the machine's time too.
        of_nobody: Whether some rows are no organisation's: theirs is empty.
        at_once: Rows of one transaction.
    """

    name: str
    table: str
    at: str
    days: int
    least_days: int
    why: str
    only: tuple[Only, ...] = ()
    related: tuple[Related, ...] = ()
    members: tuple[str, ...] = ()
    blanks: tuple[str, ...] = ()
    of_tenants: bool = True
    by_wall: bool = False
    of_nobody: bool = False
    at_once: int = 500


#: Who changed what about money, seats and licences stays with what it explains.
_KEPT_ACTIONS: Final = (
    "charge.", "invoice.", "licence.", "organisation.", "payment", "refund.", "seat.", "subscription.", "key.",
)  # fmt: skip

#: In this order; what refers to something else goes before it.
RULES: Final = (
    Rule(
        "detections",
        "detections",
        "received_at",
        400,
        30,
        "A year and a month can be compared with the year before. Incidents keep their numbers. Not under a month: a "
        "device that reports again what it reported longer ago is counted again.",
    ),
    Rule(
        "outcomes",
        "detection_outcomes",
        "at",
        400,
        30,
        "What came of a detection is told as long as the detection is.",
    ),
    Rule(
        "incidents",
        "incidents",
        "last_at",
        400,
        30,
        "Resolved ones whose detections are gone; what was judged a false positive stays, it silences the next alarm.",
        only=(Only("status", Test.ONE_OF, ("resolved",)),),
        related=(Related("detections", ("incident_id",)),),
        members=("incident_devices",),
        at_once=20,
    ),
    Rule(
        "audit",
        "audit",
        "at",
        1_095,
        365,
        "Three years, in which most claims can be made. What concerns money, seats and licences stays.",
        only=(Only("action", Test.BEGINS_WITH_NONE_OF, _KEPT_ACTIONS),),
        # The database refuses to delete what is younger than a year by its own clock.
        by_wall=True,
    ),
    Rule(
        "answers",
        "idempotent_requests",
        "created_at",
        30,
        7,
        "Nobody repeats a request after so long; one that is repeated later is done again.",
        # What concerns people is dated by the machine's time: to a sandbox that is ahead it would be old at once.
        by_wall=True,
    ),
    Rule(
        "campaigns",
        "campaigns",
        "requested_at",
        180,
        30,
        "Over for all their devices. They go before their commands: none is shown with half of them.",
        related=(Related("commands", ("campaign_id",), (Only("ends_at", Test.FILLED),)),),
    ),
    Rule(
        "bundles",
        "diagnostics_bundles",
        "expires_at",
        90,
        1,
        "What they held was destroyed when they expired; that there was one stays so long.",
        only=(Only("destroyed_at", Test.FILLED),),
        related=(Related("diagnostics_pieces", ("command_id",)),),
    ),
    Rule(
        "commands",
        "commands",
        "requested_at",
        180,
        30,
        "Final ones. Not under a month: a device that was away for longer answers to a command nobody knows.",
        only=(Only("ends_at", Test.EMPTY),),
        related=(Related("campaigns", ("campaign_id",)), Related("diagnostics_bundles", ("command_id",))),
    ),
    Rule(
        "webhook_deliveries",
        "webhook_deliveries",
        "created_at",
        30,
        1,
        "Given up; whoever wants them tried again does so within a month. Delivered ones are gone at once.",
        only=(Only("due_at", Test.EMPTY),),
    ),
    Rule(
        "notice_bodies",
        "notices",
        "queued_at",
        400,
        30,
        "The text of mails that went out or failed; that they did, to whom, about what and when stays.",
        only=(Only("state", Test.ONE_OF, ("delivered", "failed")), Only("mail_text", Test.FILLED)),
        blanks=("mail_text", "mail_html"),
    ),
    Rule(
        "quotes",
        "quotes",
        "expires_at",
        90,
        1,
        "Offers that nobody took; the others belong to what was bought.",
        only=(Only("used_at", Test.EMPTY),),
    ),
    Rule(
        "tokens",
        "api_tokens",
        "expires_at",
        90,
        1,
        "Sessions and tokens that ended; the audit has who made them.",
        # Tokens end by the machine's time: a demonstration that leaps a year ahead signs nobody out.
        by_wall=True,
    ),
    Rule(
        "entitlements",
        "entitlements",
        "issued_at",
        400,
        30,
        "Documents that a newer one of the same device replaced. The seat and the subscription they say stay.",
        related=(Related("entitlements", ("device_id",), higher="serial", wanted=True),),
    ),
    Rule(
        "payment_events",
        "provider_events",
        "received_at",
        90,
        30,
        "That an event of the payment provider was seen: it repeats them for days. Payments themselves stay.",
        of_tenants=False,
    ),
    Rule(
        "dead_reports",
        "dead_reports",
        "failed_at",
        90,
        7,
        "Reports of devices that could not be stored; whoever wants them tried again does so within three months.",
        by_wall=True,
        of_nobody=True,
    ),
)  # fmt: skip

Periods = Mapping[str, timedelta | None]


def periods_of(settings: Mapping[str, int | str]) -> Periods:
    """How long each rule keeps; None: for ever.

    Args:
        settings: Days, or `FOREVER`, by the name of a rule; who is not named keeps for the default.

    Raises:
        Refusal: `RETENTION_INVALID`.
    """
    by_name = {rule.name: rule for rule in RULES}
    for name, value in settings.items():
        if name not in by_name:
            raise rule_unknown(name, list(by_name))
        rule = by_name[name]
        if value != FOREVER and not _may_be(value, rule):
            raise period_invalid(name, rule.least_days, MOST_DAYS)
    return MappingProxyType({rule.name: _period(settings.get(rule.name, rule.days)) for rule in RULES})


def goes(rule: Rule, row: Row, tables: Mapping[str, Sequence[Row]], cutoff: datetime) -> bool:
    """Whether a row is no longer kept. `selection` says the same to the database; a test compares them.

    Args:
        rule: What is said of its table.
        row: The row.
        tables: Rows of the tables that the rule's relatives are in.
        cutoff: What is older goes.
    """
    at = row[rule.at]
    return (
        at is not None
        and at < cutoff
        and all(only.holds(row) for only in rule.only)
        and all(related.holds(row, tables[related.table]) for related in rule.related)
    )


def _may_be(value: int | str, rule: Rule) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and rule.least_days <= value <= MOST_DAYS


def _period(value: int | str) -> timedelta | None:
    return None if isinstance(value, str) else timedelta(days=value)
