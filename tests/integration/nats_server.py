"""A real NATS server for tests, where there is one."""

import asyncio
import contextlib
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.integration.free_ports import free_ports


def nats_program() -> str:
    """Where it is; the test is skipped if it is nowhere."""
    program = shutil.which("nats-server")
    if program is None:
        pytest.skip("nats-server is not installed (Debian: apt install nats-server)")
    return program


class NatsServer:
    """A server on loopback that can be stopped and started again on its port.

    Args:
        program: `nats-server`.
        folder: For its files.
        jetstream: Whether it keeps messages, in that folder.
    """

    def __init__(self, program: str, folder: Path, *, jetstream: bool = False) -> None:
        (self._port,) = free_ports(1)
        self._command = [program, "--addr", "127.0.0.1", "--port", str(self._port), "--pid", str(folder / "pid")]
        if jetstream:
            self._command += ["-js", "--store_dir", str(folder / "jetstream")]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self._port}"

    def start(self) -> None:
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    async def answers(self) -> None:
        async with asyncio.timeout(30):
            while True:
                with contextlib.suppress(OSError):
                    _, writer = await asyncio.open_connection("127.0.0.1", self._port)
                    writer.close()
                    return
                await asyncio.sleep(0.02)

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
