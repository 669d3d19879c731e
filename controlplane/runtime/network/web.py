"""The HTTP server: for senders and monitors that do not speak our protocol, with TLS ended in front of it.

What comes in is not believed because of where it comes from; each hook checks a signature.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import structlog
from aiohttp import web

from controlplane.runtime.network.server import STOP_GRACE_S, Address, cannot_listen
from controlplane.runtime.randomness import Randomness, new_id
from controlplane.runtime.refusal import Kind, Refusal

#: A sender that is slower than this holds a connection for nothing.
BODY_S: Final = 10.0
#: Each may hold a connection of the database and a call to the provider; the others wait.
_AT_ONCE: Final = 16
_STATUS: Final[Mapping[Kind, int]] = {
    Kind.INVALID: 400,
    Kind.UNAUTHENTICATED: 401,
    Kind.FORBIDDEN: 403,
    Kind.NOT_FOUND: 404,
    Kind.CONFLICT: 409,
    Kind.PRECONDITION: 409,
    Kind.EXHAUSTED: 429,
    Kind.UNAVAILABLE: 503,
    Kind.ENVIRONMENT: 503,
}
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Hook:
    """One path to which others post.

    Attributes:
        path: `/hooks/…`.
        max_body_bytes: More is refused before it is read.
        take: Given the body exactly as it came, and the headers; its answer is told to the sender as JSON.
    """

    path: str
    max_body_bytes: int
    take: Callable[[bytes, Mapping[str, str]], Awaitable[Mapping[str, object]]]


@dataclass(frozen=True, slots=True)
class Shown:
    """What a page shows now."""

    status: int
    content_type: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Page:
    """One path that others read, for monitoring."""

    path: str
    show: Callable[[], Awaitable[Shown]]


class RunningWeb:
    """The listening server."""

    def __init__(self, runner: web.AppRunner, address: Address) -> None:
        self._runner = runner
        self.address = address

    async def stop(self) -> None:
        """Refuse new calls, let those in flight end, then close."""
        await self._runner.cleanup()


async def start_web(
    address: Address, hooks: Sequence[Hook], randomness: Randomness, *, pages: Sequence[Page] = ()
) -> RunningWeb:
    """Listen and serve.

    Args:
        address: Where; port 0: any free one.
        hooks: What others may post to.
        randomness: For ids of calls that fail.
        pages: What others may read.

    Raises:
        Refusal: PORT_IN_USE, LISTEN_FORBIDDEN or LISTEN_FAILED.
    """
    application = web.Application(client_max_size=max((hook.max_body_bytes for hook in hooks), default=1))
    application.on_response_prepare.append(_say_no_versions)
    turns = asyncio.Semaphore(_AT_ONCE)
    application.router.add_routes([web.post(hook.path, _handler(hook, turns, randomness)) for hook in hooks])
    application.router.add_routes([web.get(page.path, _shower(page)) for page in pages])
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=STOP_GRACE_S)
    await runner.setup()
    try:
        await web.TCPSite(runner, address.host, address.port).start()
    except OSError as error:
        await runner.cleanup()
        raise cannot_listen(address) from error
    return RunningWeb(runner, Address(address.host, runner.addresses[0][1]))


async def _say_no_versions(_request: web.Request, response: web.StreamResponse) -> None:
    response.headers["Server"] = "buckler"


def _shower(page: Page) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def handle(_request: web.Request) -> web.Response:
        shown = await page.show()
        return web.Response(status=shown.status, body=shown.body, headers={"Content-Type": shown.content_type})

    return handle


def _handler(
    hook: Hook, turns: asyncio.Semaphore, randomness: Randomness
) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def handle(request: web.Request) -> web.Response:
        try:
            async with asyncio.timeout(BODY_S):
                untrusted_body = await request.read()
        except TimeoutError as error:
            raise web.HTTPRequestTimeout from error
        try:
            async with turns:
                return web.json_response(dict(await hook.take(untrusted_body, request.headers)))
        except Refusal as refusal:
            _log.info("hook_refused", path=hook.path, reason=refusal.reason)
            return _refused(refusal)
        # The supervision point of every hook: a mistake of ours is told by an id, and the sender sends again.
        except Exception as error:  # noqa: BLE001
            request_id = new_id(randomness, "req")
            _log.error("hook_failed", path=hook.path, request_id=request_id, exc_info=error)
            return web.json_response({"code": "INTERNAL", "request_id": request_id}, status=500)

    return handle


def _refused(refusal: Refusal) -> web.Response:
    told = {"code": refusal.reason, "message": refusal.message, "next_step": refusal.next_step}
    headers = {"Retry-After": str(refusal.retry_after_s)} if refusal.retry_after_s else {}
    return web.json_response(told, status=_STATUS[refusal.kind], headers=headers)
