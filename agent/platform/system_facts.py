"""What this machine is, and what else runs on it. Asks the operating system; decides nothing."""

import platform
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import psutil

#: Other products that watch files as they change; two of them on one machine wait for each other.
#: Process names as the vendors' own documentation gives them.
_COMPETITORS = {
    "clamonacc": "ClamAV on-access scanner",
    "falcon-sensor": "CrowdStrike Falcon",
    "ds_agent": "Trend Micro Deep Security",
    "sav-protect": "Sophos",
    "sentinelone-agent": "SentinelOne",
    "wdavdaemon": "Microsoft Defender for Endpoint",
}


@dataclass(frozen=True, slots=True)
class SystemFacts:
    """What a device tells about itself.

    Attributes:
        device_name: The host name; for people, not an identity.
        os: linux, macos or windows.
        os_version: As the system names itself.
        architecture: In the kernel's spelling.
        hardware: Kind of fact and its raw value; leaves the device only as a keyed hash.
    """

    device_name: str
    os: str
    os_version: str
    architecture: str
    hardware: tuple[tuple[str, str], ...]


def read_system_facts() -> SystemFacts:
    """Ask the operating system who this machine is."""
    system = {"Darwin": "macos", "Windows": "windows"}.get(platform.system(), "linux")
    return SystemFacts(
        device_name=(socket.gethostname() or "unnamed")[:255],
        os=system,
        os_version=_os_version(),
        architecture=platform.machine(),
        hardware=tuple(_hardware()),
    )


def competitors() -> tuple[str, ...]:
    """Products found running that also hold or scan files as they change."""
    names = {str(process.info["name"]) for process in psutil.process_iter(["name"])}
    return tuple(sorted(product for name, product in _COMPETITORS.items() if name in names))


def _os_version() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        return f"{platform.system()} {platform.release()}"


def _hardware() -> Iterable[tuple[str, str]]:
    files = {
        "machine_id": (Path("/etc/machine-id"), Path("/var/lib/dbus/machine-id")),
        "board_serial": (Path("/sys/class/dmi/id/board_serial"), Path("/sys/class/dmi/id/product_uuid")),
    }
    for kind, candidates in files.items():
        value = next(filter(None, map(_read_line, candidates)), "")
        if value:
            yield kind, value
    for interface, addresses in sorted(psutil.net_if_addrs().items()):
        for address in addresses:
            # Made-up addresses (loopback, bridges, containers) would make two machines look alike.
            if address.family == psutil.AF_LINK and _is_burned_in(interface, address.address):
                yield "mac_address", address.address.lower()


def _read_line(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return ""


def _is_burned_in(interface: str, mac: str) -> bool:
    """The second-lowest bit of the first byte marks addresses that software made up (IEEE 802)."""
    try:
        first = int(mac[:2], 16)
    except ValueError:
        return False
    return interface != "lo" and not first & 0b10
