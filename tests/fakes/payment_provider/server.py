"""The fake bank over HTTP on loopback, for whoever should not share its process."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

from tests.fakes.payment_provider.bank import SECRET_KEY, FakeBank, LostConnectionError
from tests.fakes.payment_provider.transport import nested


@contextmanager
def serving(bank: FakeBank) -> Iterator[str]:
    """Serve until the block ends; gives the base address."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._answer(urlsplit(self.path).query, "")

        def do_POST(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            self._answer(self.rfile.read(length).decode(), self.headers.get("Idempotency-Key", ""))

        def _answer(self, form: str, key: str) -> None:
            if self.headers.get("Authorization") != f"Bearer {SECRET_KEY}":
                self._send(401, {"error": {"type": "invalid_request_error", "message": "wrong key"}})
                return
            try:
                self._send(*bank.handle(self.command, urlsplit(self.path).path, nested(form), key))
            except LostConnectionError:
                self.close_connection = True

        def _send(self, status: int, answer: object) -> None:
            body = json.dumps(answer).encode()
            try:
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
            except ConnectionError:
                # Whoever asked did not wait.
                self.close_connection = True

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the base class's name
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
