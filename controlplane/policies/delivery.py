"""Policies as devices get them: with each check-in, and only if they have not got them yet."""

from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from controlplane.policies import rows
from controlplane.policies.model import Effective, Policy, Target, combine, revisions_for
from controlplane.policies.rows import Report
from controlplane.runtime.clock import Clock
from controlplane.runtime.principal import DevicePrincipal
from controlplane.storage.database import Database

#: Organisations whose policies are kept in memory.
_MOST_KEPT: Final = 1_000


@dataclass(slots=True)
class _Kept:
    """Policies of an organisation as they were at one count of changes, and what was made of them."""

    generation: int = 0
    policies: tuple[Policy, ...] = ()
    made: dict[tuple[str, ...], tuple[str, Effective]] = field(default_factory=dict)

    def for_device(self, target: Target, now: datetime) -> tuple[str, Effective]:
        """Validator and policy of a device; made once for all devices that have the same revisions."""
        deciding = revisions_for(self.policies, target, now)
        key = tuple(revision.label for revision in deciding)
        if key not in self.made:
            made = combine(deciding)
            self.made[key] = made.etag, made
        return self.made[key]


class PolicyDelivery:
    """What a check-in needs of policies.

    One short query tells whether the policies of an organisation changed since they were read; they stay in memory
    until they do. A row is written only when what a device says differs from what it said before.

    Args:
        database: The database.
        clock: Business time.
    """

    def __init__(self, *, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._kept: OrderedDict[str, _Kept] = OrderedDict()

    async def answer(self, principal: DevicePrincipal, etag: str, report: Report) -> Effective | None:
        """What the device should have; None: what it has.

        Args:
            principal: The device.
            etag: Of what it was given last.
            report: What it says of that.
        """
        org_id, device_id = principal.org_id, principal.device_id
        async with self._database.reading() as connection:
            standing = await rows.standing_of(connection, org_id, device_id)
            kept = self._kept.get(org_id) or _Kept()
            if standing.generation != kept.generation:
                kept = _Kept(standing.generation, await rows.live_policies(connection, org_id))
                self._keep(org_id, kept)
        now = self._clock.now()
        if report != standing.report and standing.generation:
            async with self._database.transaction() as uow:
                await rows.store_report(uow, org_id, device_id, report, now)
        wanted_etag, wanted = kept.for_device(Target(device_id, standing.labels), now)
        return None if wanted_etag == etag else wanted

    def turn_of(self, org_id: str) -> datetime | None:
        """When time alone may give a device other policies than it was answered last; None: never."""
        now, kept = self._clock.now(), self._kept.get(org_id)
        if kept is None:
            return None
        rollouts = (revision.rollout for policy in kept.policies for revision in policy.revisions)
        turns = (rollout.next_stage_at(now) for rollout in rollouts)
        return min((turn for turn in turns if turn is not None), default=None)

    def _keep(self, org_id: str, kept: _Kept) -> None:
        self._kept[org_id] = kept
        self._kept.move_to_end(org_id)
        if len(self._kept) > _MOST_KEPT:
            self._kept.popitem(last=False)
