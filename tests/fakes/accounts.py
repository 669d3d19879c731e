"""Accounts on a database, wired as `app.py` does, with a clock to move and an authenticator app in one's pocket."""

from datetime import timedelta

from argon2 import PasswordHasher

from controlplane.accounts.audit import AuditEntry, AuditFilter, AuditLog, newest_entries
from controlplane.accounts.model import Member
from controlplane.accounts.passwords import Argon2Passwords
from controlplane.accounts.second_factor import code_at, step_at
from controlplane.accounts.service import AccountService
from controlplane.accounts.sign_in import Proof
from controlplane.accounts.tokens import IssuedToken, TokenWish
from controlplane.app import Clocks, Ground, build_account_desks
from controlplane.runtime.paging import Page
from controlplane.runtime.principal import PersonPrincipal, Role, calling
from controlplane.storage.database import Database
from tests.fakes.clock import FakeClock
from tests.fakes.randomness import SeededRandomness

CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
EMAIL, PASSWORD = "anna@example.com", "correct horse battery"
EVERYTHING = Page(500)


class GlassSealer:
    """Honest fake of `accounts.ports.Sealer`: hides nothing, and notices when it is opened for somebody else."""

    def seal(self, secret: bytes, bound_to: str) -> bytes:
        return bound_to.encode() + b"|" + secret

    def open(self, sealed: bytes, bound_to: str) -> bytes:
        owner, _, secret = sealed.partition(b"|")
        assert owner == bound_to.encode()
        return secret


class Accounts:
    """See the module."""

    everything = EVERYTHING

    def __init__(self, database: Database) -> None:
        self.database = database
        self.clock = FakeClock()
        randomness = SeededRandomness()
        passwords, audit = Argon2Passwords(CHEAP), AuditLog(self.clock, randomness)
        self.service = AccountService(wall=self.clock, randomness=randomness, passwords=passwords, audit=audit)
        desks = build_account_desks(
            Ground(database, Clocks(self.clock, self.clock), randomness, audit),
            accounts=self.service,
            passwords=passwords,
            sealer=GlassSealer(),
        )
        self.tokens, self.desk, self.people = desks.tokens, desks.sign_in, desks.people
        self._wishes = 0

    async def anna(self) -> Member:
        """The owner of a household."""
        async with self.database.transaction() as uow:
            organisation = await self.service.create_organisation(uow, name="Anna's house")
        return await self.person(organisation.org_id, EMAIL, Role.OWNER)

    async def person(self, org_id: str, email: str, role: Role) -> Member:
        """Somebody more, with the same password."""
        hashed = await self.service.hash_password(PASSWORD)
        async with self.database.transaction() as uow:
            return await self.service.create_person(uow, org_id=org_id, email=email, password_hash=hashed, role=role)

    async def sign_in(
        self, password: str = PASSWORD, email: str = EMAIL, *, code: str = "", peer: str = ""
    ) -> IssuedToken:
        with calling(request_id="req_12345678", peer=peer, principal=None):
            return await self.desk.sign_in(Proof(email, password, code, "laptop"))

    async def session(self, email: str = EMAIL) -> PersonPrincipal:
        return await self.tokens.authenticate((await self.sign_in(email=email)).text)

    async def second_factor(self, person: PersonPrincipal) -> tuple[bytes, tuple[str, ...]]:
        """An app that is enrolled and confirmed: its secret, and the recovery codes."""
        secret, _ = await self.desk.enrol_second_factor(person, PASSWORD)
        return secret, await self.desk.confirm_second_factor(person, self.code(secret))

    def code(self, secret: bytes, *, ahead: int = 0) -> str:
        """What the app shows now, or so many steps ahead."""
        return code_at(secret, step_at(self.clock.now()) + ahead)

    async def token(self, person: PersonPrincipal, *scopes: str, days: int = 90) -> PersonPrincipal:
        """Who calls with a token for a program."""
        wish = TokenWish("a program", scopes, timedelta(days=days))
        _, secret = await self.tokens.create(person, wish, self.wish())
        return await self.tokens.authenticate(secret)

    async def people_of(self, org_id: str) -> list[Member]:
        """By address."""
        async with self.database.reading() as connection:
            return list(await self.people.people(connection, org_id, EVERYTHING))

    async def audited(self, org_id: str, **wanted: str) -> list[AuditEntry]:
        """The oldest first."""
        async with self.database.reading() as connection:
            found = await newest_entries(connection, org_id, AuditFilter(**wanted), EVERYTHING)
        return list(reversed(found))

    def wish(self) -> str:
        """The name of a request that was never made before."""
        self._wishes += 1
        return f"wish-{self._wishes:06d}"
