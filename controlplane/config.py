"""Where an installation lives and which database it uses, read once at start."""

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from controlplane.retention.rules import Periods, periods_of
from controlplane.runtime.refusal import Kind, Refusal

DATA_DIR_VARIABLE = "BUCKLER_SERVER_DATA_DIR"
#: Overrides what `init` wrote, so that a password need not stand in a file.
DATABASE_URL_VARIABLE = "BUCKLER_SERVER_DATABASE_URL"
#: Secrets stand in no file of ours: whoever starts the service hands them over.
STRIPE_KEY_VARIABLE = "BUCKLER_SERVER_STRIPE_KEY"
#: Separated by commas; two while one replaces the other.
WEBHOOK_SECRETS_VARIABLE = "BUCKLER_SERVER_STRIPE_WEBHOOK_SECRETS"
MAIL_SIGN_IN_VARIABLE = "BUCKLER_SERVER_SMTP_PASSWORD"
#: Replaces `[bus] url`, for the same reason.
BUS_URL_VARIABLE = "BUCKLER_SERVER_BUS_URL"
#: OpenTelemetry's own, which its exporter reads.
COLLECTOR_VARIABLES = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_DRIVERS = {"sqlite+aiosqlite", "postgresql+asyncpg"}
_SETTINGS_TEXT = """\
# Written by `buckler-server init`; its presence says that this directory is complete.
format = 1

[database]
{url_line}
"""


class _DatabaseSettings(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    # Left out: SQLite in the data directory, wherever that is moved.
    url: Annotated[str, Field(min_length=1)] | None = None


class _BillingSettings(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    provider: Literal["manual", "stripe"] = "manual"
    # Printed on every invoice.
    seller: Annotated[str, Field(min_length=1, max_length=200)] = "Buckler"
    seller_address: Annotated[list[Annotated[str, Field(max_length=200)]], Field(max_length=10)] = []
    # Where customers come back to from their bank.
    return_url: str = ""
    # Left out: Stripe itself.
    stripe_api_base: str | None = None


class _MailSettings(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    # Left out: mails are written as files into the data directory.
    host: Annotated[str, Field(max_length=255)] = ""
    port: Annotated[int, Field(ge=1, le=65_535)] = 587
    sender: Annotated[str, Field(pattern=r"^[^@\s<>]+@[^@\s<>]+$", max_length=254)] = "buckler@localhost"
    username: Annotated[str, Field(max_length=255)] = ""
    # Without TLS: only for a mail server on this machine.
    plain: bool = False

    @model_validator(mode="after")
    def _plain_stays_here(self) -> Self:
        if self.plain and self.host not in {"localhost", "127.0.0.1", "::1"}:
            raise ValueError("plain: only a mail server on this machine is spoken to without TLS")
        return self


class _BusSettings(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    # `auto`: NATS when there is an address of one, else PostgreSQL when the database is one, else memory, which is
    # right for one process.
    kind: Literal["auto", "memory", "postgresql", "nats"] = "auto"
    # Of the NATS servers, separated by commas.
    url: Annotated[str, Field(max_length=2_000)] = ""
    # Reports of devices are acknowledged when JetStream has them; only with NATS.
    buffer_detections: bool = False


class _LogSettings(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    format: Literal["text", "json"] = "text"
    # `all`: a line for each call; else only for those that are refused, fail or take long.
    calls: Literal["unusual", "all"] = "unusual"


class _TelemetrySettings(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    # Of a collector that takes OTLP over HTTP; left out: nobody follows, unless OpenTelemetry's own variable says so.
    endpoint: Annotated[str, Field(pattern=r"^https?://\S+$", max_length=2_000)] | None = None


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    format: Literal[1]
    database: _DatabaseSettings = _DatabaseSettings()
    billing: _BillingSettings = _BillingSettings()
    mail: _MailSettings = _MailSettings()
    bus: _BusSettings = _BusSettings()
    # Days, or "forever", by the name of a rule in `retention.rules`.
    retention: dict[str, int | str] = {}
    log: _LogSettings = _LogSettings()
    telemetry: _TelemetrySettings = _TelemetrySettings()


@dataclass(frozen=True, slots=True)
class DataDir:
    """The files of an installation."""

    path: Path

    @property
    def settings(self) -> Path:
        """Written last by `init`."""
        return self.path / "server.toml"

    @property
    def unfinished(self) -> Path:
        """There while `init` works: what lies beside it was never used."""
        return self.path / "init.unfinished"

    @property
    def keys(self) -> Path:
        """Private keys; nobody else can enter."""
        return self.path / "keys"

    @property
    def authorities(self) -> Path:
        """What clients need to trust this server: for everybody to read."""
        return self.path / "ca.pem"

    @property
    def database(self) -> Path:
        """The embedded database."""
        return self.path / "server.db"

    @property
    def mail(self) -> Path:
        """Mails as files, unless there is a mail server."""
        return self.path / "mail"

    @property
    def is_initialised(self) -> bool:
        """Whether `init` came to its end here."""
        return self.settings.exists()


@dataclass(frozen=True, slots=True)
class BillingConfig:
    """Who sells, and who moves the money.

    Attributes:
        provider: `manual` or `stripe`.
        seller: Name and lines of an address.
        return_url: Where customers come back to from their bank; empty: nowhere.
        stripe_api_base: None: Stripe itself.
        secret_key: Of the account at the provider.
        webhook_secrets: Signing secrets of its webhooks.
    """

    provider: str = "manual"
    seller: tuple[str, ...] = ("Buckler",)
    return_url: str = ""
    stripe_api_base: str | None = None
    secret_key: str = field(default="", repr=False)
    webhook_secrets: tuple[str, ...] = field(default=(), repr=False)

    @property
    def moves_real_money(self) -> bool:
        """Whether a charge may end on somebody's statement: the provider's keys say when it does not."""
        return self.provider != "manual" and not self.secret_key.startswith(("sk_test_", "rk_test_"))


@dataclass(frozen=True, slots=True)
class MailConfig:
    """How customers are written to.

    Attributes:
        host: Of the mail server; empty: mails become files.
        port: 465 speaks TLS from the start, others are asked for STARTTLS.
        sender: Address that mails come from.
        username: Empty: no sign-in.
        plain: Without TLS.
    """

    host: str = ""
    port: int = 587
    sender: str = "buckler@localhost"
    username: str = ""
    plain: bool = False
    password: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class BusConfig:
    """How replicas tell each other that there is something new.

    Attributes:
        kind: `memory`, `postgresql` or `nats`.
        url: Of the NATS servers; may hold a password.
        buffer_detections: Whether reports of devices wait in JetStream for the database.
    """

    kind: str = "memory"
    url: str = field(default="", repr=False)
    buffer_detections: bool = False


@dataclass(frozen=True, slots=True)
class LogConfig:
    """What is written to the log, and how.

    Attributes:
        format: `text` or `json`.
        calls: `unusual` or `all`.
    """

    format: str = "text"
    calls: str = "unusual"


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """Everything that is read before anything is built.

    Attributes:
        collector: Where spans are sent (OTLP over HTTP); empty: as OpenTelemetry's own variables say; None: nowhere.
    """

    data_dir: DataDir
    database_url: str
    billing: BillingConfig = BillingConfig()
    mail: MailConfig = MailConfig()
    bus: BusConfig = BusConfig()
    periods: Periods = field(default_factory=lambda: periods_of({}))
    log: LogConfig = LogConfig()
    collector: str | None = None


def default_data_dir(environment: Mapping[str, str], *, is_root: bool) -> Path:
    """Where an installation lives unless told otherwise."""
    if is_root:
        return Path("/var/lib/buckler-server")
    data_home = environment.get("XDG_DATA_HOME", "")
    return (Path(data_home) if data_home else Path.home() / ".local" / "share") / "buckler-server"


def embedded_database_url(data_dir: DataDir) -> str:
    """SQLite in the data directory."""
    return f"sqlite+aiosqlite:///{data_dir.database.absolute()}"


def check_database_url(url: str) -> str:
    """The URL, if it is one that we can open.

    Raises:
        Refusal: DATABASE_URL_INVALID; the message never repeats the URL, it may hold a password.
    """
    # Late, so that `buckler-server --help` need not wait for it.
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        driver = make_url(url).drivername
    except ArgumentError:
        driver = ""
    if driver not in _DRIVERS:
        raise Refusal(
            Kind.INVALID,
            "DATABASE_URL_INVALID",
            "the database URL is not one that this server can open",
            "Use postgresql+asyncpg://USER:PASSWORD@HOST/NAME, or leave it out for the embedded SQLite",
        )
    return url


def settings_text(database_url: str | None) -> str:
    """Content of the settings file; None: the embedded database."""
    if database_url is None:
        return _SETTINGS_TEXT.format(url_line='# url = "postgresql+asyncpg://USER:PASSWORD@HOST/NAME"')
    quoted = database_url.replace("\\", "\\\\").replace('"', '\\"')
    return _SETTINGS_TEXT.format(url_line=f'url = "{quoted}"')


def read_config(path: Path, environment: Mapping[str, str] | None = None) -> ServerConfig:
    """Read an installation's settings.

    Args:
        path: The data directory.
        environment: By default the process's own.

    Raises:
        Refusal: NOT_INITIALISED, SETTINGS_INVALID, DATA_DIR_UNREADABLE, DATABASE_URL_INVALID, STRIPE_KEY_MISSING,
            BUS_INVALID or RETENTION_INVALID.
    """
    environment = os.environ if environment is None else environment
    data_dir = DataDir(path)
    try:
        settings = _Settings.model_validate(tomllib.loads(data_dir.settings.read_text(encoding="utf-8")))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise Refusal(
            Kind.ENVIRONMENT,
            "NOT_INITIALISED",
            f"there is no control plane in {path}",
            f"Make one: buckler-server init --data-dir {path}",
            facts={"data_dir": str(path)},
        ) from error
    except PermissionError as error:
        raise Refusal(
            Kind.ENVIRONMENT,
            "DATA_DIR_UNREADABLE",
            f"this user may not read {data_dir.settings}",
            "Run as the user that owns the data directory",
            facts={"data_dir": str(path)},
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, ValidationError) as error:
        raise Refusal(
            Kind.ENVIRONMENT,
            "SETTINGS_INVALID",
            f"the settings in {data_dir.settings} are not valid: {_first_line(error)}",
            "Correct the file; `init` writes a good one into an empty folder, to compare with",
            facts={"file": str(data_dir.settings)},
        ) from error
    url = environment.get(DATABASE_URL_VARIABLE) or settings.database.url or embedded_database_url(data_dir)
    mail = MailConfig(**settings.mail.model_dump(), password=environment.get(MAIL_SIGN_IN_VARIABLE, "").strip())
    bus = _bus(settings.bus, check_database_url(url), environment)
    return ServerConfig(
        data_dir,
        url,
        _billing(settings.billing, environment),
        mail,
        bus,
        periods_of(settings.retention),
        LogConfig(**settings.log.model_dump()),
        _collector(settings, environment),
    )


def _bus(settings: _BusSettings, database_url: str, environment: Mapping[str, str]) -> BusConfig:
    on_postgresql = database_url.startswith("postgresql")
    kind = settings.kind
    url = environment.get(BUS_URL_VARIABLE, "").strip() or settings.url
    if kind == "auto":
        kind = "nats" if url else "postgresql" if on_postgresql else "memory"
    bus = BusConfig(kind, url, settings.buffer_detections)
    if kind == "postgresql" and not on_postgresql:
        raise _bus_invalid("needs the database to be PostgreSQL", 'leave it out, or write kind = "nats"')
    if kind == "nats" and not bus.url:
        raise _bus_invalid("needs the address of a NATS server", f"write [bus] url, or set {BUS_URL_VARIABLE}")
    if bus.buffer_detections and kind != "nats":
        raise _bus_invalid("buffers detections, which only NATS with JetStream can", 'write kind = "nats"')
    return bus


def _collector(settings: _Settings, environment: Mapping[str, str]) -> str | None:
    if settings.telemetry.endpoint:
        return settings.telemetry.endpoint
    return "" if any(environment.get(name) for name in COLLECTOR_VARIABLES) else None


def _bus_invalid(why: str, next_step: str) -> Refusal:
    return Refusal(Kind.ENVIRONMENT, "BUS_INVALID", f"the bus in the settings {why}", f"In server.toml {next_step}")


def _billing(settings: _BillingSettings, environment: Mapping[str, str]) -> BillingConfig:
    secrets = environment.get(WEBHOOK_SECRETS_VARIABLE, "").split(",")
    billing = BillingConfig(
        provider=settings.provider,
        seller=(settings.seller, *settings.seller_address),
        return_url=settings.return_url,
        stripe_api_base=settings.stripe_api_base,
        secret_key=environment.get(STRIPE_KEY_VARIABLE, "").strip(),
        webhook_secrets=tuple(secret.strip() for secret in secrets if secret.strip()),
    )
    if billing.provider == "stripe" and not billing.secret_key:
        raise Refusal(
            Kind.ENVIRONMENT,
            "STRIPE_KEY_MISSING",
            "payments go through Stripe, but its secret key is not in the environment",
            f"Set {STRIPE_KEY_VARIABLE} for this service, from a file that only it can read",
            facts={"variable": STRIPE_KEY_VARIABLE},
        )
    return billing


def _first_line(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False, include_input=False)[0]
        return f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}"
    return str(error).splitlines()[0]
