"""The way to the control plane, walked step by step: name, port, certificate, HTTP/2; the first that fails is told.

Nothing is sent that means anything: no key, no name of this device.
"""

import socket
import ssl
import threading
from collections.abc import Sequence

from cryptography import x509
from cryptography.x509.oid import NameOID

from agent.support.surroundings import Fault, Stage, WaySeen

#: For each step, in seconds; four of them and the first question to the server fit into the limit of a check-up.
STEP_S = 3.5
#: Addresses of one name that are tried.
_MOST_ADDRESSES = 3
#: OpenSSL's X509_V_ERR_…: CERT_HAS_EXPIRED, CERT_NOT_YET_VALID, HOSTNAME_MISMATCH and IP_ADDRESS_MISMATCH.
_FAULTS = {10: Fault.EXPIRED, 9: Fault.NOT_YET_VALID, 62: Fault.OTHER_NAME, 64: Fault.OTHER_NAME}
#: RFC 9113, section 3.4: what a client begins with, then its (empty) settings frame.
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))
_FRAME_HEADER = 9
_SETTINGS = 4
_MOST_HEADER = 4096
_LONGEST_NAME = 100


def walk(host: str, port: int, authorities_pem: bytes, *, step_s: float = STEP_S) -> WaySeen:
    """Walk as far as it goes; never raises.

    Args:
        host: Name or address.
        port: TCP.
        authorities_pem: What the certificate has to chain to.
        step_s: For each step.
    """
    opened, way = _open(host, port, step_s)
    if opened is None:
        return way
    with opened as connection:
        return _shake_hands(connection, host, way, authorities_pem)


def knock(host: str, port: int, *, step_s: float = STEP_S) -> WaySeen:
    """Name and port only, where going on would need the device's own certificate; never raises."""
    opened, way = _open(host, port, step_s)
    if opened is not None:
        opened.close()
    return way


def _open(host: str, port: int, step_s: float) -> tuple[socket.socket | None, WaySeen]:
    target = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    addresses, why = _resolve(host, port, step_s)
    if not addresses:
        return None, WaySeen(target, Stage.NAME, Fault.NAME_UNKNOWN, why)
    shown = tuple(dict.fromkeys(addresses))
    try:
        return _connect(addresses, port, step_s), WaySeen(target, Stage.TLS, addresses=shown)
    except OSError as error:
        fault = Fault.REFUSED if isinstance(error, ConnectionRefusedError) else Fault.SILENT
        return None, WaySeen(target, Stage.PORT, fault, _words(error), shown)


def _resolve(host: str, port: int, step_s: float) -> tuple[list[str], str]:
    """Addresses, or why there are none; a resolver cannot be told to hurry, so it is left behind."""
    found: list[tuple[list[str], str]] = []

    def ask() -> None:
        try:
            answers = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            found.append(([], _words(error)))
        else:
            found.append(([str(answer[4][0]) for answer in answers], ""))

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(step_s)
    return found[0] if found else ([], f"no name server answers within {step_s:g} s")


def _connect(addresses: Sequence[str], port: int, step_s: float) -> socket.socket:
    last: OSError = TimeoutError()
    for address in list(dict.fromkeys(addresses))[:_MOST_ADDRESSES]:
        try:
            return socket.create_connection((address, port), timeout=step_s / _MOST_ADDRESSES)
        except OSError as error:
            last = error
    raise last


def _shake_hands(connection: socket.socket, host: str, way: WaySeen, authorities_pem: bytes) -> WaySeen:
    address, port = connection.getpeername()[:2]
    connection.settimeout(STEP_S)
    context = ssl.create_default_context(cadata=authorities_pem.decode("ascii", "replace"))
    context.set_alpn_protocols(["h2", "http/1.1"])
    try:
        with context.wrap_socket(connection, server_hostname=host) as secure:
            return _speak(secure, _with(way, Stage.HTTP2, issuer=_issuer(secure)))
    except ssl.SSLCertVerificationError as error:
        fault = _FAULTS.get(error.verify_code, Fault.UNKNOWN_AUTHORITY)
        return _with(way, Stage.TLS, fault, issuer=_issuer_of_stranger(address, port, host))
    except (OSError, ValueError) as error:
        return _with(way, Stage.TLS, Fault.NO_TLS, _words(error), middlebox=_name_in_plain(address, port))


def _speak(secure: ssl.SSLSocket, way: WaySeen) -> WaySeen:
    if secure.selected_alpn_protocol() != "h2":
        return _with(way, Stage.HTTP2, Fault.NOT_OFFERED, middlebox=_name_of(secure))
    try:
        secure.sendall(_PREFACE)
        header = _receive(secure, _FRAME_HEADER)
    except OSError as error:
        return _with(way, Stage.HTTP2, Fault.CUT, _words(error))
    if len(header) < _FRAME_HEADER:
        return _with(way, Stage.HTTP2, Fault.CUT, "the connection was closed at once")
    if header[3] != _SETTINGS:
        return _with(way, Stage.HTTP2, Fault.CUT, "the answer is no HTTP/2")
    return _with(way, Stage.THROUGH)


def _receive(connection: socket.socket, count: int) -> bytes:
    received = b""
    while len(received) < count:
        piece = connection.recv(count - len(received))
        if not piece:
            break
        received += piece
    return received


def _name_in_plain(address: str, port: int) -> str:
    """How whoever speaks no TLS names itself."""
    try:
        with socket.create_connection((address, port), timeout=STEP_S / 2) as connection:
            return _name_of(connection)
    except OSError:
        return ""


def _name_of(connection: socket.socket) -> str:
    """`Via` or `Server` of the answer to a plain question; empty: it does not tell."""
    try:
        connection.settimeout(STEP_S / 2)
        connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
        untrusted_answer = connection.recv(_MOST_HEADER)
    except OSError:
        return ""
    lines = untrusted_answer.decode("latin-1").split("\r\n\r\n")[0].splitlines()[1:]
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return _printable(headers.get("via") or headers.get("server") or "")


def _issuer_of_stranger(address: str, port: int, host: str) -> str:
    """Who issued a certificate that is not trusted; asked again, because a refused one is not handed out."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    # Only to name the stranger: nothing is sent, and nothing that it says is believed.
    context.verify_mode = ssl.CERT_NONE
    try:
        with (
            socket.create_connection((address, port), timeout=STEP_S / 2) as connection,
            context.wrap_socket(connection, server_hostname=host) as secure,
        ):
            return _issuer(secure)
    except (OSError, ValueError):
        return ""


def _issuer(secure: ssl.SSLSocket) -> str:
    der = secure.getpeercert(binary_form=True)
    try:
        name = x509.load_der_x509_certificate(der or b"").issuer
    except ValueError:
        return ""
    kinds = (NameOID.COMMON_NAME, NameOID.ORGANIZATION_NAME)
    parts = [str(each.value) for kind in kinds for each in name.get_attributes_for_oid(kind)]
    return _printable(", ".join(dict.fromkeys(parts)))


def _with(
    way: WaySeen, stage: Stage, fault: Fault = Fault.NONE, detail: str = "", *, issuer: str = "", middlebox: str = ""
) -> WaySeen:
    return WaySeen(way.target, stage, fault, detail, way.addresses, issuer or way.issuer, middlebox or way.middlebox)


def _words(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "no answer"
    if isinstance(error, ssl.SSLError):
        return _printable(error.reason or "no TLS")
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return type(error).__name__


def _printable(untrusted_text: str) -> str:
    """What a stranger calls itself, fit for a terminal."""
    return "".join(letter for letter in untrusted_text if letter.isprintable())[:_LONGEST_NAME]
