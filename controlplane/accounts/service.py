"""Organisations, people, sign-in and tokens."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from controlplane.accounts.audit import AuditLog
from controlplane.accounts.errors import (
    email_invalid,
    email_taken,
    name_invalid,
    organisation_ambiguous,
    organisation_unknown,
    password_unfit,
    sign_in_failed,
    token_invalid,
)
from controlplane.accounts.limits import (
    MAX_NAME_CHARACTERS,
    MAX_PASSWORD_CHARACTERS,
    MIN_PASSWORD_CHARACTERS,
    SESSION_LIFETIME,
    TOKEN_SECRET_BYTES,
)
from controlplane.accounts.model import (
    Member,
    Organisation,
    after_wrong_password,
    new_token,
    normalise_email,
    parse_token,
)
from controlplane.accounts.passwords import Passwords
from controlplane.accounts.tables import api_tokens, members, organisations, people
from controlplane.runtime.clock import Clock
from controlplane.runtime.principal import PersonPrincipal, Role, acting_as
from controlplane.runtime.randomness import Randomness, new_id
from controlplane.storage.database import Database, UnitOfWork
from controlplane.storage.upsert import insert_into

__all__ = ["AccountService", "AuditLog", "IssuedToken"]


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """A new token; its text is here and nowhere else."""

    text: str
    token_id: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class _Credentials:
    """What signing in needs to know about a person."""

    user_id: str
    org_id: str
    password_hash: str


#: Stands in for an address that nobody signs in with; finds no row.
_NOBODY = _Credentials(user_id="", org_id="", password_hash="")


class AccountService:
    """The use cases; also the authenticator of bearer tokens.

    Args:
        database: Where people are.
        wall: The machine's clock. Sessions and lock-outs protect real people against real time: a demonstration that
            leaps a year ahead neither signs anybody out nor unlocks an account.
        randomness: For ids and tokens.
        passwords: Hashes them.
        audit: Records every change.
    """

    def __init__(
        self, *, database: Database, wall: Clock, randomness: Randomness, passwords: Passwords, audit: AuditLog
    ) -> None:
        self._database = database
        self._wall = wall
        self._randomness = randomness
        self._passwords = passwords
        self._audit = audit

    async def create_organisation(self, uow: UnitOfWork, *, name: str) -> Organisation:
        """A new tenant.

        Raises:
            Refusal: NAME_INVALID.
        """
        now = self._wall.now()
        organisation = Organisation(new_id(self._randomness, "org"), _checked_name("name", name), now)
        await uow.connection.execute(
            insert(organisations).values(org_id=organisation.org_id, name=organisation.name, created_at=now)
        )
        await self._audit.record(
            uow, org_id=organisation.org_id, action="organisation.created", subject=organisation.org_id
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
        query = select(organisations.c.org_id, organisations.c.name, organisations.c.created_at)
        if org_id:
            query = query.where(organisations.c.org_id == org_id)
        rows = (await connection.execute(query.order_by(organisations.c.created_at).limit(2))).all()
        if not rows:
            raise organisation_unknown(org_id)
        if len(rows) > 1:
            raise organisation_ambiguous()
        return Organisation(rows[0].org_id, rows[0].name, rows[0].created_at)

    async def hash_password(self, password: str) -> str:
        """Check a new password and hash it: slow on purpose, so done before a transaction begins.

        Raises:
            Refusal: PASSWORD_UNFIT.
        """
        if not MIN_PASSWORD_CHARACTERS <= len(password) <= MAX_PASSWORD_CHARACTERS:
            raise password_unfit()
        return await self._passwords.hash(password)

    async def create_person(
        self, uow: UnitOfWork, *, org_id: str, email: str, password_hash: str, role: Role
    ) -> Member:
        """A new person in an organisation.

        Args:
            uow: The transaction.
            org_id: Which organisation.
            email: Their address, in any case.
            password_hash: From `hash_password`.
            role: What they are to the organisation.

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
        member = Member(new_id(self._randomness, "usr"), org_id, address, role)
        inserted = await uow.connection.execute(
            insert_into(uow.connection, people)
            .values(user_id=member.user_id, email=address, password_hash=password_hash, created_at=now)
            .on_conflict_do_nothing(index_elements=["email"])
            .returning(people.c.user_id)
        )
        if inserted.first() is None:
            raise email_taken(address)
        await uow.connection.execute(
            insert(members).values(org_id=org_id, user_id=member.user_id, role=role.value, created_at=now)
        )
        await self._audit.record(
            uow, org_id=org_id, action="user.created", subject=member.user_id, details={"role": role.value}
        )
        return member

    async def sign_in(self, *, email: str, password: str, token_name: str) -> IssuedToken:
        """Exchange an address and a password for a token.

        Raises:
            Refusal: SIGN_IN_FAILED, the same for an unknown address, a wrong password and a locked account.
        """
        address = normalise_email(email)
        async with self._database.reading() as connection:
            found = None if address is None else await _credentials(connection, address)
        # A password that nobody can have is still compared, cut short: the same work for every answer.
        right = await self._passwords.verify(
            password[:MAX_PASSWORD_CHARACTERS], None if found is None else found.password_hash
        )
        person = found or _NOBODY
        async with self._database.transaction() as uow:
            with acting_as(f"user:{person.user_id}"):
                token = await self._signed_in(uow, person, token_name) if right else None
                if token is None:
                    # Nobody's failures are looked for as well: again the same work.
                    await self._count_failure(uow, person)
        if token is None:
            raise sign_in_failed()
        return token

    async def create_token(
        self, uow: UnitOfWork, *, org_id: str, user_id: str, name: str, lifetime: timedelta
    ) -> IssuedToken:
        """A bearer token for a member; stored hashed.

        Raises:
            Refusal: NAME_INVALID.
        """
        now = self._wall.now()
        expires_at = now + lifetime
        token_id = new_id(self._randomness, "tok")
        token = new_token(org_id, token_id, self._randomness.token_bytes(TOKEN_SECRET_BYTES))
        await uow.connection.execute(
            insert(api_tokens).values(
                org_id=org_id,
                token_id=token_id,
                user_id=user_id,
                name=_checked_name("token's name", name),
                secret_sha256=token.secret_sha256,
                created_at=now,
                expires_at=expires_at,
            )
        )
        await self._audit.record(
            uow, org_id=org_id, action="token.created", subject=token_id, details={"user_id": user_id}
        )
        return IssuedToken(token.text(), token_id, expires_at)

    async def revoke_token(self, uow: UnitOfWork, *, org_id: str, token_id: str) -> None:
        """Make a token worthless from now on; revoking it again changes nothing.

        Raises:
            Refusal: TOKEN_INVALID, the organisation has no such token.
        """
        changed = await uow.connection.execute(
            update(api_tokens)
            .where(api_tokens.c.org_id == org_id, api_tokens.c.token_id == token_id, api_tokens.c.revoked_at.is_(None))
            .values(revoked_at=self._wall.now())
            .returning(api_tokens.c.token_id)
        )
        if changed.first() is not None:
            await self._audit.record(uow, org_id=org_id, action="token.revoked", subject=token_id)
            return
        known = select(api_tokens.c.token_id).where(api_tokens.c.org_id == org_id, api_tokens.c.token_id == token_id)
        if await uow.connection.scalar(known) is None:
            raise token_invalid()

    async def authenticate(self, untrusted_token: str) -> PersonPrincipal:
        """The person behind a bearer token.

        Raises:
            Refusal: TOKEN_INVALID, it is unknown, expired or revoked.
        """
        parts = parse_token(untrusted_token)
        if parts is None:
            raise token_invalid()
        async with self._database.reading() as connection:
            rows = await connection.execute(
                select(
                    api_tokens.c.user_id,
                    api_tokens.c.secret_sha256,
                    api_tokens.c.expires_at,
                    api_tokens.c.revoked_at,
                    members.c.role,
                )
                .join(members, (members.c.org_id == api_tokens.c.org_id) & (members.c.user_id == api_tokens.c.user_id))
                .where(api_tokens.c.org_id == parts.org_id, api_tokens.c.token_id == parts.token_id)
            )
            row = rows.one_or_none()
        if row is None or not parts.proves(row.secret_sha256):
            raise token_invalid()
        if row.revoked_at is not None or self._wall.now() >= row.expires_at:
            raise token_invalid()
        return PersonPrincipal(row.user_id, parts.org_id, Role(row.role), parts.token_id)

    async def member(self, connection: AsyncConnection, *, org_id: str, user_id: str) -> tuple[Member, Organisation]:
        """A person and their organisation, as a token that was just checked names them."""
        rows = await connection.execute(
            select(people.c.email, members.c.role, organisations.c.name, organisations.c.created_at).where(
                members.c.org_id == org_id,
                members.c.user_id == user_id,
                people.c.user_id == members.c.user_id,
                organisations.c.org_id == members.c.org_id,
            )
        )
        row = rows.one()
        return Member(user_id, org_id, row.email, Role(row.role)), Organisation(org_id, row.name, row.created_at)

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

    async def _signed_in(self, uow: UnitOfWork, found: _Credentials, token_name: str) -> IssuedToken | None:
        # Conditional: attempts that ran beside this one may have locked the account since it was read.
        unlocked = await uow.connection.execute(
            update(people)
            .where(people.c.user_id == found.user_id, _not_locked(self._wall.now()))
            .values(failed_sign_ins=0, locked_until=None)
            .returning(people.c.user_id)
        )
        if unlocked.first() is None:
            return None
        name = token_name[:MAX_NAME_CHARACTERS].strip()
        return await self.create_token(
            uow,
            org_id=found.org_id,
            user_id=found.user_id,
            name=name if name.isprintable() and name else "bucklerctl",
            lifetime=SESSION_LIFETIME,
        )

    async def _count_failure(self, uow: UnitOfWork, found: _Credentials) -> None:
        now = self._wall.now()
        # The row stays ours from here to the update: attempts that run side by side are all counted.
        row = select(people.c.failed_sign_ins).where(people.c.user_id == found.user_id, _not_locked(now))
        failed_before = await uow.connection.scalar(row.with_for_update())
        if failed_before is None:
            return
        failed, locked_until = after_wrong_password(failed_before, now)
        await uow.connection.execute(
            update(people)
            .where(people.c.user_id == found.user_id)
            .values(failed_sign_ins=failed, locked_until=locked_until)
        )
        if locked_until is not None:
            await self._audit.record(
                uow,
                org_id=found.org_id,
                action="user.locked",
                subject=found.user_id,
                details={"until": locked_until.isoformat()},
            )


async def _credentials(connection: AsyncConnection, email: str) -> _Credentials | None:
    rows = await connection.execute(
        select(people.c.user_id, people.c.password_hash, members.c.org_id)
        .join(members, members.c.user_id == people.c.user_id)
        .where(people.c.email == email)
    )
    row = rows.one_or_none()
    return None if row is None else _Credentials(row.user_id, row.org_id, row.password_hash)


def _not_locked(now: datetime) -> ColumnElement[bool]:
    return or_(people.c.locked_until.is_(None), people.c.locked_until <= now)


def _checked_name(what: str, name: str) -> str:
    stripped = name.strip()
    if not 0 < len(stripped) <= MAX_NAME_CHARACTERS or not stripped.isprintable():
        raise name_invalid(what, MAX_NAME_CHARACTERS)
    return stripped
