"""Settings, read once: file, environment and command line become the frozen settings objects that the rooms define.

Precedence, strongest first: command line, environment (`BUCKLER_REALTIME__MODE`), file, defaults. An unknown key or a
wrong value stops the program and names where it stands: a typing error in `roots` must not leave a folder unwatched.
"""

import os
import sys
import tempfile
import tomllib
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ByteSize, ConfigDict, Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, SettingsError

from agent.control.link.settings import LinkSettings
from agent.control.policy.book import ConfiguredPolicy
from agent.domain.consent import Consent
from agent.domain.errors import BucklerError
from agent.domain.governor import ResourceLimits
from agent.domain.policy import Action, Mode
from agent.domain.retention import SHORTEST_NOTICE, RetentionLimits
from agent.domain.schedule import ScanKind, Schedule
from agent.locations import ENV_PREFIX, Locations, Overrides, find_locations, unreadable
from agent.platform.people import home_folder
from agent.realtime.settings import BlockSettings
from agent.realtime.territory import Territory
from agent.scanner.scheduled.settings import ScheduleSettings
from agent.scanner.settings import DEFAULT_CPU_PERCENT, ScannerSettings

_DELIMITER = "__"
#: A worker process per core is the default; more than this is a typing error.
_MAX_WORKERS = 256
#: Openers are people and programs that wait: less is no time for a verdict, more is a machine that hangs.
_SHORTEST_BUDGET_S = 0.5
_LONGEST_BUDGET_S = 60.0
#: A hundred years; more is a typing error.
_MAX_DAYS = 36_525
#: Interpreter and libraries alone need this much, MiB; a smaller limit would never be kept.
_LEAST_MEMORY_MB = 100
_USUAL = ResourceLimits()


@dataclass(frozen=True, slots=True)
class RealtimeChoice:
    """What to watch, and how."""

    roots: tuple[str, ...]
    source: Literal["auto", "fanotify", "watchdog"]
    block: BlockSettings
    reconcile_every_s: float


@dataclass(frozen=True, slots=True)
class AgentConfig:
    """Everything the composition root needs.

    Attributes:
        locations: Where.
        control_plane: `HOST:PORT` for `activate` without `--server`; None: not configured.
        realtime: What to watch.
        scanner: How to scan.
        extra_rules: Rule files and folders beside the installed pack.
        policy: What to do with what is found.
        link: Times of the check-in loop.
        retention: How much the vault keeps.
        resources: What the agent may use of the machine.
        schedule: Scans that nobody asks for.
        diagnostics: What of this device goes out when the control plane asks.
        log_format: `text` or `json`.
    """

    locations: Locations
    control_plane: str | None
    realtime: RealtimeChoice
    scanner: ScannerSettings
    extra_rules: tuple[Path, ...]
    policy: ConfiguredPolicy
    link: LinkSettings = field(default_factory=LinkSettings)
    retention: RetentionLimits = field(default_factory=RetentionLimits)
    resources: ResourceLimits = field(default_factory=ResourceLimits)
    schedule: ScheduleSettings = field(default_factory=ScheduleSettings)
    diagnostics: Consent = Consent.HIDE_PATHS
    log_format: str = "text"


# ---------------------------------------------------------------- the file's shape


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _ControlPlane(_Section):
    address: str | None = None


class _Realtime(_Section):
    roots: list[str] | None = None
    source: Literal["auto", "fanotify", "watchdog"] = "auto"
    mode: Literal["notify", "block"] = "notify"
    action: Literal["quarantine", "report"] = "quarantine"
    block_folders: list[str] = []
    block_budget_s: float = Field(default=5.0, ge=_SHORTEST_BUDGET_S, le=_LONGEST_BUDGET_S)
    block_on_timeout: Literal["allow", "deny"] = "allow"
    reconcile_every_h: float = Field(default=24.0, ge=0.25, le=720.0)

    @field_validator("roots", "block_folders")
    @classmethod
    def _absolute(cls, roots: list[str] | None) -> list[str] | None:
        return roots if roots is None else _absolute_paths(roots)


class _Scanner(_Section):
    engine: str = "yara"
    workers: int = Field(default=0, ge=0, le=_MAX_WORKERS)
    rules: list[str] = []

    @field_validator("rules")
    @classmethod
    def _absolute(cls, rules: list[str]) -> list[str]:
        return _absolute_paths(rules)


class _Schedule(_Section):
    quick: str = "off"
    full: str = "off"
    cpu_percent: int = Field(default=DEFAULT_CPU_PERCENT, ge=1, le=100)
    pause_on_battery: bool = True
    network_filesystems: bool = False
    jitter_minutes: int = Field(default=15, ge=0, le=720)
    overdue_days: int | None = Field(default=None, ge=0, le=365)

    @field_validator("quick", "full")
    @classmethod
    def _readable(cls, text: str) -> str:
        Schedule.parse(text)
        return text

    def settings(self) -> ScheduleSettings:
        wanted = {ScanKind.QUICK: Schedule.parse(self.quick), ScanKind.FULL: Schedule.parse(self.full)}
        return ScheduleSettings(
            schedules={kind: schedule for kind, schedule in wanted.items() if schedule is not None},
            cpu_percent=self.cpu_percent,
            pause_on_battery=self.pause_on_battery,
            network_filesystems=self.network_filesystems,
            jitter=timedelta(minutes=self.jitter_minutes),
            overdue_days=self.overdue_days,
        )


class _Exclusions(_Section):
    paths: list[str] = []

    @field_validator("paths")
    @classmethod
    def _absolute(cls, paths: list[str]) -> list[str]:
        found = _absolute_paths(paths)
        if "/" in found:
            raise ValueError("a folder below /, since excluding / would leave nothing protected")
        return found


class _Quarantine(_Section):
    max_size: ByteSize = ByteSize(0)
    keep_days: int = Field(default=0, ge=0, le=_MAX_DAYS)
    warn_days: int = Field(default=7, ge=SHORTEST_NOTICE.days, le=_MAX_DAYS)
    stop_processes: bool = False

    def limits(self) -> RetentionLimits:
        """0 stands for no limit."""
        return RetentionLimits(
            max_size_bytes=int(self.max_size) or None,
            keep_for=timedelta(days=self.keep_days) or None,
            notice=timedelta(days=self.warn_days),
        )


class _Support(_Section):
    diagnostics: Literal["never", "hide_paths", "allow"] = "hide_paths"


class _Log(_Section):
    format: Literal["text", "json"] = "text"


class _Resources(_Section):
    cpu_percent: float = Field(default=_USUAL.cpu_percent, ge=1, le=100)
    memory_mb: float = Field(default=_USUAL.memory_mb, ge=_LEAST_MEMORY_MB)
    memory_at_rest_mb: float = Field(default=_USUAL.memory_at_rest_mb, ge=_LEAST_MEMORY_MB)


class _Document(BaseSettings):
    model_config = SettingsConfigDict(
        extra="forbid", frozen=True, env_prefix=ENV_PREFIX, env_nested_delimiter=_DELIMITER, env_ignore_empty=True
    )

    control_plane: _ControlPlane = _ControlPlane()
    realtime: _Realtime = _Realtime()
    scanner: _Scanner = _Scanner()
    exclusions: _Exclusions = _Exclusions()
    quarantine: _Quarantine = _Quarantine()
    resources: _Resources = _Resources()
    schedule: _Schedule = _Schedule()
    support: _Support = _Support()
    log: _Log = _Log()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment goes before the file, which is handed in; nothing else is looked at."""
        del settings_cls, dotenv_settings, file_secret_settings
        return env_settings, init_settings


def _absolute_paths(paths: list[str]) -> list[str]:
    expanded = [os.path.normpath(os.path.expanduser(path)) for path in paths]  # noqa: PTH111 -- text in, text out
    for given, path in zip(paths, expanded, strict=True):
        if not os.path.isabs(path):  # noqa: PTH117
            raise ValueError(f"an absolute path, not {given!r}")
    return expanded


# ---------------------------------------------------------------- reading


def load_config(overrides: Overrides) -> AgentConfig:
    """Read everything that decides how the agent works.

    Args:
        overrides: The command line; the environment is the process's own.

    Raises:
        BucklerError: `CONFIG_INVALID`, `CONFIG_UNREADABLE`.
    """
    locations = find_locations(overrides)
    document = _read_document(locations.config_file)
    roots = [str(path.absolute()) for path in overrides.roots] or document.realtime.roots or default_roots()
    return AgentConfig(
        locations=locations,
        control_plane=document.control_plane.address,
        realtime=RealtimeChoice(
            tuple(roots),
            document.realtime.source,
            _block_settings(document.realtime, roots, locations.config_file),
            document.realtime.reconcile_every_h * 3600,
        ),
        scanner=ScannerSettings(engine=document.scanner.engine, workers=document.scanner.workers),
        extra_rules=overrides.rules or tuple(Path(rule) for rule in document.scanner.rules),
        policy=ConfiguredPolicy(
            on_infected=Action(document.realtime.action),
            mode=Mode(document.realtime.mode),
            mode_of_this_run=overrides.mode,
            excluded_paths=tuple(document.exclusions.paths),
            stop_processes=document.quarantine.stop_processes,
        ),
        retention=document.quarantine.limits(),
        resources=ResourceLimits(**document.resources.model_dump()),
        schedule=document.schedule.settings(),
        diagnostics=Consent(document.support.diagnostics),
        log_format=document.log.format,
    )


@dataclass(frozen=True, slots=True)
class SettingOrigin:
    """A setting in force, and where it comes from: `default`, the file's path or the environment variable's name."""

    value: Any
    origin: str


def settings_with_origins(overrides: Overrides) -> dict[str, SettingOrigin]:
    """Every key of the configuration as `section.key`, for support.

    Raises:
        BucklerError: `CONFIG_INVALID`, `CONFIG_UNREADABLE`.
    """
    file = find_locations(overrides).config_file
    content = _read_toml(file) if file else {}
    found: dict[str, SettingOrigin] = {}
    for section, values in _read_document(file).model_dump(mode="json").items():
        for key, value in values.items():
            variable = f"{ENV_PREFIX}{section}{_DELIMITER}{key}".upper()
            if os.environ.get(variable):
                origin = f"environment variable {variable}"
            else:
                origin = str(file) if key in content.get(section, {}) else "default"
            found[f"{section}.{key}"] = SettingOrigin(value, origin)
    if not found["realtime.roots"].value:
        found["realtime.roots"] = SettingOrigin(default_roots(), found["realtime.roots"].origin)
    return found


def _block_settings(realtime: _Realtime, roots: list[str], file: Path | None) -> BlockSettings:
    """Openers can only be held where files are watched."""
    watched = Territory([os.path.realpath(root) for root in roots], ())
    for folder in realtime.block_folders:
        if not watched.reaches(os.path.realpath(folder)):
            raise _not_valid(str(file), "realtime.block_folders", f"{folder} lies below none of the watched roots")
    return BlockSettings(
        tuple(realtime.block_folders), realtime.block_budget_s, fail_open=realtime.block_on_timeout == "allow"
    )


def default_roots() -> list[str]:
    """The users' home folders and temporary folders, as far as they exist."""
    if os.geteuid() == 0 and sys.platform == "linux":
        wanted = ["/home", "/root", "/tmp", "/var/tmp"]  # noqa: S108 -- watched, not written to
    elif os.geteuid() == 0:
        wanted = ["/Users", tempfile.gettempdir()]
    else:
        wanted = [str(home_folder()), tempfile.gettempdir()]
    return [path for path in dict.fromkeys(wanted) if Path(path).is_dir()]


def _read_document(file: Path | None) -> _Document:
    content = _read_toml(file) if file else {}
    _refuse_unknown_variables()
    try:
        return _Document(**content)
    except ValidationError as error:
        raise _invalid(error, file) from error
    except SettingsError as error:
        raise _not_valid(f"an environment variable {ENV_PREFIX}…", "", str(error)) from error


def _refuse_unknown_variables() -> None:
    """Sections that do not exist; keys of sections that do are checked with the file's."""
    for variable in os.environ:
        section = variable.removeprefix(ENV_PREFIX).partition(_DELIMITER)[0].lower()
        if variable.startswith(ENV_PREFIX) and _DELIMITER in variable and section not in _Document.model_fields:
            raise _not_valid(f"the environment variable {variable}", section, "there is no such section")


def _read_toml(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise unreadable(file, error.strerror or str(error)) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise _not_valid(str(file), "", f"this is not valid TOML: {error}") from error


def _invalid(error: ValidationError, file: Path | None) -> BucklerError:
    """The first thing that is wrong: where it stands, which key, and what was expected."""
    first = error.errors(include_url=False)[0]
    names = [str(part) for part in first["loc"]]
    key = ".".join(names)
    variable = ENV_PREFIX + _DELIMITER.join(names[:2]).upper()
    where = f"the environment variable {variable}" if variable in os.environ else str(file)
    if first["type"] == "extra_forbidden":
        expected = "there is no such key"
    else:
        expected = f"expected {_expected(first['msg'])}, found {first['input']!r}"
    return _not_valid(where, key, expected)


def _not_valid(where: str, key: str, why: str) -> BucklerError:
    return BucklerError(
        "CONFIG_INVALID",
        f"{where}, key {key}: {why}" if key else f"{where}: {why}",
        next_step="correct it; docs/configuration.md lists every key",
        facts={"file": where, "key": key},
    )


def _expected(message: str) -> str:
    """What pydantic says, in the form that follows "expected"."""
    for prefix in ("Value error, ", "Input should be a valid ", "Input should be "):
        message = message.removeprefix(prefix)
    return message.partition(", unable")[0]
