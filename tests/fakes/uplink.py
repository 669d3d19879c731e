"""A control plane that keeps detections in memory, and a line to it that can be cut in every way."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from agent.domain.errors import BucklerError
from agent.domain.incident import Incident
from agent.domain.ports import ReportReceipt, UplinkError


def uplink_error(
    code: str, *, permanent: bool = False, retry_after_s: float = 0.0, content: bool = False
) -> UplinkError:
    """A batch that did not arrive, for a reason of which only the code matters."""
    why = BucklerError(code, f"it says {code}", next_step="do this")
    return UplinkError(why, permanent=permanent, retry_after_s=retry_after_s, content=content)


@dataclass
class FakeUplink:
    """Honest fake of `agent.domain.ports.IncidentUplink`: stores by uuid, once, and refuses oversized batches.

    Attributes:
        stored: What the server has, by uuid.
        effects: How often each uuid had an effect on the server; never more than 1.
        batches: Sizes of the calls that arrived.
        dropped: Sum of what was reported as dropped.
        errors: Raised by the next calls, one each, before anything arrives.
        lost_replies: So many of the next calls arrive, and their reply does not.
        accept_at_most: Rows of one batch the server takes.
        refused: Rows the server refuses for good, with its reason.
        poison: Rows for which the server refuses the whole call they are in.
    """

    stored: dict[UUID, Incident] = field(default_factory=dict)
    effects: dict[UUID, int] = field(default_factory=dict)
    batches: list[int] = field(default_factory=list)
    dropped: dict[str, int] = field(default_factory=dict)
    errors: list[UplinkError] = field(default_factory=list)
    lost_replies: int = 0
    accept_at_most: int = 200
    refused: dict[UUID, str] = field(default_factory=dict)
    poison: set[UUID] = field(default_factory=set)
    calls: int = 0

    async def report(self, incidents: Sequence[Incident], dropped: Mapping[str, int]) -> ReportReceipt:
        self.calls += 1
        await asyncio.sleep(0)
        if self.errors:
            raise self.errors.pop(0)
        if not 1 <= len(incidents) <= 200:
            raise uplink_error("REFUSED", permanent=True)
        if any(incident.uuid in self.poison for incident in incidents):
            raise uplink_error("INVALID_ARGUMENT", permanent=True, content=True)
        self.batches.append(len(incidents))
        receipt = self._store(incidents, dropped)
        if self.lost_replies:
            self.lost_replies -= 1
            raise uplink_error("UNREACHABLE")
        return receipt

    async def until(self, condition: Callable[[], bool], timeout_s: float = 30.0) -> None:
        """Wait, in real time, until something is true."""
        async with asyncio.timeout(timeout_s):
            while not condition():  # noqa: ASYNC110 -- a condition over a store has no event
                await asyncio.sleep(0.002)

    def _store(self, incidents: Sequence[Incident], dropped: Mapping[str, int]) -> ReportReceipt:
        rejected = {row.uuid: self.refused[row.uuid] for row in incidents if row.uuid in self.refused}
        accepted = [row for row in incidents if row.uuid not in rejected][: self.accept_at_most]
        for row in accepted:
            if row.uuid not in self.stored:
                self.stored[row.uuid] = row
                self.effects[row.uuid] = self.effects.get(row.uuid, 0) + 1
        for name, rows in dropped.items():
            self.dropped[name] = self.dropped.get(name, 0) + rows
        return ReportReceipt(frozenset(row.uuid for row in accepted), rejected)
