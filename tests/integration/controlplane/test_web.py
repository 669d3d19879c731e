"""The HTTP server on loopback: what it lets in, and how it says no."""

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import pytest
from aiohttp import ClientSession

from controlplane.runtime.network.server import Address
from controlplane.runtime.network.web import Hook, start_web
from controlplane.runtime.randomness import SystemRandomness
from controlplane.runtime.refusal import Kind, Refusal

ANY_PORT = Address("127.0.0.1", 0)


async def _echo(untrusted_body: bytes, untrusted_headers: Mapping[str, str]) -> Mapping[str, object]:
    return {"bytes": len(untrusted_body), "named": untrusted_headers.get("x-name", "")}


async def _busy(_body: bytes, _headers: Mapping[str, str]) -> Mapping[str, object]:
    raise Refusal(Kind.UNAVAILABLE, "BUSY", "there is no time", "Send it again", retry_after_s=60)


async def _broken(_body: bytes, _headers: Mapping[str, str]) -> Mapping[str, object]:
    raise RuntimeError("the password is swordfish")


HOOKS = [Hook("/hooks/echo", 1000, _echo), Hook("/hooks/busy", 1000, _busy), Hook("/hooks/broken", 1000, _broken)]


@asynccontextmanager
async def _sender() -> AsyncIterator[tuple[ClientSession, Address]]:
    server = await start_web(ANY_PORT, HOOKS, SystemRandomness())
    try:
        async with ClientSession(f"http://{server.address}") as sender:
            yield sender, server.address
    finally:
        await server.stop()


async def test_a_body_arrives_as_it_was_sent() -> None:
    async with (
        _sender() as (sender, _),
        sender.post("/hooks/echo", data=b"\xff\x00" * 500, headers={"X-Name": "anna"}) as answer,
    ):
        assert (answer.status, await answer.json()) == (200, {"bytes": 1000, "named": "anna"})
        assert answer.headers["Server"] == "buckler"


@pytest.mark.parametrize(
    ("method", "path", "size", "status"),
    [
        ("POST", "/hooks/echo", 1001, 413),
        ("GET", "/hooks/echo", 0, 405),
        ("POST", "/hooks/other", 1, 404),
        ("POST", "/", 1, 404),
    ],
)
async def test_other_calls_are_refused(method: str, path: str, size: int, status: int) -> None:
    async with _sender() as (sender, _), sender.request(method, path, data=b"x" * size) as answer:
        assert answer.status == status


async def test_a_refusal_says_what_and_when() -> None:
    async with _sender() as (sender, _), sender.post("/hooks/busy") as answer:
        assert (answer.status, answer.headers["Retry-After"]) == (503, "60")
        assert await answer.json() == {"code": "BUSY", "message": "there is no time", "next_step": "Send it again"}


async def test_a_mistake_of_ours_tells_an_id_and_nothing_else() -> None:
    async with _sender() as (sender, _), sender.post("/hooks/broken") as answer:
        told = await answer.json()
    assert answer.status == 500
    assert told.keys() == {"code", "request_id"}
    assert re.fullmatch(r"req_\w+", told["request_id"])


async def test_calls_at_once_are_all_answered() -> None:
    async def post(sender: ClientSession) -> int:
        async with sender.post("/hooks/echo", data=b"x") as answer:
            return answer.status

    async with _sender() as (sender, _):
        assert await asyncio.gather(*(post(sender) for _ in range(64))) == [200] * 64


async def test_a_port_that_is_taken_is_refused() -> None:
    async with _sender() as (_, address):
        with pytest.raises(Refusal, match="PORT_IN_USE"):
            await start_web(address, HOOKS, SystemRandomness())
