"""The installed server as its operator runs it: real processes, real ports on loopback, real files."""

import asyncio
import json
import os
import re
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc

from tests.fakes.made_once import folder_of_templates
from tests.integration.loaded_programs import loaded_programs
from wire.entitlement_codec import ERROR_DETAIL_METADATA
from wire.v1 import account_pb2
from wire.v1.account_pb2_grpc import AccountServiceStub
from wire.v1.common_pb2 import ErrorDetail

PROGRAM = (sys.executable, "-c", "from controlplane.cli.buckler_server import main; main()")
EMAIL, PASSWORD = "anna@example.com", "correct horse battery"
#: Generous: several test runs may share two cores.
PATIENCE_S = 40.0
_SERVING = re.compile(r"serving tls=(\S+) mtls=(\S+)(?: web=\S+)?(?: monitor=(\S+))?\n")


@dataclass(frozen=True, slots=True)
class Ran:
    """How a command ended."""

    status: int
    stdout: str
    stderr: str

    @property
    def answer(self) -> Any:
        return json.loads(self.stdout)

    @property
    def error(self) -> Any:
        return json.loads(self.stderr)["error"]


async def run(*arguments: str, stdin: str = "") -> Ran:
    """Run one command of `buckler-server` to its end, on its own thread."""

    def called() -> Ran:
        ended = loaded_programs().run(
            "buckler-server", arguments, stdin=stdin.encode(), environment=os.environ, timeout_s=PATIENCE_S
        )
        return Ran(ended.status, ended.stdout.decode(), ended.stderr.decode())

    return await asyncio.to_thread(called)


async def init(data_dir: Path, *options: str) -> dict[str, Any]:
    """Make an installation with one customer; its answer."""
    customer = ("--org", "Example", "--admin-email", EMAIL, "--admin-password-stdin")
    ran = await run("init", "--data-dir", str(data_dir), *customer, "--output", "json", *options, stdin=f"{PASSWORD}\n")
    assert ran.status == 0, ran.stderr
    answer: dict[str, Any] = ran.answer
    return answer


#: An installation and what `init` said of it, made once a process: most tests are about what comes after.
_made: list[tuple[Path, dict[str, Any]]] = []


async def installed(data_dir: Path) -> dict[str, Any]:
    """A copy of an installation with one customer; what `init` said when it made it."""
    if not _made:
        folder = folder_of_templates() / "server"
        _made.append((folder, await init(folder)))
    template, said = _made[0]
    shutil.copytree(template, data_dir)
    return said


@dataclass(slots=True)
class Serving:
    """A server that answers."""

    process: asyncio.subprocess.Process
    tls: str
    mtls: str
    authorities: bytes
    monitor: str = ""

    @asynccontextmanager
    async def channel(self) -> AsyncIterator[grpc.aio.Channel]:
        """To the port of people."""
        credentials = grpc.ssl_channel_credentials(self.authorities)
        async with grpc.aio.secure_channel(self.tls, credentials) as channel:
            yield channel

    @asynccontextmanager
    async def device_channel(self, key: bytes | None, certificate: bytes | None) -> AsyncIterator[grpc.aio.Channel]:
        """To the port of devices; None: without a client certificate."""
        credentials = grpc.ssl_channel_credentials(self.authorities, key, certificate)
        async with grpc.aio.secure_channel(self.mtls, credentials) as channel:
            yield channel

    async def token(self, email: str = EMAIL, password: str = PASSWORD) -> list[tuple[str, str]]:
        """Metadata of somebody signed in."""
        async with self.channel() as channel:
            request = account_pb2.SignInRequest(email=email, password=password, token_name="test")
            response = await AccountServiceStub(channel).SignIn(request)
        return [("authorization", f"Bearer {response.token}")]

    async def has_said(self, event: str) -> None:
        """Until it has; what it said up to then is not told by `stop` any more."""
        assert self.process.stderr is not None
        async with asyncio.timeout(PATIENCE_S):
            while event not in (line := (await self.process.stderr.readline()).decode()):
                assert line, "it ended by itself"

    async def stop(self) -> tuple[int, str]:
        """As a service manager does; the exit status and what was said after the first line."""
        self.process.send_signal(signal.SIGTERM)
        _, stderr = await asyncio.wait_for(self.process.communicate(), PATIENCE_S)
        assert self.process.returncode is not None
        return self.process.returncode, stderr.decode()

    async def kill(self) -> None:
        """As a power failure does."""
        self.process.kill()
        await self.process.communicate()


@asynccontextmanager
async def serving(data_dir: Path, *options: str, listen: str = "127.0.0.1:0") -> AsyncIterator[Serving]:
    """Serve until the block ends, on free ports unless told otherwise."""
    process = await asyncio.create_subprocess_exec(
        *PROGRAM,
        *("serve", "--data-dir", str(data_dir), "--listen", listen, *options),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stderr is not None
        line = (await asyncio.wait_for(process.stderr.readline(), PATIENCE_S)).decode()
        match = _SERVING.fullmatch(line)
        assert match is not None, line
        yield Serving(process, match[1], match[2], (data_dir / "ca.pem").read_bytes(), match[3] or "")
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


def detail_of(error: grpc.aio.AioRpcError) -> ErrorDetail:
    """What the server said about its refusal."""
    trailers: Mapping[str, str | bytes] = dict(error.trailing_metadata() or ())
    detail = trailers[ERROR_DETAIL_METADATA]
    assert isinstance(detail, bytes)
    return ErrorDetail.FromString(detail)
