"""A control plane without the network: the real services on a real database, with a clock that tests move."""

import shutil
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from itertools import count
from pathlib import Path

from argon2 import PasswordHasher

from controlplane.accounts.audit import AuditLog
from controlplane.accounts.passwords import Argon2Passwords
from controlplane.accounts.service import AccountService
from controlplane.catalog.document import Catalog
from controlplane.catalog.model import AccessLevel, Os, Plan, Term
from controlplane.catalog.service import CatalogService
from controlplane.commands.campaigns import Campaigns
from controlplane.commands.service import CommandGround, CommandService
from controlplane.connecting import pass_news_on
from controlplane.devices.fleet.standings import Standings
from controlplane.devices.model import FingerprintComponent, Platform
from controlplane.devices.registry import DeviceRegistry
from controlplane.devices.service import DeviceService
from controlplane.diagnostics.service import DiagnosticsService
from controlplane.findings import DeviceAlarms, WatchGround, build_findings, build_watch
from controlplane.keys import root
from controlplane.keys.authority import CertificateAuthority
from controlplane.keys.root import RootKey
from controlplane.keys.sealing import SealingKey
from controlplane.keys.signing import EntitlementKeys
from controlplane.licensing.allotments import Allotments
from controlplane.licensing.issuing import EntitlementIssuer
from controlplane.licensing.key_desk import KeyDesk, KeyWish
from controlplane.licensing.keys import ActivationKeys
from controlplane.licensing.licences import DeviceLicences
from controlplane.licensing.parts import LicensingParts
from controlplane.licensing.seat_desk import SeatDesk, SeatWish
from controlplane.licensing.seating import Seating
from controlplane.licensing.seats import Seat, Seats
from controlplane.licensing.service import Activated, Activation, LicensingService
from controlplane.runtime.bus.memory import MemoryBus
from controlplane.runtime.clock import SystemClock
from controlplane.runtime.principal import DevicePrincipal, PersonPrincipal, Role
from controlplane.runtime.randomness import Randomness, SystemRandomness, new_id
from controlplane.runtime.tenant_time import TenantTimes
from controlplane.storage.database import Database
from controlplane.subscription_terms import TermsReader
from controlplane.subscriptions.model import Renewal
from controlplane.subscriptions.service import SubscriptionService
from tests.fakes.certificate_requests import DeviceKey
from tests.fakes.clock import FakeClock
from tests.fakes.made_once import folder_of_templates
from tests.fakes.migrated import migrated_sqlite
from tests.fakes.notices import RecordingNotices
from tests.fakes.posts import RecordingSender
from tests.fakes.signer import FailingSigner

#: Tests hash no secrets.
CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
GRACE = timedelta(days=14)
ENDED_AFTER = timedelta(days=365)
FEATURES: Mapping[str, AccessLevel] = {
    "real_time_protection": AccessLevel.LIMITED,
    "blocking_mode": AccessLevel.GRACE,
    "signature_updates": AccessLevel.GRACE,
    "remote_commands": AccessLevel.GRACE,
}
ONE_IMAGE = frozenset({FingerprintComponent("machine_id", bytes(32))})
LINUX = Platform("linux", "Debian GNU/Linux 12", "x86_64", "0.1.0")


@dataclass(frozen=True, slots=True)
class Customer:
    """An organisation with a subscription, a key and somebody who manages it."""

    person: PersonPrincipal
    subscription_id: str
    key_id: str
    raw_key: str

    @property
    def org_id(self) -> str:
        return self.person.org_id


@cache
def _made_keys() -> Path:
    """Keys of a control plane, made once a process: each file of them waits for the disk twice."""
    folder = folder_of_templates() / "keys"
    folder.mkdir()
    wall, randomness = SystemClock(), SystemRandomness()
    CertificateAuthority.create(folder, hostnames=["localhost"], wall=wall, randomness=randomness)
    EntitlementKeys.create(folder, FakeClock(), RootKey.create(folder / root.FILE_NAME))
    return folder


class World:
    """Everything built once, wired as `app.py` does."""

    def __init__(
        self,
        database: Database,
        folder: Path,
        *,
        signer: FailingSigner | None = None,
        write_every: timedelta = timedelta(0),
    ) -> None:
        self.database = database
        self.times = TenantTimes(database)
        self.folder, self.clock = folder, FakeClock()
        self._catalog_versions = count(1)
        randomness, wall = SystemRandomness(), SystemClock()
        self.audit = AuditLog(self.clock, randomness)
        for file in _made_keys().iterdir():
            shutil.copy2(file, self.folder)
        self.authority = CertificateAuthority.load(self.folder, wall=wall, randomness=randomness)
        self.root = RootKey.load(self.folder / root.FILE_NAME)
        self.signer = signer or FailingSigner(EntitlementKeys.load(self.folder))
        self.standings = Standings(randomness)
        self.registry = DeviceRegistry(randomness, self.standings)
        self.notices = RecordingNotices()
        self.allotments = Allotments(self.notices)
        self.seats = Seats(self.allotments, self.registry, self.audit, randomness)
        self.catalog = CatalogService(self.clock)
        self.subscriptions = SubscriptionService(
            database=self.database,
            clock=self.clock,
            randomness=randomness,
            catalog=self.catalog,
            audit=self.audit,
            seats=self.allotments,
        )
        self.accounts = AccountService(
            wall=wall, randomness=randomness, passwords=Argon2Passwords(CHEAP), audit=self.audit
        )
        terms = TermsReader(self.subscriptions)
        self.keys = ActivationKeys(randomness)
        self.issuer = EntitlementIssuer(self.database, self.signer, self.clock)
        self.licences = DeviceLicences(seats=self.seats, terms=terms, issuer=self.issuer, clock=self.clock)
        self.seating = Seating(
            database=self.database,
            allotments=self.allotments,
            seats=self.seats,
            notices=self.notices,
            clock=self.clock,
        )
        parts = LicensingParts(
            registry=self.registry,
            keys=self.keys,
            allotments=self.allotments,
            seats=self.seats,
            seating=self.seating,
            terms=terms,
            issuer=self.issuer,
            licences=self.licences,
            notices=self.notices,
        )
        self.key_desk = KeyDesk(database=self.database, parts=parts, audit=self.audit, clock=self.clock)
        self.seat_desk = SeatDesk(database=self.database, parts=parts, audit=self.audit, clock=self.clock)
        self.licensing = LicensingService(
            database=self.database,
            parts=parts,
            authority=self.authority,
            audit=self.audit,
            clock=self.clock,
            wall=self.clock,
            times=self.times,
        )
        self._watch(randomness, write_every)
        self._command()

    def _watch(self, randomness: Randomness, write_every: timedelta) -> None:
        self.posts = RecordingSender()
        self.sealing_key = SealingKey.create(self.folder, randomness)
        ground = WatchGround(
            self.database,
            self.registry,
            self.standings,
            self.sealing_key,
            self.audit,
            self.clock,
            self.clock,
            randomness,
        )
        found = build_findings(ground, self.posts)
        self.detections, self.incidents, self.webhooks = found.detections, found.incidents, found.webhooks
        self.outcomes, self.expiry = found.outcomes, found.expiry
        self.alarms = DeviceAlarms(audit=self.audit, notices=self.notices, outlet=self.webhooks)
        fleet = build_watch(ground, self.alarms, self.licences, write_every)
        self.fleet, self.check_ins, self.freshness = fleet.reader, fleet.check_ins, fleet.freshness
        self.fleet_counters, self.remembered, self.news = fleet.counters, fleet.remembered, fleet.news
        pass_news_on(self.database, MemoryBus(), fleet.news)

    def _command(self) -> None:
        ground = CommandGround(
            database=self.database,
            registry=self.registry,
            access=self.licences,
            audit=self.audit,
            clock=self.clock,
            watch=self.outcomes,
        )
        self.commands, self.campaigns = CommandService(ground), Campaigns(ground)
        self.devices = DeviceService(
            database=self.database,
            registry=self.registry,
            licences=self.licences,
            authority=self.authority,
            commands=self.commands,
            alarm=self.alarms,
            audit=self.audit,
            clock=self.clock,
        )
        self.diagnostics = DiagnosticsService(
            database=self.database,
            audit=self.audit,
            clock=self.clock,
            commands=self.commands,
            sealer=SealingKey.create(self.folder, SystemRandomness()),
        )

    async def customer(self, seats: int = 3, *, renewal: Renewal = Renewal.OFF, max_devices: int = 0) -> Customer:
        """A new organisation on a plan with so many seats, and its activation key."""
        plan = Plan(
            plan_id=f"test-{seats}",
            catalog_version=next(self._catalog_versions),
            name=f"Test {seats}",
            devices=seats,
            terms=(Term.MONTHLY,),
            grace=GRACE,
            ended_after=ENDED_AFTER,
            features={Os.LINUX: FEATURES},
        )
        async with self.database.transaction() as uow:
            await self.catalog.apply(uow, Catalog(plan.catalog_version, (plan,)))
            organisation = await self.accounts.create_organisation(uow, name="Some household")
            state = await self.subscriptions.create(
                uow, org_id=organisation.org_id, plan_id=plan.plan_id, term=Term.MONTHLY, renewal=renewal
            )
            wish = KeyWish(subscription_id=state.subscription.subscription_id, max_devices=max_devices)
            issued = await self.key_desk.issue_within(uow, organisation.org_id, wish)
        person = PersonPrincipal("usr_1", organisation.org_id, Role.ADMIN, "tok_1")
        return Customer(person, state.subscription.subscription_id, issued.key.key_id, issued.raw)

    async def release(self, customer: Customer, seat_or_device_id: str, reason: str = "") -> Seat:
        """Release a seat as its owner does."""
        return await self.seat_desk.release(customer.person, wish_for(seat_or_device_id, reason))

    async def provide(self, customer: Customer, seats: int) -> None:
        """Change how many seats the plan covers, as a change of plan does."""
        async with self.database.transaction() as uow:
            await self.allotments.provide(
                uow,
                org_id=customer.org_id,
                subscription_id=customer.subscription_id,
                seats=seats,
                now=self.clock.now(),
            )

    async def activate(
        self, customer: Customer, device_key: DeviceKey | None = None, *, name: str = "laptop"
    ) -> Activated:
        """Activate a device, a new one unless its key is given."""
        return await self.licensing.activate(
            activation(customer.raw_key, device_key if device_key is not None else DeviceKey(), name=name)
        )


def wish_for(seat_or_device_id: str, reason: str = "") -> SeatWish:
    """What a person wants done with a seat, each time anew."""
    return SeatWish(seat_or_device_id, reason, new_id(SystemRandomness(), "test"))


def activation(
    raw_key: str,
    device_key: DeviceKey,
    *,
    name: str = "laptop",
    fingerprint: frozenset[FingerprintComponent] = ONE_IMAGE,
) -> Activation:
    """What a device asks for; unless told otherwise all are copies of one image, which proves nothing."""
    return Activation(
        untrusted_key=raw_key,
        untrusted_certificate_request=device_key.certificate_request(),
        device_name=name,
        platform=LINUX,
        fingerprint=fingerprint,
    )


def principal_of(activated: Activated) -> DevicePrincipal:
    """The device as its certificate will name it."""
    device = activated.device
    return DevicePrincipal(device.device_id, device.org_id, device.public_key_sha256)


@asynccontextmanager
async def world_on_sqlite(folder: Path) -> AsyncIterator[World]:
    """A world on a fresh SQLite database."""
    database = Database(await migrated_sqlite(folder / "server.db"))
    try:
        yield World(database, folder)
    finally:
        await database.close()
