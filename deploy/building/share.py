"""`python -m deploy.building.share DIR`: manual pages and completions of all programs, as they lie below `share`."""

import os
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from agent.cli.main import buckler
from controlplane.cli.buckler_server import app as buckler_server
from controlplane.cli.bucklerctl import app as bucklerctl
from deploy.building.command_tree import Command, read_program
from deploy.building.completions import bash_completion, fish_completion, zsh_completion
from deploy.building.manual import Context, manual_page

PROGRAMS = {"buckler": buckler, "bucklerctl": bucklerctl, "buckler-server": buckler_server}
_PURPOSES = {
    "buckler": "protect the files of this device",
    "bucklerctl": "look after a fleet of devices and its subscription",
    "buckler-server": "run a control plane",
}
_STATUSES = (
    ("0", "Done; for status: healthy."),
    ("1", "The answer is no: a threat was found, the device is not healthy, something was refused."),
    ("2", "The question was wrong: usage, configuration, rules, a file that cannot be read."),
    ("3", "Scan only: nothing found, but not everything could be looked at."),
    ("4", "The other side could not be reached or did not prove who it is; trying again may help."),
    ("5", "This machine does not let us: permission, missing feature, another agent."),
    ("70", "A defect of Buckler."),
    ("130", "Interrupted."),
)
_FILES = {
    "buckler": (
        ("/etc/buckler/agent.toml", "Settings; every key is optional."),
        ("/var/lib/buckler", "Database, identity and vault."),
        ("/run/buckler", "Sockets of the running agent."),
    ),
    "bucklerctl": (("~/.config/bucklerctl", "Who is signed in, and where."),),
    "buckler-server": (
        ("/var/lib/buckler-server", "Settings, keys and the embedded database."),
        ("/etc/buckler/server.env", "Environment of the service: addresses, database, secrets."),
    ),
}
_VARIABLES = {
    "buckler": (
        ("BUCKLER_DATA_DIR", "Folder of the agent's data."),
        ("BUCKLER_CONFIG", "Configuration file."),
        ("BUCKLER_SECTION__KEY", "A key of the configuration file, stronger than the file."),
    ),
    "bucklerctl": (("BUCKLERCTL_CONFIG_DIR", "Folder of the sign-in."),),
    "buckler-server": (
        ("BUCKLER_SERVER_DATA_DIR", "Folder of keys, settings and the embedded database."),
        ("BUCKLER_SERVER_DATABASE_URL", "Database, instead of the one that init wrote down."),
    ),
}


def write_share(folder: Path, date: str) -> None:
    """Write all of it below a folder."""
    for name, app in PROGRAMS.items():
        program = read_program(name, app)
        for path, text in share_files(program, date).items():
            file = folder / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")


def share_files(program: Command, date: str) -> dict[str, str]:
    """Text by path below `share`."""
    name = program.name
    context = Context(
        purpose=_PURPOSES[name],
        version=version("buckler"),
        date=date,
        statuses=_STATUSES,
        files=_FILES[name],
        variables=_VARIABLES[name],
        see_also=tuple(other for other in PROGRAMS if other != name),
    )
    return {
        f"man/man1/{name}.1": manual_page(program, context),
        f"bash-completion/completions/{name}": bash_completion(program),
        f"fish/vendor_completions.d/{name}.fish": fish_completion(program),
        f"zsh/site-functions/_{name}": zsh_completion(program),
    }


def build_date() -> str:
    """`YYYY-MM-DD` of `$SOURCE_DATE_EPOCH`; of the first of January 2000 without it, so that builds are alike."""
    epoch = int(os.environ.get("SOURCE_DATE_EPOCH", "946684800"))
    return f"{datetime.fromtimestamp(epoch, UTC):%Y-%m-%d}"


if __name__ == "__main__":
    write_share(Path(sys.argv[1]), build_date())
