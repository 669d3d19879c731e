"""Who belongs to an organisation, and with which role."""

from collections.abc import Sequence

from sqlalchemy import delete, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from controlplane.accounts.audit import AuditLog
from controlplane.accounts.errors import last_owner, person_unknown, rank_missing, role_invalid
from controlplane.accounts.factors import SecondFactors
from controlplane.accounts.model import Member, may_manage, normalise_email
from controlplane.accounts.passwords import made_up_password
from controlplane.accounts.service import AccountService, member_of, select_members
from controlplane.accounts.tables import api_tokens, members, organisations, people
from controlplane.accounts.tokens import NOT_SHOWN_AGAIN, Tokens
from controlplane.runtime.clock import Clock
from controlplane.runtime.paging import Page
from controlplane.runtime.principal import PersonPrincipal, Role
from controlplane.runtime.randomness import Randomness
from controlplane.runtime.repeatable import Repeatable
from controlplane.storage.database import Database, UnitOfWork


class PeopleDesk:
    """The use cases.

    Args:
        database: Where people are.
        wall: The machine's clock.
        randomness: For initial passwords.
        accounts: Makes people.
        factors: Takes second factors away.
        tokens: Ends sessions.
        audit: Records every change.
    """

    def __init__(
        self,
        *,
        database: Database,
        wall: Clock,
        randomness: Randomness,
        accounts: AccountService,
        factors: SecondFactors,
        tokens: Tokens,
        audit: AuditLog,
    ) -> None:
        self._database = database
        self._wall = wall
        self._randomness = randomness
        self._accounts = accounts
        self._factors = factors
        self._tokens = tokens
        self._audit = audit

    async def people(self, connection: AsyncConnection, org_id: str, page: Page) -> Sequence[Member]:
        """By address; one more than asked for if there are more."""
        query = select_members(org_id).order_by(people.c.email).limit(page.size + 1)
        if page.after:
            query = query.where(people.c.email > str(page.after[0]))
        return [member_of(row) for row in await connection.execute(query)]

    async def add(
        self, person: PersonPrincipal, email: str, untrusted_role: str, idempotency_key: str
    ) -> tuple[Member, str]:
        """Somebody new, and the password to hand to them, shown once.

        Raises:
            Refusal: ROLE_INVALID, RANK_MISSING, EMAIL_INVALID, EMAIL_TAKEN, or about the idempotency key.
        """
        role = _role(untrusted_role)
        _check_rank(person, role)
        initial = made_up_password(self._randomness)
        password_hash = await self._accounts.hash_password(initial)
        request = Repeatable(person, "accounts.add_person", idempotency_key, email, role.value)
        async with self._database.transaction() as uow:
            answered = await request.answered(uow, self._wall.now())
            if answered is not None:
                return await self.find(uow.connection, person.org_id, answered["user_id"]), NOT_SHOWN_AGAIN
            member = await self._accounts.create_person(
                uow, org_id=person.org_id, email=email, password_hash=password_hash, role=role, initial=True
            )
            await request.remember(uow, user_id=member.user_id)
        return member, initial

    async def change_role(
        self, person: PersonPrincipal, untrusted_person: str, untrusted_role: str, reason: str
    ) -> Member:
        """Give somebody another role; the one they have changes nothing.

        Raises:
            Refusal: ROLE_INVALID, PERSON_UNKNOWN, RANK_MISSING or LAST_OWNER.
        """
        role = _role(untrusted_role)
        async with self._database.transaction() as uow:
            other = await self._locked(uow, person, untrusted_person)
            _check_rank(person, role)
            if other.role is role:
                return other
            await self._keep_an_owner(uow, other)
            await uow.connection.execute(
                update(members)
                .where(members.c.org_id == other.org_id, members.c.user_id == other.user_id)
                .values(role=role.value)
            )
            details = {"email": other.email, "before": other.role.value, "after": role.value, "reason": reason}
            await self._record(uow, "user.role_changed", other, details)
            return await self.find(uow.connection, other.org_id, other.user_id)

    async def remove(self, person: PersonPrincipal, untrusted_person: str, reason: str) -> None:
        """Somebody leaves: their tokens are worthless at once, their address may be used again.

        Raises:
            Refusal: PERSON_UNKNOWN, RANK_MISSING or LAST_OWNER.
        """
        async with self._database.transaction() as uow:
            other = await self._locked(uow, person, untrusted_person)
            await self._keep_an_owner(uow, other)
            await self._factors.remove(uow, other.org_id, other.user_id)
            for table in (api_tokens, members):
                await uow.connection.execute(
                    delete(table).where(table.c.org_id == other.org_id, table.c.user_id == other.user_id)
                )
            await uow.connection.execute(delete(people).where(people.c.user_id == other.user_id))
            details = {"email": other.email, "role": other.role.value, "reason": reason}
            await self._record(uow, "user.removed", other, details)

    async def reset(self, person: PersonPrincipal, untrusted_person: str, reason: str) -> tuple[Member, str]:
        """For somebody who is locked out: a new initial password, no second factor, every session ended.

        Raises:
            Refusal: PERSON_UNKNOWN or RANK_MISSING.
        """
        initial = made_up_password(self._randomness)
        password_hash = await self._accounts.hash_password(initial)
        async with self._database.transaction() as uow:
            other = await self._locked(uow, person, untrusted_person)
            await self.reset_within(uow, other, password_hash, reason)
            return await self.find(uow.connection, other.org_id, other.user_id), initial

    async def reset_within(self, uow: UnitOfWork, other: Member, password_hash: str, reason: str) -> None:
        """`reset` as part of a larger change, or by the operator."""
        await self._accounts.set_password(
            uow, org_id=other.org_id, user_id=other.user_id, hashed=password_hash, initial=True
        )
        await self._factors.remove(uow, other.org_id, other.user_id)
        await self._tokens.end_sessions(uow, org_id=other.org_id, user_id=other.user_id)
        await self._record(uow, "user.reset", other, {"email": other.email, "reason": reason})

    async def find(self, connection: AsyncConnection, org_id: str, untrusted_person: str) -> Member:
        """Somebody by id or address.

        Raises:
            Refusal: PERSON_UNKNOWN.
        """
        address = normalise_email(untrusted_person) or ""
        named = or_(people.c.user_id == untrusted_person, people.c.email == address)
        row = (await connection.execute(select_members(org_id).where(named))).one_or_none()
        if row is None:
            raise person_unknown(untrusted_person)
        return member_of(row)

    async def _locked(self, uow: UnitOfWork, person: PersonPrincipal, untrusted_person: str) -> Member:
        """Somebody the caller may manage; changes of one organisation's people wait for each other."""
        held = select(organisations.c.org_id).where(organisations.c.org_id == person.org_id).with_for_update()
        await uow.connection.execute(held)
        other = await self.find(uow.connection, person.org_id, untrusted_person)
        _check_rank(person, other.role)
        return other

    async def _keep_an_owner(self, uow: UnitOfWork, other: Member) -> None:
        if other.role is not Role.OWNER:
            return
        owners = await uow.connection.scalar(
            select(func.count())
            .select_from(members)
            .where(members.c.org_id == other.org_id, members.c.role == Role.OWNER.value)
        )
        if owners == 1:
            raise last_owner()

    async def _record(self, uow: UnitOfWork, action: str, other: Member, details: dict[str, str]) -> None:
        told = {name: value for name, value in details.items() if value}
        await self._audit.record(uow, org_id=other.org_id, action=action, subject=other.user_id, details=told)


def _role(untrusted_role: str) -> Role:
    for role in Role:
        if role.value == untrusted_role:
            return role
    raise role_invalid()


def _check_rank(person: PersonPrincipal, role: Role) -> None:
    if not may_manage(person.role, role):
        raise rank_missing(role)
