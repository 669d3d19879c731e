"""Commands: asked for by people, fetched and answered by devices, ended by time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from controlplane.accounts.audit import AuditLog
from controlplane.commands import rows
from controlplane.commands.errors import command_not_found, commands_not_entitled, kind_forbidden, other_request
from controlplane.commands.kinds.register import KINDS
from controlplane.commands.model import (
    OPEN,
    UNDER_WAY,
    Command,
    CommandKind,
    CommandReport,
    CommandState,
    abandoned,
    cancelled,
    delivered,
    overdue,
    reported,
)
from controlplane.commands.ports import CommandWatch, Nobody, RemoteAccess
from controlplane.commands.rows import CommandFilter
from controlplane.devices.errors import device_deactivated, device_revoked
from controlplane.devices.model import Device
from controlplane.devices.registry import DeviceRegistry
from controlplane.runtime.clock import Clock
from controlplane.runtime.idempotency import check_key, request_hash
from controlplane.runtime.paging import KeyPart, Page
from controlplane.runtime.principal import DevicePrincipal, PersonPrincipal
from controlplane.storage.database import Database, UnitOfWork

#: The feature of the catalog that commands need.
FEATURE: Final = "remote_commands"
#: The job that ends what nobody answered.
END_OVERDUE: Final = "commands.end_overdue"
_SWEEP_AT_ONCE = 500
#: Hexadecimal digits of a command's id: enough that no two requests share one.
_ID_DIGITS = 32


@dataclass(frozen=True, slots=True)
class CommandWish:
    """What a person wants done; read and checked.

    Attributes:
        reason: For audit and device.
        idempotency_key: Names the wish; a repeat finds the command it made.
    """

    kind: CommandKind
    arguments: Mapping[str, str]
    reason: str
    idempotency_key: str


@dataclass(frozen=True, slots=True)
class NamedCommand:
    """A command and what its device is called."""

    command: Command
    device_name: str


@dataclass(frozen=True, slots=True)
class CommandPage:
    """Some commands, and the sort key to go on from; None: there are no more."""

    commands: tuple[NamedCommand, ...]
    next_key: tuple[KeyPart, ...] | None


@dataclass(frozen=True, slots=True)
class Exchange:
    """What a device gets at a check-in.

    Attributes:
        begin: Commands that it should begin.
        give_up: Ids of commands that it should give up.
        accepted: Ids of commands whose report need not be told again.
    """

    begin: tuple[Command, ...] = ()
    give_up: tuple[str, ...] = ()
    accepted: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CommandGround:
    """What commands and campaigns stand on."""

    database: Database
    registry: DeviceRegistry
    access: RemoteAccess
    audit: AuditLog
    clock: Clock
    watch: CommandWatch = field(default_factory=Nobody)


class CommandService:
    """The use cases of single commands."""

    def __init__(self, ground: CommandGround) -> None:
        self._ground = ground
        self._database = ground.database
        self._clock = ground.clock

    async def request(self, person: PersonPrincipal, device_id: str, wish: CommandWish) -> NamedCommand:
        """Ask a device to do something; it fetches the command at its next contact.

        Raises:
            Refusal: `DEVICE_NOT_FOUND`, `DEVICE_REVOKED`, `DEVICE_DEACTIVATED`, `ROLE_MISSING`,
                `FEATURE_NOT_ENTITLED`, `IDEMPOTENCY_KEY_INVALID` or `IDEMPOTENCY_MISMATCH`.
        """
        check_key(wish.idempotency_key)
        check_role(person, wish.kind)
        now = self._clock.now()
        async with self._database.transaction() as uow:
            device = await self._ground.registry.lock(uow, person.org_id, device_id)
            command = new_command(device, person.actor, wish, now)
            known = await rows.find(uow.connection, command.org_id, command.command_id)
            if known is not None:
                if (known.kind, known.arguments) != (command.kind, command.arguments):
                    raise other_request()
                return NamedCommand(known, device.name)
            await self._check_device(uow, device)
            await rows.add(uow, [command])
            uow.news_for(device.org_id, device.device_id)
            await self._ground.audit.record(
                uow,
                org_id=device.org_id,
                action="command.requested",
                subject=command.command_id,
                details={"device_id": device.device_id, "kind": command.kind, "reason": command.reason},
            )
        return NamedCommand(command, device.name)

    async def _check_device(self, uow: UnitOfWork, device: Device) -> None:
        if device.revoked_at is not None:
            raise device_revoked()
        if device.deactivated_at is not None:
            raise device_deactivated()
        refusal = await self._ground.access.refusal_of(uow.connection, device, FEATURE)
        if refusal:
            raise commands_not_entitled(refusal)

    async def get(self, org_id: str, command_id: str) -> NamedCommand:
        """One command.

        Raises:
            Refusal: `COMMAND_NOT_FOUND`.
        """
        command = await self.find(org_id, command_id)
        if command is None:
            raise command_not_found()
        return command

    async def find(self, org_id: str, command_id: str) -> NamedCommand | None:
        """One command; None: there is none of that id in the organisation."""
        async with self._database.reading() as connection:
            command = await rows.find(connection, org_id, command_id)
            return None if command is None else (await self._named(connection, org_id, [command]))[0]

    async def lock_under_way(self, uow: UnitOfWork, principal: DevicePrincipal, command_id: str) -> Command | None:
        """A command that this device has and has not finished, locked; None: there is no such.

        Raises:
            Refusal: What the registry says about the device.
        """
        await self._ground.registry.require(uow.connection, principal)
        command = await rows.lock(uow, principal.org_id, command_id)
        if command is None or command.device_id != principal.device_id or command.state not in UNDER_WAY:
            return None
        return command

    async def page(self, org_id: str, page: Page, only: CommandFilter) -> CommandPage:
        """Commands, the newest first.

        Raises:
            Refusal: `DEVICE_NOT_FOUND`.
        """
        async with self._database.reading() as connection:
            if only.device_id:
                await self._ground.registry.find(connection, org_id, only.device_id)
            found = await rows.page(connection, org_id, page, only)
            named = await self._named(connection, org_id, found[: page.size])
        return CommandPage(named, rows.sort_key(named[-1].command) if len(found) > page.size else None)

    async def cancel(self, org_id: str, command_id: str) -> NamedCommand:
        """Give a command up; a repeat, or one that is over, changes nothing.

        Raises:
            Refusal: `COMMAND_NOT_FOUND`.
        """
        async with self._database.transaction() as uow:
            before = await rows.lock(uow, org_id, command_id)
            if before is None:
                raise command_not_found()
            after = cancelled(before, self._clock.now())
            if after != before:
                await self._store(uow, after)
                await self._record_cancelled(uow, before)
            named = (await self._named(uow.connection, org_id, [after]))[0]
            if after.state in UNDER_WAY:
                uow.news_for(org_id, after.device_id)
        return named

    async def abandon(self, uow: UnitOfWork, device: Device) -> None:
        """End every open command of a revoked device; see `devices.ports.OpenCommands`."""
        now = self._clock.now()
        for command in await rows.lock_unfinished_of(uow, device.org_id, device.device_id):
            await self._store(uow, abandoned(command, now))
            await self._record_cancelled(uow, command)

    async def _record_cancelled(self, uow: UnitOfWork, command: Command) -> None:
        await self._ground.audit.record(
            uow,
            org_id=command.org_id,
            action="command.cancelled",
            subject=command.command_id,
            details={"kind": command.kind},
        )

    async def exchange(self, principal: DevicePrincipal, reports: Sequence[CommandReport]) -> Exchange:
        """Take what a device reports and give it what it should begin.

        Mostly there is nothing, and then nothing is written. A command is given again until the device reports about
        it. Reports about commands that this device never had are accepted too: nothing becomes of them, here or by
        repeating.
        """
        if not reports:
            async with self._database.reading() as connection:
                if not await rows.any_open_of(connection, principal.org_id, principal.device_id):
                    return Exchange()
        async with self._database.transaction() as uow:
            # Its lock comes first: commands that are reported about are locked in the order of the reports.
            device = await self._ground.registry.lock_calling(uow, principal)
            now = self._clock.now()
            for report in reports:
                await self._take_report(uow, device, report, now)
            handed = await self._hand_over(uow, device, now)
        accepted = tuple(dict.fromkeys(report.command_id for report in reports))
        return Exchange(handed.begin, handed.give_up, accepted)

    async def _take_report(self, uow: UnitOfWork, device: Device, report: CommandReport, now: datetime) -> None:
        before = await rows.lock(uow, device.org_id, report.command_id)
        if before is None or before.device_id != device.device_id:
            return
        after = reported(before, report, now)
        if after != before:
            await self._store(uow, after)
        if after.state not in OPEN and before.state in OPEN:
            details = {"kind": after.kind, "state": after.state.value, "code": after.code}
            await self._ground.audit.record(
                uow, org_id=device.org_id, action="command.finished", subject=after.command_id, details=details
            )

    async def _hand_over(self, uow: UnitOfWork, device: Device, now: datetime) -> Exchange:
        if await self._ground.registry.is_held(uow.connection, device):
            return Exchange()
        begin: list[Command] = []
        give_up: list[str] = []
        entitled = not await self._ground.access.refusal_of(uow.connection, device, FEATURE)
        for before in await rows.lock_open_of(uow, device.org_id, device.device_id):
            command = overdue(before, now)
            if command.state is CommandState.PENDING and entitled:
                command = delivered(command, KINDS[command.kind].runs, now)
            if command != before:
                await self._store(uow, command)
            if command.state in UNDER_WAY and command.cancel_requested_at is not None:
                give_up.append(command.command_id)
            elif command.state is CommandState.DELIVERED:
                begin.append(command)
        return Exchange(tuple(begin), tuple(give_up))

    async def end_overdue(self, org_id: str = "") -> int:
        """End what was not fetched or not answered in time; a durable job calls this. How many there were.

        Args:
            org_id: Empty: of every organisation.
        """
        ended = 0
        while True:
            async with self._database.transaction() as uow:
                now = self._clock.now()
                found = await rows.lock_overdue(uow, now, _SWEEP_AT_ONCE, org_id)
                for before in found:
                    await self._store(uow, overdue(before, now))
            ended += len(found)
            if len(found) < _SWEEP_AT_ONCE:
                return ended

    async def _store(self, uow: UnitOfWork, command: Command) -> None:
        """Write what became of a command; whoever wants to hear of its end does so in the same transaction."""
        await rows.store(uow, command)
        if command.state not in OPEN:
            await self._ground.watch.ended(uow, command, self._clock.now())

    async def _named(
        self, connection: AsyncConnection, org_id: str, found: Sequence[Command]
    ) -> tuple[NamedCommand, ...]:
        device_ids = {command.device_id for command in found}
        contacts = await self._ground.registry.contacts_of(connection, org_id, device_ids)
        return tuple(NamedCommand(command, contacts[command.device_id].name) for command in found)


def check_role(person: PersonPrincipal, kind: CommandKind) -> None:
    """Refuse a person that may not ask for a kind.

    Raises:
        Refusal: `ROLE_MISSING`.
    """
    if person.role not in kind.roles:
        raise kind_forbidden(kind.name, person.role, kind.roles)


def new_command(device: Device, requester: str, wish: CommandWish, now: datetime, *, campaign_id: str = "") -> Command:
    """The command that a wish means for a device; the same wish means the same command."""
    expires_at = now + wish.kind.waits
    return Command(
        org_id=device.org_id,
        command_id=derived_id("cmd", device.org_id, requester, wish.idempotency_key, device.device_id, campaign_id),
        device_id=device.device_id,
        kind=wish.kind.name,
        arguments=wish.arguments,
        requester=requester,
        reason=wish.reason,
        requested_at=now,
        expires_at=expires_at,
        released_at=None if campaign_id else now,
        ends_at=expires_at,
        campaign_id=campaign_id,
    )


def derived_id(prefix: str, *parts: str) -> str:
    """An id that follows from what it names."""
    return f"{prefix}_{request_hash(parts).hex()[:_ID_DIGITS]}"
