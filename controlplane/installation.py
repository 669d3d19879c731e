"""Makes an installation: keys, database, catalog and, if wished, a first customer.

Everything is made beside a mark that says "unfinished"; the settings file comes last and makes it real. An `init` that
was interrupted has never been served, so the next one begins again; a finished one is never touched.
"""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources

from sqlalchemy import func, select

from controlplane import app
from controlplane.accounts.errors import email_invalid
from controlplane.accounts.model import OrganisationKind, normalise_email
from controlplane.accounts.passwords import made_up_password
from controlplane.accounts.tables import organisations
from controlplane.catalog.document import Catalog, read_catalog
from controlplane.catalog.model import Term
from controlplane.config import DataDir, check_database_url, embedded_database_url, settings_text
from controlplane.licensing.key_desk import KeyWish
from controlplane.runtime.principal import OPERATOR_ACTOR, Role, acting_as
from controlplane.runtime.private_files import PRIVATE_FILE_MODE, PRIVATE_FOLDER_MODE, write_private, write_public
from controlplane.runtime.randomness import Randomness
from controlplane.runtime.refusal import Kind, Refusal
from controlplane.storage.database import Database
from controlplane.storage.schema import current_revision, upgrade
from controlplane.subscriptions.model import Renewal
from wire.activation_key import format_activation_key

#: SQLite's own, and those it keeps beside it.
_DATABASE_FILES = ("", "-wal", "-shm", "-journal")


@dataclass(frozen=True, slots=True)
class FirstCustomer:
    """Who is served first.

    Attributes:
        org_name: Of the household or company.
        admin_email: Its first administrator.
        admin_password: As they chose it; None: one is made up and shown once.
        plan_id: A plan of the sample catalog.
        term: How long the first period is.
        org_kind: Household or company.
        sandbox: Whether it has a clock of its own, which its administrators move.
    """

    org_name: str
    admin_email: str
    admin_password: str | None
    plan_id: str
    term: Term
    org_kind: OrganisationKind = OrganisationKind.HOUSEHOLD
    sandbox: bool = False


@dataclass(frozen=True, slots=True)
class Customer:
    """The first customer, as made; the only place where the activation key and a made-up password are seen."""

    org_id: str
    org_name: str
    admin_email: str
    #: None: they chose it themselves.
    made_up_password: str | None
    subscription_id: str
    plan_id: str
    plan_name: str
    seats: int
    activation_key: str


@dataclass(frozen=True, slots=True)
class Installed:
    """What `initialise` made."""

    data_dir: DataDir
    customer: Customer | None


def sample_catalog() -> Catalog:
    """The catalog that a new installation starts with."""
    return read_catalog(resources.files("controlplane.catalog").joinpath("sample_catalog.toml").read_bytes())


async def initialise(
    data_dir: DataDir,
    *,
    hostnames: Sequence[str],
    database_url: str | None,
    first_customer: FirstCustomer | None,
    randomness: Randomness,
) -> Installed:
    """Make an installation.

    Args:
        data_dir: Where; created if it is not there.
        hostnames: Names of this server for its certificate, besides those of this machine itself.
        database_url: None: SQLite in the data directory.
        first_customer: None: nobody yet.
        randomness: For a made-up password.

    Raises:
        Refusal: ALREADY_INITIALISED, DATABASE_IN_USE, HOSTNAME_INVALID, DATA_DIR_UNWRITABLE, or what is wrong with the
            customer. Nothing was changed then, or only what the next `init` replaces.
    """
    _check_names(hostnames)
    if first_customer is not None and normalise_email(first_customer.admin_email) is None:
        raise email_invalid()
    url = embedded_database_url(data_dir) if database_url is None else check_database_url(database_url)
    claim_data_dir(data_dir)
    keys = app.create_keys(data_dir.keys, hostnames)
    write_public(data_dir.authorities, keys.authority.authorities_pem())
    if database_url is None:
        # SQLite would make it with the process's umask; its side files take the mode of this one.
        data_dir.database.touch(mode=PRIVATE_FILE_MODE)
    database = Database(url)
    try:
        await _refuse_used_database(database)
        await upgrade(database)
        plane = app.build(database, keys, app.system_clocks())
        with acting_as(OPERATOR_ACTOR):
            customer = await _fill(plane, first_customer, randomness)
    finally:
        await database.close()
    write_private(data_dir.settings, settings_text(database_url).encode())
    data_dir.unfinished.unlink()
    return Installed(data_dir, customer)


async def _fill(
    plane: app.ControlPlane, first_customer: FirstCustomer | None, randomness: Randomness
) -> Customer | None:
    if first_customer is None:
        async with plane.database.transaction() as uow:
            await plane.catalog.apply(uow, sample_catalog())
        return None
    made_up = None if first_customer.admin_password is not None else made_up_password(randomness)
    password_hash = await plane.accounts.hash_password(made_up or first_customer.admin_password or "")
    async with plane.database.transaction() as uow:
        await plane.catalog.apply(uow, sample_catalog())
        organisation = await plane.accounts.create_organisation(
            uow, name=first_customer.org_name, kind=first_customer.org_kind, sandbox=first_customer.sandbox
        )
        admin = await plane.accounts.create_person(
            uow,
            org_id=organisation.org_id,
            email=first_customer.admin_email,
            password_hash=password_hash,
            role=Role.OWNER,
            initial=made_up is not None,
        )
        # Nobody has told us how to collect money yet: renewal is a decision somebody takes, not one that is promised.
        bought = await plane.subscriptions.create(
            uow,
            org_id=organisation.org_id,
            plan_id=first_customer.plan_id,
            term=first_customer.term,
            renewal=Renewal.OFF,
        )
        wish = KeyWish(subscription_id=bought.subscription.subscription_id)
        key = await plane.key_desk.issue_within(uow, organisation.org_id, wish)
    return Customer(
        org_id=organisation.org_id,
        org_name=organisation.name,
        admin_email=admin.email,
        made_up_password=made_up,
        subscription_id=bought.subscription.subscription_id,
        plan_id=bought.plan.plan_id,
        plan_name=bought.plan.name,
        seats=bought.plan.devices,
        activation_key=format_activation_key(key.raw),
    )


def claim_data_dir(data_dir: DataDir) -> None:
    """Put up the mark; remove what an interrupted `init` left.

    Raises:
        Refusal: ALREADY_INITIALISED or DATA_DIR_UNWRITABLE.
    """
    interrupted = data_dir.unfinished.exists() and not data_dir.is_initialised
    made_by_init = (data_dir.settings, data_dir.keys, data_dir.database)
    if not interrupted and any(path.exists() for path in made_by_init):
        raise Refusal(
            Kind.ENVIRONMENT,
            "ALREADY_INITIALISED",
            f"there is a control plane in {data_dir.path} already; nothing was changed",
            f"Serve it: buckler-server serve --data-dir {data_dir.path}; or choose another folder for a new one",
            facts={"data_dir": str(data_dir.path)},
        )
    try:
        data_dir.path.mkdir(mode=PRIVATE_FOLDER_MODE, parents=True, exist_ok=True)
        data_dir.unfinished.touch(mode=PRIVATE_FILE_MODE)
    except OSError as error:
        raise Refusal(
            Kind.ENVIRONMENT,
            "DATA_DIR_UNWRITABLE",
            f"this user cannot write into {data_dir.path}: {error.strerror}",
            "Choose a folder of your own with --data-dir, or run as the user that owns it",
            facts={"data_dir": str(data_dir.path)},
        ) from error
    if interrupted:
        shutil.rmtree(data_dir.keys, ignore_errors=True)
        for suffix in _DATABASE_FILES:
            data_dir.database.with_name(data_dir.database.name + suffix).unlink(missing_ok=True)


async def _refuse_used_database(database: Database) -> None:
    if await current_revision(database) is None:
        return
    async with database.reading() as connection:
        if await connection.scalar(select(func.count()).select_from(organisations)):
            raise Refusal(
                Kind.ENVIRONMENT,
                "DATABASE_IN_USE",
                "this database belongs to another control plane, whose keys its devices trust; nothing was changed",
                "Give an empty database, or copy the other installation's data directory to here",
            )


def _check_names(hostnames: Sequence[str]) -> None:
    for name in hostnames:
        if not app.is_host_name(name):
            raise Refusal(
                Kind.INVALID,
                "HOSTNAME_INVALID",
                f"{name!r} is neither a host name nor an IP address",
                "Give names as devices will use them, without scheme and port: protect.example.com",
                facts={"hostname": name},
            )
