"""`python -m benchmarks.installation`: from a Debian on which nothing was installed to protection that is proven.

Boots a fresh Debian (needs root, debootstrap and systemd-nspawn), installs the package from `dist` as a person does and
starts the service again some times. Ends with 1 if the way to protection took longer than a minute.
"""

import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

from tests.e2e.fresh_debian import FreshDebian, NoDebianError, fresh_debian

_STARTS = 5
#: What an owner is promised, in seconds.
_PROMISED_S = 60.0


def main() -> int:
    """Print the table."""
    packages = sorted(Path("dist").glob("buckler_*.deb"), key=lambda path: path.stat().st_mtime)
    if os.geteuid() != 0 or not packages:
        print("not measured: needs root, and `make deb` before")
        return 0
    print("load before: " + ", ".join(f"{load:.2f}" for load in os.getloadavg()))
    with tempfile.TemporaryDirectory(prefix="buckler-bench-") as scratch:
        try:
            with fresh_debian(Path(scratch)) as debian:
                return _measure(debian, packages[-1])
        except NoDebianError as error:
            print(f"not measured: {error}")
            return 0


def _measure(debian: FreshDebian, package: Path) -> int:
    said, install_s = debian.install(package)
    proof = next((line for line in said.stdout.splitlines() if line.startswith("buckler: protected roots=")), "")
    print(f"package: {package.stat().st_size / 2**20:.1f} MiB, {_new_packages(said.stdout)} of Debian's came with it")
    print(f"apt-get install, until protection is proven: {install_s:.1f} s")
    print(proof or "protection was not proven")
    starts = [_start_s(debian) for _ in range(_STARTS)]
    print(f"buckler service start, until it is proven again: {statistics.median(starts):.2f} s (median of {_STARTS})")
    good = bool(proof) and install_s <= _PROMISED_S
    print(f"{'reached' if good else 'MISSED '}  from nothing to protected, seconds: {install_s:.1f}, at most 60")
    return 0 if good else 1


def _start_s(debian: FreshDebian) -> float:
    debian.run("buckler", "service", "stop").expect()
    began = time.monotonic()
    debian.run("buckler", "service", "start").expect()
    return time.monotonic() - began


def _new_packages(said: str) -> int:
    return sum(1 for line in said.splitlines() if line.startswith("Setting up ")) - 1


if __name__ == "__main__":
    sys.exit(main())
