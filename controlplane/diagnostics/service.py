"""Bundles: sent by devices piece by piece, sealed, read by people, destroyed in time. Who read is in the audit."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Row, delete, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from controlplane.accounts.audit import AuditLog
from controlplane.accounts.ports import Sealer
from controlplane.commands.rows import CommandFilter
from controlplane.commands.service import CommandService, NamedCommand
from controlplane.diagnostics.errors import bundle_damaged, bundle_not_found, bundle_not_ready, bundle_not_wanted
from controlplane.diagnostics.tables import bundles, pieces
from controlplane.diagnostics.uploads import (
    KIND,
    BundleState,
    Piece,
    StoredBundle,
    begun,
    extended,
    is_same,
    state_of,
)
from controlplane.runtime.clock import Clock
from controlplane.runtime.paging import KeyPart, Page
from controlplane.runtime.principal import DevicePrincipal, PersonPrincipal
from controlplane.storage.database import Database, UnitOfWork
from controlplane.storage.upsert import insert_into

#: The job that destroys bundles whose time is over.
DESTROY_EXPIRED: Final = "diagnostics.destroy_expired"
_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class Received:
    """How far a bundle is."""

    next_offset: int
    complete: bool


@dataclass(frozen=True, slots=True)
class BundleView:
    """A bundle with the command that asked for it."""

    asked: NamedCommand
    bundle: StoredBundle | None
    state: BundleState


@dataclass(frozen=True, slots=True)
class BundlePage:
    """Some bundles, and the sort key to go on from; None: there are no more."""

    views: tuple[BundleView, ...]
    next_key: tuple[KeyPart, ...] | None


@dataclass(frozen=True, slots=True)
class ReadPiece:
    """A piece of a bundle, opened."""

    bundle: StoredBundle
    offset: int
    content: bytes


class DiagnosticsService:
    """The use cases of bundles."""

    def __init__(
        self, *, database: Database, audit: AuditLog, clock: Clock, commands: CommandService, sealer: Sealer
    ) -> None:
        self._database = database
        self._audit = audit
        self._clock = clock
        self._commands = commands
        self._sealer = sealer

    # ------------------------------------------------------------ from devices

    async def receive(self, principal: DevicePrincipal, piece: Piece) -> Received:
        """Keep a piece, if it begins where the bundle ends; tell where to go on in any case.

        Raises:
            Refusal: `BUNDLE_NOT_WANTED`, what the registry says about the device, or `BUNDLE_DAMAGED`; nothing of it
                is kept then.
        """
        async with self._database.transaction() as uow:
            # Its lock is the bundle's: two transfers of one bundle follow one another.
            command = await self._commands.lock_under_way(uow, principal, piece.command_id)
            if command is None or command.kind != KIND:
                raise bundle_not_wanted()
            bundle = await self._begin(uow, principal.org_id, piece)
            damaged = False
            if bundle.received_at is None and piece.content and piece.offset == bundle.received_bytes:
                bundle = await self._extend(uow, bundle, piece)
                damaged = bundle.received_at is not None and not await self._finish(uow, bundle)
        # Not inside: what was given up stays given up.
        if damaged:
            raise bundle_damaged()
        return Received(bundle.received_bytes, complete=bundle.received_at is not None)

    async def _begin(self, uow: UnitOfWork, org_id: str, piece: Piece) -> StoredBundle:
        known = await _find(uow.connection, org_id, piece.command_id)
        if known is not None and is_same(known, piece):
            return known
        if known is not None:
            if known.received_at is not None:
                raise bundle_not_wanted()
            await _forget(uow, known)
        bundle = begun(org_id, piece, self._clock.now())
        await uow.connection.execute(insert_into(uow.connection, bundles).values(asdict(bundle)))
        return bundle

    async def _extend(self, uow: UnitOfWork, before: StoredBundle, piece: Piece) -> StoredBundle:
        after = extended(before, piece, self._clock.now())
        await uow.connection.execute(
            insert_into(uow.connection, pieces).values(
                org_id=before.org_id,
                command_id=before.command_id,
                number=before.pieces,
                offset=before.received_bytes,
                sealed=self._sealer.seal(piece.content, _bound_to(before, before.pieces)),
            )
        )
        await _store(uow, after)
        return after

    async def _finish(self, uow: UnitOfWork, bundle: StoredBundle) -> bool:
        """Keep a bundle whose last piece has come, or give it up; whether it is kept."""
        whole = await self._is_whole(uow.connection, bundle)
        if whole:
            await self._record(uow, "diagnostics.received", bundle, {"bytes": str(bundle.total_bytes)})
        else:
            await _forget(uow, bundle)
        return whole

    async def _is_whole(self, connection: AsyncConnection, bundle: StoredBundle) -> bool:
        digest = hashlib.sha256()
        for number in range(bundle.pieces):
            digest.update((await self._open(connection, bundle, number))[1])
        return digest.digest() == bundle.sha256

    async def _open(self, connection: AsyncConnection, bundle: StoredBundle, number: int) -> tuple[int, bytes]:
        query = select(pieces.c.offset, pieces.c.sealed).where(
            pieces.c.org_id == bundle.org_id, pieces.c.command_id == bundle.command_id, pieces.c.number == number
        )
        row = (await connection.execute(query)).one()
        return row.offset, self._sealer.open(row.sealed, _bound_to(bundle, number))

    # ------------------------------------------------------------ for people

    async def page(self, org_id: str, page: Page, device_id: str) -> BundlePage:
        """Bundles that were asked for, the newest first.

        Raises:
            Refusal: `DEVICE_NOT_FOUND`.
        """
        found = await self._commands.page(org_id, page, CommandFilter(device_id=device_id, kind=KIND))
        async with self._database.reading() as connection:
            known = await _find_all(connection, org_id, [named.command.command_id for named in found.commands])
        now = self._clock.now()
        views = tuple(_view(named, known.get(named.command.command_id), now) for named in found.commands)
        return BundlePage(views, found.next_key)

    async def read(self, person: PersonPrincipal, command_id: str, offset: int) -> ReadPiece:
        """The piece that begins at or before an offset, from there on; written into the audit each time.

        Raises:
            Refusal: `BUNDLE_NOT_FOUND`, `BUNDLE_NOT_READY`.
        """
        asked = await self._commands.find(person.org_id, command_id)
        if asked is None or asked.command.kind != KIND:
            raise bundle_not_found()
        async with self._database.transaction() as uow:
            bundle = await _find(uow.connection, person.org_id, command_id)
            now = self._clock.now()
            if bundle is None or not bundle.readable(now) or offset >= bundle.total_bytes:
                raise bundle_not_ready(state_of(asked.command.state, bundle, now).value)
            content = await self._from(uow.connection, bundle, offset)
            details = {"device_id": asked.command.device_id, "offset": str(offset), "bytes": str(len(content))}
            await self._record(uow, "diagnostics.read", bundle, details)
        return ReadPiece(bundle, offset, content)

    async def _from(self, connection: AsyncConnection, bundle: StoredBundle, offset: int) -> bytes:
        query = (
            select(pieces.c.number)
            .where(pieces.c.org_id == bundle.org_id, pieces.c.command_id == bundle.command_id)
            .where(pieces.c.offset <= offset)
            .order_by(pieces.c.number.desc())
            .limit(1)
        )
        begins, content = await self._open(connection, bundle, (await connection.execute(query)).scalar_one())
        return content[offset - begins :]

    async def _record(self, uow: UnitOfWork, action: str, bundle: StoredBundle, details: Mapping[str, str]) -> None:
        await self._audit.record(uow, org_id=bundle.org_id, action=action, subject=bundle.command_id, details=details)

    # ------------------------------------------------------------ by time

    async def destroy_expired(self, org_id: str = "") -> int:
        """Destroy what is here of bundles whose time is over; a durable job calls this. How many there were.

        Args:
            org_id: Only of this organisation; empty: of all.
        """
        destroyed = 0
        while True:
            async with self._database.transaction() as uow:
                now = self._clock.now()
                query = select(*bundles.columns).where(bundles.c.expires_at <= now, bundles.c.destroyed_at.is_(None))
                if org_id:
                    query = query.where(bundles.c.org_id == org_id)
                query = query.order_by(bundles.c.expires_at).limit(_AT_ONCE).with_for_update(skip_locked=True)
                found = [_bundle(row) for row in await uow.connection.execute(query)]
                for bundle in found:
                    await uow.connection.execute(delete(pieces).where(*_of(pieces, bundle)))
                    await uow.connection.execute(update(bundles).where(*_of(bundles, bundle)).values(destroyed_at=now))
                    await self._record(uow, "diagnostics.destroyed", bundle, {"bytes": str(bundle.received_bytes)})
            destroyed += len(found)
            if len(found) < _AT_ONCE:
                return destroyed


def _view(named: NamedCommand, bundle: StoredBundle | None, now: datetime) -> BundleView:
    return BundleView(named, bundle, state_of(named.command.state, bundle, now))


def _bound_to(bundle: StoredBundle, number: int) -> str:
    """What a piece is sealed for: it cannot be put into another bundle, or to another place in its own."""
    return f"diagnostics:{bundle.org_id}:{bundle.command_id}:{number}"


async def _find(connection: AsyncConnection, org_id: str, command_id: str) -> StoredBundle | None:
    return (await _find_all(connection, org_id, [command_id])).get(command_id)


async def _find_all(connection: AsyncConnection, org_id: str, command_ids: Sequence[str]) -> Mapping[str, StoredBundle]:
    query = select(*bundles.columns).where(bundles.c.org_id == org_id, bundles.c.command_id.in_(command_ids))
    return {row.command_id: _bundle(row) for row in await connection.execute(query)}


async def _store(uow: UnitOfWork, bundle: StoredBundle) -> None:
    values = {name: value for name, value in asdict(bundle).items() if name not in {"org_id", "command_id"}}
    await uow.connection.execute(update(bundles).where(*_of(bundles, bundle)).values(values))


async def _forget(uow: UnitOfWork, bundle: StoredBundle) -> None:
    for table in (pieces, bundles):
        await uow.connection.execute(delete(table).where(*_of(table, bundle)))


def _of(table: Any, bundle: StoredBundle) -> tuple[Any, Any]:
    return table.c.org_id == bundle.org_id, table.c.command_id == bundle.command_id


def _bundle(row: Row[Any]) -> StoredBundle:
    return StoredBundle(**dict(row._mapping))  # noqa: SLF001 -- SQLAlchemy's public name for it
