"""Bearer tokens: sessions of people, and tokens for programs that may do less than their person."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, Select, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from controlplane.accounts.audit import AuditLog
from controlplane.accounts.errors import (
    lifetime_invalid,
    scope_exceeded,
    scopes_invalid,
    token_invalid,
    token_unknown,
)
from controlplane.accounts.limits import MAX_TOKEN_LIFETIME, SESSION_LIFETIME, TOKEN_SECRET_BYTES
from controlplane.accounts.model import Token, is_news, may_manage, new_token, parse_token, scopes_from, scopes_text
from controlplane.accounts.service import checked_name
from controlplane.accounts.tables import api_tokens, members, people
from controlplane.runtime.clock import Clock
from controlplane.runtime.newest import newest_first
from controlplane.runtime.paging import Page
from controlplane.runtime.principal import PersonPrincipal, Role, Scope
from controlplane.runtime.randomness import Randomness, new_id
from controlplane.runtime.repeatable import Repeatable
from controlplane.storage.database import Database, UnitOfWork

#: The secret, in the answer to a repeat: it was shown once, and is stored nowhere.
NOT_SHOWN_AGAIN = ""
_SHORTEST_LIFETIME = timedelta(minutes=1)
#: Whose a token is.
_HOLDER = (members.c.org_id == api_tokens.c.org_id) & (members.c.user_id == api_tokens.c.user_id)


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """A new token; its text is here and nowhere else."""

    text: str
    token_id: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class TokenWish:
    """What somebody wants a token for.

    Attributes:
        name: Under which it is listed.
        scopes: What it may be used for; texts of the caller's.
        lifetime: From now.
    """

    name: str
    untrusted_scopes: tuple[str, ...]
    lifetime: timedelta


class Tokens:
    """The use cases; also the authenticator of bearer tokens.

    Args:
        database: Where tokens are.
        wall: The machine's clock: a demonstration that leaps a year ahead signs nobody out.
        randomness: For ids and secrets.
        audit: Records every change.
    """

    def __init__(self, *, database: Database, wall: Clock, randomness: Randomness, audit: AuditLog) -> None:
        self._database = database
        self._wall = wall
        self._randomness = randomness
        self._audit = audit

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
                select(api_tokens, members.c.role)
                .join(members, _HOLDER)
                .where(api_tokens.c.org_id == parts.org_id, api_tokens.c.token_id == parts.token_id)
            )
            row = rows.one_or_none()
        now = self._wall.now()
        if row is None or not parts.proves(row.secret_sha256):
            raise token_invalid()
        if row.revoked_at is not None or now >= row.expires_at:
            raise token_invalid()
        if is_news(row.last_used_at, now):
            async with self._database.transaction() as uow:
                await uow.connection.execute(_one(parts.org_id, parts.token_id).values(last_used_at=now))
        return PersonPrincipal(row.user_id, parts.org_id, Role(row.role), parts.token_id, scopes_from(row.scopes))

    async def open_session(self, uow: UnitOfWork, *, org_id: str, user_id: str, name: str) -> IssuedToken:
        """A token for somebody who just proved who they are."""
        return await self._issue(uow, org_id, user_id, name, SESSION_LIFETIME, None)

    async def create(self, person: PersonPrincipal, wish: TokenWish, idempotency_key: str) -> tuple[Token, str]:
        """A token for a program, and its secret, shown once.

        Raises:
            Refusal: SCOPES_INVALID, SCOPE_EXCEEDED, TOKEN_LIFETIME_INVALID, NAME_INVALID, or about the idempotency
                key.
        """
        scopes = _checked_scopes(person, wish.untrusted_scopes)
        if not _SHORTEST_LIFETIME <= wish.lifetime <= MAX_TOKEN_LIFETIME:
            raise lifetime_invalid()
        parts = (wish.name, scopes_text(scopes), str(wish.lifetime.total_seconds()))
        request = Repeatable(person, "accounts.create_token", idempotency_key, *parts)
        async with self._database.transaction() as uow:
            answered = await request.answered(uow, self._wall.now())
            if answered is not None:
                return await self._find(uow.connection, person.org_id, answered["token_id"]), NOT_SHOWN_AGAIN
            issued = await self._issue(uow, person.org_id, person.user_id, wish.name, wish.lifetime, scopes)
            await request.remember(uow, token_id=issued.token_id)
            return await self._find(uow.connection, person.org_id, issued.token_id), issued.text

    async def usable(self, connection: AsyncConnection, person: PersonPrincipal, page: Page) -> Sequence[Token]:
        """Tokens that can still be used, the newest first; everybody's for owners and admins, else one's own.

        One row more than asked for if there are more.
        """
        query = _select_tokens(person.org_id).where(
            api_tokens.c.revoked_at.is_(None), api_tokens.c.expires_at > self._wall.now()
        )
        if person.role not in {Role.OWNER, Role.ADMIN}:
            query = query.where(api_tokens.c.user_id == person.user_id)
        rows = await connection.execute(newest_first(query, api_tokens.c.created_at, api_tokens.c.token_id, page))
        return [_token(row) for row in rows]

    async def revoke(self, person: PersonPrincipal, token_id: str) -> None:
        """Make a token worthless from now on: one's own, or that of somebody one may manage. A repeat changes nothing.

        Raises:
            Refusal: TOKEN_UNKNOWN.
        """
        async with self._database.transaction() as uow:
            holder = await uow.connection.execute(
                select(members.c.user_id, members.c.role)
                .join(
                    api_tokens, (api_tokens.c.org_id == members.c.org_id) & (api_tokens.c.user_id == members.c.user_id)
                )
                .where(members.c.org_id == person.org_id, api_tokens.c.token_id == token_id)
            )
            row = holder.one_or_none()
            if row is None or (row.user_id != person.user_id and not may_manage(person.role, Role(row.role))):
                raise token_unknown(token_id)
            await self._revoke(uow, person.org_id, token_id)

    async def sign_out(self, person: PersonPrincipal) -> None:
        """Make the token of this very call worthless."""
        async with self._database.transaction() as uow:
            await self._revoke(uow, person.org_id, person.token_id)

    async def end_sessions(self, uow: UnitOfWork, *, org_id: str, user_id: str, keep: str = "") -> int:
        """Sign somebody out everywhere; tokens for programs stay.

        Args:
            uow: The transaction.
            org_id: Their organisation.
            user_id: Whose sessions.
            keep: Id of the one that goes on; empty: none does.

        Returns:
            How many ended.
        """
        ended = await uow.connection.execute(
            update(api_tokens)
            .where(
                api_tokens.c.org_id == org_id,
                api_tokens.c.user_id == user_id,
                api_tokens.c.scopes.is_(None),
                api_tokens.c.revoked_at.is_(None),
                api_tokens.c.expires_at > self._wall.now(),
                api_tokens.c.token_id != keep,
            )
            .values(revoked_at=self._wall.now())
        )
        return ended.rowcount

    async def _issue(
        self,
        uow: UnitOfWork,
        org_id: str,
        user_id: str,
        name: str,
        lifetime: timedelta,
        scopes: frozenset[Scope] | None,
    ) -> IssuedToken:
        now = self._wall.now()
        token_id = new_id(self._randomness, "tok")
        token = new_token(org_id, token_id, self._randomness.token_bytes(TOKEN_SECRET_BYTES))
        stored_scopes = None if scopes is None else scopes_text(scopes)
        checked = checked_name("token's name", name)
        await uow.connection.execute(
            insert(api_tokens).values(
                org_id=org_id,
                token_id=token_id,
                user_id=user_id,
                name=checked,
                scopes=stored_scopes,
                secret_sha256=token.secret_sha256,
                created_at=now,
                expires_at=now + lifetime,
            )
        )
        details = {"user_id": user_id, "name": checked, "scopes": stored_scopes or "session"}
        await self._audit.record(uow, org_id=org_id, action="token.created", subject=token_id, details=details)
        return IssuedToken(token.text(), token_id, now + lifetime)

    async def _revoke(self, uow: UnitOfWork, org_id: str, token_id: str) -> None:
        changed = await uow.connection.execute(
            _one(org_id, token_id)
            .where(api_tokens.c.revoked_at.is_(None))
            .values(revoked_at=self._wall.now())
            .returning(api_tokens.c.token_id)
        )
        if changed.first() is not None:
            await self._audit.record(uow, org_id=org_id, action="token.revoked", subject=token_id)

    async def _find(self, connection: AsyncConnection, org_id: str, token_id: str) -> Token:
        rows = await connection.execute(_select_tokens(org_id).where(api_tokens.c.token_id == token_id))
        row = rows.one_or_none()
        if row is None:
            # Its person left since the first answer.
            raise token_unknown(token_id)
        return _token(row)


def _one(org_id: str, token_id: str) -> Any:
    return update(api_tokens).where(api_tokens.c.org_id == org_id, api_tokens.c.token_id == token_id)


def _select_tokens(org_id: str) -> Select[tuple[Any, ...]]:
    return (
        select(api_tokens, people.c.email)
        .join(people, people.c.user_id == api_tokens.c.user_id)
        .where(api_tokens.c.org_id == org_id)
    )


def _token(row: Row[tuple[Any, ...]]) -> Token:
    return Token(
        org_id=row.org_id,
        token_id=row.token_id,
        user_id=row.user_id,
        email=row.email,
        name=row.name,
        scopes=scopes_from(row.scopes),
        created_at=row.created_at,
        expires_at=row.expires_at,
        last_used_at=row.last_used_at,
        revoked_at=row.revoked_at,
    )


def _checked_scopes(person: PersonPrincipal, untrusted_scopes: Iterable[str]) -> frozenset[Scope]:
    known = {scope.value: scope for scope in Scope}
    wanted = list(untrusted_scopes)
    if not wanted or any(name not in known for name in wanted):
        raise scopes_invalid()
    scopes = frozenset(known[name] for name in wanted)
    for scope in Scope:
        if scope in scopes and person.scopes is not None and scope not in person.scopes:
            raise scope_exceeded(scope)
    return scopes
