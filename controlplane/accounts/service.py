"""Organisations, and who belongs to them."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, Select, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from controlplane.accounts.audit import AuditLog
from controlplane.accounts.errors import (
    email_invalid,
    email_taken,
    name_invalid,
    organisation_ambiguous,
    organisation_unknown,
    password_unfit,
)
from controlplane.accounts.limits import MAX_NAME_CHARACTERS, MAX_PASSWORD_CHARACTERS, MIN_PASSWORD_CHARACTERS
from controlplane.accounts.model import Member, Organisation, OrganisationKind, normalise_email
from controlplane.accounts.passwords import Passwords
from controlplane.accounts.tables import members, organisations, people, second_factors
from controlplane.runtime.clock import Clock
from controlplane.runtime.principal import Role
from controlplane.runtime.randomness import Randomness, new_id
from controlplane.runtime.tenant_time import make_sandbox
from controlplane.storage.database import UnitOfWork
from controlplane.storage.upsert import insert_into


class AccountService:
    """What other capabilities and the operator ask of accounts.

    Args:
        wall: The machine's clock.
        randomness: For ids.
        passwords: Hashes them.
        audit: Records every change.
    """

    def __init__(self, *, wall: Clock, randomness: Randomness, passwords: Passwords, audit: AuditLog) -> None:
        self._wall = wall
        self._randomness = randomness
        self._passwords = passwords
        self._audit = audit

    async def create_organisation(
        self,
        uow: UnitOfWork,
        *,
        name: str,
        kind: OrganisationKind = OrganisationKind.HOUSEHOLD,
        sandbox: bool = False,
    ) -> Organisation:
        """A new tenant; a sandbox has a clock of its own, for good.

        Raises:
            Refusal: NAME_INVALID.
        """
        now = self._wall.now()
        organisation = Organisation(new_id(self._randomness, "org"), checked_name("name", name), kind, now)
        await uow.connection.execute(
            insert(organisations).values(
                org_id=organisation.org_id, name=organisation.name, kind=kind.value, created_at=now
            )
        )
        if sandbox:
            await make_sandbox(uow, organisation.org_id)
        await self._audit.record(
            uow,
            org_id=organisation.org_id,
            action="organisation.created",
            subject=organisation.org_id,
            details={"kind": kind.value, **({"sandbox": "yes"} if sandbox else {})},
        )
        return organisation

    async def organisation(self, connection: AsyncConnection, org_id: str = "") -> Organisation:
        """One organisation.

        Args:
            connection: A reading one, or that of a unit of work.
            org_id: Empty: the only one there is.

        Raises:
            Refusal: ORGANISATION_UNKNOWN or ORGANISATION_AMBIGUOUS.
        """
        query = select(organisations)
        if org_id:
            query = query.where(organisations.c.org_id == org_id)
        rows = (await connection.execute(query.order_by(organisations.c.created_at).limit(2))).all()
        if not rows:
            raise organisation_unknown(org_id)
        if len(rows) > 1:
            raise organisation_ambiguous()
        return _organisation(rows[0])

    async def organisations(self, connection: AsyncConnection) -> Sequence[Organisation]:
        """Every organisation, the oldest first; for the operator."""
        rows = await connection.execute(select(organisations).order_by(organisations.c.created_at))
        return [_organisation(row) for row in rows]

    async def hash_password(self, password: str) -> str:
        """Check a new password and hash it: slow on purpose, so done before a transaction begins.

        Raises:
            Refusal: PASSWORD_UNFIT.
        """
        if not MIN_PASSWORD_CHARACTERS <= len(password) <= MAX_PASSWORD_CHARACTERS:
            raise password_unfit()
        return await self._passwords.hash(password)

    async def create_person(
        self, uow: UnitOfWork, *, org_id: str, email: str, password_hash: str, role: Role, initial: bool = False
    ) -> Member:
        """A new person in an organisation.

        Args:
            uow: The transaction.
            org_id: Which organisation.
            email: Their address, in any case.
            password_hash: From `hash_password`.
            role: What they are to the organisation.
            initial: The password was made up for them and somebody else has seen it.

        Raises:
            Refusal: EMAIL_INVALID, EMAIL_TAKEN or ORGANISATION_UNKNOWN.
        """
        address = normalise_email(email)
        if address is None:
            raise email_invalid()
        known = await uow.connection.scalar(select(organisations.c.org_id).where(organisations.c.org_id == org_id))
        if known is None:
            raise organisation_unknown(org_id)
        now = self._wall.now()
        member = Member(new_id(self._randomness, "usr"), org_id, address, role, now, password_is_initial=initial)
        inserted = await uow.connection.execute(
            insert_into(uow.connection, people)
            .values(
                user_id=member.user_id,
                email=address,
                password_hash=password_hash,
                password_is_initial=initial,
                created_at=now,
            )
            .on_conflict_do_nothing(index_elements=["email"])
            .returning(people.c.user_id)
        )
        if inserted.first() is None:
            raise email_taken(address)
        await uow.connection.execute(
            insert(members).values(org_id=org_id, user_id=member.user_id, role=role.value, created_at=now)
        )
        await self._audit.record(
            uow,
            org_id=org_id,
            action="user.created",
            subject=member.user_id,
            details={"email": address, "role": role.value},
        )
        return member

    async def set_password(
        self, uow: UnitOfWork, *, org_id: str, user_id: str, hashed: str, initial: bool = False
    ) -> None:
        """Replace somebody's password.

        Args:
            uow: The transaction.
            org_id: Whose audit.
            user_id: Who.
            hashed: From `hash_password`.
            initial: It was made up for them and somebody else has seen it.
        """
        await uow.connection.execute(
            update(people).where(people.c.user_id == user_id).values(password_hash=hashed, password_is_initial=initial)
        )
        await self._audit.record(uow, org_id=org_id, action="user.password_changed", subject=user_id)

    async def member(self, connection: AsyncConnection, *, org_id: str, user_id: str) -> tuple[Member, Organisation]:
        """A person and their organisation, as a token that was just checked names them."""
        rows = await connection.execute(select_members(org_id).where(members.c.user_id == user_id))
        return member_of(rows.one()), await self.organisation(connection, org_id)

    async def owner_email(self, connection: AsyncConnection, org_id: str) -> str:
        """Where an organisation's owner is written to, the first of several; empty: there is none."""
        address = await connection.scalar(
            select(people.c.email)
            .join(members, members.c.user_id == people.c.user_id)
            .where(members.c.org_id == org_id, members.c.role == Role.OWNER.value)
            .order_by(members.c.created_at, people.c.user_id)
            .limit(1)
        )
        return str(address or "")


def select_members(org_id: str) -> Select[tuple[Any, ...]]:
    """The people of an organisation, for `member_of`."""
    return (
        select(
            people.c.user_id,
            members.c.org_id,
            people.c.email,
            members.c.role,
            members.c.created_at,
            second_factors.c.confirmed_at,
            people.c.password_is_initial,
            people.c.last_signed_in_at,
        )
        .join(members, members.c.user_id == people.c.user_id)
        .outerjoin(second_factors, second_factors.c.user_id == people.c.user_id)
        .where(members.c.org_id == org_id)
    )


def member_of(row: Row[tuple[Any, ...]]) -> Member:
    """One row of `select_members`."""
    return Member(
        user_id=row.user_id,
        org_id=row.org_id,
        email=row.email,
        role=Role(row.role),
        created_at=row.created_at,
        second_factor=row.confirmed_at is not None,
        password_is_initial=row.password_is_initial,
        last_signed_in_at=row.last_signed_in_at,
    )


def checked_name(what: str, name: str) -> str:
    """A name without the spaces around it.

    Raises:
        Refusal: NAME_INVALID.
    """
    stripped = name.strip()
    if not 0 < len(stripped) <= MAX_NAME_CHARACTERS or not stripped.isprintable():
        raise name_invalid(what, MAX_NAME_CHARACTERS)
    return stripped


def _organisation(row: Row[tuple[Any, ...]]) -> Organisation:
    return Organisation(row.org_id, row.name, OrganisationKind(row.kind), row.created_at)
