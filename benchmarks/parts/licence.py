"""A licence for blocking mode: a control plane on loopback that issues one and is gone again."""

import json
import re
import subprocess
import sys
import time
from pathlib import Path

_PROGRAMS = Path(sys.executable).parent
_PATIENCE_S = 60.0


def activate(data_dirs: list[Path], folder: Path) -> None:
    """Give each data folder a seat, the way a person would.

    Raises:
        subprocess.CalledProcessError: A command refused.
        RuntimeError: The control plane does not serve.
    """
    organisation = ["--org", "Benchmark", "--admin-email", "admin@example.com", "--admin-password-stdin"]
    init = [str(_PROGRAMS / "buckler-server"), "init", "--data-dir", str(folder), *organisation, "--output", "json"]
    password = "only of this benchmark\n"  # noqa: S105 -- of a scratch installation
    said = subprocess.run(init, input=password, capture_output=True, text=True, check=True).stdout
    key = json.loads(said)["activation_key"]
    listen = ["--listen", "127.0.0.1:0", "--device-listen", "127.0.0.1:0"]
    log = folder.with_suffix(".log")
    with log.open("wb") as stream:
        serve = [str(_PROGRAMS / "buckler-server"), "serve", "--data-dir", str(folder), *listen]
        server = subprocess.Popen(serve, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream)
    try:
        address = _address(log, server)
        for data_dir in data_dirs:
            where = ["--server", address, "--ca", str(folder / "ca.pem"), "--data-dir", str(data_dir)]
            command = [str(_PROGRAMS / "buckler"), "activate", *where]
            subprocess.run(command, input=f"{key}\n", capture_output=True, text=True, check=True)
    finally:
        server.terminate()
        server.wait(_PATIENCE_S)


def _address(log: Path, server: "subprocess.Popen[bytes]") -> str:
    deadline = time.monotonic() + _PATIENCE_S
    while time.monotonic() < deadline and server.poll() is None:
        found = re.search(r"serving tls=(\S+) mtls=", log.read_text(errors="replace"))
        if found:
            return found[1]
        time.sleep(0.05)
    raise RuntimeError(f"buckler-server does not serve:\n{log.read_text(errors='replace')[-2000:]}")
