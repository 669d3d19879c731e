"""An id goes with a call from whoever makes it to the server's log, and comes back with what went wrong."""

from collections.abc import Iterator

import grpc
import pytest
import structlog

from agent.control.request_ids import RequestIds, new_request_id, request_id_of
from controlplane.runtime.interceptors import CallEntry, CallInterceptor
from controlplane.runtime.rate_limit import RateLimiter
from tests.fakes.clock import SOME_MONDAY, FakeClock
from tests.fakes.randomness import SeededRandomness
from wire.v1 import account_pb2
from wire.v1.account_pb2_grpc import AccountServiceServicer, AccountServiceStub, add_AccountServiceServicer_to_server


class _Nobody:
    async def authenticate(self, untrusted_token: str) -> None:
        raise RuntimeError("the password is swordfish")

    async def ahead(self, org_id: str) -> None:
        raise AssertionError


@pytest.fixture(name="said")
def log_lines() -> Iterator[list[structlog.typing.EventDict]]:
    before = structlog.get_config()
    # Without the threshold of whatever ran before in this process.
    structlog.reset_defaults()
    with structlog.testing.capture_logs() as lines:
        yield lines
    structlog.configure(**before)


async def _fails(request_id: str, metadata: tuple[tuple[str, str], ...]) -> grpc.aio.AioRpcError:
    """Call a server that makes a mistake."""
    entry = CallEntry(
        tokens=_Nobody(),  # type: ignore[arg-type]
        limiter=RateLimiter({}),
        clock=FakeClock(SOME_MONDAY),
        randomness=SeededRandomness(),
        times=_Nobody(),  # type: ignore[arg-type]
    )
    server = grpc.aio.server(interceptors=[CallInterceptor(entry)])
    add_AccountServiceServicer_to_server(AccountServiceServicer(), server)  # type: ignore[abstract]
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        ids = [RequestIds(lambda: request_id)] if request_id else []
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", interceptors=ids) as channel:
            with pytest.raises(grpc.aio.AioRpcError) as failed:
                await AccountServiceStub(channel).WhoAmI(account_pb2.WhoAmIRequest(), metadata=metadata, timeout=10)
        return failed.value
    finally:
        await server.stop(None)


TOKEN = (("authorization", "Bearer x"),)


async def test_both_logs_have_a_failed_call_under_the_same_id(said: list[structlog.typing.EventDict]) -> None:
    mine = new_request_id()
    error = await _fails(mine, TOKEN)
    assert error.code() is grpc.StatusCode.INTERNAL
    assert request_id_of(error) == mine
    there, here = said
    assert [there[name] for name in ("event", "request_id", "code")] == ["call_failed", mine, "INTERNAL"]
    assert [here[name] for name in ("event", "request_id", "code")] == ["call_not_ok", mine, "INTERNAL"]
    assert there["method"] == here["method"] == "/buckler.v1.AccountService/WhoAmI"


@pytest.mark.parametrize("unfit", ["short", "x" * 65, 'a"b=c d{}[]', "req_1234;5678"])
async def test_an_id_that_is_no_id_is_replaced(said: list[structlog.typing.EventDict], unfit: str) -> None:
    error = await _fails(unfit, TOKEN)
    assert request_id_of(error).startswith("req_")
    assert request_id_of(error) != unfit
    assert said[0]["request_id"] == request_id_of(error)


async def test_one_is_made_for_who_has_none(said: list[structlog.typing.EventDict]) -> None:
    error = await _fails("", TOKEN)
    assert request_id_of(error).startswith("req_")
    assert request_id_of(await _fails("", TOKEN))
    assert len(said) == 2
