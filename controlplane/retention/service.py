"""Deletes what is no longer kept: a few rows a transaction, one organisation after the other, from where it stopped.

Every step is one statement with its conditions in it, so that two servers, or a person and a job, may do it at once.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Row, and_, delete, func, literal, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from controlplane.retention import selection
from controlplane.retention.rules import RULES, Periods, Rule, periods_of
from controlplane.retention.tables import retention_standings as standings
from controlplane.runtime.clock import Clock
from controlplane.runtime.tenant_time import TenantTimes
from controlplane.storage.database import Database, UnitOfWork
from controlplane.storage.metadata import metadata
from controlplane.storage.upsert import insert_into

#: The job that deletes.
FORGET: Final = "retention.forget"
#: Rows of one run of the job, so that other jobs have their turn after seconds.
ROWS_PER_RUN: Final = 10_000
#: What is kept for days need not be looked through more often.
PASS_EVERY: Final = timedelta(hours=6)
#: Organisations that are named at once.
_ORGS_AT_ONCE: Final = 100
_NOTHING_DONE: Final = ""
#: In the place of an organisation, of rows that are nobody's.
_NOBODY: Final = ""


@dataclass(frozen=True, slots=True)
class RuleStanding:
    """A rule and how far it has come.

    Attributes:
        period: How long is kept; None: for ever.
        deleted: Rows that went, ever.
        oldest_at: Of the rows it is about, when the last pass ended; None: there were none.
        passed_at: When that was; None: none has ended.
    """

    rule: Rule
    period: timedelta | None
    deleted: int = 0
    oldest_at: datetime | None = None
    passed_at: datetime | None = None


class Retention:
    """The use cases.

    Args:
        database: The database.
        times: Whose time runs ahead.
        clock: Business time.
        periods: How long each rule keeps; None: as long as it says itself.
    """

    def __init__(self, *, database: Database, times: TenantTimes, clock: Clock, periods: Periods | None = None) -> None:
        self._database = database
        self._times = times
        self._clock = clock
        self._periods = periods_of({}) if periods is None else periods

    async def run(self, *, rows: int | None = ROWS_PER_RUN, rules: Sequence[Rule] = RULES) -> Mapping[str, int]:
        """Delete what is due; a durable job calls this.

        Args:
            rows: At most about so many, and nothing of a rule whose last pass is younger than `PASS_EVERY`; None:
                everything.
            rules: Of these.

        Returns:
            How many rows went, by rule.
        """
        gone: dict[str, int] = {}
        for rule in rules:
            left = None if rows is None else rows - sum(gone.values())
            if left is not None and left <= 0:
                break
            period = self._periods[rule.name]
            if period is not None:
                gone[rule.name] = await self._pass(rule, period, left)
        return gone

    async def preview(self, rules: Sequence[Rule] = RULES) -> Mapping[str, int]:
        """How many rows would go now, by rule. What would go only after them is not counted."""
        return {rule.name: await self._count(rule, await self._ahead(rule)) for rule in rules}

    async def standings(self) -> Sequence[RuleStanding]:
        """Every rule."""
        async with self._database.reading() as connection:
            return await standings_of(connection, self._periods)

    # ------------------------------------------------------------ one pass

    async def _pass(self, rule: Rule, period: timedelta, left: int | None) -> int:
        done_to, gone = _NOTHING_DONE, 0
        if left is not None:
            async with self._database.reading() as connection:
                standing = await _standing(connection, rule)
            if standing is not None:
                if not standing.done_to and self._is_young(standing.passed_at):
                    return 0
                done_to = standing.done_to
        if rule.of_nobody and done_to == _NOTHING_DONE:
            gone += await self._empty(rule, period, _NOBODY, done_to, left)
            if left is not None and gone >= left:
                return gone
        while org_ids := await self._next(rule, period, done_to):
            for org_id in org_ids:
                gone += await self._empty(rule, period, org_id, done_to, None if left is None else left - gone)
                if left is not None and gone >= left:
                    return gone
                done_to = org_id
            if not rule.of_tenants:
                break
        for org_id in await self._ahead(rule):
            async with self._times.of(org_id):
                gone += await self._empty(rule, period, org_id, done_to, None if left is None else left - gone)
            if left is not None and gone >= left:
                return gone
        await self._passed(rule)
        return gone

    def _is_young(self, passed_at: datetime | None) -> bool:
        return passed_at is not None and self._clock.now() < passed_at + PASS_EVERY

    async def _next(self, rule: Rule, period: timedelta, done_to: str) -> Sequence[str]:
        if not rule.of_tenants:
            return [_NOTHING_DONE]
        query = selection.orgs_with_some(rule, self._clock.now() - period, done_to, _ORGS_AT_ONCE)
        async with self._database.reading() as connection:
            return list(await connection.scalars(query))

    async def _empty(self, rule: Rule, period: timedelta, org_id: str, done_to: str, left: int | None) -> int:
        """Delete what is due of one organisation, and note each step; how many rows went."""
        gone = 0
        while left is None or gone < left:
            async with self._database.transaction() as uow:
                step = await _delete(uow, rule, self._clock.now() - period, org_id)
                if step:
                    await _note(uow, rule, step, done_to)
            gone += step
            if step < rule.at_once:
                break
            # Whoever waits for the database or the event loop goes first.
            await asyncio.sleep(0)
        return gone

    async def _ahead(self, rule: Rule) -> Sequence[str]:
        """Organisations whose rows grow old at a time of their own."""
        return await self._times.sandboxes() if rule.of_tenants and not rule.by_wall else ()

    async def _passed(self, rule: Rule) -> None:
        async with self._database.transaction() as uow:
            oldest_at = (await uow.connection.execute(selection.oldest(rule))).scalar_one_or_none()
            values = {"done_to": _NOTHING_DONE, "passed_at": self._clock.now(), "oldest_at": oldest_at}
            await uow.connection.execute(
                insert_into(uow.connection, standings)
                .values(rule=rule.name, deleted=0, **values)
                .on_conflict_do_update(index_elements=["rule"], set_=values)
            )

    async def _count(self, rule: Rule, sandboxes: Sequence[str]) -> int:
        period = self._periods[rule.name]
        if period is None:
            return 0
        table = selection.table_of(rule)
        if not rule.of_tenants:
            return await self._counted(rule, and_(*selection.due(rule, self._clock.now() - period, "")))
        real = table.c.org_id.not_in(sandboxes)
        found = await self._counted(rule, and_(real, *selection.due(rule, self._clock.now() - period, table.c.org_id)))
        for org_id in sandboxes:
            async with self._times.of(org_id):
                due = selection.due(rule, self._clock.now() - period, org_id)
            found += await self._counted(rule, and_(*due))
        return found

    async def _counted(self, rule: Rule, condition: Any) -> int:
        async with self._database.reading() as connection:
            query = select(func.count()).select_from(selection.table_of(rule)).where(condition)
            return (await connection.execute(query)).scalar_one()


async def standings_of(connection: AsyncConnection, periods: Periods) -> Sequence[RuleStanding]:
    """Every rule and how far it has come."""
    found = {row.rule: row for row in await connection.execute(select(*standings.columns))}
    return [
        RuleStanding(rule, periods[rule.name])
        if rule.name not in found
        else RuleStanding(
            rule,
            periods[rule.name],
            found[rule.name].deleted,
            found[rule.name].oldest_at,
            found[rule.name].passed_at,
        )
        for rule in RULES
    ]


async def _standing(connection: AsyncConnection, rule: Rule) -> Row[*tuple[Any, ...]] | None:
    query = select(*standings.columns).where(standings.c.rule == rule.name)
    return (await connection.execute(query)).one_or_none()


async def _delete(uow: UnitOfWork, rule: Rule, cutoff: datetime, org_id: str) -> int:
    keys = (await uow.connection.execute(selection.first_due(rule, cutoff, org_id))).all()
    if not keys:
        return 0
    table = selection.table_of(rule)
    names = [column.name for column in table.primary_key.columns]
    for member in rule.members:
        members = metadata.tables[member]
        await uow.connection.execute(delete(members).where(_one_of(members, names, keys)))
    statement: Any = (update(table).values(dict.fromkeys(rule.blanks, "")) if rule.blanks else delete(table)).where(
        _one_of(table, names, keys)
    )
    await uow.connection.execute(statement)
    return len(keys)


def _one_of(table: Any, names: Sequence[str], keys: Sequence[Row[Any]]) -> Any:
    """The rows with these keys. The organisation that they have in common is said once: it leads to one partition."""
    shared = {name for number, name in enumerate(names) if len({key[number] for key in keys}) == 1}
    same = [table.c[name] == literal(keys[0][names.index(name)], table.c[name].type) for name in sorted(shared)]
    rest = [number for number, name in enumerate(names) if name not in shared]
    if not rest:
        return and_(*same)
    if len(rest) == 1:
        column = table.c[names[rest[0]]]
        return and_(*same, column.in_([key[rest[0]] for key in keys]))
    columns = [table.c[names[number]] for number in rest]
    return and_(*same, tuple_(*columns).in_([tuple(key[number] for number in rest) for key in keys]))


async def _note(uow: UnitOfWork, rule: Rule, gone: int, done_to: str) -> None:
    values = {"deleted": gone, "done_to": done_to}
    await uow.connection.execute(
        insert_into(uow.connection, standings)
        .values(rule=rule.name, **values)
        .on_conflict_do_update(index_elements=["rule"], set_={**values, "deleted": standings.c.deleted + gone})
    )
