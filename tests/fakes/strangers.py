"""What may answer in a control plane's place: middleboxes, captive portals, somebody with another certificate."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PORTAL_PAGE = b"HTTP/1.1 302 Found\r\nServer: HotelGate/2.1\r\nLocation: http://login.invalid/\r\n\r\n"
PROXY_PAGE = b"HTTP/1.1 400 Bad Request\r\nVia: 1.1 edge (BigProxy/9)\r\n\r\n"

Answer = Callable[[socket.socket], None]


def says(page: bytes) -> Answer:
    """Reads something and answers with one page."""

    def answer(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(page)

    return answer


def hangs_up(connection: socket.socket) -> None:
    """Reads something and closes."""
    connection.recv(4096)


@contextmanager
def listening(
    answer: Answer,
    tls: tuple[bytes, bytes] | None = None,
    protocols: tuple[str, ...] = ("h2",),
    folder: Path | None = None,
) -> Iterator[str]:
    """A stranger on loopback until the block ends; gives its `HOST:PORT`.

    Args:
        answer: What it does with a connection.
        tls: Key and certificate; None: it speaks none.
        protocols: What it offers in the handshake.
        folder: For the two while they are loaded.
    """
    context = None
    if tls is not None:
        assert folder is not None
        (folder / "stranger.pem").write_bytes(tls[0] + tls[1])
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / "stranger.pem")
        context.set_alpn_protocols(list(protocols))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=_serve, args=(listener, context, answer), daemon=True)
        thread.start()
        yield f"localhost:{listener.getsockname()[1]}"
        # Wakes the accept, which a close does not.
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


def _serve(listener: socket.socket, context: ssl.SSLContext | None, answer: Answer) -> None:
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        connection.settimeout(30)
        with connection, suppress(OSError):
            if context is None:
                answer(connection)
                continue
            with context.wrap_socket(connection, server_side=True) as secure:
                answer(secure)


def closed_port() -> str:
    """A port on loopback where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"localhost:{listener.getsockname()[1]}"
