"""The table of rules is right about the schema, and the database deletes exactly what the decision says."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Column, MetaData, Table, create_engine, insert, select

from controlplane.retention import selection
from controlplane.retention.rules import MOST_DAYS, RULES, Rule, goes, periods_of
from controlplane.runtime.refusal import Refusal
from controlplane.storage.metadata import metadata
from controlplane.storage.types import Instant
from tests.fakes.clock import SOME_MONDAY
from tests.fakes.every_table import load_every_table

load_every_table()

CUTOFF = SOME_MONDAY
ORG = "org_1"


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_every_rule_speaks_of_columns_that_are_there_and_finds_old_rows_by_an_index(rule: Rule) -> None:
    table = metadata.tables[rule.table]
    start = ["org_id", rule.at] if rule.of_tenants else [rule.at]
    assert any([column.name for column in index.columns][: len(start)] == start for index in table.indexes)
    assert {rule.at, *rule.blanks, *(only.column for only in rule.only)} <= set(table.c.keys())
    assert rule.least_days <= rule.days <= MOST_DAYS
    for related in rule.related:
        there = set(metadata.tables[related.table].c.keys())
        assert {"org_id", *related.same, *(only.column for only in related.only)} <= there
    for member in rule.members:
        assert {column.name for column in table.primary_key} <= set(metadata.tables[member].c.keys())


def test_what_must_be_kept_has_no_rule() -> None:
    kept = {"invoices", "invoice_lines", "journal", "billing_documents", "payments", "refunds", "credit_notes"}
    kept |= {"subscriptions", "seats", "seat_changes", "renewal_consents", "charge_announcements", "devices"}
    touched = {table for rule in RULES for table in (rule.table, *rule.members)}
    assert kept <= set(metadata.tables), "they are called so"
    assert not kept & touched


def test_periods_are_the_rules_own_unless_the_settings_say_otherwise() -> None:
    periods = periods_of({"detections": 30, "audit": "forever"})
    assert periods["detections"] == timedelta(days=30)
    assert periods["audit"] is None
    assert periods["commands"] == timedelta(days=180)


@pytest.mark.parametrize("settings", [{"detections": 29}, {"audit": "never"}, {"audit": 10**9}, {"invoices": 30}])
def test_a_period_that_is_too_short_or_of_nothing_is_refused(settings: Mapping[str, int | str]) -> None:
    with pytest.raises(Refusal) as caught:
        periods_of(settings)
    assert caught.value.reason == "RETENTION_INVALID"


def _value(chance: Random, column: Column[Any], number: int) -> Any:
    """Few different values, so that rows are related by chance."""
    if column.name in _VALUES:
        return chance.choice(_VALUES[column.name])
    if isinstance(column.type, Instant):
        there = [CUTOFF + timedelta(days=days) for days in (-2, -1, 0, 1)]
        return chance.choice([None, *there] if column.nullable else there)
    if column.name.endswith("_id") and not column.primary_key:
        return chance.choice("123456")
    kind = column.type.python_type
    if column.primary_key:
        return str(number) if kind is str else number.to_bytes(2, "big") if kind is bytes else number
    return {str: "x", bytes: b"x", int: 0, bool: False}[kind]


#: What rules ask for; and the columns that several rows of one device share.
_VALUES: Mapping[str, Sequence[str]] = {
    "org_id": [ORG, ORG, "org_2"],
    "status": ["new", "resolved"],
    "state": ["queued", "delivered"],
    "action": ["seat.claimed", "device.renamed"],
    "mail_text": ["", "Dear customer"],
    "device_id": "123456",
}


def _plain(table: Table) -> Table:
    """Without its constraints: what they forbid must not be needed here."""
    return Table(table.name, MetaData(), *[Column(column.name, column.type) for column in table.columns])


@given(st.randoms(use_true_random=False))
@settings(max_examples=5)
def test_the_database_finds_exactly_what_the_decision_says(chance: Random) -> None:
    for rule in RULES:
        table, engine = metadata.tables[rule.table], create_engine("sqlite://")
        tables: dict[str, list[dict[str, Any]]] = {}
        with engine.begin() as connection:
            for name in sorted({rule.table, *(related.table for related in rule.related)}):
                plain = _plain(metadata.tables[name])
                plain.create(connection)
                columns = metadata.tables[name].columns
                tables[name] = [
                    {column.name: _value(chance, column, number) for column in columns} for number in range(1, 13)
                ]
                connection.execute(insert(plain), tables[name])
            names = [column.name for column in table.primary_key.columns]
            query = select(*table.primary_key.columns).where(*selection.due(rule, CUTOFF, ORG))
            found = {tuple(row) for row in connection.execute(query)}
        engine.dispose()
        mine = [row for row in tables[rule.table] if not rule.of_tenants or row["org_id"] == ORG]
        assert found == {tuple(row[name] for name in names) for row in mine if goes(rule, row, tables, CUTOFF)}


@given(st.integers(-(10**6), 10**6), st.integers(1, 10**4))
def test_what_is_younger_than_its_period_never_goes(seconds: int, days: int) -> None:
    rule = RULES[0]
    at, now = SOME_MONDAY + timedelta(seconds=seconds), SOME_MONDAY
    cutoff: datetime = now - timedelta(days=days)
    assert goes(rule, {rule.at: at}, {}, cutoff) == (now - at > timedelta(days=days))
