"""`bucklerctl` starts without what only a server needs: people wait for it at every command."""

import subprocess
import sys

#: The program, and what every command that asks a server takes.
_MODULES = "controlplane.cli.bucklerctl, controlplane.cli.ctl.connection, controlplane.cli.ctl.views"
_OF_SERVERS = ("sqlalchemy", "alembic", "aiohttp", "structlog", "argon2")


def test_asking_a_server_loads_nothing_of_one() -> None:
    program = f"import sys, {_MODULES}; print(*(name for name in {_OF_SERVERS} if name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
