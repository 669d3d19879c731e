"""Where a control plane is."""

from dataclasses import dataclass

from agent.domain.errors import BucklerError

#: Default port of a control plane's TLS side.
DEFAULT_PORT = 8443
_MAX_PORT = 65535
_MAX_DIGITS = 5


@dataclass(frozen=True, slots=True)
class Address:
    """Host and port; an IPv6 host without its brackets."""

    host: str
    port: int

    def __str__(self) -> str:
        """As it is typed."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_address(text: str) -> Address:
    """Read `HOST`, `HOST:PORT`, `[V6]` or `[V6]:PORT`; host names are compared in lower case.

    Raises:
        BucklerError: `SERVER_ADDRESS_INVALID`.
    """
    stripped = text.strip().lower()
    if stripped.startswith("["):
        host, bracket, rest = stripped[1:].partition("]")
        valid, port = bool(bracket) and (not rest or rest.startswith(":")), rest[1:]
    else:
        host, colon, port = stripped.partition(":")
        valid = ":" not in port and (bool(port) or not colon)
    # No number of a port is longer; Python refuses to read one of thousands of digits.
    is_number = port.isascii() and port.isdigit() and len(port) <= _MAX_DIGITS
    if not host.isprintable() or not host or not valid or "/" in host or (port and not is_number):
        raise _invalid(text)
    number = int(port) if port else DEFAULT_PORT
    if not 0 < number <= _MAX_PORT:
        raise _invalid(text)
    return Address(host, number)


def device_address(announced: str, asked: Address) -> Address:
    """Where DeviceService is: what the server announced; without a host (`:8444`) it is the host that was asked.

    Raises:
        BucklerError: `SERVER_ADDRESS_INVALID`.
    """
    if announced.startswith(":"):
        return parse_address(str(Address(asked.host, 1)).removesuffix(":1") + announced)
    return parse_address(announced)


def _invalid(text: str) -> BucklerError:
    return BucklerError(
        "SERVER_ADDRESS_INVALID",
        f"{text!r} is no address of a control plane",
        next_step="give it as HOST:PORT, for example protect.example.com:8443",
    )
