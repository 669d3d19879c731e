"""Where this agent keeps its things, and whether anything is configured at all.

Apart from the settings, whose reading loads a library that takes longer than a small scan.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from agent.domain.errors import BucklerError, ExitStatus
from agent.domain.policy import Mode
from agent.local_api.settings import LocalApiSettings
from agent.platform.people import home_folder

#: Environment variables are `BUCKLER_SECTION__KEY`.
ENV_PREFIX = "BUCKLER_"
_VARIABLE_OF_FOLDER, _VARIABLE_OF_FILE = "BUCKLER_DATA_DIR", "BUCKLER_CONFIG"
#: Where the agent that root runs with default folders listens.
_SYSTEM_SOCKETS = Path("/run/buckler")


@dataclass(frozen=True, slots=True)
class Locations:
    """Where this agent keeps its things.

    Attributes:
        data_dir: Everything that outlives a restart.
        config_file: The TOML file; None: there is none, and none was asked for.
        local_api: Its two sockets.
    """

    data_dir: Path
    config_file: Path | None
    local_api: LocalApiSettings

    @property
    def options(self) -> tuple[str, ...]:
        """What to say on a command line to mean the same agent."""
        own = self.local_api.control_socket.parent == self.data_dir
        data_dir = ("--data-dir", str(self.data_dir)) if own else ()
        return (*data_dir, *(("--config", str(self.config_file)) if self.config_file else ()))

    @property
    def status_sockets(self) -> tuple[Path, ...]:
        """Where an agent may be asked how it is: this one, else the system's, which tells every user."""
        return tuple(dict.fromkeys((self.local_api.status_socket, _SYSTEM_SOCKETS / "status.sock")))

    @property
    def database(self) -> Path:
        """SQLite database."""
        return self.data_dir / "agent.db"

    @property
    def device_key(self) -> Path:
        """The device's private key, 0600."""
        return self.data_dir / "device.key"

    @property
    def vault(self) -> Path:
        """Quarantined files."""
        return self.data_dir / "vault"

    @property
    def scan_cache(self) -> Path:
        """Which files were clean; may be deleted at any time."""
        return self.data_dir / "scan-cache.db"

    @property
    def locked(self) -> tuple[Path, ...]:
        """On what a running agent holds SQLite's locks: its databases, and what the first shares among processes."""
        return self.database, self.database.with_name(f"{self.database.name}-shm"), self.scan_cache

    @property
    def lock(self) -> Path:
        """Held while an agent runs."""
        return self.data_dir / "agent.lock"

    @property
    def crash_reports(self) -> Path:
        """What unexpected failures leave for support."""
        return self.data_dir / "crash-reports"


@dataclass(frozen=True, slots=True)
class Overrides:
    """What a command line says; None and empty: nothing."""

    data_dir: Path | None = None
    config_file: Path | None = None
    roots: tuple[Path, ...] = ()
    rules: tuple[Path, ...] = ()
    mode: Mode | None = None


def find_locations(overrides: Overrides) -> Locations:
    """Where this agent's files are: as told, else the system's folders for root, the user's XDG folders otherwise.

    Raises:
        BucklerError: `CONFIG_UNREADABLE` when a file that was asked for does not exist.
    """
    as_root = os.geteuid() == 0
    home = home_folder()
    given = overrides.data_dir or _path(_VARIABLE_OF_FOLDER)
    if as_root:
        data_dir, config_file = given or Path("/var/lib/buckler"), Path("/etc/buckler/agent.toml")
    else:
        data_dir = given or (_path("XDG_DATA_HOME") or home / ".local/share") / "buckler"
        config_file = (_path("XDG_CONFIG_HOME") or home / ".config") / "buckler/agent.toml"
    data_dir = data_dir.absolute()
    sockets = _SYSTEM_SOCKETS if as_root and given is None else data_dir
    asked = overrides.config_file or _path(_VARIABLE_OF_FILE)
    if asked is not None and not asked.is_file():
        raise unreadable(asked, "it does not exist")
    return Locations(
        data_dir=data_dir,
        config_file=asked or (config_file if config_file.is_file() else None),
        local_api=LocalApiSettings(sockets / "agent.sock", sockets / "status.sock"),
    )


def is_unconfigured(locations: Locations) -> bool:
    """Whether neither file nor environment says anything, so that all settings are the defaults."""
    names = {name.upper() for name in os.environ} - {_VARIABLE_OF_FOLDER, _VARIABLE_OF_FILE}
    if any(name.startswith(ENV_PREFIX) for name in names):
        return False
    if locations.config_file is None:
        return True
    import tomllib

    try:
        return not tomllib.loads(locations.config_file.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError):
        # Whoever reads the settings says what is wrong.
        return False


def _path(name: str) -> Path | None:
    """A path from the environment; an empty variable counts as none."""
    text = os.environ.get(name, "")
    return Path(text) if text else None


def unreadable(file: Path, why: str) -> BucklerError:
    """The refusal of a configuration file."""
    return BucklerError(
        "CONFIG_UNREADABLE",
        f"the configuration file {file} cannot be read: {why}",
        next_step="check --config and BUCKLER_CONFIG",
        exit_status=ExitStatus.BAD_INPUT,
        facts={"file": str(file)},
    )
