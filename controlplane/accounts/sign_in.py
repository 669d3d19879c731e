"""Proving who one is: password, then second factor, with attempts counted before they are judged."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from controlplane.accounts.audit import AuditLog
from controlplane.accounts.errors import (
    password_wrong,
    second_factor_needed,
    second_factor_wrong,
    sign_in_failed,
    sign_in_locked,
)
from controlplane.accounts.factors import SecondFactors
from controlplane.accounts.limits import (
    MAX_NAME_CHARACTERS,
    MAX_PASSWORD_CHARACTERS,
    SIGN_INS_PER_ADDRESS,
    SIGN_INS_PER_EMAIL,
)
from controlplane.accounts.model import normalise_email
from controlplane.accounts.passwords import Passwords
from controlplane.accounts.service import AccountService
from controlplane.accounts.tables import members, people
from controlplane.accounts.tokens import IssuedToken, Tokens
from controlplane.runtime.attempts import Bucket, first_empty, forgive, take
from controlplane.runtime.clock import Clock
from controlplane.runtime.principal import PersonPrincipal, acting_as, current_peer
from controlplane.storage.database import Database, UnitOfWork

_DEFAULT_TOKEN_NAME = "bucklerctl"  # noqa: S105 -- a name, not a secret


@dataclass(frozen=True, slots=True)
class Proof:
    """What somebody shows to be let in.

    Attributes:
        email: As they typed it.
        untrusted_code: Of an authenticator app, or a recovery code; empty: none.
        token_name: Under which the session is listed.
    """

    email: str
    password: str = field(repr=False)
    untrusted_code: str = field(default="", repr=False)
    token_name: str = ""


@dataclass(frozen=True, slots=True)
class _Credentials:
    user_id: str
    org_id: str
    email: str
    password_hash: str = field(repr=False)


class SignIn:
    """The use cases.

    Args:
        database: Where people are.
        wall: The machine's clock: attempts of real people are counted in real time.
        accounts: Hashes new passwords.
        passwords: Checks them.
        factors: Checks codes.
        tokens: Opens sessions.
        audit: Records every change.
    """

    def __init__(
        self,
        *,
        database: Database,
        wall: Clock,
        accounts: AccountService,
        passwords: Passwords,
        factors: SecondFactors,
        tokens: Tokens,
        audit: AuditLog,
    ) -> None:
        self._database = database
        self._wall = wall
        self._accounts = accounts
        self._passwords = passwords
        self._factors = factors
        self._tokens = tokens
        self._audit = audit

    async def sign_in(self, proof: Proof) -> IssuedToken:
        """Exchange an address and a password, and a code where there is a second factor, for a token.

        Raises:
            Refusal: SIGN_IN_FAILED, the same for an unknown address and a wrong password; SIGN_IN_LOCKED, the same for
                an unknown and a known address; SECOND_FACTOR_NEEDED or SECOND_FACTOR_WRONG.
        """
        address = normalise_email(proof.email)
        async with self._database.reading() as connection:
            found = None if address is None else await _credentials(connection, people.c.email == address)
        counted = [_per_email(address or proof.email), *_per_address()]
        await self._count(counted)
        if not await self._right(proof.password, found) or found is None:
            await self._record_lock(counted[0], found)
            raise sign_in_failed()
        with acting_as(f"user:{found.user_id}"):
            async with self._database.transaction() as uow:
                if await self._factors.is_on(uow.connection, found.user_id):
                    await self._check_code(uow, found, proof.untrusted_code)
                await forgive(uow, counted[0])
                await uow.connection.execute(
                    update(people).where(people.c.user_id == found.user_id).values(last_signed_in_at=self._wall.now())
                )
                name = proof.token_name[:MAX_NAME_CHARACTERS].strip()
                return await self._tokens.open_session(
                    uow,
                    org_id=found.org_id,
                    user_id=found.user_id,
                    name=name if name and name.isprintable() else _DEFAULT_TOKEN_NAME,
                )

    async def change_password(self, person: PersonPrincipal, password: str, new_password: str) -> int:
        """Set another password and sign this person out everywhere else; of how many places.

        Raises:
            Refusal: PASSWORD_WRONG, PASSWORD_UNFIT or SIGN_IN_LOCKED.
        """
        await self._prove(person, password)
        password_hash = await self._accounts.hash_password(new_password)
        async with self._database.transaction() as uow:
            await self._accounts.set_password(uow, org_id=person.org_id, user_id=person.user_id, hashed=password_hash)
            return await self._tokens.end_sessions(
                uow, org_id=person.org_id, user_id=person.user_id, keep=person.token_id
            )

    async def enrol_second_factor(self, person: PersonPrincipal, password: str) -> tuple[bytes, str]:
        """A secret for an authenticator app, and the address it belongs to.

        Raises:
            Refusal: PASSWORD_WRONG, SECOND_FACTOR_PRESENT or SIGN_IN_LOCKED.
        """
        proved = await self._prove(person, password)
        async with self._database.transaction() as uow:
            return await self._factors.enrol(uow, person.user_id), proved.email

    async def confirm_second_factor(self, person: PersonPrincipal, untrusted_code: str) -> tuple[str, ...]:
        """From now on signing in takes a code; the recovery codes.

        Raises:
            Refusal: SECOND_FACTOR_ABSENT, SECOND_FACTOR_PRESENT or SECOND_FACTOR_WRONG.
        """
        async with self._database.transaction() as uow:
            return await self._factors.confirm(uow, person.org_id, person.user_id, untrusted_code)

    async def remove_second_factor(self, person: PersonPrincipal, password: str, untrusted_code: str) -> None:
        """Signing in takes no code any more.

        Raises:
            Refusal: PASSWORD_WRONG, SECOND_FACTOR_ABSENT, SECOND_FACTOR_NEEDED, SECOND_FACTOR_WRONG or SIGN_IN_LOCKED.
        """
        proved = await self._prove(person, password)
        async with self._database.transaction() as uow:
            if await self._factors.is_on(uow.connection, person.user_id):
                await self._check_code(uow, proved, untrusted_code)
            await self._factors.remove(uow, person.org_id, person.user_id)

    async def _prove(self, person: PersonPrincipal, password: str) -> _Credentials:
        """Somebody signed in shows their password again: a session that was left open is not enough."""
        async with self._database.reading() as connection:
            found = await _credentials(connection, people.c.user_id == person.user_id)
        assert found is not None, "a token that was just checked is somebody's"
        counted = _per_email(found.email)
        await self._count([counted])
        if not await self._right(password, found):
            raise password_wrong()
        async with self._database.transaction() as uow:
            await forgive(uow, counted)
        return found

    async def _count(self, buckets: Sequence[Bucket]) -> None:
        """Take an attempt before it is judged: attempts that come at once cannot be more than there are.

        Raises:
            Refusal: SIGN_IN_LOCKED.
        """
        async with self._database.transaction() as uow:
            empty = await take(uow, buckets, self._wall.now())
            if empty is not None:
                raise sign_in_locked(empty[1])

    async def _record_lock(self, bucket: Bucket, found: _Credentials | None) -> None:
        """Whoever reads the audit shall see that somebody was guessing."""
        async with self._database.transaction() as uow:
            empty = await first_empty(uow.connection, [bucket], self._wall.now())
            if empty is not None and found is not None:
                await self._audit.record(uow, org_id=found.org_id, action="user.sign_in_locked", subject=found.user_id)

    async def _right(self, password: str, found: _Credentials | None) -> bool:
        # A password that nobody can have is still compared, cut short: the same work for every answer.
        cut = password[:MAX_PASSWORD_CHARACTERS]
        return await self._passwords.verify(cut, None if found is None else found.password_hash)

    async def _check_code(self, uow: UnitOfWork, found: _Credentials, untrusted_code: str) -> None:
        if not untrusted_code:
            raise second_factor_needed()
        if not await self._factors.use(uow, found.org_id, found.user_id, untrusted_code):
            raise second_factor_wrong()


def _per_email(email: str) -> Bucket:
    """Hashed: what people type into a form is not for a table of ours."""
    return Bucket("sign_in_email", hashlib.sha256(email.encode()).hexdigest(), SIGN_INS_PER_EMAIL)


def _per_address() -> list[Bucket]:
    address = current_peer()
    return [Bucket("sign_in_address", address, SIGN_INS_PER_ADDRESS)] if address else []


async def _credentials(connection: AsyncConnection, which: object) -> _Credentials | None:
    rows = await connection.execute(
        select(people.c.user_id, people.c.email, people.c.password_hash, members.c.org_id)
        .join(members, members.c.user_id == people.c.user_id)
        .where(which)  # type: ignore[arg-type]
    )
    row = rows.one_or_none()
    return None if row is None else _Credentials(row.user_id, row.org_id, row.email, row.password_hash)
