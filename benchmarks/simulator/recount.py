"""What is really in the database, counted from its rows and not from counters."""

from collections import Counter
from collections.abc import Mapping
from datetime import timedelta
from typing import Final

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from controlplane.accounts.tables import audit
from controlplane.commands.model import OPEN, CommandState
from controlplane.commands.tables import commands
from controlplane.detections.tables import detections, incident_devices, incidents
from controlplane.devices.fleet.standings import counts_of
from controlplane.devices.tables import device_standings
from controlplane.licensing.ports import NoticeKind
from controlplane.notices.tables import notices
from controlplane.runtime.clock import SystemClock
from controlplane.runtime.tables import jobs
from controlplane.storage.database import Database

_OPEN: Final = frozenset(state.value for state in OPEN)
#: A job that has been due for so long is not being worked on; one of a server that was killed is so for 50 seconds.
JOB_LATE: Final = timedelta(minutes=1)
_RUN: Final = frozenset({CommandState.SUCCEEDED.value, CommandState.FAILED.value})


async def commands_found(connection: AsyncConnection, org_id: str, ran: Mapping[str, int]) -> dict[str, float]:
    """Commands and what devices know of them.

    Args:
        connection: To read by.
        org_id: Whose.
        ran: How often devices ran each command, by id.
    """
    query = select(commands.c.command_id, commands.c.state).where(commands.c.org_id == org_id)
    states = {row.command_id: row.state for row in await connection.execute(query)}
    finished = await _audited(connection, org_id, "command.finished")
    over = {command_id for command_id, state in states.items() if state in _RUN}
    return {
        "commands": len(states),
        "commands without a final state": sum(state in _OPEN for state in states.values()),
        "commands that were run and not exactly once": sum(ran.get(command_id, 0) != 1 for command_id in over),
        "commands that were run and say otherwise": sum(command_id not in over for command_id in ran),
        "commands whose end was not recorded exactly once": sum(finished[command_id] != 1 for command_id in over),
        **{f"commands {state}": count for state, count in sorted(Counter(states.values()).items())},
    }


async def detections_found(connection: AsyncConnection, org_id: str, made: set[bytes]) -> dict[str, float]:
    """Detections and the incidents they are in.

    Args:
        connection: To read by.
        org_id: Whose.
        made: Those that devices made, by uuid.
    """
    columns = detections.c
    query = select(columns.uuid, columns.incident_id, columns.device_id).where(columns.org_id == org_id)
    rows = (await connection.execute(query)).all()
    stored = Counter(bytes(row.uuid) for row in rows)
    known = set((await connection.execute(select(incidents.c.incident_id))).scalars())
    inside = Counter((row.incident_id, row.device_id) for row in rows)
    theirs = incident_devices.c
    counted = {
        (row.incident_id, row.device_id): row.detections
        for row in await connection.execute(
            select(theirs.incident_id, theirs.device_id, theirs.detections).where(theirs.org_id == org_id)
        )
    }
    return {
        "detections": len(rows),
        "detections lost": len(made - stored.keys()),
        "detections that nobody made": len(stored.keys() - made),
        "detections stored more than once": sum(count > 1 for count in stored.values()),
        "detections in no incident": sum(row.incident_id not in known for row in rows),
        "incidents that count otherwise": sum(
            inside[key] != counted.get(key, 0) for key in inside.keys() | counted.keys()
        ),
    }


async def counters_found(connection: AsyncConnection, org_id: str) -> dict[str, float]:
    """The counters of the fleet against its rows."""
    columns = device_standings.c
    query = (
        select(columns.subscription_id, columns.condition, func.count().label("devices"))
        .where(columns.org_id == org_id)
        .group_by(columns.subscription_id, columns.condition)
    )
    rows = {(row.subscription_id, row.condition): row.devices for row in await connection.execute(query)}
    counted = dict(await counts_of(connection, org_id))
    return {
        "devices counted": sum(counted.values()),
        "counters of the fleet that differ from a recount": sum(
            rows.get(key, 0) != counted.get(key, 0) for key in rows.keys() | counted.keys()
        ),
    }


async def jobs_found(connection: AsyncConnection) -> dict[str, float]:
    """Durable jobs that are not where they should be."""
    parked = select(func.count()).select_from(jobs).where(jobs.c.parked_at.is_not(None))
    late = select(func.count()).select_from(jobs).where(jobs.c.due_at < SystemClock().now() - JOB_LATE)
    return {
        "jobs given up": (await connection.execute(parked)).scalar_one(),
        "jobs that are late": (await connection.execute(late)).scalar_one(),
    }


async def audited_once(connection: AsyncConnection, org_id: str, action: str) -> dict[str, float]:
    """Entries of the audit about one action: all of them, and their different subjects."""
    found = await _audited(connection, org_id, action)
    return {f"{action} recorded": found.total(), f"{action} subjects": len(found)}


async def open_commands(database: Database, org_id: str) -> int:
    """Commands that are not over."""
    query = select(func.count()).where(commands.c.org_id == org_id, commands.c.state.in_(sorted(_OPEN)))
    async with database.reading() as connection:
        return (await connection.execute(query)).scalar_one()


async def _audited(connection: AsyncConnection, org_id: str, action: str) -> Counter[str]:
    query = select(audit.c.subject).where(audit.c.org_id == org_id, audit.c.action == action)
    return Counter((await connection.execute(query)).scalars())


async def notices_found(connection: AsyncConnection, org_id: str) -> int:
    """Notices to the owner about copied devices."""
    query = select(func.count()).where(notices.c.org_id == org_id, notices.c.kind == NoticeKind.DEVICE_CLONED.value)
    return (await connection.execute(query)).scalar_one()
