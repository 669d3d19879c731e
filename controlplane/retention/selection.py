"""The rules as the database understands them; `rules.goes` says the same of values."""

from datetime import datetime
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Select,
    Table,
    Text,
    and_,
    exists,
    func,
    literal_column,
    not_,
    or_,
    select,
    true,
)
from sqlalchemy.sql.selectable import FromClause, ScalarSelect

from controlplane.retention.rules import Only, Related, Rule, Test
from controlplane.storage.metadata import metadata


def table_of(rule: Rule) -> Table:
    """The rows that a rule is about."""
    return metadata.tables[rule.table]


def due(rule: Rule, cutoff: datetime, org: str | ColumnElement[str]) -> list[ColumnElement[bool]]:
    """What is true of rows that are no longer kept.

    Args:
        rule: Which.
        cutoff: What is older goes.
        org: Whose; not looked at where rows are nobody's.
    """
    table = table_of(rule)
    conditions = [table.c[rule.at] < cutoff]
    if rule.of_tenants:
        conditions.insert(0, table.c.org_id == org)
    conditions += [_only(table, only) for only in rule.only]
    conditions += [_related(table, related) for related in rule.related]
    return conditions


def first_due(rule: Rule, cutoff: datetime, org: str | ColumnElement[str]) -> Select[Any]:
    """Keys of the oldest rows that go, as many as one transaction takes; who is at work on one keeps it for now."""
    table = table_of(rule)
    query = select(*table.primary_key.columns).where(*due(rule, cutoff, org))
    return query.order_by(table.c[rule.at]).limit(rule.at_once).with_for_update(skip_locked=True)


def orgs_with_some(rule: Rule, cutoff: datetime, after: str, limit: int) -> Select[Any]:
    """Organisations that have rows which go, in the order of their ids.

    A subquery with a limit is asked once for each organisation, by the index; a join would look at all rows of all.
    """
    org_id = metadata.tables["organisations"].c.org_id
    table = table_of(rule)
    # The oldest one by the index, so that an organisation with a million rows is not counted to be named.
    some: ScalarSelect[Any] = (
        select(table.c.org_id).where(*due(rule, cutoff, org_id)).limit(1).correlate(org_id.table).scalar_subquery()
    )
    return select(org_id).where(org_id > after, some.is_not(None)).order_by(org_id).limit(limit)


def oldest(rule: Rule) -> Select[Any]:
    """The instant of the oldest row that a rule is about, whether it goes or not."""
    table = table_of(rule)
    conditions = [_only(table, only) for only in rule.only]
    if not rule.of_tenants or rule.of_nobody:
        return select(func.min(table.c[rule.at])).where(*conditions)
    org_id = metadata.tables["organisations"].c.org_id
    at: Column[Any] = table.c[rule.at]
    first = (
        select(at)
        .where(table.c.org_id == org_id, at.is_not(None), *conditions)
        .order_by(at)
        .limit(1)
        .correlate(org_id.table)
        .scalar_subquery()
    )
    each = select(first.label("first")).select_from(org_id.table).subquery()
    return select(func.min(each.c.first))


def _only(table: FromClause, only: Only) -> ColumnElement[bool]:
    column = table.c[only.column]
    # Written out, not a parameter: else neither database would use an index that holds only what is filled.
    nothing: ColumnElement[str] = literal_column("''")
    is_text = isinstance(column.type, Text)
    match only.test:
        case Test.EMPTY:
            return or_(column.is_(None), column == nothing) if is_text else column.is_(None)
        case Test.FILLED:
            return column != nothing if is_text else column.is_not(None)
        case Test.ONE_OF:
            return column.in_(only.values)
        case Test.BEGINS_WITH_NONE_OF:
            return and_(true(), *(not_(column.startswith(start, autoescape=True)) for start in only.values))


def _related(table: Table, related: Related) -> ColumnElement[bool]:
    # An alias: it may be the same table.
    other = metadata.tables[related.table].alias("related")
    same = [other.c[column] == table.c[column] for column in ("org_id", *related.same)]
    only = [_only(other, only) for only in related.only]
    higher = [other.c[related.higher] > table.c[related.higher]] if related.higher else []
    found = exists().where(*same, *only, *higher).correlate(table)
    return found if related.wanted else ~found
