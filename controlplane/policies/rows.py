"""The rows of policies: read as a whole, written a revision at a time."""

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any

from sqlalchemy import Row, Select, and_, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from controlplane.policies.model import Assignment, Policy, Revision, Rollout, Selector, Stage
from controlplane.policies.tables import device_labels, policies, policy_books, policy_reports, policy_revisions
from controlplane.storage.database import UnitOfWork
from controlplane.storage.upsert import insert_into
from wire.policy_document import read_canonical

_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Report:
    """What a device says of the policy it was given; names of revisions, and why they are not in force."""

    desired: str = ""
    applied: str = ""
    refusal: str = ""


@dataclass(frozen=True, slots=True)
class Place:
    """A policy's row: numbers of its newest revision and of the oldest that a device may still be at."""

    newest: int
    oldest: int
    removed_at: datetime | None


async def open_book(uow: UnitOfWork, org_id: str) -> None:
    """Begin a change; others of the same organisation wait until this one is through."""
    statement = insert_into(uow.connection, policy_books).values(org_id=org_id, generation=1)
    statement = statement.on_conflict_do_update(
        index_elements=["org_id"], set_={"generation": policy_books.c.generation + 1}
    )
    await uow.connection.execute(statement)
    uow.news_for(org_id)


async def live_policies(connection: AsyncConnection, org_id: str) -> tuple[Policy, ...]:
    """Every policy that is not removed, by name, with the revisions that a device may be at."""
    query = (
        select(*policy_revisions.columns)
        .join(policies, _same_policy())
        .where(policies.c.org_id == org_id, policies.c.removed_at.is_(None))
        .where(policy_revisions.c.revision >= policies.c.oldest)
        .order_by(policy_revisions.c.name, policy_revisions.c.revision.desc())
    )
    found = [_revision(row) for row in await connection.execute(query)]
    return tuple(Policy(tuple(each)) for _, each in groupby(found, key=lambda revision: revision.name))


async def place_of(connection: AsyncConnection, org_id: str, name: str) -> Place | None:
    """A policy's row, removed or not."""
    columns = policies.c
    query = select(columns.newest, columns.oldest, columns.removed_at).where(*_one(org_id, name))
    row = (await connection.execute(query)).one_or_none()
    return None if row is None else Place(row.newest, row.oldest, row.removed_at)


async def history(connection: AsyncConnection, org_id: str, name: str, limit: int) -> tuple[Revision, ...]:
    """Revisions of a policy, the newest first."""
    query = _revisions_of(org_id, name).order_by(policy_revisions.c.revision.desc()).limit(limit)
    return tuple(_revision(row) for row in await connection.execute(query))


async def add_revision(uow: UnitOfWork, org_id: str, revision: Revision, oldest: int) -> None:
    """Write a revision and make it the newest."""
    place = {"newest": revision.number, "oldest": oldest, "removed_at": None}
    statement = insert_into(uow.connection, policies).values(org_id=org_id, name=revision.name, **place)
    await uow.connection.execute(statement.on_conflict_do_update(index_elements=["org_id", "name"], set_=place))
    document = revision.document.canonical()
    await uow.connection.execute(
        insert(policy_revisions).values(
            org_id=org_id,
            name=revision.name,
            revision=revision.number,
            document=document,
            sha256=hashlib.sha256(document).hexdigest(),
            selectors=json.dumps([[each.device_id, sorted(each.labels)] for each in revision.assignment.selectors]),
            priority=revision.assignment.priority,
            author=revision.author,
            reason=revision.reason,
            made_at=revision.made_at,
            stages=json.dumps([[stage.percent, int(stage.soak.total_seconds())] for stage in revision.rollout.stages]),
            **_clock(revision.rollout, revision.made_at),
        )
    )


async def store_rollout(uow: UnitOfWork, org_id: str, revision: Revision, now: datetime) -> None:
    """Write back how far a revision is."""
    await uow.connection.execute(
        update(policy_revisions)
        .where(policy_revisions.c.org_id == org_id, policy_revisions.c.name == revision.name)
        .where(policy_revisions.c.revision == revision.number)
        .values(_clock(revision.rollout, now))
    )


async def mark_removed(uow: UnitOfWork, org_id: str, name: str, now: datetime) -> None:
    """Take a policy away; its revisions stay as history."""
    await uow.connection.execute(update(policies).where(*_one(org_id, name)).values(removed_at=now))


# ---------------------------------------------------------------- devices


async def labels_of(
    connection: AsyncConnection, org_id: str, device_ids: Collection[str] | None = None
) -> Mapping[str, frozenset[str]]:
    """Labels by device id; None asks for every device. Who is missing has none."""
    query = select(device_labels.c.device_id, device_labels.c.label).where(device_labels.c.org_id == org_id)
    if device_ids is not None:
        query = query.where(device_labels.c.device_id.in_(device_ids))
    found: dict[str, set[str]] = {}
    for row in await connection.execute(query):
        found.setdefault(row.device_id, set()).add(row.label)
    return {device_id: frozenset(labels) for device_id, labels in found.items()}


async def change_labels(
    uow: UnitOfWork, org_id: str, device_id: str, *, add: Iterable[str], remove: Iterable[str]
) -> None:
    """Give a device labels and take others from it."""
    uow.news_for(org_id, device_id)
    columns = device_labels.c
    await uow.connection.execute(
        delete(device_labels).where(
            columns.org_id == org_id, columns.device_id == device_id, columns.label.in_(list(remove))
        )
    )
    rows = [{"org_id": org_id, "device_id": device_id, "label": label} for label in sorted(add)]
    if rows:
        await uow.connection.execute(insert_into(uow.connection, device_labels).on_conflict_do_nothing(), rows)


async def reports_of(
    connection: AsyncConnection, org_id: str, device_ids: Collection[str] | None = None
) -> Mapping[str, Report]:
    """What devices last said; None asks for every device."""
    query = select(*policy_reports.columns).where(policy_reports.c.org_id == org_id)
    if device_ids is not None:
        query = query.where(policy_reports.c.device_id.in_(device_ids))
    return {row.device_id: Report(row.desired, row.applied, row.refusal) for row in await connection.execute(query)}


@dataclass(frozen=True, slots=True)
class Standing:
    """What each check-in asks.

    Attributes:
        generation: How often the policies of the organisation changed; 0: there never were any.
        report: What the device last said.
        labels: Of the device.
    """

    generation: int = 0
    report: Report = Report()
    labels: frozenset[str] = frozenset()


async def standing_of(connection: AsyncConnection, org_id: str, device_id: str) -> Standing:
    """How things stand with a device, in one statement."""
    reports, labels, book = policy_reports.c, device_labels.c, policy_books.c
    query = (
        select(book.generation, reports.desired, reports.applied, reports.refusal, labels.label)
        .select_from(
            policy_books.outerjoin(
                policy_reports, and_(reports.org_id == book.org_id, reports.device_id == device_id)
            ).outerjoin(device_labels, and_(labels.org_id == book.org_id, labels.device_id == device_id))
        )
        .where(book.org_id == org_id)
    )
    rows = (await connection.execute(query)).all()
    if not rows:
        return Standing()
    first = rows[0]
    report = Report(first.desired or "", first.applied or "", first.refusal or "")
    return Standing(first.generation, report, frozenset(row.label for row in rows if row.label is not None))


async def store_report(uow: UnitOfWork, org_id: str, device_id: str, report: Report, now: datetime) -> None:
    """Keep what a device says."""
    told = {
        "desired": report.desired,
        "applied": report.applied,
        "refusal": report.refusal,
        "reported_at": now,
    }
    statement = insert_into(uow.connection, policy_reports).values(org_id=org_id, device_id=device_id, **told)
    await uow.connection.execute(statement.on_conflict_do_update(index_elements=["org_id", "device_id"], set_=told))


# ---------------------------------------------------------------- rows and values


def _same_policy() -> Any:
    return and_(policies.c.org_id == policy_revisions.c.org_id, policies.c.name == policy_revisions.c.name)


def _one(org_id: str, name: str) -> tuple[Any, Any]:
    return policies.c.org_id == org_id, policies.c.name == name


def _revisions_of(org_id: str, name: str) -> Select[Any]:
    return select(*policy_revisions.columns).where(policy_revisions.c.org_id == org_id, policy_revisions.c.name == name)


def _clock(rollout: Rollout, now: datetime | None) -> dict[str, Any]:
    return {
        "progress_us": rollout.progress // _MICROSECOND,
        "running_since": rollout.running_since,
        "superseded_at": now if rollout.superseded else None,
    }


def _revision(row: Row[Any]) -> Revision:
    selectors = tuple(Selector(device_id, frozenset(labels)) for device_id, labels in json.loads(row.selectors))
    return Revision(
        name=row.name,
        number=row.revision,
        document=read_canonical(row.document),
        assignment=Assignment(selectors, row.priority),
        rollout=Rollout(
            stages=tuple(Stage(percent, timedelta(seconds=soak_s)) for percent, soak_s in json.loads(row.stages)),
            progress=row.progress_us * _MICROSECOND,
            running_since=row.running_since,
            superseded=row.superseded_at is not None,
        ),
        author=row.author,
        reason=row.reason,
        made_at=row.made_at,
    )
