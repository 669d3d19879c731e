"""The composition root: builds every part of the control plane once, in order, and hands each its dependencies.

Nothing else builds dependencies, and nothing else may import `controlplane.keys`. Who uses it: `installation` (init),
`serving` (serve, jobs run) and the commands of `buckler-server`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from importlib import resources
from pathlib import Path
from typing import TypedDict

from controlplane.accounts.audit import AuditLog
from controlplane.accounts.factors import SecondFactors
from controlplane.accounts.passwords import Argon2Passwords, Passwords
from controlplane.accounts.people import PeopleDesk
from controlplane.accounts.ports import Sealer
from controlplane.accounts.rpc import AccountDesks
from controlplane.accounts.service import AccountService
from controlplane.accounts.sign_in import SignIn
from controlplane.accounts.tokens import Tokens
from controlplane.billing.document import Party
from controlplane.billing.invoicing import Invoicing
from controlplane.billing.payments import Payments
from controlplane.billing.ports import BillingListener, ChargeGate, Outside, PaymentProvider
from controlplane.billing.providers.manual import ManualProvider
from controlplane.billing.refund_desk import RefundDesk
from controlplane.billing.refund_policy import read_policies
from controlplane.billing.refunds import Refunds
from controlplane.billing.service import BillingService
from controlplane.billing.wallet import Wallet
from controlplane.catalog.service import CatalogService
from controlplane.commands.campaigns import Campaigns
from controlplane.commands.service import CommandGround, CommandService
from controlplane.config import BillingConfig, MailConfig
from controlplane.connecting import pass_news_on
from controlplane.devices.assembly import Fleet
from controlplane.devices.contact import DeviceContacts
from controlplane.devices.fleet.standings import Standings
from controlplane.devices.registry import DeviceRegistry
from controlplane.devices.service import DeviceService
from controlplane.diagnostics.service import DiagnosticsService
from controlplane.downloads.service import DownloadService
from controlplane.findings import DeviceAlarms, Findings, WatchGround, build_findings, build_watch
from controlplane.keys import authority, authority_root, root
from controlplane.keys.authority import CertificateAuthority
from controlplane.keys.root import RootKey
from controlplane.keys.sealing import SealingKey
from controlplane.keys.signing import EntitlementKeys
from controlplane.licensing.allotments import Allotments
from controlplane.licensing.issuing import EntitlementIssuer
from controlplane.licensing.key_desk import KeyDesk
from controlplane.licensing.keys import ActivationKeys
from controlplane.licensing.licences import DeviceLicences
from controlplane.licensing.parts import LicensingParts
from controlplane.licensing.seat_desk import SeatDesk
from controlplane.licensing.seating import Seating
from controlplane.licensing.seats import Seats
from controlplane.licensing.service import LicensingService
from controlplane.notices.mail import Mail, MailFolder, MailHeld, SmtpMail, SmtpSettings
from controlplane.notices.service import NoticeService
from controlplane.policies.service import PolicyService
from controlplane.runtime.bus.memory import MemoryBus
from controlplane.runtime.bus.port import Bus
from controlplane.runtime.clock import Clock, SystemClock, TenantClock
from controlplane.runtime.private_files import make_private_folder
from controlplane.runtime.randomness import Randomness, SystemRandomness
from controlplane.runtime.refusal import Kind, Refusal
from controlplane.runtime.tenant_time import TenantTimes
from controlplane.storage.database import Database
from controlplane.subscription_terms import TermsReader
from controlplane.subscriptions.charging import Charging
from controlplane.subscriptions.desk import SubscriptionDesk
from controlplane.subscriptions.ports import SeatBook
from controlplane.subscriptions.quote_desk import QuoteDesk
from controlplane.subscriptions.retail import Retail
from controlplane.subscriptions.selling import Selling
from controlplane.subscriptions.service import SubscriptionService
from controlplane.subscriptions.steps import Lifecycle


@dataclass(frozen=True, slots=True)
class Keys:
    """What signs certificates and entitlements, and what seals people's secrets."""

    authority: CertificateAuthority
    signer: EntitlementKeys
    sealer: SealingKey


@dataclass(frozen=True, slots=True)
class Clocks:
    """Two times: certificates, sessions and claims follow the wall, everything else the business."""

    wall: Clock
    business: Clock


class _Usual(TypedDict):
    database: Database
    audit: AuditLog
    clock: Clock


class _WithIds(_Usual):
    randomness: Randomness


@dataclass(frozen=True, slots=True)
class Ground:
    """What nearly everything stands on. The builders here know it; what they build is handed what it uses of it."""

    database: Database
    clocks: Clocks
    randomness: Randomness
    audit: AuditLog

    def usual(self) -> _Usual:
        """By name, for what keeps the business's time."""
        return {"database": self.database, "audit": self.audit, "clock": self.clocks.business}

    def with_ids(self) -> _WithIds:
        """The same, for what gives out ids, too."""
        return {**self.usual(), "randomness": self.randomness}


@dataclass(frozen=True, slots=True)
class Commerce:
    """Who sells, who moves the money, and how customers are written to."""

    seller: Party
    provider: PaymentProvider
    mail: Mail = field(default_factory=MailHeld)


def mail_of(config: MailConfig, folder: Path) -> Mail:
    """As the installation was configured: a mail server, or files in a folder."""
    if not config.host:
        return MailFolder(folder, config.sender)
    return SmtpMail(
        SmtpSettings(config.host, config.port, config.sender, config.username, config.password, plain=config.plain)
    )


def commerce_of(config: BillingConfig, mail: Mail | None = None) -> Commerce:
    """As the installation was configured; None: no mail leaves, notices wait.

    Raises:
        Refusal: STRIPE_NOT_INSTALLED.
    """
    seller = Party(config.seller[0], config.seller[1:])
    mail = mail or MailHeld()
    if config.provider == "manual":
        return Commerce(seller, ManualProvider(), mail)
    try:
        # Late: an optional library, and a large one.
        from controlplane.billing.providers.stripe_api import StripeProvider, StripeSettings
    except ModuleNotFoundError as error:
        raise Refusal(
            Kind.ENVIRONMENT,
            "STRIPE_NOT_INSTALLED",
            "payments go through Stripe, but its library is not installed",
            "Install it: pip install 'buckler[stripe]'",
        ) from error
    settings = StripeSettings(
        secret_key=config.secret_key,
        webhook_secrets=config.webhook_secrets,
        api_base=config.stripe_api_base,
        return_url=config.return_url,
    )
    return Commerce(seller, StripeProvider(settings), mail)


@dataclass(frozen=True, slots=True)
class Billing:
    """The room of billing, built. Whoever wants to hear of invoices is added to `listeners` while building."""

    service: BillingService
    payments: Payments
    refunds: Refunds
    desk: RefundDesk
    wallet: Wallet
    listeners: list[BillingListener]


@dataclass(frozen=True, slots=True)
class Lives:
    """What happens to subscriptions, by themselves and by people, and what is told of it; built."""

    lifecycle: Lifecycle
    charging: Charging
    desk: SubscriptionDesk
    quotes: QuoteDesk
    selling: Selling
    retail: Retail
    notices: NoticeService


@dataclass(frozen=True, slots=True)
class ControlPlane:
    """Everything, built."""

    database: Database
    clocks: Clocks
    times: TenantTimes
    randomness: Randomness
    keys: Keys
    audit: AuditLog
    accounts: AccountService
    account_desks: AccountDesks
    catalog: CatalogService
    billing: Billing
    subscriptions: SubscriptionService
    lives: Lives
    licensing: LicensingService
    key_desk: KeyDesk
    seat_desk: SeatDesk
    seating: Seating
    issuer: EntitlementIssuer
    devices: DeviceService
    fleet: Fleet
    findings: Findings
    commands: CommandService
    campaigns: Campaigns
    policies: PolicyService
    diagnostics: DiagnosticsService
    downloads: DownloadService
    bus: Bus


def system_clocks() -> Clocks:
    """Business as the machine says, ahead of it where a sandbox is at work."""
    wall = SystemClock()
    return Clocks(wall, TenantClock(wall))


def create_keys(folder: Path, hostnames: Sequence[str]) -> Keys:
    """Make every key of a new installation."""
    make_private_folder(folder)
    wall, randomness = SystemClock(), SystemRandomness()
    issuing = CertificateAuthority.create(folder, hostnames=hostnames, wall=wall, randomness=randomness)
    signer = EntitlementKeys.create(folder, wall, RootKey.create(folder / root.FILE_NAME))
    return Keys(issuing, signer, SealingKey.create(folder, randomness))


def is_host_name(name: str) -> bool:
    """Whether a server certificate can be made out to it."""
    return authority.is_host_name(name)


def load_keys(folder: Path) -> Keys:
    """Read the keys of an installation.

    Raises:
        Refusal: KEY_FILE_MISSING, KEY_FILE_UNREADABLE, KEY_FILE_EXPOSED or KEY_FILE_DAMAGED.
    """
    randomness = SystemRandomness()
    issuing = CertificateAuthority.load(folder, wall=SystemClock(), randomness=randomness)
    return Keys(issuing, EntitlementKeys.load(folder), SealingKey.load(folder, randomness))


def build_account_desks(
    ground: Ground, *, accounts: AccountService, passwords: Passwords, sealer: Sealer
) -> AccountDesks:
    """Build what people do about themselves and each other."""
    database, wall, randomness, audit = ground.database, ground.clocks.wall, ground.randomness, ground.audit
    tokens = Tokens(database=database, wall=wall, randomness=randomness, audit=audit)
    factors = SecondFactors(wall=wall, randomness=randomness, sealer=sealer, audit=audit)
    sign_in = SignIn(
        database=database,
        wall=wall,
        accounts=accounts,
        passwords=passwords,
        factors=factors,
        tokens=tokens,
        audit=audit,
    )
    people = PeopleDesk(
        database=database,
        wall=wall,
        randomness=randomness,
        accounts=accounts,
        factors=factors,
        tokens=tokens,
        audit=audit,
    )
    return AccountDesks(accounts, sign_in, tokens, people)


def _build_accounts(ground: Ground, keys: Keys) -> tuple[AccountService, AccountDesks]:
    passwords = Argon2Passwords()
    accounts = AccountService(
        wall=ground.clocks.wall, randomness=ground.randomness, passwords=passwords, audit=ground.audit
    )
    return accounts, build_account_desks(ground, accounts=accounts, passwords=passwords, sealer=keys.sealer)


def build_billing(ground: Ground, *, accounts: AccountService, commerce: Commerce, gate: ChargeGate) -> Billing:
    """Build the room of billing."""
    database, clock, times = ground.database, ground.clocks.business, TenantTimes(ground.database)
    policies = read_policies(resources.files("controlplane.billing").joinpath("refund_policies.toml").read_bytes())
    listeners: list[BillingListener] = []
    outside = Outside(commerce.provider, gate, listeners)
    invoicing = Invoicing(
        clock=clock,
        randomness=ground.randomness,
        audit=ground.audit,
        accounts=accounts,
        seller=commerce.seller,
        refund_policy=policies[-1].version,
    )
    refunds = Refunds(**ground.with_ids(), invoicing=invoicing, outside=outside)
    payments = Payments(**ground.with_ids(), invoicing=invoicing, refunds=refunds, outside=outside, times=times)
    service = BillingService(
        database=database,
        wall=ground.clocks.wall,
        invoicing=invoicing,
        payments=payments,
        refunds=refunds,
        outside=outside,
        times=times,
    )
    desk = RefundDesk(database=database, clock=clock, invoicing=invoicing, refunds=refunds, policies=policies)
    wallet = Wallet(**ground.with_ids(), invoicing=invoicing, payments=payments, provider=commerce.provider)
    return Billing(service, payments, refunds, desk, wallet, listeners)


def _build_money(ground: Ground, *, accounts: AccountService, commerce: Commerce) -> tuple[NoticeService, Billing]:
    """Notices, and billing behind the gate that they are."""
    notices = NoticeService(**ground.with_ids(), accounts=accounts, mail=commerce.mail)
    return notices, build_billing(ground, accounts=accounts, commerce=commerce, gate=notices)


def build_lives(
    ground: Ground, *, catalog: CatalogService, billing: Billing, notices: NoticeService, seats: SeatBook
) -> tuple[SubscriptionService, Lives]:
    """Build the room of subscriptions, and have it hear of their invoices."""
    database, clock = ground.database, ground.clocks.business
    charging = Charging(**ground.usual(), catalog=catalog, billing=billing.service, notices=notices, seats=seats)
    billing.listeners.append(charging)
    subscriptions = SubscriptionService(**ground.with_ids(), catalog=catalog, seats=seats)
    lifecycle = Lifecycle(
        database=database,
        clock=clock,
        catalog=catalog,
        charging=charging,
        billing=billing.service,
        wallet=billing.wallet,
        notices=notices,
        activity=DeviceContacts(),
    )
    desk = SubscriptionDesk(
        database=database,
        clock=clock,
        subscriptions=subscriptions,
        charging=charging,
        billing=billing.service,
        notices=notices,
        seats=seats,
    )
    quotes = QuoteDesk(
        database=database,
        clock=clock,
        randomness=ground.randomness,
        catalog=catalog,
        subscriptions=subscriptions,
        charging=charging,
        billing=billing.service,
        wallet=billing.wallet,
        notices=notices,
        seats=seats,
    )
    selling = Selling(clock=clock, catalog=catalog, subscriptions=subscriptions, charging=charging, audit=ground.audit)
    retail = Retail(clock=clock, catalog=catalog, subscriptions=subscriptions, charging=charging)
    return subscriptions, Lives(lifecycle, charging, desk, quotes, selling, retail, notices)


def _build_licensing(
    ground: Ground,
    registry: DeviceRegistry,
    allotments: Allotments,
    seats: Seats,
    subscriptions: SubscriptionService,
    issuer: EntitlementIssuer,
    notices: NoticeService,
) -> LicensingParts:
    """What the use cases of licensing share."""
    clock, terms = ground.clocks.business, TermsReader(subscriptions)
    return LicensingParts(
        registry=registry,
        keys=ActivationKeys(ground.randomness),
        allotments=allotments,
        seats=seats,
        seating=Seating(database=ground.database, allotments=allotments, seats=seats, notices=notices, clock=clock),
        terms=terms,
        issuer=issuer,
        licences=DeviceLicences(seats=seats, terms=terms, issuer=issuer, clock=clock),
        notices=notices,
    )


def _build_devices(
    ground: Ground, keys: Keys, parts: LicensingParts, commands: CommandService, alarms: DeviceAlarms
) -> DeviceService:
    return DeviceService(
        registry=parts.registry,
        licences=parts.licences,
        authority=keys.authority,
        commands=commands,
        alarm=alarms,
        **ground.usual(),
    )


def build(
    database: Database, keys: Keys, clocks: Clocks, commerce: Commerce | None = None, bus: Bus | None = None
) -> ControlPlane:
    """Build the control plane, from the ground up.

    Args:
        database: Migrated.
        keys: What signs.
        clocks: The two times.
        commerce: None: by bank transfer.
        bus: To the replicas; None: there are none.
    """
    bus = bus or MemoryBus()
    randomness = SystemRandomness()
    clock, times = clocks.business, TenantTimes(database)
    audit = AuditLog(clock, randomness)
    ground = Ground(database, clocks, randomness, audit)
    usual = ground.usual()
    accounts, account_desks = _build_accounts(ground, keys)
    notices, billing = _build_money(ground, accounts=accounts, commerce=commerce or commerce_of(BillingConfig()))
    catalog = CatalogService(clock)
    standings = Standings(randomness)
    registry = DeviceRegistry(randomness, standings)
    allotments = Allotments(notices)
    seats = Seats(allotments, registry, audit, randomness)
    subscriptions, lives = build_lives(ground, catalog=catalog, billing=billing, notices=notices, seats=allotments)
    issuer = EntitlementIssuer(database, keys.signer, clock)
    parts = _build_licensing(ground, registry, allotments, seats, subscriptions, issuer, notices)
    licences = parts.licences
    watched = WatchGround(database, registry, standings, keys.sealer, audit, clock, clocks.wall, randomness)
    findings = build_findings(watched)
    commanding = CommandGround(registry=registry, access=licences, watch=findings.outcomes, **usual)
    commands = CommandService(commanding)
    alarms = DeviceAlarms(audit=audit, notices=notices, outlet=findings.webhooks)
    fleet = build_watch(watched, alarms, licences)
    pass_news_on(database, bus, fleet.news)
    return ControlPlane(
        database=database,
        clocks=clocks,
        times=times,
        randomness=randomness,
        keys=keys,
        audit=audit,
        accounts=accounts,
        account_desks=account_desks,
        catalog=catalog,
        billing=billing,
        subscriptions=subscriptions,
        lives=lives,
        licensing=LicensingService(parts=parts, authority=keys.authority, wall=clocks.wall, times=times, **usual),
        key_desk=KeyDesk(parts=parts, **usual),
        seat_desk=SeatDesk(parts=parts, **usual),
        seating=parts.seating,
        issuer=issuer,
        devices=_build_devices(ground, keys, parts, commands, alarms),
        fleet=fleet,
        findings=findings,
        commands=commands,
        campaigns=Campaigns(commanding),
        policies=PolicyService(registry=registry, **usual),
        diagnostics=DiagnosticsService(commands=commands, sealer=keys.sealer, **usual),
        downloads=DownloadService(clock, subscriptions),
        bus=bus,
    )


# ---------------------------------------------------------------- keys that sign


def rotate_signing_key(folder: Path, root_key: Path, signs_in: timedelta) -> EntitlementKeys:
    """Publish a new signing key that takes over after a while; servers read it when they start.

    Raises:
        Refusal: ROTATION_PENDING, ROOT_KEY_OTHER, or what is wrong with a key file.
    """
    now = SystemClock().now()
    keys = EntitlementKeys.load(folder)
    return keys.rotated(folder, RootKey.load(root_key), now=now, signs_from=now + signs_in)


def revoke_signing_key(folder: Path, root_key: Path, kid: str) -> EntitlementKeys:
    """Revoke a signing key for good; servers read it when they start.

    Raises:
        Refusal: SIGNING_KEY_NOT_FOUND, ROOT_KEY_OTHER, or what is wrong with a key file.
    """
    return EntitlementKeys.load(folder).without(kid, folder, RootKey.load(root_key), now=SystemClock().now())


def signing_keys(folder: Path) -> EntitlementKeys:
    """The signing keys of an installation."""
    return EntitlementKeys.load(folder)


def root_key_file(folder: Path) -> Path:
    """Where `init` leaves the root key, until it is moved away."""
    return folder / root.FILE_NAME


def certificate_authority(folder: Path) -> CertificateAuthority:
    """The issuers of certificates of an installation, to be shown, rotated and revoked.

    Raises:
        Refusal: KEY_FILE_MISSING, KEY_FILE_UNREADABLE, KEY_FILE_EXPOSED or KEY_FILE_DAMAGED.
    """
    return CertificateAuthority.load(folder, wall=SystemClock(), randomness=SystemRandomness())


def authority_root_file(folder: Path) -> Path:
    """Where `init` leaves the root of certificates, until it is moved away."""
    return folder / authority_root.FILE_NAME
