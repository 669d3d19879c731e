"""The rows of commands: read, inserted once, changed under their lock."""

import json
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, and_, func, literal, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from controlplane.commands.model import Command, CommandState, Progress
from controlplane.commands.tables import commands
from controlplane.runtime.paging import KeyPart, Page, page_token_invalid
from controlplane.storage.database import UnitOfWork
from controlplane.storage.types import from_microseconds, to_microseconds
from controlplane.storage.upsert import insert_into

#: Sort key of a list: requested (microseconds), command id.
COMMAND_KEY: tuple[type[KeyPart], ...] = (int, str)
#: Open commands of all organisations are counted so far, for monitoring.
MOST_COUNTED = 100_000
#: Columns that are kept as JSON.
_MAPPINGS = ("arguments", "result")


@dataclass(frozen=True, slots=True)
class CommandFilter:
    """Which commands are wanted; what is empty does not matter.

    Attributes:
        device_id: Of this device.
        states: In one of these states.
        campaign_id: Of this campaign.
        kind: Of this kind.
    """

    device_id: str = ""
    states: frozenset[CommandState] = frozenset()
    campaign_id: str = ""
    kind: str = ""


async def add(uow: UnitOfWork, new: Collection[Command]) -> None:
    """Insert commands; whose id is there already stays as it is."""
    rows = [_row(command) for command in sorted(new, key=lambda command: command.command_id)]
    if rows:
        await uow.connection.execute(insert_into(uow.connection, commands).on_conflict_do_nothing(), rows)


async def find(connection: AsyncConnection, org_id: str, command_id: str) -> Command | None:
    """One command."""
    row = (await connection.execute(_one(org_id, command_id))).one_or_none()
    return None if row is None else _command(row)


async def lock(uow: UnitOfWork, org_id: str, command_id: str) -> Command | None:
    """One command, its row locked until the transaction ends."""
    row = (await uow.connection.execute(_one(org_id, command_id).with_for_update())).one_or_none()
    return None if row is None else _command(row)


async def lock_open_of(uow: UnitOfWork, org_id: str, device_id: str) -> list[Command]:
    """What a device may have or has, the oldest first; locked."""
    return await _lock(uow, *_open_of(org_id, device_id))


async def lock_unfinished_of(uow: UnitOfWork, org_id: str, device_id: str) -> list[Command]:
    """The same, and what its campaigns have not given out yet."""
    return await _lock(uow, *_unfinished_of(org_id, device_id))


async def any_open_of(connection: AsyncConnection, org_id: str, device_id: str) -> bool:
    """Whether a check-in of this device has to look at commands at all."""
    query = select(literal(1)).where(*_open_of(org_id, device_id)).limit(1)
    return (await connection.execute(query)).first() is not None


async def lock_overdue(uow: UnitOfWork, now: datetime, limit: int, org_id: str = "") -> list[Command]:
    """Commands, of one organisation or of all, whose state ended by itself; what another looks at is left to it."""
    query = select(*commands.columns).where(commands.c.ends_at <= now).order_by(commands.c.ends_at).limit(limit)
    if org_id:
        query = query.where(commands.c.org_id == org_id)
    return [_command(row) for row in await uow.connection.execute(query.with_for_update(skip_locked=True))]


async def lock_waiting(uow: UnitOfWork, org_id: str, campaign_id: str, limit: int | None) -> list[Command]:
    """Commands of a campaign that were not given out yet, in the order of their ids; locked."""
    query = (
        select(*commands.columns)
        .where(*_of_campaign(org_id, campaign_id), _waiting())
        .order_by(commands.c.command_id)
        .limit(limit)
        .with_for_update()
    )
    return [_command(row) for row in await uow.connection.execute(query)]


async def store(uow: UnitOfWork, command: Command) -> None:
    """Write a locked row back."""
    values = {name: value for name, value in _row(command).items() if name not in {"org_id", "command_id"}}
    await uow.connection.execute(
        update(commands)
        .where(commands.c.org_id == command.org_id, commands.c.command_id == command.command_id)
        .values(values)
    )


async def page(connection: AsyncConnection, org_id: str, wanted: Page, only: CommandFilter) -> Sequence[Command]:
    """One page and one row more, the newest first."""
    query = select(*commands.columns).where(commands.c.org_id == org_id)
    if only.device_id:
        query = query.where(commands.c.device_id == only.device_id)
    if only.campaign_id:
        query = query.where(commands.c.campaign_id == only.campaign_id)
    if only.kind:
        query = query.where(commands.c.kind == only.kind)
    if only.states:
        query = query.where(commands.c.state.in_([state.value for state in only.states]))
    if wanted.after:
        query = query.where(tuple_(*_in_order()) < tuple_(*key_literals(wanted.after, _in_order())))
    order = [column.desc() for column in _in_order()]
    return [_command(row) for row in await connection.execute(query.order_by(*order).limit(wanted.size + 1))]


def sort_key(command: Command) -> tuple[KeyPart, ...]:
    """Where a command stands in a list."""
    return to_microseconds(command.requested_at), command.command_id


def key_literals(after: tuple[KeyPart, ...], columns: Sequence[ColumnElement[Any]]) -> list[Any]:
    """A page's sort key (moment, id) as the database compares it.

    Raises:
        Refusal: `PAGE_TOKEN_INVALID`.
    """
    moment, identifier = after
    try:
        values = (from_microseconds(int(moment)), str(identifier))
    except (ValueError, OverflowError) as error:
        raise page_token_invalid() from error
    return [literal(value, column.type) for value, column in zip(values, columns, strict=True)]


async def progress_of(connection: AsyncConnection, org_id: str, campaign_id: str) -> Progress:
    """How far a campaign is."""
    given_out = and_(*_of_campaign(org_id, campaign_id), ~_waiting())
    query = select(commands.c.state, func.count()).where(given_out).group_by(commands.c.state)
    counts = {CommandState(state): count for state, count in await connection.execute(query)}
    waiting = select(func.count()).where(*_of_campaign(org_id, campaign_id), _waiting())
    return Progress((await connection.execute(waiting)).scalar_one(), counts)


async def open_counts(connection: AsyncConnection) -> dict[str, int]:
    """Commands of all organisations that are not over, by state."""
    opened = select(commands.c.state).where(commands.c.ends_at.is_not(None)).limit(MOST_COUNTED).subquery()
    query = select(opened.c.state, func.count().label("open")).group_by(opened.c.state)
    return {row.state: row.open for row in await connection.execute(query)}


async def _lock(uow: UnitOfWork, *only: ColumnElement[bool]) -> list[Command]:
    query = select(*commands.columns).where(*only).order_by(*_in_order()).with_for_update()
    return [_command(row) for row in await uow.connection.execute(query)]


def _one(org_id: str, command_id: str) -> Select[Any]:
    return select(*commands.columns).where(commands.c.org_id == org_id, commands.c.command_id == command_id)


def _open_of(org_id: str, device_id: str) -> tuple[ColumnElement[bool], ...]:
    return (*_unfinished_of(org_id, device_id), commands.c.released_at.is_not(None))


def _unfinished_of(org_id: str, device_id: str) -> tuple[ColumnElement[bool], ...]:
    return commands.c.org_id == org_id, commands.c.device_id == device_id, commands.c.ends_at.is_not(None)


def _of_campaign(org_id: str, campaign_id: str) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return commands.c.org_id == org_id, commands.c.campaign_id == campaign_id


def _waiting() -> ColumnElement[bool]:
    return and_(commands.c.state == CommandState.PENDING.value, commands.c.released_at.is_(None))


def _in_order() -> tuple[ColumnElement[Any], ColumnElement[Any]]:
    return commands.c.requested_at, commands.c.command_id


def _row(command: Command) -> dict[str, Any]:
    values = asdict(command)
    return values | {
        "state": command.state.value,
        **{name: json.dumps(values[name], sort_keys=True) for name in _MAPPINGS},
    }


def _command(row: Row[Any]) -> Command:
    values = dict(row._mapping)  # noqa: SLF001 -- SQLAlchemy's public name for it
    values |= {"state": CommandState(row.state), **{name: json.loads(values[name]) for name in _MAPPINGS}}
    return Command(**values)
