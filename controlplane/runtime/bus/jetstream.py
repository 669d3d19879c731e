"""A durable queue in NATS JetStream: a work queue on disk, read by all replicas through one durable consumer."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from typing import Final

import nats.errors
import structlog
from nats import connect as connect_to_nats
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, DiscardPolicy, RetentionPolicy, StorageType, StreamConfig
from nats.js.errors import APIError, NotFoundError, ServiceUnavailableError

from controlplane.runtime.bus.port import RETRY_S
from controlplane.runtime.bus.queue import QueueAwayError, QueueLag, Taken
from controlplane.runtime.refusal import Kind, Refusal

#: Seconds for connecting, and for each answer of the server.
TIMEOUT_S: Final = 5.0
#: Seconds for which `take` waits when there is nothing.
PATIENCE_S: Final = 2.0
#: Seconds after which what was handed out and is not done is handed out again: its taker died, or is very slow.
GIVEN_BACK_AFTER_S: Final = 60.0
#: Bytes on disk; then nothing is taken any more, and what comes goes another way.
MAX_BYTES: Final = 1 << 30
#: Of a message, with its headers; the server's own default limit is 1 MiB.
MOST_BYTES: Final = 900_000
_CONSUMER: Final = "writers"
#: How often it hands out: again and again, since what cannot be stored is put aside by whoever tried.
_MAX_DELIVER: Final = -1

_log = structlog.get_logger(__name__)


class _Message:
    """Implements `Taken`."""

    def __init__(self, message: Msg) -> None:
        self._message = message

    @property
    def body(self) -> bytes:
        return self._message.data

    @property
    def attempt(self) -> int:
        return int(self._message.metadata.num_delivered or 1)

    async def done(self) -> None:
        await self._message.ack()

    async def later(self, after: timedelta) -> None:
        await self._message.nak(delay=after.total_seconds())


class _Connection:
    """What there is while the server can be reached."""

    def __init__(self, client: Client, stream: JetStreamContext, taking: JetStreamContext.PullSubscription) -> None:
        self.client = client
        self.stream = stream
        self.taking = taking


class JetStreamQueue:
    """Implements `DurableQueue`.

    Args:
        url: As for `nats_bus`.
        name: Of the stream.
        retry_s: Seconds before a lost connection is tried again.
    """

    def __init__(self, url: str, name: str, *, retry_s: float = RETRY_S) -> None:
        self._url = url
        self._name = name
        self._subject = f"{name.lower().replace('_', '.')}"
        self._retry_s = retry_s
        self._connection: _Connection | None = None
        self._is_there = asyncio.Event()

    @property
    def is_connected(self) -> bool:
        """See `DurableQueue`."""
        return self._connection is not None

    @property
    def most_bytes(self) -> int:
        """See `DurableQueue`."""
        return MOST_BYTES

    async def check(self) -> None:
        """Ask once, at start; a server that is away is waited for later.

        Raises:
            Refusal: JETSTREAM_OFF.
        """
        try:
            async with self._connected(asyncio.Event()):
                return
        except ServiceUnavailableError as error:
            raise _jetstream_off() from error
        except APIError as error:
            raise _jetstream_off(error.description or "") from error
        except (OSError, nats.errors.Error) as error:
            _log.warning("buffer_away", error=type(error).__name__)

    async def run(self) -> None:
        """See `DurableQueue`."""
        while True:
            lost = asyncio.Event()
            try:
                async with self._connected(lost) as connection:
                    self._connection = connection
                    self._is_there.set()
                    _log.info("buffer_connected", stream=self._name)
                    await lost.wait()
            # Supervision point: while it is away, what comes goes another way.
            except Exception as error:  # noqa: BLE001
                _log.warning("buffer_lost", error=type(error).__name__)
            finally:
                self._connection = None
                self._is_there.clear()
            await asyncio.sleep(self._retry_s)

    async def put(self, message_id: str, body: bytes) -> None:
        """See `DurableQueue`."""
        headers = {"Nats-Msg-Id": message_id}
        with _asking():
            await self._now().stream.publish(self._subject, body, TIMEOUT_S, self._name, headers)

    async def take(self, most: int) -> Sequence[Taken]:
        """See `DurableQueue`."""
        await self._is_there.wait()
        with _asking():
            try:
                return [_Message(message) for message in await self._now().taking.fetch(most, PATIENCE_S)]
            except nats.errors.TimeoutError:
                return []

    async def lag(self) -> QueueLag:
        """See `DurableQueue`."""
        with _asking():
            info = await self._now().taking.consumer_info()
        return QueueLag(info.num_pending or 0, info.num_ack_pending or 0)

    def _now(self) -> _Connection:
        if self._connection is None:
            raise QueueAwayError("not connected")
        return self._connection

    @asynccontextmanager
    async def _connected(self, lost: asyncio.Event) -> AsyncIterator[_Connection]:
        async def gone() -> None:
            lost.set()

        async def failed(_error: Exception) -> None:
            """Told by what follows from it; the library would print it otherwise."""

        client = await connect_to_nats(
            self._url.split(","),
            name="buckler-server",
            allow_reconnect=False,
            # It tries for minutes otherwise, before it says that nobody is there.
            max_reconnect_attempts=1,
            reconnect_time_wait=0,
            connect_timeout=int(TIMEOUT_S),
            closed_cb=gone,
            disconnected_cb=gone,
            error_cb=failed,
        )
        try:
            stream = client.jetstream(timeout=TIMEOUT_S)
            await self._prepare(stream)
            await self._bring_up_to_date(stream)
            config = ConsumerConfig(
                ack_policy=AckPolicy.EXPLICIT,
                ack_wait=GIVEN_BACK_AFTER_S,
                max_deliver=_MAX_DELIVER,
                max_ack_pending=256,
            )
            taking = await stream.pull_subscribe(self._subject, _CONSUMER, self._name, config)
            yield _Connection(client, stream, taking)
        finally:
            await client.close()

    async def _bring_up_to_date(self, stream: JetStreamContext) -> None:
        """A consumer that an older server made gives nothing up any more; the rest is its operator's."""
        try:
            found = (await stream.consumer_info(self._name, _CONSUMER)).config
        except NotFoundError:
            return
        if found.max_deliver != _MAX_DELIVER:
            await stream.add_consumer(self._name, found.evolve(max_deliver=_MAX_DELIVER))

    async def _prepare(self, stream: JetStreamContext) -> None:
        """Make the stream; one that is there stays as its operator wants it (replicas, size)."""
        try:
            await stream.stream_info(self._name)
        except NotFoundError:
            await stream.add_stream(
                StreamConfig(
                    name=self._name,
                    subjects=[self._subject],
                    retention=RetentionPolicy.WORK_QUEUE,
                    storage=StorageType.FILE,
                    # Refused rather than an older one thrown away.
                    discard=DiscardPolicy.NEW,
                    max_bytes=MAX_BYTES,
                    duplicate_window=120,
                )
            )


@contextmanager
def _asking() -> Iterator[None]:
    """Around calls of the library.

    Raises:
        QueueAwayError: In place of its errors.
        asyncio.CancelledError: The task was cancelled. The library makes an error of its own of that when it is closed,
            and it waits with `asyncio.wait_for`, which before Python 3.12 forgets it when an answer comes at the same
            moment. Whoever told the server to stop would wait for ever.
    """
    failure: Exception | None = None
    try:
        yield
    except (OSError, nats.errors.Error) as error:
        failure = error
    finally:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise asyncio.CancelledError from failure
    if failure is not None:
        raise QueueAwayError(type(failure).__name__) from failure


def _jetstream_off(why: str = "") -> Refusal:
    return Refusal(
        Kind.ENVIRONMENT,
        "JETSTREAM_OFF",
        f"detections are to be buffered, but JetStream of the NATS server cannot be used{why and f': {why}'}",
        "Switch JetStream on (nats-server -js -sd FOLDER) for this account, or leave buffer_detections out",
    )
