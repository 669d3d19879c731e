"""Webhooks over real sockets, on loopback."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from controlplane.webhooks.model import Target
from controlplane.webhooks.ports import NotDeliveredError
from controlplane.webhooks.sending import Address, HttpSender, PublicAddresses


class LoopbackOnly:
    """What tests may reach."""

    plain_http = True

    def allows(self, address: Address) -> bool:
        return address.is_loopback


async def test_names_that_lead_inside_and_plain_http_are_refused() -> None:
    sender = HttpSender(PublicAddresses())
    for target in (
        Target("https", "localhost", 443, "/"),
        Target("https", "2130706433", 443, "/"),
        Target("http", "93.184.215.14", 80, "/"),
    ):
        with pytest.raises(NotDeliveredError):
            await sender.check(target)


Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def _server(answer: Answer) -> AsyncIterator[Target]:
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield Target("http", "127.0.0.1", server.sockets[0].getsockname()[1], "/hook?x=1")


def _answering(line: bytes, seen: list[bytes]) -> Answer:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        seen.append(head + await reader.readexactly(2))
        writer.write(line + b"\r\nLocation: http://127.0.0.1/elsewhere\r\n\r\n")
        await writer.drain()
        writer.close()

    return answer


async def test_a_body_is_posted_with_its_headers() -> None:
    seen: list[bytes] = []
    async with _server(_answering(b"HTTP/1.1 204 No Content", seen)) as target:
        await HttpSender(LoopbackOnly()).send(target, {"Buckler-Event": "x"}, b"{}")
    (request,) = seen
    assert request.startswith(b"POST /hook?x=1 HTTP/1.1\r\nHost: 127.0.0.1:")
    assert b"\r\nBuckler-Event: x\r\nContent-Length: 2\r\n" in request
    assert request.endswith(b"\r\n\r\n{}")


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"HTTP/1.1 302 Found", "status 302"),
        (b"HTTP/1.1 500 Oops", "status 500"),
        (b"hello", "not HTTP"),
        (b"HTTP/1.1 2000", "not HTTP"),
        (b"x" * 100_000, "not HTTP"),
    ],
)
async def test_any_other_answer_is_no_delivery_and_redirects_are_not_followed(line: bytes, why: str) -> None:
    seen: list[bytes] = []
    async with _server(_answering(line, seen)) as target:
        with pytest.raises(NotDeliveredError, match=why):
            await HttpSender(LoopbackOnly()).send(target, {}, b"{}")
    assert len(seen) == 1


async def test_nobody_there_is_no_delivery() -> None:
    async with _server(_answering(b"", [])) as target:
        pass
    with pytest.raises(NotDeliveredError, match="could not be reached"):
        await HttpSender(LoopbackOnly()).send(target, {}, b"{}")
