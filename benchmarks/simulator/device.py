"""One simulated device: what an agent says to its control plane."""

import asyncio
import contextlib
import random
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import grpc

from agent.control.link.settings import StreamTimes
from agent.control.link.stream_pace import failures_after, wait_after
from agent.domain.backoff import ceiling_after
from benchmarks.parts.fleet_ground import SimulatedDevice
from benchmarks.simulator.faults import FAULTLESS, Fate, Faults
from benchmarks.simulator.memory import Memory
from benchmarks.simulator.stream import LightStream
from benchmarks.simulator.tally import Tally
from wire.v1 import device_pb2
from wire.v1.device_pb2_grpc import DeviceServiceStub

#: What an agent waits for an answer, in seconds.
CALL_S = 20.0
#: Some way into a call, in seconds.
_UNDER_WAY_S = 0.02
_STATUS = device_pb2.DeviceStatus(
    real_time_protection_enabled=True,
    real_time_protection_subsystem="fanotify",
    real_time_protection_mode="notify",
    engine="yara",
    engine_version="4.5.4",
    signatures_version="builtin-1",
    watched_roots=2,
)
_CHANNEL = (("grpc.use_local_subchannel_pool", 1), ("grpc.max_reconnect_backoff_ms", 2_000))


class NoAnswerError(Exception):
    """A call did not end with an answer.

    Args:
        reason: Of a refusal; empty: there was none.
        retry_after_s: What the server asked for; 0: nothing.
    """

    def __init__(self, reason: str = "", retry_after_s: float = 0.0) -> None:
        super().__init__(reason or "no answer")
        self.reason = reason
        self.retry_after_s = retry_after_s


@dataclass(frozen=True, slots=True)
class Pace:
    """When a device does what by itself, in seconds.

    Attributes:
        check_in_s: Between check-ins.
        retry_s: The first wait after a failure; doubles from there.
        longest_retry_s: Where the doubling ends.
        batch: Detections in one call.
        stream: Of the stream; None: it opens none.
    """

    check_in_s: float = 30.0
    retry_s: float = 1.0
    longest_retry_s: float = 30.0
    batch: int = 50
    stream: StreamTimes | None = field(default_factory=StreamTimes)


@dataclass(frozen=True, slots=True)
class World:
    """What devices share.

    Attributes:
        addresses: Of the servers; a device that gets no answer from one takes the next.
        authorities: That their certificates chain to.
        tally: What they were shown.
        faults: What goes wrong.
        pace: When they do what.
    """

    addresses: Sequence[str]
    authorities: bytes
    tally: Tally
    faults: Faults = FAULTLESS
    pace: Pace = field(default_factory=Pace)


class LightDevice:
    """A device.

    Args:
        identity: Its key and certificate.
        world: What it shares with the others.
        seed: Of all its choices.
        channel_options: Of gRPC, besides the usual ones.
    """

    def __init__(
        self, identity: SimulatedDevice, world: World, seed: str, channel_options: Sequence[tuple[str, int]] = ()
    ) -> None:
        self.identity = identity
        self.chance = random.Random(seed)  # noqa: S311 -- a simulation
        self.memory = Memory(self.chance)
        self._world = world
        self._options = (*_CHANNEL, *channel_options)
        self._address = self.chance.randrange(len(world.addresses))
        self._channel: grpc.aio.Channel | None = None
        self._due = asyncio.Event()
        self.contacts = 0
        #: How streams ended.
        self.endings: Counter[str] = Counter()
        self.stream: LightStream | None = None

    @property
    def is_connected(self) -> bool:
        """Whether frames got through its stream in both directions."""
        return self.stream is not None and self.stream.worked

    def find(self, incidents: Iterable[device_pb2.Incident]) -> None:
        """Something was detected here."""
        self.memory.unsent.update((incident.uuid, incident) for incident in incidents)
        self._due.set()

    # ------------------------------------------------------------ calls

    async def call(self, method: str, request: Any) -> Any:
        """One unary call and what becomes of it.

        Raises:
            NoAnswerError: The device heard no answer, whatever the server did.
        """
        fate = self._world.faults.fate(self.chance.random())
        made = getattr(DeviceServiceStub(self._open()), method)
        began = time.monotonic()
        try:
            answer = await self._made(made, request, fate)
        except grpc.aio.AioRpcError as error:
            reason, retry_after_s = self._world.tally.failed(method, error)
            if error.code() in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED}:
                self._address += 1
                await self.hang_up()
            raise NoAnswerError(reason, retry_after_s) from error
        except asyncio.CancelledError:
            # gRPC also says this when the channel is closed, which the stream beside this call may do.
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            raise NoAnswerError from None
        self._world.tally.answered(method, time.monotonic() - began)
        if fate is Fate.ANSWER_LOST:
            raise NoAnswerError
        return answer

    async def _made(self, made: Any, request: Any, fate: Fate) -> Any:
        if fate is Fate.CUT:
            call = made(request, timeout=CALL_S)
            await asyncio.sleep(self.chance.uniform(0, _UNDER_WAY_S))
            call.cancel()
            await self.hang_up()
            raise NoAnswerError
        if fate is not Fate.TWICE:
            return await made(request, timeout=CALL_S)
        answers = await asyncio.gather(*(made(request, timeout=CALL_S) for _ in range(2)), return_exceptions=True)
        for answer in answers:
            if isinstance(answer, BaseException):
                raise answer
        return answers[-1]

    def _open(self) -> grpc.aio.Channel:
        if self._channel is None:
            address = self._world.addresses[self._address % len(self._world.addresses)]
            credentials = grpc.ssl_channel_credentials(
                self._world.authorities, self.identity.private_key, self.identity.chain
            )
            self._channel = grpc.aio.secure_channel(address, credentials, options=self._options)
        return self._channel

    async def hang_up(self) -> None:
        """Close the connection; the next call opens another."""
        channel, self._channel = self._channel, None
        if channel is not None:
            await channel.close()

    # ------------------------------------------------------------ contacts

    async def check_in(self) -> device_pb2.CheckInResponse:
        """Say how it is, tell what became of commands, take new ones.

        Raises:
            NoAnswerError: See `call`.
        """
        reports = self.memory.reports()
        request = device_pb2.CheckInRequest(
            status=_STATUS, entitlement_serial=1, contact_nonce=self.memory.nonce, command_reports=reports
        )
        answer: device_pb2.CheckInResponse = await self.call("CheckIn", request)
        self.memory.nonce = answer.next_contact_nonce or self.memory.nonce
        self.contacts += 1
        self.memory.told(reports, answer.accepted_report_ids)
        self.memory.take(answer.commands)
        return answer

    async def upload(self) -> None:
        """Report some detections; those that are accepted are forgotten.

        Raises:
            NoAnswerError: See `call`.
        """
        some = list(self.memory.unsent.values())[: self._world.pace.batch]
        answer: device_pb2.ReportEventsResponse = await self.call(
            "ReportEvents", device_pb2.ReportEventsRequest(incidents=some)
        )
        for uuid in answer.accepted_uuids:
            self.memory.unsent.pop(uuid, None)

    async def live(self) -> None:
        """Check in, report and keep a stream open, until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._keep_in_contact())
                if self._world.pace.stream is not None:
                    group.create_task(self._keep_stream(self._world.pace.stream))
        finally:
            await self.hang_up()

    async def _keep_in_contact(self) -> None:
        pace, failures = self._world.pace, 0
        await self._rest(self.chance.uniform(0, pace.check_in_s))
        while True:
            try:
                await self._one_contact()
            except NoAnswerError as missing:
                failures += 1
                ceiling = ceiling_after(failures, base_s=pace.retry_s, ceiling_s=pace.longest_retry_s)
                await asyncio.sleep(missing.retry_after_s + self.chance.uniform(0, ceiling))
                continue
            failures = 0
            await self._rest(pace.check_in_s * self.chance.uniform(0.9, 1.1))

    async def _one_contact(self) -> None:
        self._due.clear()
        await self.check_in()
        while self.memory.unsent:
            await self.upload()
        if self.memory.untold and not self.is_connected:
            self._due.set()

    async def _rest(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._due.wait()

    async def _keep_stream(self, times: StreamTimes) -> None:
        failures = 0
        await asyncio.sleep(self.chance.uniform(0, times.reconnect_within_s))
        while True:
            self.stream = LightStream(
                DeviceServiceStub(self._open()).Connect(), self.memory, self._world.faults, self.chance, self._due.set
            )
            ended = await self.stream.use(self._world.tally)
            if self.stream.was_cut:
                await self.hang_up()
            self.endings[ended.ending.value] += 1
            if self.memory.untold:
                self._due.set()
            failures = failures_after(failures, ended)
            await asyncio.sleep(wait_after(failures, ended, times, self.chance.uniform))
