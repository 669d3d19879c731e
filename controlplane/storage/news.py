"""For whom there is news: written in the transaction that makes it, so that every server hears of it within seconds.

Servers tell each other faster, by the bus; what the bus loses, they find here. A row says when there was news last, by
the clock of the database: nobody else's is the same for all servers.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from sqlalchemy import BigInteger, Column, Index, Table, Text, bindparam, case, func, literal_column, select
from sqlalchemy.ext.asyncio import AsyncConnection

from controlplane.storage.metadata import metadata
from controlplane.storage.upsert import insert_into

#: In the place of a device: news for all devices of an organisation.
EVERYONE: Final = "*"

_NOW_US: Final = {
    "postgresql": "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint",
    "sqlite": "CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER)",
}

#: A row for each device, and one for each organisation, that ever had any.
device_news = Table(
    "device_news",
    metadata,
    Column("org_id", Text, primary_key=True),
    Column("device_id", Text, primary_key=True),
    # Microseconds, by the clock of the database; rises with each news of the row.
    Column("noted_at", BigInteger, nullable=False),
    Index("ix_device_news_noted_at", "noted_at"),
)


@dataclass(frozen=True, slots=True, order=True)
class News:
    """What a device would be told at its next contact may be something else now."""

    org_id: str
    device_id: str


async def write_news(connection: AsyncConnection, news: Iterable[News]) -> None:
    """Note it; the last statement of a transaction, and in order, so that no two wait for each other."""
    rows = [{"of_org": each.org_id, "of_device": each.device_id} for each in sorted(news)]
    if not rows:
        return
    statement = insert_into(connection, device_news).values(
        org_id=bindparam("of_org"),
        device_id=bindparam("of_device"),
        noted_at=literal_column(_NOW_US[connection.dialect.name]),
    )
    noted, before = statement.excluded.noted_at, device_news.c.noted_at
    later = case((noted > before, noted), else_=before + 1)
    await connection.execute(
        statement.on_conflict_do_update(index_elements=["org_id", "device_id"], set_={"noted_at": later}), rows
    )


async def news_since(connection: AsyncConnection, noted_at: int) -> Mapping[News, int]:
    """Whatever was noted later, and when."""
    query = select(*device_news.columns).where(device_news.c.noted_at > noted_at)
    return {News(row.org_id, row.device_id): row.noted_at for row in await connection.execute(query)}


async def newest_news(connection: AsyncConnection) -> int:
    """When the last one was noted; 0: there never was any."""
    return (await connection.execute(select(func.max(device_news.c.noted_at)))).scalar_one() or 0
