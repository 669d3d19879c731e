"""Sending the outbox, at least once: a row is deleted only after the control plane said that it has it.

States of the loop, and what ends each:

* *idle*, nothing to send: a `wake()`, or the poll that notices what another process wrote (`buckler scan`);
* *sending*: the reply, or an error;
* *backing off* after a passing error: time only. A stream of new detections must not defeat the back-off;
* *waiting* after a permanent error, not enrolled say: a `wake()`. If the next attempt fails in the same way, the
  wake after it is delayed by the same back-off: a new detection is no reason to believe that the cause is gone.

A batch that is refused for what is in it is halved until the row to blame is alone. That row is *suspected*: it is left
out for now, and set aside for good as soon as the control plane has taken another one. Until then it may be the control
plane that takes nothing at all, a version that does not understand us say, and nobody must lose a report to that.
"""

import asyncio
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from agent.domain.backoff import BASE_S, CEILING_S, next_delay
from agent.domain.errors import BucklerError, ExitStatus
from agent.domain.incident import Incident
from agent.domain.ports import Clock, IncidentUplink, Randomness, ReportReceipt, Store, UplinkError

if TYPE_CHECKING:
    from uuid import UUID

#: The protocol's limit of rows in one call (proto/wire/v1/device.proto, ReportEventsRequest).
MAX_BATCH = 200
#: So many rows refused one after the other, and none accepted: it is not the rows.
MAX_SUSPECTS = 3
#: More than any outbox holds.
_ALL_ROWS = 1_000_000


@dataclass(frozen=True, slots=True)
class SenderSettings:
    """How eager to be.

    Attributes:
        batch: Rows in one call, 1 to 200.
        poll_interval_s: How often an idle sender looks at the outbox by itself.
        base_s: See `agent.domain.backoff`.
        ceiling_s: See `agent.domain.backoff`.
    """

    batch: int = MAX_BATCH
    poll_interval_s: float = 60.0
    base_s: float = BASE_S
    ceiling_s: float = CEILING_S

    def __post_init__(self) -> None:
        if not 1 <= self.batch <= MAX_BATCH:
            raise ValueError(f"a batch has 1 to {MAX_BATCH} rows")


@dataclass(frozen=True, slots=True)
class SenderState:
    """When rows last arrived (None: never since the start), and what stands in the way now (None: nothing does)."""

    delivered_at: datetime | None = None
    failing_because: BucklerError | None = None
    permanently: bool = False
    failures_in_a_row: int = 0


@dataclass(frozen=True, slots=True)
class _Batch:
    incidents: list[Incident]
    dropped: dict[str, int] = field(default_factory=dict)


class Sender:
    """Sends the outbox until it is cancelled."""

    def __init__(
        self,
        store: Store,
        uplink: IncidentUplink,
        clock: Clock,
        randomness: Randomness,
        settings: SenderSettings | None = None,
    ) -> None:
        self._store = store
        self._uplink = uplink
        self._clock = clock
        self._randomness = randomness
        self._settings = settings or SenderSettings()
        self._woken = asyncio.Event()
        self._state = SenderState()
        self._batch_rows = self._settings.batch
        self._suspects: dict[UUID, BucklerError] = {}

    @property
    def state(self) -> SenderState:
        """What the sender is up to."""
        return self._state

    def wake(self) -> None:
        """There is something new to send, or the cause of a permanent error may be gone. For the loop's thread."""
        self._woken.set()

    async def run(self) -> None:
        """Send until cancelled. Whatever fails, on the line or on the disk, is tried again."""
        while True:
            self._woken.clear()
            try:
                if not await self._send_one_batch():
                    await self._wait_for_wake(self._settings.poll_interval_s)
            except UplinkError as error:
                await self._give_way(error)
            except BucklerError as error:
                # The database is busy or its disk is full: the rows are safe, and the agent has other work to do.
                await self._give_way(UplinkError(error, permanent=False))

    async def _send_one_batch(self) -> bool:
        """False: there was nothing to send."""
        batch = await asyncio.to_thread(self._load)
        if not batch.incidents:
            return self._nothing_to_send()
        try:
            receipt = await self._uplink.report(batch.incidents, batch.dropped)
        except UplinkError as error:
            if error.content and self._narrow_down(batch, error):
                return True
            raise
        if not await asyncio.to_thread(self._settle, batch, receipt):
            # The server answered and took nothing: asking again at once would never end.
            raise UplinkError(_nothing_accepted(), permanent=False)
        self._batch_rows = min(self._batch_rows * 2, self._settings.batch)
        self._suspects.clear()
        self._state = SenderState(delivered_at=self._clock.now())
        return True

    def _nothing_to_send(self) -> bool:
        """What is suspected and nothing else: it is tried once more when something new has come."""
        if self._suspects:
            (why, *_), self._suspects = tuple(self._suspects.values()), {}
            raise UplinkError(why, permanent=True)
        return False

    def _narrow_down(self, batch: _Batch, error: UplinkError) -> bool:
        """A batch was refused for its content; False: it is not the rows."""
        if len(batch.incidents) > 1:
            self._batch_rows = len(batch.incidents) // 2
            return True
        self._suspects[batch.incidents[0].uuid] = error.why
        if len(self._suspects) < MAX_SUSPECTS:
            return True
        self._suspects.clear()
        self._batch_rows = self._settings.batch
        return False

    def _load(self) -> _Batch:
        with self._store.transaction() as tables:
            if not self._suspects:
                return _Batch(tables.outbox.pending(self._batch_rows), tables.outbox.dropped())
            # The row that has least in common with a suspected one is the best witness for the others.
            waiting = tables.outbox.pending(_ALL_ROWS)
            witness = [incident for incident in waiting if incident.uuid not in self._suspects][-1:]
            return _Batch(witness, tables.outbox.dropped())

    def _settle(self, batch: _Batch, receipt: ReportReceipt) -> bool:
        """Record what the control plane said about rows of this batch; False: nothing at all."""
        sent = {incident.uuid for incident in batch.incidents}
        accepted = receipt.accepted & sent
        rejected = {uuid: reason for uuid, reason in receipt.rejected.items() if uuid in sent - accepted}
        with self._store.transaction() as tables:
            tables.outbox.acknowledge(accepted)
            proven = {uuid: why.code for uuid, why in self._suspects.items()} if accepted else {}
            for uuid, reason in (rejected | proven).items():
                tables.outbox.set_aside(uuid, reason)
            tables.outbox.clear_dropped(batch.dropped)
        return bool(accepted or rejected)

    async def _give_way(self, error: UplinkError) -> None:
        failures = self._state.failures_in_a_row + 1
        same_again = error.permanent and self._state.permanently
        self._state = SenderState(self._state.delivered_at, error.why, error.permanent, failures)
        if not error.permanent or same_again:
            settings = self._settings
            await asyncio.sleep(
                next_delay(
                    failures,
                    error.retry_after_s,
                    self._randomness,
                    base_s=settings.base_s,
                    ceiling_s=settings.ceiling_s,
                )
            )
        if error.permanent:
            await self._woken.wait()

    async def _wait_for_wake(self, at_most_s: float) -> None:
        try:
            async with asyncio.timeout(at_most_s):
                await self._woken.wait()
        except TimeoutError:
            pass


def _nothing_accepted() -> BucklerError:
    return BucklerError(
        "NOTHING_ACCEPTED",
        "the control plane answers, but stores none of the detections it is sent",
        next_step="they are kept and sent again by themselves; if it stays, tell the control plane's administrator",
        exit_status=ExitStatus.UNREACHABLE,
    )
